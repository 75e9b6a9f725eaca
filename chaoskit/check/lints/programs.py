"""Findings of promtool, amtool and the planner, which were asked beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

from chaoskit.alerting.model import of_role
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext
from chaoskit.errors import Place
from chaoskit.yaml_source import second_document

_SCENARIOS = ("scenarios", "rules", "alertmanager")
_TOLD = (
    (
        "promtool", Severity.ERROR, "programs", ("promtool",),
        "`promtool check rules` or `promtool check config` refuses a file.",
        "Prometheus does not start with it, or goes on with the rules that it had.",
    ),
    (
        "amtool", Severity.ERROR, "programs", ("amtool",),
        "`amtool check-config` refuses the Alertmanager configuration.",
        "Alertmanager does not start with it, or goes on with the routes that it had.",
    ),
    (
        "not-understood", Severity.WARNING, "programs", ("not-understood",),
        "A part is not understood: it is newer than the programs here or than this reader; an error if it is wrong.",
        "chaoskit does not judge what depends on it, and checks the rest without it.",
    ),
    (
        "template-fails", Severity.ERROR, "programs", ("amtool",),
        "A notice's template cannot be rendered.",
        "amtool check-config does not see this: the notice is lost, or comes with an empty body, again and again.",
    ),
    (
        "levels", Severity.ERROR, "thresholds", ("levels", "promise"),
        "promtool says that an alert does not stay quiet, or does not fire, at the level that is promised.",
        "The alert comes too early or not at all: its threshold, or how it is measured, is not what people were told.",
    ),
    (
        "levels-approved", Severity.ERROR, "thresholds", ("levels",),
        "An alert answers probes otherwise than was approved: series around its threshold, resets, gaps, no traffic.",
        "A change of its expression, range, grouping or guard shows in incidents only, as noise or as silence.",
    ),
    (
        "levels-unproved", Severity.WARNING, "thresholds", ("levels", "promise"),
        "The levels of an alert are promised, and no series are found that bring what it measures to them.",
        "Nothing shows that the alert keeps the promise.",
    ),
    (
        "approved-texts", Severity.ERROR, "annotations", ("approved-texts",),
        "A notice reads otherwise than a person approved, goes elsewhere, is not sent any more, or is a new one.",
        "People are told other words than were read and found right, by a change of a label, a route or a template.",
    ),
    (
        "scenario-fault", Severity.ERROR, "scenarios", ("scenarios",),
        "A scenario's fault or action is of no known kind, or has settings that its kind refuses.",
        "The scenario cannot be planned.",
    ),
    (
        "scenario-plan", Severity.ERROR, "scenarios", (*_SCENARIOS, "prometheus"),
        "A scenario cannot be planned with any local profile, or such a profile has a handle with nothing behind it.",
        "`plan`, `run` and `gate` refuse it.",
    ),
)  # fmt: skip


def _told(id_: str, context: LintContext) -> Iterator[Violation]:
    return iter(context.elsewhere.get(id_, ()))


for _id, _severity, _topic, _needs, _what, _why in _TOLD:
    lint(_id, _severity, _topic, _needs, f"{_what}\n\n{_why}")(partial(_told, _id))


@lint("second-document", Severity.WARNING, "programs", ())
def second(context: LintContext) -> Iterator[Violation]:
    """A rule file or a configuration of Prometheus or Alertmanager goes on with a second YAML document.

    They read the first one only: what stands behind it is in force nowhere, and nothing says so.
    """
    sources = context.config.sources
    for file, text in chain.from_iterable(of_role(sources, role) for role in ("rules", "alertmanager", "prometheus")):
        if line := second_document(text):
            message = "a second document begins here, which is never read"
            yield Violation(Place(file, line), message, "put the second one into a file of its own, or join them")
