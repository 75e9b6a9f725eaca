"""Do relabelling and external labels leave what routes and inhibitions go by, and nothing that parts like alerts?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaoskit.alerting.alert import Answer
from chaoskit.alerting.model import Relabel
from chaoskit.alerting.prometheus_shown import steps
from chaoskit.alerting.relabel import passes, value_after
from chaoskit.alerting.windows_expression import NAME, recorded_by, selectors
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.errors import Place
from chaoskit.units import listed

_NEEDS = ("prometheus", "rules")
_REPLICAS = frozenset({"replica", "prometheus_replica", "__replica__", "prometheus_server", "ha_replica"})


@lint("replica-on-alerts", Severity.WARNING, "delivery", ("prometheus",))
def replica_on_alerts(context: LintContext) -> Iterator[Violation]:
    """An external label that names one of several like servers stays on its alerts.

    Alertmanager takes each server's alert for another one, so that people are told of everything twice.
    """
    config, general = context.config, context.shown.general
    for name in sorted(_REPLICAS & config.external_labels.keys()):
        if value_after(config.relabels, name, config.external_labels.get) != "":
            message = f"the external label {name}: {config.external_labels[name]} goes out with every alert"
            todo = f"drop it: alerting: {{alert_relabel_configs: [{{regex: {name}, action: labeldrop}}]}}"
            place = general["external_labels"].place if "external_labels" in general else context.shown.place
            yield Violation(place, message, todo)


@lint("relabelling-drops-alert", Severity.ERROR, "delivery", _NEEDS)
def drops_alert(context: LintContext) -> Iterator[Violation]:
    """`alert_relabel_configs` drop an alert on its way to Alertmanager.

    It fires in Prometheus and no receiver is told.
    """
    lost = [alert for alert in context.alerts if alert.sent is Answer.NO]
    if lost:
        message = f"alert_relabel_configs drop {listed([alert.name for alert in lost])}"
        yield Violation(lost[0].steps[0].place, message, "narrow the step, or remove the rule")


@lint("relabelling-loses-label", Severity.ERROR, "delivery", (*_NEEDS, "alertmanager"))
def loses_label(context: LintContext) -> Iterator[Violation]:
    """`alert_relabel_configs` take a label from alerts that a route, a group or an inhibition goes by.

    The alert takes another route, or is no longer muted, as if the label had never been set.
    """
    by: dict[str, str] = {}
    for rule in context.config.inhibit_rules:
        by |= dict.fromkeys(rule.equal, f"an inhibition ({rule.place})")
        by |= {m.label: f"an inhibition ({rule.place})" for m in (*rule.source, *rule.target)}
    for route in context.tree.routes:
        by |= {each: f"group_by ({context.at_route(route, 'group_by')})" for each in route.group_by or ()}
    for route in reversed(context.tree.routes):
        by |= {m.label: f"a route ({route.place})" for m in route.matchers}
    for label, where in sorted(by.items()):
        lost = [alert for alert in context.alerts if alert.own(label) and alert.value(label) == ""]
        if lost:
            alert = lost[0]
            number = next(n for n, _ in enumerate(alert.steps, 1) if not value_after(alert.steps[:n], label, alert.own))
            names = listed([each.name for each in lost])
            message = f"relabelling takes {label} from {names}, and {where} goes by it"
            yield Violation(alert.steps[number - 1].place, message, "leave the label, or change what goes by it")


@lint("relabelling-drops-metric", Severity.ERROR, "delivery", _NEEDS)
def drops_metric(context: LintContext) -> Iterator[Violation]:
    """`metric_relabel_configs` drop series that a rule reads, in every job that may bring them.

    The rule's expression never finds anything, and its alert never fires.
    """
    jobs = {name: steps(job, "metric_relabel_configs") for name, job in context.shown.jobs.items()}
    if not any(jobs.values()):
        return
    read: dict[str, tuple[str, tuple[str, ...], Place]] = {}
    for rule in context.config.rules:
        for each in selectors(rule.expr):
            name = next((m.value for m in each.matchers if m.label == NAME and m.op == "="), "")
            if name and not recorded_by(context.config, each):
                mine = tuple(job for job in jobs if each.selects("job", job))
                read.setdefault(name, (rule.name, mine, rule.place))
    everything = [name for name, own in jobs.items() if own and not any(_kept(own, each) for each in ("x", *read))]
    for job in everything:
        message = f"the job {job} keeps no series that any rule reads"
        yield Violation(jobs[job][0].place, message, "narrow the step, or remove the job")
    for metric, (of, mine, place) in read.items():
        dropping = [job for job in mine if not _kept(jobs[job], metric)]
        if mine and dropping == list(mine) and not set(dropping) & set(everything):
            message = f"metric_relabel_configs of {listed(dropping)} drop {metric}, which {of} reads ({place})"
            yield Violation(jobs[dropping[0]][0].place, message, "narrow the step, or remove the rule")


def _kept(own: tuple[Relabel, ...], metric: str) -> bool:
    """Whether a metric of this name may be left by a job's steps."""
    known: Mapping[str, str] = {NAME: metric}
    return passes(own, known.get, known) is not False
