"""Labels for a series that a selector must find: a value for each matcher, and a mark of its own for the rest.

The mark tells the series of one rule from those of every other that reads the same metric.
"""

from __future__ import annotations

import re
import re._constants as ops  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from chaoskit.alerting.model import Matcher
from chaoskit.alerting.routing import matches

_TRIED = 40
_ANYTHING = re.compile(r"\.[*+]")


def label_values(matchers: Iterable[Matcher], wanted: Mapping[str, str], mark: str) -> dict[str, str] | None:
    """Labels that satisfy every matcher, `wanted` where the matchers leave the choice; None where they contradict."""
    by_label: dict[str, list[Matcher]] = {}
    for matcher in matchers:
        by_label.setdefault(matcher.label, []).append(matcher)
    labels = dict(wanted)
    for label, all_of in by_label.items():
        found = next((value for value in _tries(label, all_of, wanted, mark) if _all(all_of, label, value)), None)
        if found is None:
            return None
        labels[label] = found
    return {label: value for label, value in labels.items() if value}


def _all(matchers: list[Matcher], label: str, value: str) -> bool:
    return all(matches(matcher, {label: value} if value else {}) for matcher in matchers)


def _tries(label: str, matchers: list[Matcher], wanted: Mapping[str, str], mark: str) -> Iterator[str]:
    if label in wanted:
        yield wanted[label]
    yield from (each.value for each in matchers if each.op == "=")
    yield mark
    for each in matchers:
        if each.op == "=~":  # what may be anything is what tells one series from another
            own = _ANYTHING.sub(lambda _: wanted.get(label, mark), each.value)
            yield from islice(_examples(own), _TRIED)
    for each in matchers:
        if each.op == "=~":
            yield from islice(_examples(each.value), _TRIED)
    yield from ("", "other", "0", "1", "/", "/data")


def _examples(pattern: str) -> Iterator[str]:
    try:
        tree = parser.parse(pattern)
    except Exception:  # what Python's expressions do not know, RE2's may
        return
    for few in (0, 1, 2):
        for choice in range(4):
            yield _text(tree, choice, few)


def _text(items: Any, choice: int, few: int) -> str:
    return "".join(_one(op, arg, choice, few) for op, arg in items)


def _one(op: Any, arg: Any, choice: int, few: int) -> str:
    if op is ops.LITERAL:
        return chr(arg)
    if op is ops.NOT_LITERAL:
        return "a" if arg != ord("a") else "b"
    if op is ops.ANY:
        return "a"
    if op is ops.IN:
        return _member(arg)
    if op is ops.BRANCH:
        branches = arg[1]
        return _text(branches[choice % len(branches)], choice, few)
    if op is ops.SUBPATTERN:
        return _text(arg[-1], choice, few)
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        least, most, inner = arg
        return _text(inner, choice, few) * int(min(max(least, few), most))
    return ""


def _member(items: Any) -> str:
    negated = items[0][0] is ops.NEGATE
    if not negated:
        op, arg = items[0]
        if op is ops.LITERAL:
            return chr(arg)
        if op is ops.RANGE:
            return chr(arg[0])
        if arg is ops.CATEGORY_DIGIT:
            return "1"
        return " " if arg is ops.CATEGORY_SPACE else "a"
    taken = {arg for op, arg in items if op is ops.LITERAL}
    return next(c for c in "aA1-_xyz" if ord(c) not in taken)
