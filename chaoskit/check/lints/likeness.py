"""Does a rule carry the labels that similar rules carry, with the same names and with values that are used elsewhere?

The one idea: labels decide who is told, and a label that is missing, misspelt or has a value of its own is no error to
any program. It shows only beside the other rules of its file, and by what routes and inhibitions match on.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from chaoskit.alerting.model import Labels, Rule
from chaoskit.alerting.routing import alert_labels, receivers_of
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext

_LEAST = 3
"""Rules that a file must have before one of its labels counts as usual."""
_SURE = 4
"""Other rules of its kind that must all have a label before its absence is certainly a slip."""
_NEAR = 0.75
_FEW = 3
"""Values of a label beside which one more is odd, though it is like none of them."""


@lint("unlike-its-like", Severity.WARNING, "rules", ("rules",))
def unlike_its_like(context: LintContext) -> Iterator[Violation]:
    """A label that nearly all rules of a file set, or that routes or inhibitions match on, is missing, misspelt or has
    a value that stands nowhere else.

    Labels decide who is told and what is muted: the alert goes another way than its like, and no program objects.
    """
    every = [alert.rule for alert in context.alerts]
    matched = _matched(context)
    names = Counter(name for rule in every for name in rule.labels)
    values: dict[str, Counter[str]] = {}
    for rule in every:
        for label, value in rule.labels.items():
            values.setdefault(label, Counter())[value] += 1
    by_file: dict[str, list[Rule]] = {}
    for rule in every:
        by_file.setdefault(rule.place.file, []).append(rule)
    for mine in by_file.values():
        like = mine if len(mine) >= _LEAST else every
        if len(like) < _LEAST:
            continue
        set_here = Counter(name for rule in like for name in rule.labels)
        for rule in mine:
            for label, count in set_here.items():
                others = len(like) - 1
                if label not in rule.labels and (2 * count > others if label in matched else 10 * count >= 9 * others):
                    yield from _missing(context, rule, label, count, like, names)
                elif label in rule.labels and (label in matched or 10 * (count - 1) >= 9 * others):
                    yield from _alone(context, rule, label, values[label], matched.get(label, frozenset()))


def _matched(context: LintContext) -> dict[str, frozenset[str]]:
    """The labels that routes and inhibitions match on, with the values that stand in their matchers."""
    sides = [route.matchers for route in context.tree.routes]
    sides += [side for rule in context.config.inhibit_rules for side in (rule.source, rule.target)]
    found: dict[str, frozenset[str]] = {}
    for matcher in (each for side in sides for each in side if each.label != "alertname"):
        values = frozenset(matcher.value.split("|"))
        found[matcher.label] = found.get(matcher.label, frozenset()) | values
    return found


def _missing(
    context: LintContext, rule: Rule, label: str, count: int, like: Sequence[Rule], names: Counter[str]
) -> Iterator[Violation]:
    own = [name for name in rule.labels if names[name] == 1 and _near(name, label)]
    # The most of them may miss it, and an expression that speaks of it may bring it.
    if not own and (count < len(like) - max(1, len(like) // 10) or re.search(rf"\b{re.escape(label)}\b", rule.expr)):
        return
    usual = Counter(each.labels[label] for each in like if label in each.labels).most_common(1)[0][0]
    share = "every other rule" if count == len(like) - 1 else f"{count} of {len(like)} rules"
    value = rule.labels[own[0]] if own else usual
    said = f'"{own[0]}" stands once and "{label}" in {share}; ' if own else ""
    more = "" if own else f", which {share} of its kind has" if count == len(like) - 1 else f", which {share} have"
    lost = _consequence(context, rule, {label: value})
    yield Violation(
        context.at(rule.place, "labels"),
        f"{said}{rule.alert} has no {label}{more}{lost}",
        f"call it {label}" if own else f"add {label}",
        # With all others alike and other receivers told, it is no matter of taste.
        Severity.ERROR if lost and count == len(like) - 1 >= _SURE else None,
    )


def _alone(
    context: LintContext, rule: Rule, label: str, values: Counter[str], named: frozenset[str]
) -> Iterator[Violation]:
    value = rule.labels[label]
    # One that is matched on by its name says nothing.
    if values[value] > 1 or value in named or "{{" in value:
        return
    # Where others have values of their own too, one more says nothing either.
    rules, kinds = values.total() - 1, len(values) - 1
    told_apart = 3 * sum(values[each] for each in named) >= 2 * rules
    if rules < _LEAST or not (kinds <= max(1, rules // 3) or told_apart):
        return
    others = Counter({each: count for each, count in values.items() if each != value})
    near = difflib.get_close_matches(value, others, n=1, cutoff=_NEAR)
    if not told_apart and not near and kinds > _FEW:
        return
    usual = near[0] if near else others.most_common(1)[0][0]
    known = ", ".join(sorted(others))
    yield Violation(
        context.at(rule.place, "labels"),
        f'{label} "{value}" of {rule.alert} stands nowhere else; other rules have {known}'
        f"{_consequence(context, rule, {label: usual})}",
        f"write {usual}" if near else f"write one of {known}, or lead {value} to a receiver",
    )


def _near(name: str, label: str) -> bool:
    return difflib.SequenceMatcher(None, name.casefold(), label.casefold()).ratio() >= _NEAR


def _consequence(context: LintContext, rule: Rule, mended: Labels) -> str:
    """The receivers of the rule's alerts now, and with the labels of similar rules; empty where they are the same."""
    if not context.has("alertmanager"):
        return ""
    both = rule, replace(rule, labels={**rule.labels, **mended})
    now, like = (receivers_of(context.config, alert_labels(context.config, each, {})) for each in both)
    if now == like:
        return ""
    return f", so it goes to {_all(now)} where its like go to {_all(like)}"


def _all(receivers: Sequence[str]) -> str:
    return " and ".join(receivers) or "no receiver"
