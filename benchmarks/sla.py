"""How long service levels take: a first month of 50 agents from a real Prometheus, a night, and reports.

    python -m benchmarks.sla                      # first writes a month of 1,151 series: minutes, 300 MB that are kept
    python -m benchmarks.sla --agents 2 --days 9  # a look in a minute

The month is written a day at a time (promtool takes 2 s for a million samples) and kept in the cache, so that the next
measurement begins at once. What was recorded is compared with the events that were written, to the last one. Commands
run as a user runs them, each in a process of its own, but for Prometheus's clock, which is put back to that month.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks.shared import Unusable, environment, machine, show
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import Binaries, cache_folder, require
from chaoskit.stack.monitoring import start_prometheus

DAY_S = 86_400
EVERY_S = 15
BEGIN = 1_790_812_800  # 2026-10-01
BOUNDS = ("0.1", "0.25", "0.5", "1", "2", "3", "4", "5", "7.5", "10", "15", "20", "30", "45", "60", "90", "120", "+Inf")
STATUSES = {"success": 5760, "error": 3, "timeout": 1}
"""Events a day and agent."""
TARGETS = """\
chaoskit: 1
prometheus: {url}
in_service_since: 2026-10-01
match: {{job: shop}}
levels:
  uptime:      {{up: up, at_least: 99.9 %}}
  latency_p95: {{histogram: request_duration_seconds, quantile: 0.95, below: 5s}}
  latency_p99: {{histogram: request_duration_seconds, quantile: 0.99, below: 15s}}
  errors:      {{total: requests_total, good: {{status: success}}, critical: {{agent: ".+"}}, bad_below: 0.1 %}}
