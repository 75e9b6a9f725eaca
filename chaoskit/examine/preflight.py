"""The last look before an attached target is broken: is it the one that was meant, and does it run what is tested?

    confirmed by name -> the metrics page says the environment -> the expected rules and routes are loaded there

It only reads. Everything that is wrong is told at once, and then nothing was touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from chaoskit.access import at_member
from chaoskit.alerting.time_intervals import throughout
from chaoskit.errors import Problem, Refused
from chaoskit.examine.alertmanager import Status, recorder_command, recorder_off
from chaoskit.examine.allowed import allowed
from chaoskit.examine.endpoint import Endpoint, NoAnswer
from chaoskit.examine.environment import Vector, environment
from chaoskit.examine.prometheus import BuildInfo, LoadedRules, compare_routes, compare_rules
from chaoskit.examine.wiring import wired
from chaoskit.plan.model import Plan
from chaoskit.plan.paged import paged
from chaoskit.scenario.model import Attached
from chaoskit.witness.config import led

_RECENT = 'last_over_time(ALERTS{alertstate="firing"}[20m])'
"""Prometheus tells of a resolved alert for 15 minutes, and up to Alertmanager 0.31 that keeps its group alive."""


def refuse_unconfirmed(plans: Sequence[Plan], confirm: str) -> None:
    """Raises Refused unless the user has named the environment that is about to be broken; a local one is their own.

    Likewise where it would be broken outside of the profile's hours.
    So must be each handle on which an effect would stay, were this machine to go down.
    """
    target, given = plans[0].profile.target, [one.strip() for one in confirm.split(",")]
    if target == "local":
        return
    problems = []
    if target.environment not in given:
        said = f"--confirm says {confirm}" if confirm else "--confirm is missing"
        recipients = f" It tells {'; '.join(map(str, told))}." if (told := paged(plans)) else ""
        message = f"this run breaks something in the environment {target.environment}, and {said}.{recipients}"
        problems.append(Problem(target.place, message, f"add --confirm {target.environment}"))
    places, hours = plans[0].profile.handles.places, plans[0].profile.hours
    for handle in dict.fromkeys(handle for plan in plans for handle in plan.endless):
        if handle not in given:
            message = f"what this run does to {handle} does not end by itself should this machine go down"
            problems.append(Problem(places.get(handle), message, f"add --confirm {handle}"))
    ends = datetime.now(UTC) + timedelta(seconds=sum(plan.longest_real_s for plan in plans))
    if hours and not throughout(hours, datetime.now(UTC), ends):
        message = f"a run from now to {ends.astimezone():%H:%M %Z} would not lie within the profile's hours"
        problems.append(Problem(target.place, message, "begin it within hours:, or change them"))
    if problems:
        raise Refused(problems)


def preflight(plan: Plan, sources: Mapping[str, str], unasked: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Notes on the target for the reader of the history, and doubts about it, of which `unasked` come first.

    `sources` are the texts of the alert configuration, by role:FILE. Raises Refused with everything that speaks
    against the run, a look that could not be taken included.
    """
    target = plan.profile.target
    assert isinstance(target, Attached)
    problems: list[Problem] = []
    notes: list[str] = []
    doubts = list(unasked)
    checks: list[Callable[[], Iterator[Problem]]] = [
        lambda: _identity(target),
        lambda: _rules(plan, target, notes),
        lambda: _routes(plan, target, sources, doubts),
        lambda: _way(plan, target, notes),
    ]
    for check in checks:
        try:
            problems += check()
        except NoAnswer as error:
            problems.append(_unanswered(target, error))
    if problems:
        raise Refused(dict.fromkeys(problems))
    return notes, doubts


def unsuited(plan: Plan) -> list[Problem]:
    """Why the expected alerts of a plan are not those that the running system has: rules and routes loaded there.

    Raises Refused where it does not tell.
    """
    target = plan.profile.target
    assert isinstance(target, Attached)
    try:
        return [*_rules(plan, target, []), *_routes(plan, target, plan.config.sources, [])]
    except NoAnswer as error:
        raise Refused(_unanswered(target, error)) from None


