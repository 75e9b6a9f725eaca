"""Are rules told apart, and do they see what they read, and their times, at the evaluations that decide them?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chaoskit.alerting.expression import expression
from chaoskit.alerting.model import Rule
from chaoskit.alerting.windows import up
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
    found: dict[tuple[str, str], list[tuple[Rule, set[str]]]] = {}
    for rule in (alert.rule for alert in context.alerts):
        group = (rule.place.file, rule.group)
        read = (each for selector in selectors(rule.expr) for each in recorded_by(context.config, selector))
        if others := {each.group for each in read if (each.place.file, each.group) != group}:
            found.setdefault(group, []).append((rule, others))
    for (_, name), reading in found.items():
        first, names = reading[0][0], list(dict.fromkeys(rule.alert for rule, _ in reading))
        groups = listed(sorted({other for _, others in reading for other in others}))
        delay = format_duration(recording_delay(context.config, first))
        message = f"{listed(names)} of the group {name} read what {groups} records: up to {delay} older"
        yield Violation(first.place, message, "move those rules into the alert's group, above it")


def _twice(rules: Iterable[tuple[Rule, tuple[object, ...]]]) -> Iterator[tuple[Rule, Rule]]:
    """Each rule whose key an earlier one has, with that one."""
    seen: dict[tuple[object, ...], Rule] = {}
    for rule, key in rules:
        first = seen.setdefault(key, rule)
        if first is not rule:
            yield rule, first


@lint("duplicate-alert", Severity.WARNING, "rules", ("rules",))
def duplicate_alert(context: LintContext) -> Iterator[Violation]:
    """Two alerting rules have the same name, labels and expression.

    Both raise the same alert: Alertmanager cannot tell them apart, and one resolves what the other still fires.
    """
    keyed = (
        (rule, (rule.alert, frozenset(rule.labels.items()), expression(rule.expr)))
        for rule in context.config.rules
        if rule.alert
    )
    for rule, first in _twice(keyed):
        yield Violation(rule.place, f"{rule.alert} is the same alert as at {first.place}", "keep one of them")


@lint("duplicate-record", Severity.WARNING, "rules", ("rules",))
def duplicate_record(context: LintContext) -> Iterator[Violation]:
    """Two recording rules write the same series name with the same labels.

    Where their series overlap, Prometheus drops one of two samples of the same instant at random.
    """
    keyed = ((r, (r.record, frozenset(r.labels.items()))) for r in context.config.rules if r.record)
    for rule, first in _twice(keyed):
        message = f"{rule.record} is also recorded at {first.place}"
        yield Violation(rule.place, message, "rename one, or give each a label of its own")


@lint("for-off-beat", Severity.WARNING, "rules", ("rules",))
def for_off_beat(context: LintContext) -> Iterator[Violation]:
    """`for` or `keep_firing_for` is no multiple of the evaluation interval.

    Prometheus looks at its clock only when it evaluates, so the time is rounded up, and the alert is late.
    """
    for rule in context.config.rules:
        if not context.has("prometheus") and rule.interval_s == context.config.evaluation_interval_s:
            continue  # only a group's own interval is known
        for key, written in (("for", rule.for_s), ("keep_firing_for", rule.keep_firing_for_s)):
            real = up(written, rule.interval_s)
            if round(real * 1000) != round(written * 1000):
                every = format_duration(rule.interval_s)
                message = (
                    f"{rule.alert} says {key}: {format_duration(written)}, is evaluated every {every},"
                    f" and so has {key}: {format_duration(real)}"
                )
                yield Violation(context.at(rule.place, key), message, f"write {format_duration(real)}")


@lint("interval-off-beat", Severity.INFO, "rules", ("rules", "prometheus"))
def interval_off_beat(context: LintContext) -> Iterator[Violation]:
    """A group's interval is neither a multiple nor a divisor of the global evaluation interval.

    Its recorded series then go out of step with rules in other groups, which see them older from time to time.
    """
    general = round(context.config.evaluation_interval_s * 1000)
    seen: set[tuple[str, str]] = set()
    for rule in context.config.rules:
        own = round(rule.interval_s * 1000)
        group = (rule.place.file, rule.group)
        if own % general and general % own and group not in seen:
            seen.add(group)
            message = (
                f"the group {rule.group} is evaluated every {format_duration(rule.interval_s)},"
                f" all others every {format_duration(context.config.evaluation_interval_s)}"
            )
            yield Violation(rule.place, message, "choose a multiple")
