"""Which scenarios: by name, by expression (`-k`), by tag (`-m`), what failed last (`--lf`), what fits a budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from chaoskit.errors import BadInput, Problem

_TOKEN = re.compile(r"\s*(?:(\()|(\))|([^\s()]+))")

Test = Callable[[Iterable[str]], bool]


def expression(text: str, option: str, *, whole: bool) -> Test:
    """A test of words by `and`, `or`, `not` and parentheses, as in pytest.

    `whole` compares whole words (tags), otherwise a word is found inside any of them (names, alerts), whatever its
    case. Raises BadInput for a text that is no such expression.
    """
    tokens = [match.group(0).strip() for match in _TOKEN.finditer(text)]
    parser = _Parser(tokens, whole)
    try:
        test = parser.either()
    except IndexError:
        test = None
    if test is None or parser.left:
        hint = "write for example 'worker and not cache'"
        raise BadInput(Problem(None, f"{option} {text!r} is not an expression", hint))
    return test


class _Parser:
    def __init__(self, tokens: list[str], whole: bool) -> None:
        self.left = tokens
        self._whole = whole

    def either(self) -> Test | None:
        found = self._both()
        while found and self.left and self.left[0] == "or":
            self.left.pop(0)
            more, so_far = self._both(), found
            if more is None:
                return None
            found = _any(so_far, more)
        return found

    def _both(self) -> Test | None:
        found = self._one()
        while found and self.left and self.left[0] == "and":
            self.left.pop(0)
            more, so_far = self._one(), found
            if more is None:
                return None
            found = _all(so_far, more)
        return found

    def _one(self) -> Test | None:
        token = self.left.pop(0)
        if token == "not":
            inner = self._one()
            return inner and _none(inner)
        if token == "(":
            inner = self.either()
            return inner if self.left.pop(0) == ")" else None
        if token in ("and", "or", ")"):
            return None
        wanted = token.lower()
        if self._whole:
            return lambda words: wanted in (word.lower() for word in words)
        return lambda words: any(wanted in word.lower() for word in words)


def _any(one: Test, other: Test) -> Test:
    return lambda words: one(words) or other(words)


def _all(one: Test, other: Test) -> Test:
    return lambda words: one(words) and other(words)


def _none(one: Test) -> Test:
    return lambda words: not one(words)


Takes = Callable[[Sequence[str]], float]


def within_budget(proves: Mapping[str, frozenset[str]], takes_s: Takes, budget_s: float) -> list[str]:
    """Names that together prove much within the budget, in the order of their worth; then whatever still fits.

    `takes_s` gives what a whole selection takes, since scenarios that run together share their time. The best
    selection is a hard problem; of two greedy ones, by what is gained for the time and by what is gained at all,
    the one that proves more is taken (the shorter of two equals).
    """
    found = [_greedy(proves, takes_s, budget_s, hurried) for hurried in (True, False)]
    best = max(found, key=lambda names: (len(_proven(proves, names)), -(takes_s(names) if names else 0.0)))
    return _filled(best, sorted(set(proves) - set(best)), takes_s, budget_s)


def _filled(chosen: list[str], others: list[str], takes_s: Takes, budget_s: float) -> list[str]:
    """With what proves nothing that is not proven already, the quickest first, until the time is used."""
    filled = list(chosen)
    for name in sorted(others, key=lambda one: takes_s([one])):
        if takes_s([*filled, name]) <= budget_s:
            filled.append(name)
    return filled


def _greedy(proves: Mapping[str, frozenset[str]], takes_s: Takes, budget_s: float, hurried: bool) -> list[str]:
    chosen: list[str] = []
    while True:
        proven, now_s = _proven(proves, chosen), takes_s(chosen) if chosen else 0.0
        worth = {}
        for name in sorted(set(proves) - set(chosen)):
            gain = len(proves[name] - proven)
            with_it_s = takes_s([*chosen, name]) if gain else 0.0
            if gain and with_it_s <= budget_s:
                more_s = max(0.5, with_it_s - now_s)
                worth[name] = (gain / more_s if hurried else float(gain), -more_s)
        if not worth:
            return chosen
        chosen.append(max(worth, key=worth.__getitem__))


def _proven(proves: Mapping[str, frozenset[str]], names: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(proves[name] for name in names))
