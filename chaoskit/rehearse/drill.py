"""A drill, which one track of a rehearsal plays: a wave as a scenario, a given scenario, or one made of a unit test.

In a wave the series of all its rules move at once, and every alert is expected at every receiver. Its scenario is a
text like any other, so that the history holds what was done, and its plan is the planner's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chaoskit.alerting.model import AlertConfig, Labels, PromisedNotice, Route, Rule
from chaoskit.alerting.routing import alert_labels, match_routes
from chaoskit.alerting.windows import delivery_of, live_notify
from chaoskit.alerting.windows_expression import range_of
from chaoskit.errors import BadInput, Problem
from chaoskit.events import Rehearsal
from chaoskit.faults.registry import read_settings
from chaoskit.faults.series import Scripted, Series, SeriesSettings
from chaoskit.plan.build import make_plan
from chaoskit.plan.model import Plan
from chaoskit.rehearse.apart import with_a_group_of_theirs
from chaoskit.rehearse.derive import closure, exprs_of, recording_rules, watched_by
from chaoskit.rehearse.outcome import NO_END, RESTORED
from chaoskit.rehearse.past import Remembered, ahead_s, restores
from chaoskit.rehearse.promtool import dumped
from chaoskit.rehearse.proof import Proven
from chaoskit.rehearse.unit_tests import GivenTest
from chaoskit.rehearse.waves import by_metric, finds, marked
from chaoskit.rehearse.written import STEP, described, scenario_of
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import FaultSpec, Inject, Scenario, Wait
from chaoskit.scenario.profile import load_profile
from chaoskit.units import amount, format_duration

PROFILE = "rehearsal.yml"
_SLACK_VS_INTERVALS = 4
_SEEN_REAL_S = 1.0
"""Observers say what they see twice a second, and must have done so before the first step."""
_DELIVERY_REAL_S = 0.1
"""Hundreds of notices that are due at one instant reach their sinks within about so many real seconds."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill of a rehearsal: its plan, its scenario's text, and the series that it moves."""

    name: str
    plan: Plan
    text: str
    series: tuple[tuple[tuple[Scripted, ...], float], ...]
    rules: frozenset[str] | None = None
    """By `Rule.key`, the rules that Prometheus has meanwhile; None: all of them."""
    hasty: bool = True
    """Whether an alert of this drill may be true before its series are at rest."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """By alert, why a failing template of its rule says nothing of it."""
    test: GivenTest | None = None
    """The unit test whose series it plays."""
    past: tuple[Remembered, ...] = ()
    """The series that Prometheus has stored when the drill begins."""
    stay: frozenset[str] = frozenset()
    """The series whose end is not played."""
    how: Mapping[str, str] = field(default_factory=dict)
    """By alert, which part of it is not played as in production."""

    @property
    def judged_by(self) -> Rehearsal:
        """The expectations by which the drill's history is judged, beside its scenario."""
        return Rehearsal(
            rules=None if self.rules is None else sorted(self.rules),
            owed=[alert.id for alert in self.plan.alerts if alert.unproved],
            doubts=dict(self.doubts),
            texts=list(self.test.texts) if self.test else [],
            quiet=list(self.test.quiet) if self.test else [],
            late_vs=self.test.late_vs if self.test else 0.0,
        )


def wrong_with(spec: FaultSpec) -> list[Problem]:
    """The problems of a fault in a rehearsal's scenario: a kind other than `series`, or settings that do not fit."""
    if spec.kind != Series.kind:
        hint = f"a rehearsal has no application: use {Series.kind}, or `chaoskit run` for real faults"
        return [Problem(spec.place, f"'{spec.kind}' cannot be injected here", hint)]
    return read_settings(Series(), spec.settings, spec.place)[1]


def profile_text(scale: float) -> str:
    """The profile of a rehearsal: no target to harm, hence no narrow limits."""
    limits = {"fault": "2d", "run": "8d"}
    return dumped({"chaoskit": 1, "target": "local", "time_scale": scale, "load": {"rate": "1/s"}, "limits": limits})


@dataclass(frozen=True, slots=True)
class Given:
    """A scenario's text; `name` is its file or that of the tests it was made from."""

    name: str
    text: str
    test: GivenTest | None = None


