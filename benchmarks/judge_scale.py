"""What it takes to judge a long history: reading, the verdict and its text, at 10^4, 10^5 and 10^6 events.

The histories are grown from a recorded run: before its fault, the run looks on for longer, with the looks, watches,
load windows and counts of the processor that a run of that length has. Everything after that is the recording, so the
verdict must be the recording's own; one that differs, or grows faster than the history, is said.
"""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks.shared import (
    ROOT,
    Unusable,
    environment,
    exponent,
    machine,
    out_folder,
    peak_mib,
    show,
    verdict_on,
)
from chaoskit.events import (
    AnyEvent,
    Event,
    Interval,
    LoadTotals,
    LoadWindow,
    Phase,
    Poll,
    Processor,
    Steady,
    Watch,
    encode,
)
from chaoskit.history import read_history
from chaoskit.report.terminal import verdict_view
from chaoskit.verify.verify import verify

GOAL_S = 7.0
GOAL_MIB = 500e6 / 2**20
LINEAR = 1.1
"""The power of the events with which CPU may grow."""
RECORDED = ROOT / "tests" / "golden" / "kept.jsonl"


@dataclass(frozen=True, slots=True)
class Judged:
    """One history judged in a process of its own: real seconds, CPU seconds of all three, the most memory it had."""

    events: int
    read_s: float
    verify_s: float
    report_s: float
    cpu_s: float
    peak_mib: float
    result: str

    @property
    def total_s(self) -> float:
        return self.read_s + self.verify_s + self.report_s


def grow(events: Sequence[AnyEvent], count: int) -> list[AnyEvent]:
    """The recording with at least `count` events: its steady phase again and again, earlier and earlier.

    Whatever came before the steady phase moves back as far as it must, and the load's totals count what was added.
    Raises Unusable for a recording without a steady phase in which the pages were looked at.
    """
    begin = next((i for i, e in enumerate(events) if isinstance(e, Phase) and e.name == "steady"), None)
    end = next((i for i, e in enumerate(events) if isinstance(e, Steady)), None)
    if begin is None or end is None or not any(isinstance(e, Poll) for e in events[begin:end]):
        raise Unusable("the recording has no steady phase with looks in it, so it cannot be grown")
    cycle = [e for e in events[begin:end] if isinstance(e, (Poll, Watch, LoadWindow, Processor))]
    times = max(0, math.ceil((count - len(events)) / len(cycle)))
    # Whole seconds, for a load window is one: else windows would overlap.
    cycle_s = math.ceil(events[end].t - events[begin].t)
    grown: list[AnyEvent] = [earlier(e, times * cycle_s) for e in events[: begin + 1]]
    for number in range(times, 0, -1):
        grown += [earlier(e, number * cycle_s) for e in cycle]
    grown += events[begin + 1 :]
    more = {
        name: times * sum(getattr(e, name) for e in cycle if isinstance(e, LoadWindow))
        for name in ("started", "finished", "failed", "dropped")
    }
    return [_numbered(_counted(event, more), number) for number, event in enumerate(grown)]


def earlier(event: AnyEvent, by_s: float) -> AnyEvent:
    """The event with all its instants moved back."""

    def moved(pair: Interval) -> Interval:
        return (pair[0] - by_s, pair[1] - by_s)

    at = event.t - by_s
    match event:
        case Poll():
            seen_to = None if event.seen_to is None else event.seen_to - by_s
            return msgspec.structs.replace(event, t=at, asked=event.asked - by_s, seen_to=seen_to)
        case Watch():
            return msgspec.structs.replace(event, t=at, seen=moved(event.seen))
        case Processor():
            return msgspec.structs.replace(event, t=at, during=moved(event.during))
        case LoadWindow():
            return msgspec.structs.replace(event, t=at, second=moved(event.second))
        case _:
            return msgspec.structs.replace(event, t=at)


def _counted(event: AnyEvent, more: dict[str, int]) -> AnyEvent:
    if not isinstance(event, LoadTotals):
        return event
    sums = {name: getattr(event, name) + count for name, count in more.items()}
    locust = {
        "locust_requests": event.locust_requests + more["finished"],
        "locust_failures": event.locust_failures + more["failed"],
    }
    return msgspec.structs.replace(event, **sums, **locust)


def _numbered(event: AnyEvent, number: int) -> AnyEvent:
    return msgspec.structs.replace(event, n=number)


def write(events: Sequence[Event], file: Path) -> None:
    """As a run's journal has them."""
    with file.open("wb") as out:
        out.writelines(encode(event) + b"\n" for event in events)


def judge(file: Path) -> Judged:
    """Reads, judges and prints, in this process."""
    begun, cpu_s = time.perf_counter(), time.process_time()
    history = read_history(file)
    read = time.perf_counter()
    verdict = verify(history)
    judged = time.perf_counter()
    Console(file=io.StringIO(), width=180).print(verdict_view(verdict), highlight=False)
    printed, cpu_s = time.perf_counter(), time.process_time() - cpu_s
    spans = (read - begun, judged - read, printed - judged)
    return Judged(len(history.events), *spans, cpu_s, peak_mib(), verdict.result)


def apart(file: Path) -> Judged:
    """`judge` in a process of its own, so that memory and the collector begin afresh."""
    command = [sys.executable, "-m", "benchmarks.judge_scale", "--one", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if run.returncode != 0:
        raise Unusable(f"judging {file.name} ended with {run.returncode}:\n{run.stderr[-800:]}")
    return Judged(**json.loads(run.stdout))


@click.command(help=__doc__)
@click.option("--sizes", default="10000,100000,1000000", show_default=True, help="Events, comma-separated.")
@click.option("--recording", type=click.Path(path_type=Path, exists=True), default=RECORDED, show_default=True)
@click.option("--one", type=click.Path(path_type=Path, exists=True), hidden=True, help="Judge this file only.")
def main(sizes: str, recording: Path, one: Path | None) -> None:
    if one is not None:
        click.echo(json.dumps(asdict(judge(one))))
        return
    recorded = read_history(recording)
    expected = verify(recorded).result
    found = []
    with out_folder(None) as folder:
        for size in [int(float(word)) for word in sizes.split(",")]:
            file = folder / f"{size}.jsonl"
            write(grow(recorded.events, size), file)
            found.append(apart(file))
            if found[-1].result != expected:
                raise Unusable(f"{size} events are judged {found[-1].result}, the recording {expected}")
            file.unlink()
    rows = [
        (
            f"{one.events:,}", f"{one.read_s:.2f}", f"{one.verify_s:.2f}", f"{one.report_s:.2f}",
            f"{one.total_s:.2f}", f"{one.cpu_s:.2f}", f"{one.cpu_s / one.events * 1e6:.1f}", f"{one.peak_mib:.0f}",
            one.result,
        )
        for one in found
    ]  # fmt: skip
    heads = (
        "events",
        "read s",
        "verify s",
        "report s",
        "together s",
        "CPU s",
        "CPU us an event",
        "peak MiB",
        "verdict",
    )
    show("Judging a history again", heads, rows)
    if len(found) > 1:
        power = exponent([one.events for one in found], [one.cpu_s for one in found])
        click.echo(f"growth exponent of CPU between the last two: {verdict_on(power, LINEAR)}")
    click.echo(
        f"the longest: {verdict_on(found[-1].total_s, GOAL_S, ' s')} (real time), {found[-1].cpu_s:.2f} s of CPU"
    )
    click.echo(f"most memory: {verdict_on(found[-1].peak_mib, GOAL_MIB, ' MiB')} (500 MB)")
    click.echo(f"{machine()}, load average {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
