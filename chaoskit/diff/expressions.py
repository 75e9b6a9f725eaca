"""Expressions compared by meaning: spaces, line breaks and comments make no difference.

The one idea: the parser's own print of a syntax tree is the same for the same tree. Recording rules that an
expression reads belong to its meaning: a ratio recorded over another range is another condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from chaoskit.alerting.expression import printed
from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.alerting.windows_expression import recorded_by, selectors


@lru_cache(maxsize=65_536)
def meaning(expr: str) -> str:
    """The expression as its syntax tree prints it, to compare meanings; the text itself where it does not parse."""
    try:
        return printed(expr)
    except ValueError:
        return " ".join(expr.split())


def below(config: AlertConfig, expr: str) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Meanings and labels of recording rules by name, for all names that the expression reads, at any depth."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    left = [expr]
    while left:
        read = (rule for each in selectors(left.pop()) for rule in recorded_by(config, each))
        for name in sorted({rule.record for rule in read}):
            if name not in found:
                rules = config.recorded[name]
                labels = [",".join(f"{k}={v}" for k, v in sorted(rule.labels.items())) for rule in rules]
                found[name] = tuple(sorted((meaning(rule.expr), own) for rule, own in zip(rules, labels, strict=True)))
                left += [rule.expr for rule in rules]
    return found


def mentioned(config: AlertConfig, templates: Sequence[str]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """The same as `below`, for every recorded name that occurs as a word in one of these texts."""
    words = {word for text in templates for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text)}
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for name in sorted(words & config.recorded.keys()):
        found |= below(config, name)
    return found


def behind(config: AlertConfig, rule: Rule) -> set[str]:
    """All recorded names that the rule's expression or the queries in its annotations read, at any depth."""
    return {*below(config, rule.expr), *mentioned(config, tuple(rule.annotations.values()))}
