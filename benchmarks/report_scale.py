"""What the page of a long history costs, and how large it is, at 10^4, 10^5 and 10^6 events.

Two kinds of histories, both grown from a recorded run. In `quiet` ones the run looks on for longer before its fault, as
for `judge_scale`. In `busy` ones as much happens after it that is drawn: alerts of 2,000 instances that come and go,
the webhook and the mail of each, and seconds of load. The page is written from a verdict; reading and judging are told
beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import msgspec

from benchmarks.judge_scale import RECORDED, grow, write
from benchmarks.shared import Unusable, environment, exponent, machine, out_folder, peak_mib, show, verdict_on
from chaoskit.events import AlertState, AnyEvent, LoadWindow, Notice, NoticedAlert, Phase, Poll, Watch
from chaoskit.history import read_history
from chaoskit.report.html import page
from chaoskit.verify.case import Case
from chaoskit.verify.verify import judge_case, plan_of

GOAL_S = 10.0
GOAL_MB = 1.0
LINEAR = 1.1
INSTANCES = 2000


@dataclass(frozen=True, slots=True)
class Written:
    """One page, written in a process of its own: real seconds, CPU seconds of the page alone, its size in MB."""

    events: int
    judge_s: float
    page_s: float
    cpu_s: float
    mb: float
    peak_mib: float


def busy(events: Sequence[AnyEvent], count: int) -> list[AnyEvent]:
    """The recording with at least `count` events: what is drawn happens again and again while it looks on.

    Raises Unusable for a recording without alerts, notices, load or a tail.
    """
    tail = next((i for i, e in enumerate(events) if isinstance(e, Phase) and e.name == "tail"), None)
    state, hook, mail, window, poll, watch = (
        next((e for e in events if isinstance(e, kind) and wanted(e)), None)
        for kind, wanted in (
            (AlertState, lambda _: True),
            (Notice, lambda e: e.integration == "webhook"),
            (Notice, lambda e: bool(e.html)),
            (LoadWindow, lambda _: True),
            (Poll, lambda e: e.source == "alertmanager"),
            (Watch, lambda _: True),
        )
    )
    if tail is None or None in (state, hook, mail, window, poll, watch):
        raise Unusable("the recording has no tail, or no alert, notice, look or load: take another one")

    def happening() -> Iterator[AnyEvent]:
        for number in range(max(0, count - len(events)) // 100 + 1):
            at = events[tail].t + number
            labels = {"alertname": "Many", "instance": f"host-{number % INSTANCES}", "severity": "warning"}
            for state_, at_ in (("firing", at), ("inactive", at + 0.5)):
                yield msgspec.structs.replace(state, labels=labels, state=state_, at=at_, active_at=None, t=at_)
            item = NoticedAlert(status="firing", labels=labels, annotations={"summary": f"host-{number} has many"})
            body = mail.html if number % 100 == 0 else ""
            yield msgspec.structs.replace(hook, alerts=[item], sent=(at + 0.1, at + 0.2), t=at + 0.2)
            yield msgspec.structs.replace(mail, alerts=[item], sent=(at + 0.1, at + 0.2), t=at + 0.2, html=body)
            for part in range(20):
                begin = at + part / 20
                yield msgspec.structs.replace(window, second=(begin, begin + 0.05), t=begin + 0.05)
            for part in range(76):
                begin = at + part / 76
                look = {"asked": begin, "t": begin} if part % 2 else {"seen": (begin - 0.03, begin), "t": begin}
                yield msgspec.structs.replace(poll if part % 2 else watch, **look)

    more = sorted(happening(), key=lambda event: event.t)
    rest = [msgspec.structs.replace(event, t=event.t + more[-1].t - events[tail].t) for event in events[tail + 1 :]]
    grown = [*events[: tail + 1], *more, *rest]
    return [msgspec.structs.replace(event, n=number) for number, event in enumerate(grown)]


KINDS: dict[str, Callable[[Sequence[AnyEvent], int], list[AnyEvent]]] = {"quiet": grow, "busy": busy}


def report(file: Path, out: Path) -> Written:
    """Reads, judges and writes the page, in this process."""
    begun = time.perf_counter()
    history = read_history(file)
    case = Case(history, plan_of(history.header))
    verdict, checklists = judge_case(case)
    judged, cpu_s = time.perf_counter(), time.process_time()
    out.write_bytes(page(history, verdict, (), checklists, case=case))
    written, cpu_s = time.perf_counter(), time.process_time() - cpu_s
    size = out.stat().st_size / 1e6
    return Written(len(history.events), judged - begun, written - judged, cpu_s, size, peak_mib())


@click.command(help=__doc__)
@click.option("--sizes", default="10000,100000,1000000", show_default=True, help="Events, comma-separated.")
@click.option("--recording", type=click.Path(path_type=Path, exists=True), default=RECORDED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the pages in this folder.")
@click.option(
    "--one", type=click.Path(path_type=Path, exists=True), hidden=True, help="Write the page of this file only."
)
def main(sizes: str, recording: Path, out: Path | None, one: Path | None) -> None:
    if one is not None:
        click.echo(json.dumps(asdict(report(one, one.with_suffix(".html")))))
        return
    recorded = read_history(recording).events
    for kind, made in KINDS.items():
        found = []
        with out_folder(out) as folder:
            for size in [int(float(word)) for word in sizes.split(",")]:
                file = folder / f"{kind}-{size}.jsonl"
                write(made(recorded, size), file)
                command = [sys.executable, "-m", "benchmarks.report_scale", "--one", str(file)]
                run = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
                if run.returncode != 0:
                    raise Unusable(f"the page of {file.name} ended with {run.returncode}:\n{run.stderr[-800:]}")
                found.append(Written(**json.loads(run.stdout)))
                file.unlink()
        rows = [
            (
                f"{each.events:,}", f"{each.judge_s:.2f}", f"{each.page_s:.2f}", f"{each.cpu_s:.2f}",
                f"{each.mb:.3f}", f"{each.peak_mib:.0f}",
            )
            for each in found
        ]  # fmt: skip
        heads = ("events", "read and judge s", "page s", "page CPU s", "page MB", "peak MiB")
        show(f"The page of a {kind} history", heads, rows)
        if len(found) > 1:
            power = exponent([each.events for each in found], [each.cpu_s for each in found])
            click.echo(f"growth exponent of the page's CPU between the last two: {verdict_on(power, LINEAR)}")
        click.echo(f"the longest: {verdict_on(found[-1].page_s, GOAL_S, ' s')} (real), {found[-1].cpu_s:.2f} s of CPU")
        click.echo(f"the largest: {verdict_on(max(each.mb for each in found), GOAL_MB, ' MB')}")
    click.echo(f"{machine()}, load average {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
