"""Requests by name and phase, as a history tells them: what the tables show, and what a profile's `fail_if` is about.

A limit is judged on what a healthy service does: in the steady state before the first step, and after the last alert's
all-clear to the end of looking on. Latencies are real.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from chaoskit.events import LoadNames, LoadTotals, NameCounts, Notice
from chaoskit.histogram import merge, percentile_ms
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.scenario.model import FailIf
from chaoskit.units import amount
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Strict, broken, kept, unknown
from chaoskit.verify.verdict import ALL_PHASES, Requests


def requests_of(history: History) -> list[Requests]:
    """Every name in every phase, and over all of them; each name's rows together, in the order of its first request."""
    slices = list(history.of(LoadNames))
    phases = dict.fromkeys(one.phase for one in slices)
    names = dict.fromkeys(name for one in slices for name in one.names)
    found = []
    for name in names:
        for phase in (*phases, ALL_PHASES):
            some = [one for one in slices if phase in (one.phase, ALL_PHASES)]
            lasted_s = sum(one.span[1] - one.span[0] for one in some)
            counts = joined(one.names[name] for one in some if name in one.names)
            if counts.finished or counts.dropped:
                found.append(_row(name, phase, counts, lasted_s))
    return found


def joined(parts: Iterable[NameCounts]) -> NameCounts:
    """Several counts together, latencies by their histograms."""
    some = list(parts)
    return NameCounts(
        sum(one.finished for one in some),
        sum(one.failed for one in some),
        sum(one.dropped for one in some),
        tuple(sorted(merge(one.buckets for one in some).items())),
        merge(one.failures for one in some),
    )


def _limit_name(limit: FailIf) -> str:
    """The subject of a row of `fail_if`: `load`, and the request's name."""
    return f"load {limit.name or 'all requests'}"


def _limits(case: Case) -> Iterator[Strict]:
    """A row for each entry of `fail_if`."""
    slices = list(_healthy(case.history))
    known = dict.fromkeys(name for one in case.history.of(LoadNames) for name in one.names)
    for limit in case.plan.profile.load.fail_if:
        mine = [name for name in known if is_named(name, limit.name)]
        about = _limit_name(limit)
        if case.history.header.beside:
            reason = "other scenarios' faults met the same load; play this scenario by itself"
            yield unknown(Hop.LIMIT, about, f"{about}: not known: {reason}")
        elif not mine:
            reason = f"the load made no request of this name; it made {', '.join(known) or 'none'}"
            yield unknown(Hop.LIMIT, about, f"{about}: not known: {reason}")
        else:
            yield _judged(limit, about, joined(one.names[name] for one in slices for name in mine if name in one.names))


def _exit_code(case: Case) -> Iterator[Strict]:
    """The locustfile's own verdict, by Locust's process_exit_code; no row without a locustfile."""
    if case.plan.profile.load.locustfile is None:
        return
    totals, about = next(case.history.of(LoadTotals), None), "locustfile"
    if totals is None:
        reason = "the load generator sent no totals, and so no exit code of the locustfile; see load.log"
        yield unknown(Hop.EXIT_CODE, about, reason)
    elif totals.exit_code:
        what = f"the locustfile asked for exit code {totals.exit_code} (process_exit_code or sys.exit); see load.log"
        yield broken(Hop.EXIT_CODE, about, what)
    else:
        yield kept(Hop.EXIT_CODE, about, "none was asked for" if totals.exit_code is None else "it is 0")


LIMITS = Check(
    "the load's limits",
    Case,
    _limits,
    lambda case: [(_limit_name(limit), Hop.LIMIT, "") for limit in case.plan.profile.load.fail_if],
)
EXIT_CODE = Check(
    "the locustfile's exit code",
    Case,
    _exit_code,
    lambda case: [] if case.plan.profile.load.locustfile is None else [("locustfile", Hop.EXIT_CODE, "")],
)


def is_named(label: str, name: str) -> bool:
    """Whether requests that are counted by a label are meant by a name: the name itself, with its kind, or that of a
    mix whose requests take turns (`reports` is `GET reports/1` as well)."""
    own = label.partition(" ")[2] or label
    turn, slash, number = own.rpartition("/")
    return name in ("", label, own) or bool(slash and number.isdigit() and name == turn)


def _healthy(history: History) -> Iterator[LoadNames]:
    """The slices that are judged."""
    cleared = max((one.t for one in history.of(Notice) if one.status == "resolved"), default=-math.inf)
    for one in history.of(LoadNames):
        if not one.mixed and (one.phase == "steady" or (one.phase == "tail" and one.span[0] >= cleared)):
            yield one


def _judged(limit: FailIf, about: str, counts: NameCounts) -> Strict:
    seen, wrong, few = [amount(counts.finished + counts.dropped, "requests")], [], []
    of, bad = counts.finished + counts.dropped, counts.failed + counts.dropped
    if limit.failed is not None:
        least = math.ceil(1 / limit.failed) if limit.failed else 1
        share = bad / of if of else 0.0
        seen.append(f"{share:.2%} failed")
        if of < least:
            few.append(f"{limit.failed:.4g} of them may fail, which {least} are needed for")
        elif share > limit.failed:
            wrong.append(f"{share:.2%} of {of} requests failed{_worst(counts.failures)}, more than {limit.failed:.4g}")
    for percent, most_s in limit.percentiles.items():
        least = math.ceil(100 / (100 - percent))
        took_ms = percentile_ms(counts.buckets, percent / 100)
        if took_ms is None or sum(counts.buckets.values()) < least:
            few.append(f"P{percent} needs {least}")
            continue
        seen.append(f"P{percent} {took_ms:.4g} ms")
        if took_ms > most_s * 1000:
            wrong.append(f"P{percent} of {of} requests is {took_ms:.4g} ms, more than {most_s * 1000:.4g} ms (real)")
    when = "before the first step and after the last all-clear"
    if wrong:
        return broken(Hop.LIMIT, about, f"{about}: {'; '.join(wrong)}, {when}; governed by fail_if")
    if few:
        return unknown(Hop.LIMIT, about, f"{about}: too few requests {when}: {of}; {'; '.join(few)}")
    return kept(Hop.LIMIT, about, ", ".join(seen))


def _worst(failures: Mapping[str, int]) -> str:
    if not failures:
        return ""
    text, count = max(failures.items(), key=lambda one: one[1])
    return f" ({count} of them: {text})"


def _row(name: str, phase: str, counts: NameCounts, lasted_s: float) -> Requests:
    kind, blank, own = name.partition(" ")
    p50, p95, p99 = (percentile_ms(counts.buckets, share) for share in (0.5, 0.95, 0.99))
    return Requests(
        type=kind if blank else "", name=own if blank else name, phase=phase, requests=counts.finished,
        failures=counts.failed, dropped=counts.dropped, p50_ms=p50, p95_ms=p95, p99_ms=p99,
        requests_per_s=round(counts.finished / lasted_s, 3) if lasted_s else 0.0, failed_by=counts.failures,
    )  # fmt: skip
