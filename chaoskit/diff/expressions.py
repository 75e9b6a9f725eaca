"""Expressions compared by what they mean: spaces, line breaks and comments are nobody's business.

The one idea: the parser's own print of a syntax tree is the same for the same tree. Recording rules that an
expression reads belong to its meaning: a ratio recorded over another range is another condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from chaoskit.alerting.model import Rule
from chaoskit.alerting.rules import parse_expression
from chaoskit.alerting.windows_expression import NAME, selectors
from chaoskit.check.alerts import values_of


@lru_cache(maxsize=65_536)
def meaning(expr: str) -> str:
    """The expression as its syntax tree prints; the text itself where the tree does not."""
    try:
        return str(parse_expression(expr).prettify())
    except (AttributeError, ValueError):
        return " ".join(expr.split())


class Recorded:
    """A configuration's recording rules, for asking which of them an expression rests on."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.record:
                self._by.setdefault(rule.record, []).append(rule)

    def below(self, expr: str) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """By recorded name, with all that lies below: what each of its rules means, and its labels."""
        found: dict[str, tuple[tuple[str, ...], ...]] = {}
        left = [expr]
        while left:
            for name in self._names(left.pop()):
                if name not in found:
                    rules = self._by[name]
                    labels = [",".join(f"{k}={v}" for k, v in sorted(rule.labels.items())) for rule in rules]
                    found[name] = tuple(
                        sorted((meaning(rule.expr), own) for rule, own in zip(rules, labels, strict=True))
                    )
                    left += [rule.expr for rule in rules]
        return found

    def mentioned(self, templates: Sequence[str]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """As `below`, of every recorded name that stands in one of these texts, whatever it is there."""
        words = {word for text in templates for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text)}
        found: dict[str, tuple[tuple[str, ...], ...]] = {}
        for name in sorted(words & self._by.keys()):
            found |= self.below(name)
        return found

    def rules(self, name: str) -> Sequence[Rule]:
        """The rules that record this name."""
        return self._by.get(name, ())

    def _names(self, expr: str) -> list[str]:
        names: set[str] = set()
        for selector in selectors(expr):
            named = [v for m in selector.matchers if m.label == NAME and (v := values_of(m)) is not None]
            pool = self._by.keys() & (min(named, key=len) if named else self._by.keys())
            names |= {name for name in pool if selector.selects(NAME, name)}
        return sorted(names)
