"""Windows as people say them, in one form wherever an alert is explained or two configurations are compared."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.alerting.model import Route
from chaoskit.units import format_duration

_LONG_S = 600.0


def span(window: tuple[float, float]) -> str:
    """Both ends, in seconds up to ten minutes, as durations beyond: `90–131 s`, `10m30s–15m57s`."""
    low, high = window
    if high <= _LONG_S:
        return f"exactly {low:g} s" if low == high else f"{low:g}–{high:g} s"
    texts = format_duration(low), format_duration(high)
    return f"exactly {texts[0]}" if low == high else "–".join(texts)


def down(root: Route, route: Route) -> list[Route]:
    """The routes from the root's child down to this one; empty for the root itself."""
    found, node = [], root
    for index in route.path:
        node = node.children[index]
        found.append(node)
    return found


def way(passed: Sequence[Route]) -> list[str]:
    """Each route on the way, a line: position, what it takes, its place, and whether later ones are tried as well."""
    if not passed:
        return ["the root, which takes what no other route matches"]
    lines = []
    for route in passed:
        position = ".".join(str(index + 1) for index in route.path)
        matchers = ", ".join(f'{m.label}{m.op}"{m.value}"' for m in route.matchers) or "everything"
        more = "  continue: later routes are tried as well" if route.continues else ""
        lines.append(f"{position}  {matchers}  {route.place}{more}")
    return lines


def quiet(route: Route) -> str:
    """When the route is silent: `silent in nights; only in office-hours`; "" where always told."""
    names = (("silent in", route.muted_in), ("only in", route.active_in))
    return "; ".join(f"{what} {', '.join(sorted(some))}" for what, some in names if some)
