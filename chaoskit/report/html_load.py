"""The traffic under a timeline: what was started, failed and unanswered, and how long answers took; with its scale,
and behind it the spans in which a fault was in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaoskit.events import LoadWindow
from chaoskit.history import History
from chaoskit.report.html_axis import Axis, Bar, Curve, Group, Lane
from chaoskit.report.text import fault_name
from chaoskit.verify.evidence import Evidence

_MOST_POINTS = 300
_Figure = Callable[[LoadWindow], float | None]


def load_group(history: History, axis: Axis, evidence: Evidence) -> Group | None:
    """Small charts on the same axis as everything else; None where there was no traffic."""
    windows = [one for one in history.of(LoadWindow) if one.second[1] >= axis.begin]
    if len(windows) < 2:
        return None  # a point is no course
    bands = [
        axis.bar(
            (span[0], evidence.faults.gone[name][1] if name in evidence.faults.gone else axis.until),
            "band",
            fault_name(name),
        )
        for name, span in evidence.faults.effects.items()
    ]
    lanes = [
        _lane(axis, windows, bands, "requests", "/s", {"started": _per_s("started"), "failed": _per_s("failed")}),
        _lane(axis, windows, bands, "in flight", "", {"unanswered": lambda one: float(one.in_flight)}),
        _lane(axis, windows, bands, "latency", " ms", {"P50": lambda one: one.p50_ms, "P95": lambda one: one.p95_ms}),
    ]
    return Group("Load (real requests, real time)", lanes, tone="load")


def _lane(
    axis: Axis,
    windows: Sequence[LoadWindow],
    bands: Sequence[Bar],
    label: str,
    unit: str,
    figures: dict[str, _Figure],
) -> Lane:
    known = {name: [value for one in windows if (value := figure(one)) is not None] for name, figure in figures.items()}
    top = max((value for values in known.values() for value in values), default=0.0)
    drawn = [one for one in windows if axis.shows(one.second)]
    curves = [
        Curve(name.lower(), points, name)
        for name, figure in figures.items()
        if (points := _points(axis, drawn, figure, top))
    ]
    words = [
        f"{name} up to {max(values):.4g}{unit}, {sum(values) / len(values):.4g}{unit} on average"
        for name, values in known.items()
        if values
    ]
    return Lane(label, curves=curves, words=words, top=f"{top:.4g}{unit}" if top else "", bands=bands)


def _points(axis: Axis, windows: Sequence[LoadWindow], figure: _Figure, top: float) -> str:
    """The highest value of each of at most _MOST_POINTS stretches, so that every peak stays visible."""
    stretch = -(-len(windows) // _MOST_POINTS)
    found = []
    for at in range(0, len(windows), stretch):
        some = windows[at : at + stretch]
        values = [value for one in some if (value := figure(one)) is not None]
        if values:
            x = 10 * axis.x((some[0].second[0] + some[-1].second[1]) / 2)
            found.append(f"{x:.1f},{98 - 94 * (max(values) / top if top else 0.0):.1f}")
    return " ".join(found)


def _per_s(name: str) -> _Figure:
    def figure(one: LoadWindow) -> float:
        value: int = getattr(one, name)
        return value / max(one.second[1] - one.second[0], 0.1)

    return figure
