"""The traffic under a timeline: what was started, failed and unanswered, and how long answers took."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaoskit.events import LoadWindow
from chaoskit.history import History
from chaoskit.report.html_axis import Axis, Curve, Group, Lane

_MOST_POINTS = 300
_Figure = Callable[[LoadWindow], float | None]


def load_group(history: History, axis: Axis) -> Group | None:
    """Small charts on the same axis as everything else; None where there was no traffic."""
    windows = [one for one in history.of(LoadWindow) if axis.shows(one.second)]
    if len(windows) < 2:
        return None  # a point is no course
    lanes = [
        _lane(axis, windows, "requests", "/s", [("started", _per_s("started")), ("failed", _per_s("failed"))]),
        _lane(axis, windows, "in flight", "", [("flight", lambda one: float(one.in_flight))]),
        _lane(
            axis,
            windows,
            "latency P50, P95",
            " ms",
            [("p50", lambda one: one.p50_ms), ("p95", lambda one: one.p95_ms)],
        ),
    ]
    return Group("Load (real requests, real time)", lanes, tone="load")


def _lane(
    axis: Axis, windows: Sequence[LoadWindow], label: str, unit: str, figures: Sequence[tuple[str, _Figure]]
) -> Lane:
    known = [value for one in windows for _, figure in figures if (value := figure(one)) is not None]
    top = max(known, default=0.0)
    curves = [Curve(kind, points) for kind, figure in figures if (points := _points(axis, windows, figure, top))]
    return Lane(label, curves=curves, note=f"up to {top:.4g}{unit}")


def _points(axis: Axis, windows: Sequence[LoadWindow], figure: _Figure, top: float) -> str:
    """The highest value of each of at most so many stretches: a peak is never averaged away."""
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
