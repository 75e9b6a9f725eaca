"""Does each label of `equal` compare anything? A label that both alerts lack counts as equal."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.inhibitions import is_general


@lint("inhibition-equal-absent", Severity.WARNING, "inhibitions", ("alertmanager", "rules"))
def equal_absent(context: LintContext) -> Iterator[Violation]:
    """`equal` names a label that no alert on either side carries.

    Two missing labels are equal, so the inhibition mutes wherever it applies and tells nothing apart by the label.
    """
    for sides in context.inhibitions:
        alerts = [alert for side in (sides.sources, sides.targets) for alert, _ in side]
        for label in sides.rule.equal if sides.sources and sides.targets else ():
            if not any(alert.may_have(label) for alert in alerts):
                place = context.at(sides.rule.place, "equal")
                message = f"equal lists {label}, which neither the sources nor the targets of this inhibition carry"
                todo = "keep the label in the expressions, correct its name, or leave it out"
                yield Violation(place, message, todo, Severity.INFO if is_general(sides.rule) else None)
