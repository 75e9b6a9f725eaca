"""Does a rule read what its own group has just recorded, or what another group recorded some time ago?"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.alert import Alert
from chaoskit.alerting.windows_expression import recorded_by, recording_delay, selectors
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.units import format_duration, listed


@lint("reads-other-group", Severity.INFO, "rules", ("rules",))
def reads_other_group(context: LintContext) -> Iterator[Violation]:
    """An alert reads what a rule of another group records.

    Groups are evaluated each at its own time, so the alert sees a value that is up to one interval old, and is late by
    as much.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    places: dict[tuple[str, str], Alert] = {}
    for alert in context.alerts:
        rule = alert.rule
        group = (rule.place.file, rule.group)
        for selector in selectors(rule.expr):
            others = {e.group for e in recorded_by(context.config, selector) if (e.place.file, e.group) != group}
            for other in sorted(others):
                names = found.setdefault(group, {}).setdefault(other, [])
                if alert.name not in names:
                    names.append(alert.name)
                    places.setdefault(group, alert)
    for group, by_group in found.items():
        first = places[group]
        names = list(dict.fromkeys(name for some in by_group.values() for name in some))
        delay = format_duration(recording_delay(context.config, first.rule))
        message = f"{listed(names)} of the group {group[1]} read what {listed(sorted(by_group))} records: up to {delay}"
        yield Violation(first.rule.place, f"{message} older", "move those rules into the alert's group, above it")
