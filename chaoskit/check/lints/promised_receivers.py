"""Promise against configuration, receiver by receiver: who reads it, who hears the end, where the runbooks are."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.model import PromisedReceiver, Receiver
from chaoskit.alerting.promise import lacking
from chaoskit.check.facts import Facts
from chaoskit.check.findings import Said, Severity, lint


def _both(facts: Facts) -> Iterator[tuple[PromisedReceiver, Receiver]]:
    for name, promised in facts.config.promise.receivers.items():
        if name in facts.config.receivers:
            yield promised, facts.config.receivers[name]


@lint("promise-recipients", Severity.ERROR, "promise", ("promise", "alertmanager"))
def recipients(facts: Facts) -> Iterator[Said]:
    """A receiver's mails do not go to the promised recipients.

    Somebody who should be told is not, or somebody else is.
    """
    for promised, receiver in _both(facts):
        mails = [each for each in receiver.integrations if each.kind == "email"]
        written = {address for mail in mails for address in mail.to}
        wanted = set(promised.recipients)
        if any("{{" in address for address in written) or written == wanted:
            continue  # only a run sees what a template comes to
        missing, more = sorted(wanted - written), sorted(written - wanted)
        said = [f"{', '.join(missing)} gets nothing"] if missing else []
        said += [f"{', '.join(more)} is not promised"] if more and wanted else []
        if said:
            place = facts.at(receiver.place, "email_configs")
            message = f"mails of {receiver.name} ({place}): {'; '.join(said)}"
            yield Said(promised.place, message, "make the two agree")


@lint("promise-resolved", Severity.ERROR, "promise", ("promise", "alertmanager"))
def resolved(facts: Facts) -> Iterator[Said]:
    """A receiver is promised the all-clear and does not send it, or the other way round.

    People wait for a notice that never comes, or are woken by one that they did not want.
    """
    for promised, receiver in _both(facts):
        for integration in receiver.integrations:
            if integration.send_resolved != promised.resolved:
                place = facts.at(receiver.place, f"{integration.kind}_configs")
                told = "is promised the all-clear" if promised.resolved else "is promised no all-clear"
                does = "does not send it" if promised.resolved else "sends it"
                message = f"{receiver.name} {told}, and its {integration.kind} at {place} {does}"
                todo = f"set send_resolved: {str(promised.resolved).lower()}, or change the promise"
                yield Said(promised.place, message, todo)


@lint("promise-to-nobody", Severity.ERROR, "promise", ("promise", "alertmanager"))
def to_nobody(facts: Facts) -> Iterator[Said]:
    """A receiver that is promised notices has no integration.

    Alertmanager drops what is sent to it, without a word.
    """
    promised = {receiver for _, receiver in facts.config.promise.notices} | set(facts.config.promise.receivers)
    for name, receiver in facts.config.receivers.items():
        if name in promised and not receiver.integrations:
            todo = "add email_configs, webhook_configs, ..."
            yield Said(receiver.place, f"the receiver {name} is promised notices and has no integration", todo)


@lint("promise-integration", Severity.ERROR, "promise", ("promise", "alertmanager"))
def missing_integration(facts: Facts) -> Iterator[Said]:
    """A receiver lacks an integration that it is promised.

    Nothing comes the promised way.
    """
    for promised, receiver in _both(facts):
        # Without any there is nothing to compare: promise-to-nobody says so.
        for kind in lacking(promised, receiver) if receiver.integrations else ():
            message = f"{receiver.name} is promised {kind}, and has no such integration ({receiver.place})"
            yield Said(promised.place, message, f"add {kind}_configs, or take it out of the promise")


@lint("promise-runbook", Severity.ERROR, "promise", ("promise", "rules"))
def runbook(facts: Facts) -> Iterator[Said]:
    """An alert's runbook link is missing, or not below the promised address.

    Every notice was promised to link to its runbook there.
    """
    base = facts.config.promise.runbook_base
    promised = {alert for alert, _ in facts.config.promise.notices}
    for alert in facts.alerts if base else ():
        texts = alert.rule.annotations
        if alert.name in promised and not any(text.strip().startswith(base) for text in texts.values()):
            place = facts.at(alert.rule.place, "annotations")
            yield Said(place, f"{alert.name} links to nothing below {base}", f"add runbook: {base}...")
