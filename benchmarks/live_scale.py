"""What the live page costs while a history grows: its pictures at 10^3, 10^4 and 10^5 events.

The histories are grown from a recorded run whose fault stays in force for longer, with the looks, watches and seconds
of load of that time. Then the run goes on, a second's events at a time, and after each the console reads them and draws
its page, as `chaoskit ui` does while a browser listens. The page never takes more than a twentieth of a core, since the
dearer a picture is, the later comes the next; told is what a picture costs, and how often they can come.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from benchmarks.judge_scale import RECORDED, earlier, grow, write
from benchmarks.shared import Unusable, exponent, machine, out_folder, peak_mib, show, verdict_on
from chaoskit.console.commands import Drill
from chaoskit.console.pages import Place, fragments
from chaoskit.console.stream import LEAST_S, SHARE, Watched
from chaoskit.events import AnyEvent, FaultOk, Phase, Steady, encode
from chaoskit.history import read_history
from chaoskit.safety.run_registry import me

GOAL = 0.05
"""Of a core, with a picture a second."""
PICTURES = 12
EVENTS_A_SECOND = 6


@dataclass(frozen=True, slots=True)
class Drawn:
    """The pictures of one history: events when they began, CPU seconds of reading all, of a picture, and its size."""

    events: int
    read_s: float
    picture_s: float
    kb: float


def under_fault(events: Sequence[AnyEvent], count: int) -> list[AnyEvent]:
    """The recording with at least `count` events, all that was added while its fault is in force.

    Raises Unusable for a recording without a fault.
    """
    grown = grow(events, count)
    begin = next(i for i, e in enumerate(grown) if isinstance(e, Phase) and e.name == "steady") + 1
    since = next(i for i, e in enumerate(grown) if isinstance(e, Steady))
    fault = next((i for i, e in enumerate(grown) if isinstance(e, FaultOk)), None)
    if fault is None:
        raise Unusable("the recording has no fault that took effect, so nothing can be drawn under it")
    back_s = grown[since].t - grown[begin].t
    opening = [
        msgspec.structs.replace(e, effect=(e.effect[0] - back_s, e.effect[1] - back_s)) if isinstance(e, FaultOk) else e
        for e in (earlier(event, back_s) for event in grown[since : fault + 1])
    ]
    moved = [*grown[:begin], *opening, *grown[begin:since], *grown[fault + 1 :]]
    return [msgspec.structs.replace(event, n=number) for number, event in enumerate(moved)]


def draw(events: Sequence[AnyEvent], folder: Path) -> Drawn:
    """Reads the history but for its last seconds, and draws a picture after each of those."""
    at = len(events) - PICTURES * EVENTS_A_SECOND
    file = folder / "events.jsonl"
    write(events[:at], file)
    clock = events[at - 1].t
    drill = Drill("recorded", events[0].t, folder.parent, owner=me(), folder=folder)
    watched = Watched(folder, lambda: clock)
    begun_s = time.thread_time()
    watched.catch_up()
    read_s, spent_s, size = time.thread_time() - begun_s, 0.0, 0
    for number in range(at, len(events), EVENTS_A_SECOND):
        some = events[number : number + EVENTS_A_SECOND]
        with file.open("ab") as out:
            out.writelines(encode(event) + b"\n" for event in some)
        clock = some[-1].t
        begun_s = time.thread_time()
        watched.look()
        page = fragments(Place("token", may_start=False), drill, watched, clock)
        spent_s += (time.thread_time() - begun_s) if number > at else 0.0  # the first compiles the templates
        size = sum(map(len, page.values()))
    watched.close()
    if "bar fault" not in page["timeline"]:
        raise Unusable(f"the page shows no fault in force:\n{page['timeline'][:800]}")
    return Drawn(at, read_s, spent_s / (PICTURES - 1), size / 1e3)


@click.command(help=__doc__)
@click.option("--sizes", default="1000,10000,100000", show_default=True, help="Events, comma-separated.")
@click.option("--recording", type=click.Path(path_type=Path, exists=True), default=RECORDED, show_default=True)
def main(sizes: str, recording: Path) -> None:
    recorded = read_history(recording).events
    fault = next((i for i, e in enumerate(recorded) if isinstance(e, FaultOk)), len(recorded))
    recorded = recorded[: fault + PICTURES * EVENTS_A_SECOND + 20]
    found = []
    for size in [int(float(word)) for word in sizes.split(",")]:
        with out_folder(None) as folder:
            found.append(draw(under_fault(recorded, size), folder))
    rows = [
        (
            f"{one.events:,}", f"{one.read_s:.2f}", f"{1e3 * one.picture_s:.1f}", f"{one.picture_s:.1%}",
            f"{max(LEAST_S, SHARE * one.picture_s):.2f}", f"{one.kb:.0f}",
        )
        for one in found
    ]  # fmt: skip
    heads = ("events", "read all: CPU s", "picture: CPU ms", "of a core, one a second", "a picture each s", "page kB")
    show("The live page", heads, rows)
    if len(found) > 1:
        power = exponent([one.events for one in found], [one.picture_s for one in found])
        click.echo(f"growth exponent of a picture's CPU between the last two: {verdict_on(power, 1.0)}")
    click.echo(f"of a core at the longest, one picture a second: {verdict_on(found[-1].picture_s, GOAL)}")
    click.echo(f"{machine()}, {peak_mib():.0f} MiB at most, load average {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
