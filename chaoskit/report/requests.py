"""Requests by name, as tables for people, and as the CSV files that Locust writes, in its own columns.

Latencies come from histograms, so minima, maxima and averages are within 1 %; contents are not measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table

from chaoskit.events import LoadNames, LoadWindow, NameCounts
from chaoskit.histogram import percentile_ms, value_ms
from chaoskit.history import History
from chaoskit.report.table import table
from chaoskit.report.text import clean, shortened
from chaoskit.verify.load import raised_in
from chaoskit.verify.requests import joined
from chaoskit.verify.verdict import ALL_PHASES, Requests, Verdict

WORST = 10
_PERCENTILES = (0.50, 0.66, 0.75, 0.80, 0.90, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0)
STATS_COLUMNS = (
    "Type", "Name", "Request Count", "Failure Count", "Median Response Time", "Average Response Time",
    "Min Response Time", "Max Response Time", "Average Content Size", "Requests/s", "Failures/s",
    "50%", "66%", "75%", "80%", "90%", "95%", "98%", "99%", "99.9%", "99.99%", "100%",
)  # fmt: skip
FAILURES_COLUMNS = ("Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen")
EXCEPTIONS_COLUMNS = ("Count", "Message", "Traceback", "Nodes")


def by_name(verdict: Verdict) -> list[Requests]:
    """Each name over all phases, the worst first: by the share that failed, then by P95."""
    rows = [] if isinstance(verdict.requests, msgspec.UnsetType) else verdict.requests
    whole = [row for row in rows if row.phase == ALL_PHASES]
    return sorted(whole, key=lambda row: (-row.failures / max(1, row.requests), -(row.p95_ms or 0.0)))


def requests_table(rows: Sequence[Requests]) -> Table:
    """A table for a terminal of the first WORST rows."""
    numbers = ("requests", "failed", "P50", "P95", "P99", "per s")
    shown = table("type", "name", *numbers, "failures", right=numbers)
    for row in rows[:WORST]:
        told = [shortened(text, 200) for text in cells(row)]
        shown.add_row(clean(row.type), clean(shortened(row.name, 80)), *(clean(text) for text in told))
    return shown


def cells(row: Requests) -> list[str]:
    """A row's figures in words: requests, failures, three percentiles, per second, and what failed."""
    latencies = [row.p50_ms, row.p95_ms, row.p99_ms]
    return [
        str(row.requests),
        str(row.failures),
        *("–" if one is None else f"{one:.4g} ms" for one in latencies),
        f"{row.requests_per_s:.1f}",
        ", ".join(f"{text}: {count}" for text, count in _most(row.failed_by)),
    ]


def csv_files(history: History) -> dict[str, bytes]:
    """The files of Locust's --csv by name; empty where the history counts no requests by name."""
    slices = list(history.of(LoadNames))
    if not slices:
        return {}
    names = dict.fromkeys(name for one in slices for name in one.names)
    whole = {name: joined(one.names[name] for one in slices if name in one.names) for name in sorted(names)}
    lasted_s = sum(one.span[1] - one.span[0] for one in slices)
    stats = [_stats(*_parted(name), one, lasted_s) for name, one in whole.items()]
    stats.append(_stats("", "Aggregated", joined(whole.values()), lasted_s))
    failures = [
        (*_parted(name), text, count, "", "") for name, one in whole.items() for text, count in _most(one.failures)
    ]
    raised = [(count, text, "see load.log", "") for text, count in _most(raised_in(history.of(LoadWindow)))]
    return {
        "load_stats.csv": _csv(STATS_COLUMNS, stats),
        "load_failures.csv": _csv(FAILURES_COLUMNS, failures),
        "load_exceptions.csv": _csv(EXCEPTIONS_COLUMNS, raised),
    }


def _stats(kind: str, name: str, counts: NameCounts, lasted_s: float) -> Iterator[Any]:
    latency = counts.buckets
    known = sum(latency.values())
    average = sum(value_ms(index) * count for index, count in latency.items()) / known if known else 0.0
    ends = [round(value_ms(one(latency)), 3) if latency else 0 for one in (min, max)]
    yield from (kind, name, counts.finished, counts.failed, percentile_ms(latency, 0.5) or 0, round(average, 3), *ends)
    yield ""
    yield from (round(count / lasted_s, 4) if lasted_s else 0 for count in (counts.finished, counts.failed))
    yield from (percentile_ms(latency, share) or "N/A" for share in _PERCENTILES)


def _parted(name: str) -> tuple[str, str]:
    kind, blank, own = name.partition(" ")
    return (kind, own) if blank else ("", name)


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: -one[1])


def _csv(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