def wave_drill(
    name: str, config: AlertConfig, members: Sequence[Proven], promise_given: bool, scale: float, interval_s: float
) -> Drill:
    """The drill of a wave; without a promise of its own an alert gets the computed one."""
    text = _scenario_text(config, members, promise_given, interval_s)
    scenario = load_scenario(text, f"{name}.yml")
    # Of several alerts with one name a wave sees only its own.
    rules = {m.subject.rule.key for m in members}
    own = replace(config, rules=tuple(rule for rule in config.rules if rule.record or rule.key in rules))
    own = _with_promise(own, promise_given, ((m.subject.rule, m.results) for m in members))
    plan = planned(scenario, own, scale, [rule.alert for rule in config.rules if rule.alert])
    # What looks at other rules' series as well must not see those of an earlier wave.
    rests = [m.subject.span_s if m.rest_s is None or not marked(m) else m.rest_s for m in members]
    plan = unpromised(plan, config, promise_given)
    past = tuple(_remembered(m, interval_s) for m in members if m.far)
    steady_vs = _SEEN_REAL_S * scale if past else max(rests) + _SLACK_VS_INTERVALS * interval_s
    plan = replace(_soon(plan, members, past) if past else plan, steady_vs=steady_vs)
    doubts = {m.subject.rule.alert: m.doubt for m in members if m.doubt}
    records = recording_rules(config.rules)
    rules |= {record.key for m in members for record in closure(m.subject.rule, records).values()}
    return Drill(
        name,
        plan,
        text,
        tuple((m.guess.series, interval_s) for m in members),
        frozenset(rules),
        any(m.hasty for m in members),
        doubts,
        past=past,
        stay=frozenset(one.key for m in members if m.far and not m.far.ends for one in m.guess.series),
        how={m.subject.rule.alert: said for m in members if (said := _how(m, scale, ahead_s(past)))},
    )


def _remembered(one: Proven, interval_s: float) -> Remembered:
    assert one.far is not None
    rule = one.subject.rule
    fixed = {name: text for name, text in rule.labels.items() if "{{" not in text}
    alerts = ({**result, **fixed, "alertname": rule.alert} for result in one.results)
    shown = tuple({name: value for name, value in labels.items() if value} for labels in alerts)
    # At rest for the whole range, as when its edges were found.
    return Remembered(one.guess.series, shown, one.subject.span_s, interval_s, rule.for_s, one.far)


def _soon(plan: Plan, members: Sequence[Proven], past: Sequence[Remembered]) -> Plan:
    """The plan with the bounds of what is left to be played: most of every wait is over when it begins."""
    by_name = {m.subject.rule.alert: m for m in members}
    lead_s = ahead_s(past)
    left_vs = 2 * lead_s * plan.time_scale
    alerts = []
    for alert in plan.alerts:
        rule, far = alert.rule, by_name[alert.rule.alert].far
        assert far is not None
        held_vs = 0.0 if restores(rule.for_s, plan.time_scale, lead_s) else rule.for_s
        told_vs = left_vs + held_vs + max((n.latest_vs for n in alert.notices), default=0.0)
        seen_vs = alert.clear.hi_vs - range_of(plan.config, rule)
        ended_vs = far.fall_s + seen_vs + max((n.all_clear.hi_vs for n in alert.notices if n.all_clear), default=0.0)
        alerts.append(replace(alert, latest_notice_vs=told_vs, latest_all_clear_vs=ended_vs + left_vs))
    told_vs = max(alert.latest_notice_vs for alert in alerts)
    end_vs = max((a.latest_all_clear_vs for a in alerts if a.expectation.until_step != "never"), default=0.0)
    bounds = iter((told_vs, end_vs))
    steps = tuple(replace(s, at_most_vs=next(bounds)) if isinstance(s.step, Wait) else s for s in plan.steps)
    return replace(plan, alerts=tuple(alerts), steps=steps, end_vs=end_vs)


def _how(one: Proven, scale: float, lead_s: float) -> str:
    if one.far is None:
        return ""
    rule, said = one.subject.rule, []
    if restores(rule.for_s, scale, lead_s):
        said.append(f"{RESTORED}: pending for {format_duration(rule.for_s)}, of which the end was played")
    if one.far.rise_s > lead_s * scale:
        said.append(f"looks back {format_duration(one.subject.span_s)}, which was written and not waited for")
    if not one.far.ends:
        more_s = (one.far.fall_s + rule.keep_firing_for_s) / scale
        said.append(f"{NO_END}: that takes {more_s:.0f} s more; raise --longest")
    return "; ".join(said)


