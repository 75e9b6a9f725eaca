"""Alerts, routes, receivers and inhibitions that no scenario exercises, so that no run has shown them to work.

And promises that are none yet: with a figure that a program wrote down, or that does not say why it is promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from chaoskit.alerting.model import InhibitRule, Receiver, Route, Rule
from chaoskit.alerting.promise_text import DECIDED, DOCUMENTED, not_yet_promised
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.routes import called

KINDS = {
    "alerts": ("untested-alert", "An alert that no scenario expects."),
    "routes": ("untested-route", "A route over which no scenario expects a notice."),
    "receivers": ("untested-receiver", "A receiver at which no scenario expects a notice."),
    "inhibitions": ("untested-inhibition", "An inhibition that no scenario sees suppress an alert."),
}
PROMISES, THRESHOLDS = "promises", "thresholds"
_WHY = "No run has shown that it works, so a mistake in it shows only in a real incident."


def covered(context: LintContext, kind: str) -> Iterator[tuple[str, bool, Violation]]:
    """Alerts, routes, receivers or inhibitions (`kind`) by name, in order: whether a scenario exercises each, and what
    is said where none does."""
    notice = "no scenario expects a notice"
    for key, one in context.parts[kind].items() if kind in context.parts else ():
        match one:
            case Rule():
                name, message, todo = one.alert, f"no scenario expects {one.alert}", "write a scenario for it"
            case Route():
                name, todo = called(one), "let a scenario expect one of the route's alerts at the route's receiver"
                message = f"{notice} over {name}"
            case Receiver():
                name, message, todo = one.name, f"{notice} at {one.name}", "expect an alert at this receiver"
            case InhibitRule():
                name, todo = str(one.place), "let a scenario expect the target alert with suppressed_by: and a control"
                message = "no scenario expects this inhibition to mute an alert"
        yield name, key in context.exercised[kind], Violation(one.place, message, todo)
    if kind == PROMISES:
        promise, unsaid = context.config.promise, not_yet_promised(context.config.sources)
        for name in dict.fromkeys((*(alert for alert, _ in promise.notices), *promise.alerts)):
            place = unsaid.get(name, context.config.route.place)
            message = f"what is promised of {name} is not all {DOCUMENTED} or {DECIDED}"
            todo = f"write `# {DOCUMENTED}: ...` or `# {DECIDED}: ...` beside each figure, or above it"
            yield name, name not in unsaid, Violation(place, message, todo)
    for name, alerts in context.by_name.items() if kind == THRESHOLDS else ():
        promised = context.config.promise.alerts.get(name)
        levels = promised.levels if promised else None
        place = levels.place if levels else alerts[0].rule.place
        message = f"the threshold of {name} is {'promised and not proved' if levels else 'not promised'}"
        todo = "promise levels: {quiet: ..., fires: ...}" if levels is None else "see what the lint levels says"
        yield name, name in context.proved, Violation(place, message, todo)


def _untested(kind: str, context: LintContext) -> Iterator[Violation]:
    return (violation for _, exercised, violation in covered(context, kind) if not exercised)


for _kind, (_id, _what) in KINDS.items():
    _needs = ("scenarios", "rules") if _kind == "alerts" else ("scenarios", "rules", "alertmanager")
    lint(_id, Severity.INFO, "coverage", _needs, f"{_what}\n\n{_WHY}")(partial(_untested, _kind))
lint(
    "not-yet-promised", Severity.INFO, "coverage", ("promise",),
    f"An alert with a figure in its promise that is neither `# {DOCUMENTED}: ...` nor `# {DECIDED}: ...`.\n\n"
    "A promise that a program took from the configuration breaks only when that configuration changes.",
)(partial(_untested, PROMISES))  # fmt: skip
lint(
    "threshold-not-promised", Severity.INFO, "coverage", ("promise", "rules", "levels"),
    "An alert with no promised levels, or whose levels are not proved.\n\n"
    "A threshold that is merely read from the expression proves that it was read, and follows every mistake in it.",
)(partial(_untested, THRESHOLDS))  # fmt: skip
