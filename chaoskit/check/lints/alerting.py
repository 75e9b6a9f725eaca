"""Does what fires in Prometheus reach every Alertmanager? A drill starts its own, so only the text can tell."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.prometheus_shown import Shown, discovers, host_and_port, targets
from chaoskit.check.findings import AGREE, DISCOVERED, Severity, Violation, lint, unseen
from chaoskit.check.lint_context import LintContext
from chaoskit.errors import Place
from chaoskit.yaml_source import Node


@lint("no-alertmanager", Severity.ERROR, "delivery", ("prometheus", "rules", "alertmanager"))
def no_alertmanager(context: LintContext) -> Iterator[Violation]:
    """`alerting` of the Prometheus configuration leads to no Alertmanager, and there are alerting rules.

    Alerts fire and no receiver is told. A drill starts an Alertmanager of its own, so no drill finds it.
    """
    shown = context.shown
    if context.alerts and not shown.sends:
        message = f"{len(context.alerts)} alerting rules, and Prometheus sends to no Alertmanager"
        yield Violation(
            _section(shown), message, "name one in alerting: {alertmanagers: [{static_configs: [{targets: [...]}]}]}"
        )


@lint("alertmanager-untold", Severity.ERROR, "delivery", ("prometheus",))
def alertmanager_untold(context: LintContext) -> Iterator[Violation]:
    """A job scrapes an Alertmanager to which `alerting` does not send.

    Alertmanagers of a cluster share silences and what was sent, never alerts: when the others stop, no receiver is
    told.
    """
    shown = context.shown
    told = {host_and_port(each.raw) for each in shown.targets}
    if not told or any(map(discovers, shown.managers)):
        return
    for name, job in shown.jobs.items():
        if "alertmanager" in name.casefold():
            for target in targets(job):
                if host_and_port(target.raw) not in told:
                    message = f"the job {name} scrapes {target.raw}, and alerting sends to {shown.told} only"
                    yield Violation(target.place, message, "add that address to alerting, or correct one of the two")


@lint("promise-alertmanagers", Severity.ERROR, "promise", ("promise", "prometheus"))
def promised_alertmanagers(context: LintContext) -> Iterator[Violation]:
    """Prometheus tells other Alertmanagers than promised.

    Alerts go where no receiver is told of them. A drill puts its own address in place of these.
    """
    promised, shown = context.config.promise.alertmanagers, context.shown
    if promised is None:
        return
    where, discovered = f"alerting at {_section(shown)}", any(map(discovers, shown.managers))
    if said := other_addresses(promised.at, shown.targets, discovered):
        yield Violation(promised.place, f"{where}: {said}", AGREE)
    elif discovered:
        yield unseen(promised.place, where, DISCOVERED)


def other_addresses(promised: tuple[str, ...], written: tuple[Node, ...], discovered: bool) -> str:
    """In words what is promised and not written, and the other way round; empty where all agree.

    Where further ones are `discovered`, those that are promised may be among them.
    """
    wanted = {host_and_port(each): each for each in promised}
    found = {host_and_port(each.raw): each.raw for each in written}
    lacking = [] if discovered else sorted(wanted.keys() - found.keys())
    said = [f"{wanted[each]} is promised and not configured" for each in lacking]
    said += [f"{found[each]} is not promised" for each in sorted(found.keys() - wanted.keys())]
    return "; ".join(said)


def _section(shown: Shown) -> Place:
    return shown.top["alerting"].place if "alerting" in shown.top else shown.place
