"""The traffic under a timeline: what was started, failed and unanswered, and how long answers took; with its scale,
and behind it the spans in which a fault was in force."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from chaoskit.events import LoadWindow
from chaoskit.history import History
from chaoskit.report.html_axis import Axis, Bar, Curve, Group, Lane
from chaoskit.report.text import fault_name
from chaoskit.verify.evidence import Evidence

_MOST_POINTS = 300
"""An even number."""
_NONE = -math.inf
_LANES: dict[str, tuple[str, dict[str, Callable[[LoadWindow], float | None]]]] = {
    "requests": ("/s", {"started": lambda one: one.started / _s(one), "failed": lambda one: one.failed / _s(one)}),
    "in flight": ("", {"unanswered": lambda one: float(one.in_flight)}),
    "latency": (" ms", {"P50": lambda one: one.p50_ms, "P95": lambda one: one.p95_ms}),
}
"""Each lane with its unit and its figures."""
_FIGURES = {name: figure for _, figures in _LANES.values() for name, figure in figures.items()}


class Traffic:
    """The seconds of a load as they are drawn: where they are many, of each stretch of them the highest figures, so
    that every peak stays visible."""

    def __init__(self, windows: Iterable[LoadWindow], axis: Axis) -> None:
        self._axis = axis
        self.windows = 0
        self.stretch = 1
        """The seconds that are one point."""
        self._in_last = 0
        self._points: list[tuple[float, float, list[float]]] = []
        """Begin and end, with the highest of each figure; _NONE where there was none."""
        self._known: dict[str, tuple[int, float, float]] = dict.fromkeys(_FIGURES, (0, 0.0, 0.0))
        """Of each figure how many there were, their sum, and the highest."""
        self.take(windows)

    def take(self, windows: Iterable[LoadWindow]) -> None:
        """Takes further windows of the load; those before the axis are left out, those after it are not drawn."""
        for one in windows:
            if one.second[1] < self._axis.begin:
                continue
            self.windows += 1
            values = [_NONE if (value := figure(one)) is None else value for figure in _FIGURES.values()]
            for name, value in zip(_FIGURES, values, strict=True):
                if value > _NONE:
                    count, total, top = self._known[name]
                    self._known[name] = (count + 1, total + value, max(top, value))
            if not self._axis.shows(one.second):
                continue
            if self._in_last % self.stretch:
                self._points[-1] = _both(self._points[-1], (*one.second, values))
            else:
                self._points.append((*one.second, values))
                self._in_last = 0
            self._in_last += 1
            if len(self._points) > _MOST_POINTS:  # an odd number, so the last one, just begun, stays by itself
                self._points = [_both(*self._points[at : at + 2]) for at in range(0, len(self._points), 2)]
                self.stretch *= 2

    def lane(self, label: str, bands: Sequence[Bar]) -> Lane:
        """The lane of the timeline that draws one figure of the load over `bands`."""
        unit, figures = _LANES[label]
        known = {name: self._known[name] for name in figures}
        top = max(top for _, _, top in known.values())
        curves = [Curve(name.lower(), points, name) for name in figures if (points := self._curve(name, top))]
        words = [
            f"{name} up to {most:.4g}{unit}, {total / count:.4g}{unit} on average"
            for name, (count, total, most) in known.items()
            if count
        ]
        if self.stretch > 1 and curves:
            words.append(f"of every {self.stretch} seconds the highest is drawn ({self.windows:,} seconds)")
        return Lane(label, curves=curves, words=words, top=f"{top:.4g}{unit}" if top else "", bands=bands)

    def _curve(self, name: str, top: float) -> str:
        at = list(_FIGURES).index(name)
        drawn = (
            (10 * self._axis.x((begin + end) / 2), 98 - 94 * (values[at] / top if top else 0.0))
            for begin, end, values in self._points
            if values[at] > _NONE
        )
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)


def load_group(history: History, axis: Axis, evidence: Evidence, traffic: Traffic | None = None) -> Group | None:
    """Small charts on the same axis as everything else; None where there was no traffic.

    `traffic` is what the history tells of it, where that was read already.
    """
    traffic = traffic or Traffic(history.of(LoadWindow), axis)
    if traffic.windows < 2:
        return None  # a point is no course
    bands = [
        axis.bar(
            (span[0], evidence.faults.gone[name][1] if name in evidence.faults.gone else axis.until),
            "band",
            fault_name(name),
        )
        for name, span in evidence.faults.effects.items()
    ]
    return Group("Load (real requests, real time)", [traffic.lane(label, bands) for label in _LANES], tone="load")


def _both(
    one: tuple[float, float, list[float]], other: tuple[float, float, list[float]] | None = None
) -> tuple[float, float, list[float]]:
    return one if other is None else (one[0], other[1], list(map(max, one[2], other[2])))


def _s(one: LoadWindow) -> float:
    return max(one.second[1] - one.second[0], 0.1)