"""
CHILD = """
import resource, sys
import chaoskit.sla.source
chaoskit.sla.source.Source.now = lambda self: float(sys.argv[1])
from chaoskit.cli import run
code = run(sys.argv[2:])
print("RSS", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(int(code))
"""


def series(agents: int) -> Iterator[tuple[str, int]]:
    """Every counter, and how many events it counts in a day."""
    target = 'job="shop",instance="shop:9091"'
    for agent in range(agents):
        for status, a_day in STATUSES.items():
            yield f'requests_total{{{target},agent="agent-{agent}",status="{status}"}}', a_day
        for number, le in enumerate(BOUNDS, 1):
            yield f'request_duration_seconds_bucket{{{target},agent="agent-{agent}",le="{le}"}}', 320 * number
        for part in ("count", "sum"):
            yield f'request_duration_seconds_{part}{{{target},agent="agent-{agent}"}}', 320 * len(BOUNDS)


def write_day(binaries: Binaries, data: Path, day: int, agents: int) -> None:
    """A day's blocks; every seventh day the service begins again with the first scrape."""
    text = data.with_name("day.txt")
    begin, week = BEGIN + day * DAY_S, day % 7
    instants = [f" {begin + 7 + n * EVERY_S}\n" for n in range(DAY_S // EVERY_S)]
    with text.open("w") as file:
        file.write("".join(f'up{{job="shop",instance="shop:9091"}} 1{at}' for at in instants))
        for name, a_day in series(agents):
            first = a_day * week
            values = (first + a_day * n // len(instants) for n in range(1, len(instants) + 1))
            file.write("".join(f"{name} {value}{at}" for value, at in zip(values, instants, strict=True)))
        file.write("# EOF\n")
    command = [binaries.promtool, "tsdb", "create-blocks-from", "--max-block-duration=24h", "openmetrics", text, data]
    subprocess.run(command, check=True, capture_output=True)
    text.unlink()


def written(agents: int, days: int) -> int:
    """The requests that were counted from the first scrape on."""
    scrapes = DAY_S // EVERY_S
    return agents * sum(a_day * days - a_day // scrapes for a_day in STATUSES.values())


def month_of_data(binaries: Binaries, agents: int, days: int, folder: Path | None) -> Path:
    """The blocks of so many days, written where they are not there yet."""
    base = folder or cache_folder() / "benchmarks" / f"sla-{agents}-agents-{days}-days"
    base.mkdir(parents=True, exist_ok=True)
    for day in range(days):
        if not (base / f"day-{day}").exists():
            started = time.monotonic()
            write_day(binaries, base / "data", day, agents)
            (base / f"day-{day}").touch()
            click.echo(f"day {day + 1} of {days} written in {time.monotonic() - started:.0f} s")
    return base / "data"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took: seconds on the clock, seconds of processors (its own and Prometheus's), memory in MB."""

    wall_s: float
    own_s: float
    prometheus_s: float
    memory_mb: float


def timed(now: int, prometheus: psutil.Process, arguments: list[str], folder: Path) -> Cost:
    """One command; raises Unusable where it fails."""
    command = [sys.executable, "-c", CHILD, str(now), "sla", *arguments]
    before = sum(prometheus.cpu_times()[:2])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    took = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Unusable(f"chaoskit sla {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    own = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    memory = int(done.stdout.rpartition("RSS ")[2]) / 1000
    return Cost(took, own, sum(prometheus.cpu_times()[:2]) - before, memory)


def measure(folder: Path, prometheus: psutil.Process, agents: int, days: int, repeat: int) -> None:
    """Every figure beside its goal, the median of several."""
    end = BEGIN + days * DAY_S + 600

    def cost(now: int, *arguments: str) -> Cost:
        return timed(now, prometheus, list(arguments), folder)

    firsts = [cost(end, "record", "--db", f"first-{n}.db") for n in range(repeat)]
    nights = []
    for number in range(repeat):
        cost(end - DAY_S, "record", "--db", f"night-{number}.db")
        nights.append(cost(end, "record", "--db", f"night-{number}.db"))
    with sqlite3.connect(folder / "first-0.db") as store:
        ((found,),) = store.execute("SELECT sum(total) FROM sla_slice WHERE level = 'errors'").fetchall()
        same = "up_s, down_s, unknown_s, good, total, coverage, source, recorded_at"
        for later in (31, 61):  # the quarter's other months: the same evidence, moved
            store.execute(
                f"INSERT INTO sla_slice SELECT environment, level, starts_at + :s, ends_at + :s, {same} FROM sla_slice "
                "WHERE starts_at >= :b AND starts_at < :b + :l",
                {"s": later * DAY_S, "b": BEGIN, "l": min(days, 30) * DAY_S},
            )
    report = ("report", "--db", "first-0.db")
    months = [cost(end, *report, "--month", "2026-10") for _ in range(repeat)]
    quarters = [cost(end, *report, "--quarter", "2026-Q4") for _ in range(repeat)]
    starts = [cost(end, "plan", "--help") for _ in range(repeat)]
    rows = []
    for name, several, goal in (
        (f"first record of {days} days, {agents} agents", firsts, "10 s"),
        ("record of a night", nights, "1 s"),
        ("report of a month", months, "1 s"),
        ("report of a quarter", quarters, "2 s"),
        ("of each: the command's start", starts, ""),
    ):
        walls, owns, theirs = (
            [getattr(one, field) for one in several] for field in ("wall_s", "own_s", "prometheus_s")
        )
        middle = [f"{statistics.median(one):.2f} s" for one in (walls, owns, theirs)]
        memory = f"{max(one.memory_mb for one in several):.0f} MB"
        rows.append((name, *middle, memory, goal))
    show("service levels", ("figure", "wall", "own CPU", "Prometheus CPU", "memory", "goal"), rows)
    click.echo(f"events missing of those written: {written(agents, days) - int(found)} of {written(agents, days)}")


def main() -> int:
    """Writes the month where it is missing, and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--repeat", type=int, default=3, help="Measurements of which the median counts.")
    parser.add_argument("--data", type=Path, help="Where the blocks are kept, the private cache unless told.")
    asked = parser.parse_args()
    binaries = require()
    data = month_of_data(binaries, asked.agents, asked.days, asked.data)
    click.echo(machine())
    with tempfile.TemporaryDirectory(prefix="chaoskit-sla-") as name:
        folder = Path(name)
        (folder / "prometheus.yml").write_text("global: {scrape_interval: 15s}\n")
        port = reserve(1)[0]
        (folder / "sla").mkdir()
        (folder / "sla" / "targets.yml").write_text(TARGETS.format(url=f"http://127.0.0.1:{port}"))
        flags = ["--storage.tsdb.retention.time=10y"]
        child = start_prometheus(binaries, folder / "prometheus.yml", data, port, folder / "log", flags=flags)
        try:
            measure(folder, psutil.Process(child.pid), asked.agents, asked.days, asked.repeat)
        finally:
            child.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
