"""Alerts, routes, receivers and inhibitions that no scenario exercises, so that no run has shown them to work.

And promises that are none yet: with a figure that a program wrote down, or that does not say why it is promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from chaoskit.alerting.promise_text import DECIDED, DOCUMENTED, not_yet_promised
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.routes import called
from chaoskit.errors import Place

KINDS = {
    "alerts": ("untested-alert", "An alert that no scenario expects."),
    "routes": ("untested-route", "A route over which no scenario expects a notice."),
    "receivers": ("untested-receiver", "A receiver at which no scenario expects a notice."),
    "inhibitions": ("untested-inhibition", "An inhibition that no scenario sees suppress an alert."),
}
PROMISES = "promises"
_WHY = "No run has shown that it works, so a mistake in it shows only in a real incident."


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the configuration, as people name it, and whether a scenario exercises it."""

    name: str
    exercised: bool
    place: Place
    message: str
    todo: str


def parts(context: LintContext, kind: str) -> Iterator[Part]:
    """Everything of a kind, in the configuration's order."""
    done = context.exercised.get(kind, frozenset())
    config = context.config
    notice = "no scenario expects a notice"
    match kind:
        case "alerts":
            for name, alerts in context.by_name.items():
                message = f"no scenario expects {name}"
                yield Part(name, name in done, alerts[0].rule.place, message, "write a scenario for it")
        case "routes":
            for route in context.tree.routes:
                todo = "expect one of its alerts at its receiver"
                yield Part(called(route), route.path in done, route.place, f"{notice} over {called(route)}", todo)
        case "receivers":
            for name, receiver in config.receivers.items():
                yield Part(name, name in done, receiver.place, f"{notice} at {name}", "expect one of its alerts there")
        case "promises":
            unsaid = not_yet_promised(config.sources)
            for name in dict.fromkeys((*(alert for alert, _ in config.promise.notices), *config.promise.alerts)):
                place = unsaid.get(name, config.route.place)
                message = f"what is promised of {name} is not all {DOCUMENTED} or {DECIDED}"
                todo = f"write `# {DOCUMENTED}: ...` or `# {DECIDED}: ...` beside each figure, or above it"
                yield Part(name, name not in unsaid, place, message, todo)
        case "inhibitions":
            for number, rule in enumerate(config.inhibit_rules):
                todo = "expect a target with suppressed_by: and a control"
                message = "no scenario expects this inhibition to mute an alert"
                yield Part(str(rule.place), number in done, rule.place, message, todo)


def _untested(kind: str, context: LintContext) -> Iterator[Violation]:
    return (Violation(part.place, part.message, part.todo) for part in parts(context, kind) if not part.exercised)


for _kind, (_id, _what) in KINDS.items():
    _needs = ("scenarios", "rules") if _kind == "alerts" else ("scenarios", "rules", "alertmanager")
    lint(_id, Severity.INFO, "coverage", _needs, f"{_what}\n\n{_WHY}")(partial(_untested, _kind))
lint(
    "not-yet-promised", Severity.INFO, "coverage", ("promise",),
    f"An alert with a figure in its promise that is neither `# {DOCUMENTED}: ...` nor `# {DECIDED}: ...`.\n\n"
    "A promise that a program took from the configuration breaks only when that configuration changes.",
)(partial(_untested, PROMISES))  # fmt: skip