def _unanswered(target: Attached, error: NoAnswer) -> Problem:
    said = error.checked
    return Problem(target.place, f"{said.what}: {said.detail}", said.mend)


def running(target: Attached) -> dict[str, str]:
    """The versions of the prometheus and the alertmanager that run there; raises Refused where one does not answer."""
    try:
        build, _ = Endpoint(target, "prometheus").data("/api/v1/status/buildinfo", BuildInfo)
        status, _ = Endpoint(target, "alertmanager").decoded("/api/v2/status", Status)
    except NoAnswer as error:
        raise Refused(_unanswered(target, error)) from None
    found = {"prometheus": build.version, "alertmanager": status.version_info.version}
    return {name: version for name, version in found.items() if version}


def lingering(plan: Plan) -> list[dict[str, str]]:
    """Label sets of alerts that fired there within the last minutes; raises Refused if Prometheus does not tell."""
    target = plan.profile.target
    assert isinstance(target, Attached)
    try:
        answer, _ = Endpoint(target, "prometheus").data("/api/v1/query", Vector, query=_RECENT)
    except NoAnswer as error:
        raise Refused(_unanswered(target, error)) from None
    unwanted = {"__name__", "alertstate"}
    return [{key: text for key, text in one.metric.items() if key not in unwanted} for one in answer.result]


def _identity(target: Attached) -> Iterator[Problem]:
    """The reasons against the target's being the environment that is named, or against this host's taking part."""
    for line in (*environment(target), *allowed(target)):
        if line.state == "missing":
            yield Problem(target.place, line.detail, line.mend)


def _rules(plan: Plan, target: Attached, notes: list[str]) -> Iterator[Problem]:
    for url in target.replicas or (target.prometheus,):
        try:
            asked = Endpoint(at_member(target, "prometheus", url), "prometheus")
            answer, _ = asked.data("/api/v1/rules", LoadedRules, type="alert")
        except NoAnswer as error:
            if url == target.prometheus:
                raise
            notes.append(f"of the pair, {error.checked.detail}")
        else:
            yield from compare_rules(plan, answer.groups, url, notes)


def _routes(plan: Plan, target: Attached, sources: Mapping[str, str], doubts: list[str]) -> Iterator[Problem]:
    for url in target.peers or (target.alertmanager,):
        member = at_member(target, "alertmanager", url)
        try:
            status, _ = Endpoint(member, "alertmanager").decoded("/api/v2/status", Status)
        except NoAnswer:
            if url == target.alertmanager:
                raise
            continue  # a row of the verdict says that it is down
        yield from _unled(plan, member, status.config.original)
        yield from _unrecorded(member, status.config.original)
        yield from compare_routes(plan, status.config.original, sources, url, doubts)


def _way(plan: Plan, target: Attached, notes: list[str]) -> Iterator[Problem]:
    """Faults that keep alerts there from Alertmanager; a fault that only may becomes a note."""
    for line in wired(target, plan.config):
        if line.state == "missing":
            yield Problem(target.place, f"{target.prometheus}: {line.detail}", line.mend)
        elif line.state == "warning":
            notes.append(f"{target.prometheus}: {line.detail}")


def _unled(plan: Plan, target: Attached, original: str) -> Iterator[Problem]:
    """Receivers that the witness would not hear, though it is to judge them; with a recorder it need not."""
    asked = target.witness and not target.recorder
    receivers = sorted({name for alert in plan.alerts for name in alert.receivers}) if asked else []
    try:
        lacking = led(original, receivers).lacking
    except ValueError as error:
        yield Problem(target.place, f"{target.alertmanager}/api/v2/status: {error}", "check alertmanager: URL")
        return
    if lacking:
        message = f"{target.alertmanager} does not tell the witness what it tells {', '.join(lacking)}"
        hint = f"add what `chaoskit witness config --alertmanager FILE --url {target.witness}` prints"
        yield Problem(target.place, message, hint)


def _unrecorded(target: Attached, original: str) -> Iterator[Problem]:
    """That the event recorder is on, where the profile rests on it."""
    if (why := recorder_off(target, original)) and target.recorder:
        yield Problem(target.place, why, f"add what `{recorder_command(target)}` prints, or leave recorder: out")
