"""The last look before an attached target is broken: is it the one that was meant, and does it run what is tested?

    confirmed by name -> the metrics page says the environment -> the expected rules and routes are loaded there

It only reads. Everything that is wrong is told at once, and then nothing was touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec
import requests
from prometheus_client.parser import text_string_to_metric_families

from chaoskit.access import session_for, trouble
from chaoskit.errors import BadInput, Problem, Refused
from chaoskit.plan.model import Plan
from chaoskit.run.loaded import LoadedRules, compare_routes, compare_rules
from chaoskit.scenario.model import Attached
from chaoskit.witness.config import led

_ANSWER_S = 10.0
_NAMED = 5

_RECENT = 'last_over_time(ALERTS{alertstate="firing"}[20m])'
"""Prometheus tells of a resolved alert for 15 minutes, and up to Alertmanager 0.31 that keeps its group alive."""

T = TypeVar("T")


class _Sample(msgspec.Struct):
    metric: dict[str, str]


class _Samples(msgspec.Struct):
    result: list[_Sample]


class _Vector(msgspec.Struct):
    data: _Samples


class _Config(msgspec.Struct):
    original: str = ""


class _Version(msgspec.Struct, frozen=True):
    version: str = ""


class _Status(msgspec.Struct, rename="camel"):
    config: _Config
    version_info: _Version = _Version()


class _Build(msgspec.Struct):
    data: _Version


def refuse_unconfirmed(plan: Plan, confirm: str) -> None:
    """Raises Refused unless the user has named the environment that is about to be broken; a local one is their own."""
    target = plan.profile.target
    if target == "local" or confirm == target.environment:
        return
    said = f"--confirm says {confirm}" if confirm else "nobody has confirmed it"
    message = f"this run breaks something in the environment {target.environment}, and {said}"
    raise Refused(Problem(target.place, message, f"add --confirm {target.environment}"))


def preflight(plan: Plan, sources: Mapping[str, str], unasked: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """What the reader of the history must know of the target, and what of it is unknown, beginning with `unasked`.

    `sources` are the texts of the alert configuration, by role:FILE. Raises Refused with everything that speaks
    against the run, a look that could not be taken included.
    """
    target = plan.profile.target
    assert isinstance(target, Attached)
    problems: list[Problem] = []
    notes: list[str] = []
    doubts = list(unasked)
    checks: list[Callable[[], Iterator[Problem]]] = [
        lambda: _environment(target),
        lambda: _rules(plan, target, notes),
        lambda: _routes(plan, target, sources, doubts),
    ]
    for check in checks:
        try:
            problems += check()
        except BadInput as error:
            problems += error.problems
    if problems:
        raise Refused(dict.fromkeys(problems))
    return notes, doubts


def running(target: Attached) -> dict[str, str]:
    """The versions of the prometheus and the alertmanager that run there; raises Refused where one does not answer."""
    try:
        build = _decoded(target, "prometheus", "/api/v1/status/buildinfo", _Build).data.version
        status = _decoded(target, "alertmanager", "/api/v2/status", _Status).version_info.version
    except BadInput as error:
        raise Refused(error.problems) from None
    return {name: version for name, version in (("prometheus", build), ("alertmanager", status)) if version}


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
    yield from compare_rules(plan, answer.data.groups, target.prometheus, notes)


def _routes(plan: Plan, target: Attached, sources: Mapping[str, str], doubts: list[str]) -> Iterator[Problem]:
    original = _decoded(target, "alertmanager", "/api/v2/status", _Status).config.original
    yield from _unled(plan, target, original)
    yield from compare_routes(plan, original, sources, target.alertmanager, doubts)


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
