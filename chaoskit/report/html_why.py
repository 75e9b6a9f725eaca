"""Why a hop's window is as it is: the expression and its `for`, the way through the routes, the timings; folded."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.model import Route
from chaoskit.alerting.routing import down, match_routes
from chaoskit.alerting.windows import Window
from chaoskit.explain.recipients import way
from chaoskit.hop import Hop, Lane
from chaoskit.plan.model import PlannedNotice
from chaoskit.report.html_causes import explain_command
from chaoskit.report.text import allowed, shortened
from chaoskit.units import format_duration
from chaoskit.verify.case import Case, Instance
from chaoskit.verify.verdict import Row

Fact = tuple[str, str]
"""One line of a page's `why`: a heading and its text."""


def why(row: Row, case: Case, bundle: str) -> list[Fact]:
    """The settings that govern the row's hop, with their places; empty for rows of no expected alert."""
    one = next((each for each in case.instances if each.about == row.about), None)
    if one is None or row.hop.lane not in (Lane.ALERT, Lane.RECEIVER):
        return []
    notice = next((each for each in one.alert.notices if each.to == row.to), None)
    found = list(_window(_of(row.hop, one, notice, case), row))
    found += _route(one, notice, row.to, case) if row.to else _rule(one)
    if case.rehearsal is None:
        found.append(("more", explain_command(one, bundle)))
    return [(name, shortened(value, 1500)) for name, value in found]


def _of(hop: Hop, one: Instance, notice: PlannedNotice | None, case: Case) -> Window | None:
    alert = one.alert
    if notice is not None and hop in (Hop.NOTIFY, Hop.ALL_CLEAR):
        return case.groups.window(notice, one.episode) if hop is Hop.NOTIFY else notice.all_clear
    return {Hop.DETECT: alert.detect, Hop.HOLD: alert.hold, Hop.CLEAR: alert.clear}.get(hop)


def _window(window: Window | None, row: Row) -> Iterator[Fact]:
    if window is None:
        return
    span = allowed(row.allowed or (window.lo_vs, window.hi_vs))
    yield "window", f"{span} after {window.hop.since}: {_placed(window)}"


def _placed(window: Window) -> str:
    return f"{window.setting} ({window.place})" if window.place else window.setting


def _rule(one: Instance) -> Iterator[Fact]:
    rule = one.alert.rule
    yield "rule", f"{rule.alert} ({rule.place}), evaluated every {format_duration(rule.interval_s)}"
    yield "expression", " ".join(rule.expr.split())
    kept = f", kept firing for {format_duration(rule.keep_firing_for_s)}" if rule.keep_firing_for_s else ""
    yield "for", f"{format_duration(rule.for_s)}{kept}"
    yield "labels", ", ".join(f"{name}={value}" for name, value in sorted(rule.labels.items())) or "none of its own"


def _route(one: Instance, notice: PlannedNotice | None, to: str, case: Case) -> Iterator[Fact]:
    receiver = to.partition(" (")[0]
    taken = match_routes(case.plan.config.route, one.alert.labels)
    route = next((each for each in taken if each.receiver == receiver), None)
    if route is None:
        yield "route", f"no route of the configuration leads this alert to {receiver}"
        return
    for number, line in enumerate(way(down(case.plan.config.route, route))):
        yield ("" if number else "route"), line
    yield "timings", _timings(route)
    if notice is not None and notice.configured is not None and notice.configured.setting != notice.notify.setting:
        yield "configured", _placed(notice.configured)
    if notice is not None and notice.recipients:
        yield "to", ", ".join(notice.recipients)


def _timings(route: Route) -> str:
    by = "every label" if route.group_by is None else ", ".join(route.group_by) or "nothing: one group"
    times = (("group_wait", route.group_wait_s), ("group_interval", route.group_interval_s))
    said = [f"{name} {format_duration(s)}" for name, s in (*times, ("repeat_interval", route.repeat_interval_s))]
    return f"grouped by {by}; {', '.join(said)}"
