"""The promised notices and receivers against the rules, routes and receivers that bring them.

The one idea: a promise is kept if the settings that govern it come to the same time; which names and routes lead
there is found as Alertmanager would find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from chaoskit.alerting.alert import Alert
from chaoskit.alerting.config_secrets import shown_address
from chaoskit.alerting.integrations import KINDS
from chaoskit.alerting.model import PromisedNotice, PromisedReceiver, Receiver, Route
from chaoskit.alerting.promise import lacking
from chaoskit.alerting.windows import up
from chaoskit.check.findings import AGREE, Severity, Violation, lint, unseen
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.routes import called
from chaoskit.errors import Place
from chaoskit.units import format_duration

ROUTED = ("promise", "rules", "alertmanager")
"""The parts that name the routes by which an alert comes to a promised receiver."""


def _routed(context: LintContext) -> Iterator[tuple[PromisedNotice, Alert, tuple[Route, ...]]]:
    """Promised notices with their alert and its routes to the receiver: the certain ones, else the possible ones."""
    for notice, alert in context.of_name(context.config.promise.notices.values()):
        to_it = [each for each in context.reached(alert) if each.route.receiver == notice.receiver]
        certain = tuple(each.route for each in to_it if each.certain)
        yield notice, alert, certain or tuple(each.route for each in to_it)


@lint("promise-unknown-alert", Severity.ERROR, "promise", ("promise", "rules"))
def unknown_alert(context: LintContext) -> Iterator[Violation]:
    """The promise speaks of an alert that no rule defines.

    People count on an alert that cannot come.
    """
    promise = context.config.promise
    places: dict[str, Place] = {}
    for notice in promise.notices.values():
        places.setdefault(notice.alert, notice.place)
    for each in promise.alerts.values():
        places.setdefault(each.alert, each.place)
        places.update({name: each.at("muted_by") for name in each.muted_by or () if name not in places})
    for name in dict.fromkeys((*places, *promise.appears_s, *promise.clears_s)):
        if name not in context.by_name and name not in context.config.unread:
            place = places.get(name) or next(
                (each.place for each in promise.receivers.values()), context.config.route.place
            )
            todo = context.near(name, context.by_name) or "write the rule, or take the promise back"
            yield Violation(place, f"{name} is promised, and no rule defines it", todo)


@lint("promise-unknown-receiver", Severity.ERROR, "promise", ("promise", "alertmanager"))
def unknown_receiver(context: LintContext) -> Iterator[Violation]:
    """The promise speaks of a receiver that the Alertmanager configuration does not define.

    Nothing can be delivered there.
    """
    promise = context.config.promise
    places = {receiver.receiver: receiver.place for receiver in promise.receivers.values()}
    for notice in promise.notices.values():
        places.setdefault(notice.receiver, notice.place)
    for alert in promise.alerts.values():
        for name, bound in (*alert.phone.items(), *alert.all_clear.items()):
            places.setdefault(name, bound.place)
    for name, place in places.items():
        if name not in context.config.receivers:
            todo = context.near(name, context.config.receivers) or "define the receiver, or take the promise back"
            yield Violation(place, f"the receiver {name} is promised notices, and is not defined", todo)


@lint("not-promised", Severity.WARNING, "promise", ROUTED)
def not_promised(context: LintContext) -> Iterator[Violation]:
    """An alert, or one of the receivers that it certainly reaches, has no row in the promise.

    The promise does not say which receiver is told and when, so no run can judge it.
    """
    promise = context.config.promise
    promised = {alert for alert, _ in promise.notices}
    for name, alerts in context.by_name.items():
        if name not in promised:
            todo = f"add {name} to the promise, with a row for each receiver"
            yield Violation(alerts[0].rule.place, f"nothing is promised for {name}", todo)
            continue
        for alert in alerts:
            certain = dict.fromkeys(each.route.receiver for each in context.reached(alert) if each.certain)
            for receiver in certain:
                if (name, receiver) not in promise.notices:
                    message = f"{name} reaches {receiver} as well, and nothing is promised there"
                    yield Violation(alert.rule.place, message, f"add a row for {receiver} to the promise for {name}")


@lint("promise-not-routed", Severity.ERROR, "promise", ROUTED)
def not_routed(context: LintContext) -> Iterator[Violation]:
    """An alert cannot reach a receiver to which it is promised.

    The receiver's readers were promised the notice and never get it.
    """
    for notice, alert, routes in _routed(context):
        if not routes and notice.receiver in context.config.receivers:
            reached = ", ".join(dict.fromkeys(each.route.receiver for each in context.reached(alert)))
            message = f"{notice.alert} is promised to {notice.receiver}, and goes to {reached or 'no receiver'}"
            yield Violation(notice.place, message, "correct the labels, the routes, or the promise")


@lint("promise-for", Severity.ERROR, "promise", ("promise", "rules"))
def promised_for(context: LintContext) -> Iterator[Violation]:
    """A rule's `for` is not the promised one.

    The alert fires earlier or later than people were told.
    """
    said: set[tuple[int, float]] = set()
    for notice, alert in context.of_name(context.config.promise.notices.values()):
        rule = alert.rule
        key = (id(rule), notice.for_s)
        if up(rule.for_s, rule.interval_s) != up(notice.for_s, rule.interval_s) and key not in said:
            said.add(key)
            place = context.at(rule.place, "for")
            message = (
                f"{notice.alert} is promised for {format_duration(notice.for_s)}, and its rule at {place} says"
                f" {format_duration(rule.for_s)}"
            )
            yield Violation(notice.place, message, "change the rule or the promise")


def _differs(key: str, promised: str, context: LintContext) -> Iterator[Violation]:
    for notice, _, routes in _routed(context):
        wanted = getattr(notice, promised)
        found = {getattr(route, f"{key}_s"): route for route in reversed(routes)}
        if found and wanted is not None and wanted not in found:
            seconds, route = next(reversed(found.items()))
            place = context.at_route(route, key)
            message = (
                f"{notice.alert} is promised to {notice.receiver} with {key} {format_duration(wanted)}, and"
                f" {called(route)} at {place} has {format_duration(seconds)}"
            )
            yield Violation(notice.place, message, "change the route or the promise")


for _id, _key, _promised, _why in (
    ("group-wait", "group_wait", "group_wait_s", "The first notice comes earlier or later than people were told."),
    (
        "repeat", "repeat_interval", "repeat_s",
        "People hear of an open problem more often, or less often, than they were told.",
    ),
    (
        "group-interval", "group_interval", "group_interval_s",
        "News of a group, the all-clear included, come earlier or later than people were told.",
    ),
):  # fmt: skip
    _what = f"The {_key} of the route to a receiver is not the promised one."
    lint(f"promise-{_id}", Severity.ERROR, "promise", ROUTED, f"{_what}\n\n{_why}")(partial(_differs, _key, _promised))


@lint("promise-grouped-by", Severity.ERROR, "promise", ROUTED)
def grouped_by(context: LintContext) -> Iterator[Violation]:
    """The route to a receiver groups by other labels than promised.

    One notice joins alerts that people need one by one, or so many single notices come that people stop reading.
    """
    for notice, _, routes in _routed(context):
        if notice.grouped_by is None or not routes:
            continue
        by = [("...",) if route.group_by is None else tuple(sorted(route.group_by)) for route in routes]
        if tuple(sorted(notice.grouped_by)) not in by:
            route, (first, *_) = routes[0], by
            wanted, found = (", ".join(each) or "nothing" for each in (notice.grouped_by, first))
            message = (
                f"{notice.alert} is promised to {notice.receiver} grouped by {wanted}, and {called(route)} at"
                f" {context.at_route(route, 'group_by')} groups by {found}"
            )
            yield Violation(notice.place, message, AGREE)


def _both(context: LintContext) -> Iterator[tuple[PromisedReceiver, Receiver]]:
    for name, promised in context.config.promise.receivers.items():
        if name in context.config.receivers:
            yield promised, context.config.receivers[name]


@lint("promise-recipients", Severity.ERROR, "promise", ("promise", "alertmanager"))
def recipients(context: LintContext) -> Iterator[Violation]:
    """A receiver's mails do not go to the promised recipients.

    A promised recipient gets no mail, or an address that was not promised gets it.
    """
    for promised, receiver in _both(context):
        mails = [each for each in receiver.integrations if each.kind == "email"]
        written = {address for mail in mails for address in mail.to}
        wanted = set(promised.recipients)
        if any("{{" in address for address in written) or written == wanted:
            continue  # only a run sees what a template comes to
        missing, more = sorted(wanted - written), sorted(written - wanted)
        said = [f"{', '.join(missing)} gets nothing"] if missing else []
        said += [f"{', '.join(more)} is not promised"] if more and wanted else []
        if said:
            place = context.at(receiver.place, "email_configs")
            message = f"mails of {receiver.name} ({place}): {'; '.join(said)}"
            yield Violation(promised.place, message, "change the receiver or the promise")


@lint("promise-address", Severity.ERROR, "promise", ("promise", "alertmanager"))
def address(context: LintContext) -> Iterator[Violation]:
    """A receiver's notices go to other addresses than promised.

    A drill replaces the addresses by those of its sinks, so no other check finds a wrong one.
    """
    for promised, receiver in _both(context):
        if promised.at is None:
            continue
        wanted = {shown_address(each) for each in promised.at}
        own = [each for each in receiver.integrations if not each.is_witness]
        written = {each.at for each in own if each.at}
        built_in = {each.kind: KINDS[each.kind].built_in if each.kind in KINDS else "" for each in own if not each.at}
        hidden = [kind for kind, at in built_in.items() if not at]  # in a file, most often: it may be any of them
        missing = sorted(wanted - written - {shown_address(at) for at in built_in.values()})
        said = [f"nothing goes to {', '.join(missing)}"] if missing and not hidden else []
        said += [f"{', '.join(more)} is not promised"] if (more := sorted(written - wanted)) else []
        if said:
            message = f"addresses of {receiver.name} ({receiver.place}): {'; '.join(said)}"
            yield Violation(promised.place, message, AGREE)
        elif missing:
            why = f"the address of its {' and '.join(hidden)} is in a file, or not written at all"
            yield unseen(promised.place, f"{receiver.name} ({receiver.place})", why)


@lint("promise-resolved", Severity.ERROR, "promise", ("promise", "alertmanager"))
def resolved(context: LintContext) -> Iterator[Violation]:
    """A receiver is promised the all-clear and does not send it, or the other way round.

    People wait for a notice that never comes, or are woken by one that they did not want.
    """
    for promised, receiver in _both(context):
        for integration in receiver.integrations:
            if integration.send_resolved != promised.resolved:
                place = context.at(receiver.place, f"{integration.kind}_configs")
                told = "is promised the all-clear" if promised.resolved else "is promised no all-clear"
                does = "does not send it" if promised.resolved else "sends it"
                message = f"{receiver.name} {told}, and its {integration.kind} at {place} {does}"
                todo = f"set send_resolved: {str(promised.resolved).lower()}, or change the promise"
                yield Violation(promised.place, message, todo)


@lint("promise-to-nobody", Severity.ERROR, "promise", ("promise", "alertmanager"))
def no_recipient(context: LintContext) -> Iterator[Violation]:
    """A receiver that is promised notices has no integration.

    Alertmanager drops what is sent to it, without a word.
    """
    promised = {receiver for _, receiver in context.config.promise.notices} | set(context.config.promise.receivers)
    for name, receiver in context.config.receivers.items():
        if name in promised and not receiver.integrations:
            todo = "add email_configs, webhook_configs, ..."
            yield Violation(receiver.place, f"the receiver {name} is promised notices and has no integration", todo)


@lint("promise-integration", Severity.ERROR, "promise", ("promise", "alertmanager"))
def missing_integration(context: LintContext) -> Iterator[Violation]:
    """A receiver lacks an integration that it is promised.

    Nothing comes the promised way.
    """
    for promised, receiver in _both(context):
        # Without any there is nothing to compare: promise-to-nobody says so.
        for kind in lacking(promised, receiver) if receiver.integrations else ():
            message = f"{receiver.name} is promised {kind}, and has no such integration ({receiver.place})"
            yield Violation(promised.place, message, f"add {kind}_configs, or take {kind} out of the promise")


@lint("promise-runbook", Severity.ERROR, "promise", ("promise", "rules"))
def runbook(context: LintContext) -> Iterator[Violation]:
    """An alert's runbook link is missing, or not below the promised address.

    Every notice was promised to link to its runbook there.
    """
    base = context.config.promise.runbook_base
    promised = {alert for alert, _ in context.config.promise.notices}
    for alert in context.alerts if base else ():
        texts = alert.rule.annotations
        if alert.name in promised and not any(text.strip().startswith(base) for text in texts.values()):
            place = context.at(alert.rule.place, "annotations")
            yield Violation(place, f"{alert.name} links to nothing below {base}", f"add runbook: {base}...")