def given_drill(one: Given, config: AlertConfig, promise_given: bool, scale: float, interval_s: float) -> Drill:
    """The drill of a scenario; alerts without a promise get the computed one. Raises BadInput."""
    scenario, test = load_scenario(one.text, one.name), one.test
    injected = [spec for step, spec in scenario.faults() if isinstance(step, Inject)]
    problems = [problem for spec in injected for problem in wrong_with(spec)]
    if problems:
        raise BadInput(problems)
    series = tuple(SeriesSettings.model_validate(dict(fault.settings)).scripted(interval_s) for fault in injected)
    told = [(rule, each) for each in scenario.expect for rule in config.alert_rules(each.alert)]
    loaded, results = config, dict[str, tuple[Labels, ...]]()
    if test is None:
        beside = _elsewhere(config, [one for moved, _ in series for one in moved])
        if beside:
            loaded = config = with_a_group_of_theirs(config, [alert_labels(config, r, each.labels) for r, each in told])
    else:
        expected = {each.alert for each in scenario.expect}
        beside = [rule.alert for rule in config.rules if rule.alert and rule.alert not in expected]
        # Only the rules of the test, and its series' lead-in.
        rules, results = tuple(rule for rule in config.rules if rule.key in test.rules), dict(test.results)
        loaded = replace(config, rules=rules, promise=replace(config.promise, appears_s=test.appears_s))
        told = [(rule, each) for rule, each in told if rule.key in test.rules]
    of_all = ((rule, results.get(rule.alert) or (each.labels,)) for rule, each in told)
    own = _with_promise(loaded, promise_given, of_all)
    plan = unpromised(patient(planned(scenario, own, scale, beside)), config, promise_given, named=test is None)
    # Nothing of a test played before on the same stack is in sight of any rule that is loaded.
    spans = [range_of(loaded, rule) for rule in loaded.rules if test and rule.alert]
    plan = replace(plan, steady_vs=max([plan.steady_vs, *spans]) + _SLACK_VS_INTERVALS * interval_s)
    only, hasty = (test.rules, test.hasty) if test else (None, True)
    return Drill(Path(one.name).stem, plan, one.text, series, only, hasty, test=test)


def _elsewhere(config: AlertConfig, scripted: Sequence[Scripted]) -> list[str]:
    """Alerts that read nothing of what a scenario scripts, such as one for a job that is not there: they may fire."""
    records, shown = recording_rules(config.rules), by_metric(scripted)
    return [rule.alert for rule in config.rules if rule.alert and not finds(watched_by(exprs_of(rule, records)), shown)]


def computed_notices(
    config: AlertConfig, rule: Rule, labels: Iterable[Mapping[str, str]]
) -> dict[tuple[str, str], PromisedNotice]:
    """The notice that each receiver is owed for alerts of this rule with these labels, by (alert, receiver)."""
    found: dict[tuple[str, str], PromisedNotice] = {}
    for one in labels:
        for route in match_routes(config.route, alert_labels(config, rule, one)):
            notice = PromisedNotice(
                rule.alert, route.receiver, rule.for_s, route.group_wait_s, route.repeat_interval_s, route.place
            )
            there = found.get((rule.alert, route.receiver))
            if there is None or notice.group_wait_s < there.group_wait_s:
                found[rule.alert, route.receiver] = notice
    return found


def _promised(config: AlertConfig, promise_given: bool) -> set[str]:
    return {alert for alert, _ in config.promise.notices} if promise_given else set()


def _with_promise(
    config: AlertConfig, promise_given: bool, told: Iterable[tuple[Rule, Sequence[Mapping[str, str]]]]
) -> AlertConfig:
    """With the computed promise for what was promised nothing of these alerts, each with its instances' labels."""
    notices, promised = dict(config.promise.notices), _promised(config, promise_given)
    for rule, results in told:
        if rule.alert not in promised:
            notices |= computed_notices(config, rule, results)
    return replace(config, promise=replace(config.promise, notices=notices))


