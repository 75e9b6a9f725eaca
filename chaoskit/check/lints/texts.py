"""Can the person who is woken read what happened, where, and what to do about it?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chaoskit.alerting.alert import Alert
from chaoskit.alerting.expression import expression
from chaoskit.alerting.labels import labels_of
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LABEL = re.compile(r"(?<![\w.)\]$])\$labels\.([A-Za-z_]\w*)|\bindex\s+\$labels\s+\"([A-Za-z_]\w*)\"")
_DOT_LABEL = re.compile(r"(?<![\w.)\]$])\.Labels\.([A-Za-z_]\w*)")
_ASKED_FIRST = re.compile(r"\s*-?\s*(?:else\s+)?(?:if|with)\b")
_MOVES_DOT = re.compile(r"\{\{-?\s*(?:range|with|define|template|block)\b")
_RUNBOOK = re.compile(r"runbook|playbook", re.IGNORECASE)
_TEXTS = ("summary", "description", "message", "title", "impact")


@lint("lost-label", Severity.WARNING, "annotations", ("rules",))
def lost_label(context: LintContext) -> Iterator[Violation]:
    """An annotation or label names a label that the expression's results cannot carry.

    It renders as nothing, so the notice does not say which of many it is about.
    """
    for alert in context.alerts:
        carried = labels_of(expression(alert.rule.expr))
        for where in (alert.rule.annotations, alert.rule.labels):
            for key, text in where.items():
                lost = [name for name in _labels_in(text) if not carried.may_have(name)]
                if lost:
                    names = ", ".join(dict.fromkeys(lost))
                    message = f"{key} of {alert.name} shows {names}, which the expression drops"
                    todo = "keep the label with by (...) or group_left (...), or leave it out of the text"
                    yield Violation(context.at(alert.rule.place, "expr"), message, todo)


def _labels_in(text: str) -> Iterator[str]:
    """Labels that the template shows; one that it asks about first may be missing on purpose."""
    if "abels" not in text:
        return
    actions = [match[1] for match in _ACTION.finditer(text)]
    asked = {name for action in actions if _ASKED_FIRST.match(action) for name in _names(action, True)}
    dots = not _MOVES_DOT.search(text)
    for action in actions:
        if not _ASKED_FIRST.match(action):
            yield from (name for name in _names(action, dots) if name not in asked)


def _names(action: str, dots: bool) -> Iterator[str]:
    bare = re.sub(r"/\*.*?\*/", "", action, flags=re.DOTALL)
    for match in _LABEL.finditer(bare):
        yield match[1] or match[2]
    if dots:
        yield from (match[1] for match in _DOT_LABEL.finditer(bare))


@lint("no-summary", Severity.WARNING, "annotations", ("rules",))
def no_summary(context: LintContext) -> Iterator[Violation]:
    """An alert has no annotation that says what happened.

    The notice shows a name and labels; the person on call has to find out what they mean.
    """
    for alert in context.alerts:
        # Other teams have other names for it: any text but a link will do.
        says = [k for k, v in alert.rule.annotations.items() if v.strip() and (k in _TEXTS or " " in v.strip())]
        if not says:
            todo = "add annotations: with a summary and a description"
            yield Violation(alert.rule.place, f"{alert.name} has no summary and no description", todo)


@lint("no-runbook", Severity.WARNING, "annotations", ("rules",))
def no_runbook(context: LintContext) -> Iterator[Violation]:
    """An alert has no link to a runbook, where others of the same set have one.

    At night the person on call needs the steps at hand: without a link they are not found.
    """
    without = [alert for alert in context.alerts if not _runbook(alert)]
    if without and len(without) == len(context.alerts) and not context.config.promise.runbook_base:
        first = without[0].rule.place
        message = f"none of the {len(without)} alerts links to a runbook"
        yield Violation(first, message, "add an annotation runbook_url", Severity.INFO)
        return
    for alert in without:
        yield Violation(alert.rule.place, f"{alert.name} links to no runbook", "add an annotation runbook_url")


@lint("no-runbook-file", Severity.WARNING, "annotations", ("rules", "runbooks"))
def no_runbook_file(context: LintContext) -> Iterator[Violation]:
    """An alert or scenario names a runbook that is not in the folder `runbooks` beside the configuration.

    The link in the notice leads nowhere once the folder is published.
    """
    for alert in context.alerts:
        link = _runbook(alert).split("#")[0].split("?")[0].rstrip("/")
        name = link.rpartition("/")[2]
        stem = re.sub(r"\.(?:md|html)$", "", name)
        if context.runbooks is not None and link and "{{" not in link and stem not in context.runbooks:
            message = f"{alert.name} links to {_runbook(alert)}, and runbooks/ holds no {stem}.md"
            yield Violation(context.at(alert.rule.place, "annotations"), message, "write the runbook, or mend the link")
    for scenario in context.scenarios:
        if context.runbooks is not None and scenario.runbook and scenario.runbook not in context.runbooks:
            message = (
                f"the scenario {scenario.name} names the runbook {scenario.runbook}, which runbooks/ does not hold"
            )
            yield Violation(scenario.place, message, "write the runbook, or correct the name")


def _runbook(alert: Alert) -> str:
    texts = {**alert.rule.labels, **alert.rule.annotations}
    return next((text.strip() for key, text in texts.items() if _RUNBOOK.search(key) and text.strip()), "")
