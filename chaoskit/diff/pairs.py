"""Which alert of the new configuration is which of the old one.

The one idea: the name decides; of several rules with one name the labels do, then the expression, then the order.
What is left over is a new name for the same thing where expression and `for` agree.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaoskit.alerting.model import Rule
from chaoskit.diff.expressions import meaning
from chaoskit.explain.subject import Subject


@dataclass(frozen=True, slots=True)
class Pair:
    """One alert in both configurations; None on the side where it is not."""

    old: Subject | None
    new: Subject | None


def pairs(old: Sequence[Subject], new: Sequence[Subject]) -> Iterator[Pair]:
    """Every alert of both, the old configuration's order first."""
    found: dict[int, Subject] = {}
    left, right = list(old), list(new)
    for identity in (_name_labels_meaning, _name_labels, _name_meaning, _name):
        left, right = _match(left, right, identity, found)
    # A rename is told only where it is beyond doubt: one alert of that meaning went, one came.
    candidates = _unique(left, _meaning), _unique(right, _meaning)
    for key in candidates[0].keys() & candidates[1].keys():
        found[id(candidates[0][key])] = candidates[1][key]
    taken = {id(each) for each in found.values()}
    for each in old:
        yield Pair(each, found.get(id(each)))
    for each in new:
        if id(each) not in taken:
            yield Pair(None, each)


def _match(
    left: list[Subject], right: list[Subject], identity: Callable[[Rule], Hashable], found: dict[int, Subject]
) -> tuple[list[Subject], list[Subject]]:
    by: dict[Hashable, list[Subject]] = {}
    for each in reversed(right):
        by.setdefault(identity(each.rule), []).append(each)
    rest = []
    for each in left:
        same = by.get(identity(each.rule))
        if same:
            found[id(each)] = same.pop()
        else:
            rest.append(each)
    over = {id(each) for some in by.values() for each in some}
    return rest, [each for each in right if id(each) in over]


def _unique(subjects: Iterable[Subject], identity: Callable[[Rule], Hashable]) -> dict[Hashable, Subject]:
    by: dict[Hashable, list[Subject]] = {}
    for each in subjects:
        by.setdefault(identity(each.rule), []).append(each)
    return {key: some[0] for key, some in by.items() if len(some) == 1}


def _labels(rule: Rule) -> Hashable:
    return frozenset(rule.labels.items())


def _meaning(rule: Rule) -> Hashable:
    return meaning(rule.expr), rule.for_s


def _name_labels_meaning(rule: Rule) -> Hashable:
    return rule.alert, _labels(rule), meaning(rule.expr)


def _name_labels(rule: Rule) -> Hashable:
    return rule.alert, _labels(rule)


def _name_meaning(rule: Rule) -> Hashable:
    return rule.alert, meaning(rule.expr)


def _name(rule: Rule) -> Hashable:
    return rule.alert
