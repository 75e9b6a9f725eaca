"""`make sla-demo`: a month in a small Prometheus, recorded and opened as a report, in under two minutes.

The month before the running one is made up: two agents scraped every 15 s, with an outage that was seen, one that no
alert saw, a night of slow answers, planned work, and half an hour in which Prometheus was away. Its blocks are written
a day at a time and kept in the cache, so a second time takes seconds. Everything is real from there on: a Prometheus
answers, `chaoskit sla record` asks it, the report is drawn from the store.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from chaoskit import bundle
from chaoskit.cli import run
from chaoskit.cli.console import say
from chaoskit.host.ports import reserve
from chaoskit.rehearse.promtool import ask
from chaoskit.sla.model import Window
from chaoskit.sla.windows import month_of
from chaoskit.stack.binaries import cache_folder, require
from chaoskit.stack.monitoring import start_prometheus

DAY_S, SCRAPE_S, OFFSET_S = 86_400, 15, 7
"""Scrapes lie off the borders of evidence, as they do in the wild."""
OUT = Path("chaoskit-sla-demo")
JOB = 'environment="production",instance="crm-1:9091",job="insa-crm"'
BOUNDS = ("1", "3", "5", "15", "20", "+Inf")
MINUTE = 60

DOWN = ((5, 10 * 3600, 10 * 3600 + 9 * MINUTE), (12, 3 * 3600, 3 * 3600 + 45), (20, 14 * 3600, 14 * 3600 + 12 * MINUTE))
"""Day of the month, begin and end in seconds of the day; the last one was planned."""
AWAY = ((24, 6 * 3600, 6 * 3600 + 30 * MINUTE),)
ERRORS = ((17, 9 * 3600, 9 * 3600 + 40 * MINUTE, 0.12),)
SLOW = ((26, 1 * 3600, 5 * 3600),)
ALERTS = (
    ("MetricsEndpointDown", "critical", 5, 10 * 3600 + 10, 10 * 3600 + 9 * MINUTE, MINUTE),
    ("HighErrorRate", "critical", 17, 9 * 3600 + 30, 9 * 3600 + 44 * MINUTE, 5 * MINUTE),
    ("WorkerUnhealthy", "critical", 17, 9 * 3600 + 12 * MINUTE, 9 * 3600 + 20 * MINUTE, MINUTE),
    ("MetricsEndpointDown", "critical", 20, 14 * 3600 + 10, 14 * 3600 + 12 * MINUTE, MINUTE),
    ("HighLatencyP95", "warning", 26, 1 * 3600 + 20 * MINUTE, 5 * 3600 + 4 * MINUTE, 10 * MINUTE),
    ("LowCacheHitRate", "warning", 9, 16 * 3600, 16 * 3600 + 25 * MINUTE, 15 * MINUTE),
)
"""Name, severity, day, pending and resolved in seconds of the day, and `for`."""


class Month:
    """The counters of the month, day after day."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._chance = random.Random(window.starts_at)
        self._sums: dict[str, float] = {}

    def days(self) -> Iterator[tuple[int, Iterator[str]]]:
        """Each day's number, from 1, and its samples as OpenMetrics."""
        count = (self._window.ends_at - self._window.starts_at) // DAY_S
        return ((number, self._day(number)) for number in range(1, count + 1))

    def _day(self, number: int) -> Iterator[str]:
        begin = self._window.starts_at + (number - 1) * DAY_S
        rows: dict[str, list[str]] = {}
        for second in range(OFFSET_S, DAY_S, SCRAPE_S):
            if _within(AWAY, number, second):
                continue
            for series, value in self._scrape(number, second):
                rows.setdefault(series, []).append(f"{series} {value:.10g} {begin + second}\n")
        for name, severity, day, pending, resolved, held in ALERTS:
            if day == number:
                labels = f'alertname="{name}",environment="production",severity="{severity}"'
                for second in range(pending - pending % 15, resolved, 15):
                    state = "firing" if second >= pending + held else "pending"
                    for series, value in (
                        (f'ALERTS{{{labels},alertstate="{state}"}}', 1),
                        (f"ALERTS_FOR_STATE{{{labels}}}", begin + pending),
                    ):
                        rows.setdefault(series, []).append(f"{series} {value} {begin + second}\n")
        for some in rows.values():
            yield from some
        yield "# EOF\n"

    def _scrape(self, day: int, second: int) -> Iterator[tuple[str, float]]:
        down = _within(DOWN, day, second)
        yield f"up{{{JOB}}}", 0 if down else 1
        if down:
            return
        bad = next((share for d, a, b, share in ERRORS if d == day and a <= second < b), 0.0002)
        slow = _within(SLOW, day, second)
        rush = 3 if 8 * 3600 <= second < 18 * 3600 else 1
        for agent in ("lead-scorer", "meeting-planner"):
            asked = rush * 4 + self._chance.randrange(3)
            failed = sum(self._chance.random() < bad for _ in range(asked))
            where = f'{{agent="{agent}",{JOB}'
            yield self._add(f'insa_agent_requests_total{where},status="success"}}', asked - failed)
            yield self._add(f'insa_agent_requests_total{where},status="error"}}', failed)
            took = [self._chance.expovariate(0.25 if slow else 1.6) for _ in range(asked)]
            for bound in BOUNDS:
                below = sum(one <= float(bound.replace("+Inf", "inf")) for one in took)
                yield self._add(f'insa_agent_request_duration_seconds_bucket{where},le="{bound}"}}', below)
        hits = sum(self._chance.random() < (0.6 if (day, second // 3600) == (9, 16) else 0.92) for _ in range(rush * 3))
        yield self._add(f"insa_cache_hits_total{{{JOB}}}", hits)
        yield self._add(f"insa_cache_misses_total{{{JOB}}}", rush * 3 - hits)

    def _add(self, series: str, more: float) -> tuple[str, float]:
        self._sums[series] = self._sums.get(series, 0.0) + more
        return series, self._sums[series]


def _within(spans: tuple[tuple[int, int, int], ...], day: int, second: int) -> bool:
    return any(number == day and begin <= second < end for number, begin, end in spans)


def blocks(window: Window) -> Path:
    """The month's blocks, from the cache or made now."""
    kept = cache_folder() / "sla-demo" / f"{window.name}-1"
    if kept.is_dir():
        return kept
    promtool = require().promtool
    fresh = kept.with_name(f".{window.name}-{time.time_ns()}")
    fresh.mkdir(parents=True)
    for number, lines in Month(window).days():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as text:
            text.writelines(lines)
            text.flush()
            words = ("tsdb", "create-blocks-from", "--max-block-duration=24h", "openmetrics", "-q", text.name, fresh)
            code, said = ask(promtool, *words, within_s=120)
        if code:
            sys.exit(f"promtool tsdb create-blocks-from said: {said.strip()[-500:]}")
        if number % 10 == 0:
            say(f"{window.name}: {number} days written")
    fresh.rename(kept)
    return kept


def main() -> None:
    """Makes the month, records it, and opens the report."""
    begun = time.monotonic()
    now = int(time.time())
    window = month_of(month_of(now, "UTC").starts_at - 1, "UTC")
    kept = blocks(window)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chaoskit-sla-demo-") as folder:
        data = Path(folder) / "data"
        shutil.copytree(kept, data)
        config = Path(folder) / "prometheus.yml"
        config.write_text("global: {scrape_interval: 15s}\n")
        port = reserve(1)[0]
        prometheus = start_prometheus(
            require(), config, data, port, Path(folder) / "prometheus.log", flags=["--storage.tsdb.retention.time=10y"]
        )
        try:
            file, db, page = (str(OUT / name) for name in ("targets.yml", "levels.db", "report.html"))
            Path(file).unlink(missing_ok=True)
            Path(db).unlink(missing_ok=True)
            levels = (bundle.folder() / "service_levels.yml").read_text()
            since = f"{datetime.fromtimestamp(window.starts_at, UTC):%Y-%m-%dT%H:%M}"
            head = f"chaoskit: 1\nprometheus: http://127.0.0.1:{port}\nin_service_since: {since}\n"
            Path(file).write_text(head + levels)
            here = ["--targets", file, "--db", db]
            code = run(["sla", "record", *here])
            day = f"{window.name}-20"
            planned = ["--from", f"{day}T14:00", "--to", f"{day}T14:30", "--reason", "new disks"]
            run(["sla", "plan", "add", *here, *planned])
            run(["sla", "report", *here, "--month", window.name, "--html", page])
            run(["sla", "incidents", *here, "--month", window.name])
        finally:
            prometheus.stop()
    say(f"{page} ({time.monotonic() - begun:.0f} s)")
    if sys.stdout.isatty():
        webbrowser.open(Path(page).absolute().as_uri())
    sys.exit(int(code))


if __name__ == "__main__":
    main()
