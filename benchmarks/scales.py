"""The same drill at several time scales: if virtual time is right, its virtual instants do not depend on the scale.

Detection and clearing depend on where in an interval the fault falls, so instants from the fault differ by up to a
scrape and an evaluation; holds and waits after that must agree. Both are shown. At 1 the drill outlasts the
profile's limits, which are raised for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.shared import Unusable, machine, out_folder, run_drill, show
from chaoskit.events import AlertState, FaultOk, Notice, UndoOk
from chaoskit.history import History

_SLOW = ("limits.fault=10m", "limits.run=30m")
_SLOW_BELOW = 10.0
FAULT, UNDONE = "fault in force", "fault undone"


@dataclass(frozen=True, slots=True)
class Column:
    """One run: virtual seconds from the fault's effect by what happened, and how it ended."""

    scale: float
    code: int
    instants: Mapping[str, float]


def instants(history: History) -> dict[str, float]:
    """Virtual seconds from the effect of the first fault to what followed it, in order of time.

    Of the alert that fires first, and of each first notice and all-clear of a receiver's integration. An alert's
    instants are those of Prometheus' evaluations, a notice's is its arrival. Raises Unusable without a fault.
    """
    effect = next((e.effect[1] for e in history.of(FaultOk)), None)
    if effect is None:
        raise Unusable("this run injected no fault that took effect")
    scale = history.header.time_scale
    firing = next((e for e in history.of(AlertState) if e.state == "firing" and e.at >= effect), None)
    found: dict[str, float] = {}

    def note(what: str, at: float) -> None:
        found.setdefault(what, (at - effect) * scale)

    for event in history.events:
        match event:
            case AlertState() if firing is not None and event.labels == firing.labels and event.at >= effect:
                note("resolved" if event.state == "inactive" else event.state, event.at)
            case UndoOk():
                note(UNDONE, event.gone[1])
            case Notice() if event.status in ("firing", "resolved") and event.sent[1] >= effect:
                what = "notice" if event.status == "firing" else "all-clear"
                note(f"{what} {event.receiver} ({event.integration})", event.sent[1])
            case _:
                pass
    return dict(sorted(found.items(), key=lambda item: item[1]))


def hops(found: Mapping[str, float]) -> dict[str, float]:
    """How long each hop took in virtual seconds: what ought not to depend on anything but the configuration."""
    taken: dict[str, float] = {}
    for what, at in found.items():
        before = _before(what)
        if before == FAULT:
            taken[what] = at
        elif before in found:
            taken[f"{what}, after {before}"] = at - found[before]
    return taken


def _before(what: str) -> str:
    if what == "firing":
        return "pending"
    if what == "resolved":
        return UNDONE
    if what.startswith("notice"):
        return "firing"
    return "resolved" if what.startswith("all-clear") else FAULT


def side_by_side(columns: Sequence[Mapping[str, float]]) -> list[tuple[str, ...]]:
    """A row for everything that any column knows: each column's figure or a dash, and the spread."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = []
    for name in names:
        known = [column[name] for column in columns if name in column]
        cells = [f"{column[name]:.1f}" if name in column else "-" for column in columns]
        rows.append((name, *cells, f"{max(known) - min(known):.1f}"))
    return rows


def settings_at(scale: float, given: Sequence[str]) -> tuple[str, ...]:
    """What to set: as given, and at slow scales the limits that let a drill last as long as it must."""
    return (*(_SLOW if scale < _SLOW_BELOW else ()), *given)


def parse_scales(context: object, parameter: object, text: str) -> list[float]:
    """`10,60,120` as numbers from 1."""
    try:
        scales = [float(word) for word in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"'{text}' is no list of numbers; write 10,60,120") from None
    if any(scale < 1 for scale in scales):
        raise click.BadParameter("a scale is at least 1, which is real time")
    return scales


@click.command(help=__doc__)
@click.option("--scenario", default="worker-unhealthy", show_default=True)
@click.option("--scales", callback=parse_scales, default="1,10,60,120", show_default=True, help="1 takes 15 minutes.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As for chaoskit run.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs here.")
def main(scenario: str, scales: list[float], settings: tuple[str, ...], out: Path | None) -> None:
    columns = []
    with out_folder(out) as folder:
        for scale in scales:
            drill = run_drill(scenario, folder, scale=scale, settings=settings_at(scale, settings))
            columns.append(Column(scale, drill.code, instants(drill.history)))
            click.echo(f"{scenario} at {scale:g}x: exit {drill.code} after {drill.ended - drill.started:.0f} real s")
    heads = [f"{column.scale:g}x" for column in columns]
    show("Virtual seconds from the fault", ("", *heads, "spread"), side_by_side([c.instants for c in columns]))
    show("Virtual seconds of each hop", ("", *heads, "spread"), side_by_side([hops(c.instants) for c in columns]))
    click.echo(machine())
    wrong = [f"{column.scale:g}x ended with {column.code}" for column in columns if column.code != 0]
    if wrong:
        raise Unusable("not every run passed: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
