"""The last look before an attached target is broken: is it the one that was meant, and does it run what is tested?

    confirmed by name -> the metrics page says the environment -> the expected rules and routes are loaded there

It only reads. Everything that is wrong is told at once, and then nothing was touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
import requests
from prometheus_client.parser import text_string_to_metric_families

from chaoskit.access import session_for, trouble
from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.routing import match_routes
from chaoskit.diff.expressions import meaning
from chaoskit.errors import BadInput, Problem, Refused
from chaoskit.plan.model import Plan
from chaoskit.scenario.model import Attached
from chaoskit.units import format_duration
from chaoskit.witness.config import led

_ANSWER_S = 10.0
_NAMED = 5
_LOAD = "load this configuration there, or name with --bundle what is loaded"

_RECENT = 'last_over_time(ALERTS{alertstate="firing"}[20m])'
"""Prometheus tells of a resolved alert for 15 minutes, and up to Alertmanager 0.31 that keeps its group alive."""

T = TypeVar("T")


class _Rule(msgspec.Struct, rename="camel"):
    name: str
    query: str = ""
    duration: float = 0.0
    keep_firing_for: float = 0.0
    labels: dict[str, str] = {}


class _Group(msgspec.Struct):
    interval: float
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class LoadedRules(msgspec.Struct):
    """What is read of `/api/v1/rules`."""

    data: _Groups


class _Sample(msgspec.Struct):
    metric: dict[str, str]


class _Samples(msgspec.Struct):
    result: list[_Sample]


class _Vector(msgspec.Struct):
    data: _Samples


class _Config(msgspec.Struct):
    original: str = ""


class _Status(msgspec.Struct):
    config: _Config


def refuse_unconfirmed(target: Attached, confirm: str) -> None:
    """Raises Refused unless the user has named the environment that is about to be broken."""
    if confirm == target.environment:
        return
    said = f"--confirm says {confirm}" if confirm else "nobody has confirmed it"
    message = f"this run breaks something in the environment {target.environment}, and {said}"
    raise Refused(Problem(target.place, message, f"add --confirm {target.environment}"))


def preflight(plan: Plan, sources: Mapping[str, str]) -> list[str]:
    """What the reader of the history must know of the target; raises Refused with everything that speaks against it.

    `sources` are the texts of the alert configuration, by role:FILE.
    """
    target = plan.profile.target
    assert isinstance(target, Attached)
    problems: list[Problem] = []
    notes: list[str] = []
    checks: list[Callable[[], Iterator[Problem]]] = [
        lambda: _environment(target),
        lambda: _rules(plan, target, notes),
        lambda: _routes(plan, target, sources, notes),
    ]
    for check in checks:
        try:
            problems += check()
        except BadInput as error:
            problems += error.problems
    if problems:
        raise Refused(dict.fromkeys(problems))
    return notes


def lingering(plan: Plan) -> list[dict[str, str]]:
    """Label sets of alerts that fired there within the last minutes; raises Refused where nobody tells."""
    target = plan.profile.target
    assert isinstance(target, Attached)
    try:
        answer = _decoded(target, "prometheus", f"/api/v1/query?query={quote(_RECENT)}", _Vector)
    except BadInput as error:
        raise Refused(error.problems) from None
    unwanted = {"__name__", "alertstate"}
    return [{key: text for key, text in one.metric.items() if key not in unwanted} for one in answer.data.result]


def _environment(target: Attached) -> Iterator[Problem]:
    page = _get(target, "metrics", "")
    try:
        samples = [one for family in text_string_to_metric_families(page) for one in family.samples]
    except (ValueError, KeyError, IndexError) as error:
        yield Problem(target.place, f"{target.metrics} is no page of metrics: {error}"[:400], "name the page itself")
        return
    found = sorted({one.labels[target.label] for one in samples if target.label in one.labels})
    if target.environment in found:
        return
    said = f"it says {', '.join(found[:_NAMED])}" if found else "no series carries that label"
    message = f'{target.metrics} does not say {target.label}="{target.environment}": {said}'
    yield Problem(target.place, message, "is this the system that you mean? Name its own label and value")


def _rules(plan: Plan, target: Attached, notes: list[str]) -> Iterator[Problem]:
    answer = _decoded(target, "prometheus", "/api/v1/rules?type=alert", LoadedRules)
    loaded = [(group.interval, rule) for group in answer.data.groups for rule in group.rules]
    expected = {alert.rule.alert: alert.rule for alert in plan.alerts}
    others = []
    for rule in plan.config.rules:
        if not rule.alert:
            continue
        wrong = wrong_with(rule, loaded)
        if wrong and expected.get(rule.alert) == rule:
            message = f"{rule.alert}, which is expected to fire, {wrong} in {target.prometheus}"
            yield Problem(rule.place, message, _LOAD)
        elif wrong:
            others.append(f"{rule.alert} {wrong}")
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        notes.append(f"rules that differ in {target.prometheus}: {'; '.join(others[:_NAMED])}{more}")


def wrong_with(rule: Rule, loaded: list[tuple[float, _Rule]]) -> str:
    """How the nearest of the loaded rules of that name differs; empty where one is the same."""
    named = [_differences(rule, interval, one) for interval, one in loaded if one.name == rule.alert]
    if not named:
        return "is not loaded"
    nearest = min(named, key=len)
    return " and ".join(nearest)


def _differences(rule: Rule, interval_s: float, there: _Rule) -> list[str]:
    found = []
    for what, ours, theirs in (
        ("for", rule.for_s, there.duration),
        ("keep_firing_for", rule.keep_firing_for_s, there.keep_firing_for),
        ("evaluation interval", rule.interval_s, interval_s),
    ):
        if abs(ours - theirs) > 1e-3:
            found.append(f"has {what}: {format_duration(theirs)} in place of {format_duration(ours)}")
    if dict(rule.labels) != there.labels:
        found.append(f"has the labels {_written(there.labels)} in place of {_written(rule.labels)}")
    if meaning(rule.expr) != meaning(there.query):
        found.append(f"has the expression `{' '.join(there.query.split())}`")
    return found


def _routes(plan: Plan, target: Attached, sources: Mapping[str, str], notes: list[str]) -> Iterator[Problem]:
    """Whom the Alertmanager there tells of the expected alerts, and after which waits."""
    original = _decoded(target, "alertmanager", "/api/v2/status", _Status).config.original
    name = next((key for key in sources if key.startswith("alertmanager:")), "alertmanager:alertmanager.yml")
    rest = {key: text for key, text in sources.items() if not key.startswith(("scenario:", "profile:"))}
    try:
        there = load_texts({**rest, name: original})
    except BadInput as error:
        notes.append(f"what {target.alertmanager} has loaded could not be compared: {error.problems[0]}")
        return
    yield from _unled(plan, target, original)
    for alert in plan.alerts:
        labels = {**plan.config.external_labels, **alert.rule.labels, "alertname": alert.rule.alert}
        if alert.names:
            labels[alert.label] = alert.names[0]
        ours, theirs = _told(plan.config, labels), _told(there, labels)
        if ours != theirs:
            message = f"{target.alertmanager} tells {', '.join(theirs) or 'nobody'} of {alert.rule.alert}, where this "
            message += f"configuration tells {', '.join(ours) or 'nobody'}"
            yield Problem(alert.expectation.place, message, _LOAD)


def _unled(plan: Plan, target: Attached, original: str) -> Iterator[Problem]:
    """Receivers that the witness would not hear, though it is to judge them."""
    receivers = sorted({name for alert in plan.alerts for name in alert.receivers}) if target.witness else []
    try:
        lacking = led(original, receivers).lacking
    except ValueError as error:
        yield Problem(target.place, f"{target.alertmanager}/api/v2/status: {error}", "is this its address?")
        return
    if lacking:
        message = f"{target.alertmanager} does not tell the witness what it tells {', '.join(lacking)}"
        hint = f"add what `chaoskit witness config --alertmanager FILE --url {target.witness}` prints"
        yield Problem(target.place, message, hint)


def _told(config: AlertConfig, labels: Mapping[str, str]) -> list[str]:
    """Each receiver with the waits of its route, in words."""
    return sorted(
        f"{route.receiver} (grouped by {', '.join(sorted(route.group_by or ())) or _grouped(route.group_by)}, "
        f"group_wait {format_duration(route.group_wait_s)}, group_interval {format_duration(route.group_interval_s)}, "
        f"repeat_interval {format_duration(route.repeat_interval_s)})"
        for route in match_routes(config.route, labels)
    )


def _grouped(group_by: tuple[str, ...] | None) -> str:
    return "every label" if group_by is None else "none"


def _written(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) + "}"


def _decoded(target: Attached, endpoint: str, path: str, kind: type[T]) -> T:
    text = _get(target, endpoint, path)
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        url = str(getattr(target, endpoint))
        raise BadInput(
            Problem(target.place, f"{url}{path}: no answer of {endpoint}: {error}"[:400], "is this its address?")
        ) from None


def _get(target: Attached, endpoint: str, path: str) -> str:
    """The answer's text; raises BadInput where there is none."""
    url = f"{getattr(target, endpoint)}{path}"
    with session_for(target, endpoint) as session:
        try:
            answer = session.get(url, timeout=_ANSWER_S)
        except requests.RequestException as error:
            raise BadInput(
                Problem(target.place, f"{endpoint}: {url}: {trouble(error)}", "does it run there?")
            ) from None
    if answer.status_code in (401, 403):
        hint = f"access: {{{endpoint}: …}} says who asks"
        raise BadInput(Problem(target.place, f"{endpoint}: {url}: status {answer.status_code}", hint))
    if answer.status_code != requests.codes.ok:
        raise BadInput(Problem(target.place, f"{endpoint}: {url}: status {answer.status_code}", "is the path right?"))
    return answer.text
