"""Do external labels keep two Prometheus servers' alerts the same, where they watch the same?"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.relabel import value_after
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext

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