def planned(scenario: Scenario, config: AlertConfig, scale: float, beside: Sequence[str]) -> Plan:
    """The plan of a rehearsal's scenario; raises BadInput. A promise that names no delivery tolerance gets one that a
    machine playing many alerts at once can keep."""
    if config.promise.delivery_s is None:
        delivery_vs = max(delivery_of(config, scale), _DELIVERY_REAL_S * scale)
        config = replace(config, promise=replace(config.promise, delivery_s=delivery_vs))
    return make_plan(
        scenario,
        load_profile(profile_text(scale), PROFILE),
        config,
        {},
        time_scale=scale,
        seed=0,
        check_settings=wrong_with,
        beside=beside,
    )


def unpromised(plan: Plan, config: AlertConfig, promise_given: bool, named: bool = False) -> Plan:
    """The plan without what merely the configuration implies for receivers that have no integration: no promise names
    them, so the report mentions it and no row fails. `named`: receivers that a scenario names itself are expected to
    be told."""
    promised = _promised(config, promise_given)
    alerts = tuple(
        alert
        if alert.rule.alert in promised or (named and alert.expectation.notifies is not None)
        else replace(alert, unproved=())
        for alert in plan.alerts
    )
    return replace(plan, alerts=alerts)


def patient(plan: Plan) -> Plan:
    """The plan with the bounds of live groups: an alert that no scenario expects may have made a group before."""
    alerts, root, delivery_vs = [], plan.config.route, delivery_of(plan.config, plan.time_scale)
    for alert in plan.alerts:
        routes = {r.receiver: r for r in reversed(match_routes(root, alert.labels))}
        live = [live_notify(routes.get(n.receiver, root), delivery_vs) for n in alert.notices]
        notices = tuple(replace(n, live=each) for n, each in zip(alert.notices, live, strict=True))
        latest_vs = max((n.latest_vs for n in notices), default=0.0)
        held_vs = max(alert.hold.hi_vs, alert.configured_hold.hi_vs)
        latest_vs += alert.detect.hi_vs + held_vs
        alerts.append(replace(alert, notices=notices, latest_notice_vs=latest_vs))
    return replace(plan, alerts=tuple(alerts))


def _scenario_text(config: AlertConfig, members: Sequence[Proven], promise_given: bool, interval_s: float) -> str:
    series = [described(one) for member in members for one in member.guess.series]
    promised = _promised(config, promise_given)
    expect = []
    routed = _routed(config.route)
    for member in members:
        rule = member.subject.rule
        by_routes: dict[tuple[tuple[int, ...], ...], list[Mapping[str, str]]] = {}
        for result in member.results:
            by_routes.setdefault(tuple(r.path for r in _routes(config, member, result)), []).append(result)
        for results in by_routes.values():
            entry: dict[str, Any] = {"alert": rule.alert, "from": STEP}
            if member.far and not member.far.ends:
                entry["until"] = "never"
            if labels := _telling(member, results, routed if len(by_routes) == 1 else None):
                entry["labels"] = labels
            if len(results) > 1:
                entry["instances"] = len(results)
            if rule.alert not in promised:
                told = list(dict.fromkeys(r.receiver for r in _routes(config, member, results[0])))
                entry["notifies"] = told or {config.route.receiver: "never"}
            expect.append(entry)
    return dumped(scenario_of(f"{amount(len(members), 'alerts')} on scripted series", interval_s, series, expect))


def _routes(config: AlertConfig, member: Proven, result: Mapping[str, str]) -> tuple[Route, ...]:
    return match_routes(config.route, alert_labels(config, member.subject.rule, result))


def _telling(member: Proven, results: Sequence[Mapping[str, str]], routed: frozenset[str] | None) -> dict[str, str]:
    """The labels that these results share and that tell them from others', or that routes go by (None: all)."""
    first, *others = results
    shared = {k: v for k, v in first.items() if v and all(other.get(k) == v for other in others)}
    made = {k for k, text in member.subject.rule.labels.items() if "{{" in text}
    own = {k: v for k, v in shared.items() if k in made or k not in member.subject.rule.labels}
    return {k: v for k, v in own.items() if routed is None or k in routed | made or member.subject.mark in v}


def _routed(route: Route) -> frozenset[str]:
    """The labels by which a tree of routes decides and groups."""
    own = {matcher.label for matcher in route.matchers} | set(route.group_by or ())
    return frozenset(own).union(*map(_routed, route.children))
