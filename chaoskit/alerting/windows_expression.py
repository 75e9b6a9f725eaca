"""What an expression looks at: how far back it reaches, whose samples it waits for, which jobs feed it.

The one idea: every series selector is found once, with all that stands around it, and followed through the
recording rules that make it. `@` modifiers and the ALERTS series are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import promql_parser

from chaoskit.alerting.model import AlertConfig, Matcher, Rule, ScrapeJob
from chaoskit.alerting.routing import matches_all
from chaoskit.alerting.rules import parse_expression

NAME = "__name__"
_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class Selector:
    """One series selector; `reach_s` is how old the oldest sample is that it looks at, in seconds."""

    matchers: tuple[Matcher, ...]
    """The metric's name among them, as `__name__`."""
    reach_s: float

    def selects(self, label: str, value: str) -> bool:
        """Whether series with this value of the label can be selected."""
        return matches_all((each for each in self.matchers if each.label == label), {label: value})


@lru_cache(maxsize=32_768)
def selectors(expr: str) -> tuple[Selector, ...]:
    """The series selectors of an expression, in its order; raises ValueError when it does not parse.

    Ranges, subquery ranges and offsets around a selector add up, since each looks further into the past.
    """
    return tuple(_selectors(parse_expression(expr), 0.0))


def range_of(config: AlertConfig, rule: Rule) -> float:
    """Seconds that the rule's expression reaches into the past, through recording rules.

    As long as that after a change, the expression may still be under the influence of what was before.
    """
    return _reach(config, rule, {})


def recording_delay(config: AlertConfig, rule: Rule) -> float:
    """Seconds at most until a scraped sample has gone through the recording rules that the rule reads.

    Each step into another group costs one interval of that group, and so does a recording rule that stands
    behind its reader in the same group; of several paths the longest counts. Groups' query offsets add up.
    """
    return _delay(config, rule, {})


def feeding_jobs(config: AlertConfig, rule: Rule) -> tuple[ScrapeJob, ...]:
    """The scrape jobs whose samples the rule may read: those its selectors name by `job`, otherwise all."""
    found = {job for job in config.jobs for each in _sources(config, rule, set()) if each.selects("job", job.name)}
    return tuple(job for job in config.jobs if job in found) or config.jobs


def unread_below(config: AlertConfig, rule: Rule) -> tuple[str, ...]:
    """The records that the rule rests on and that could not be read."""
    leaves = list(_sources(config, rule, set())) if config.not_understood else []
    return tuple(name for name in config.unread if any(leaf.selects(NAME, name) for leaf in leaves))


def _selectors(node: Any, reach_s: float) -> Iterator[Selector]:
    match node:
        case promql_parser.VectorSelector():
            yield _selector(node, reach_s)
        case promql_parser.MatrixSelector():
            yield _selector(node.vector_selector, reach_s + _seconds(node.range))
        case promql_parser.SubqueryExpr():
            yield from _selectors(node.expr, reach_s + _seconds(node.range) + _seconds(node.offset))
        case promql_parser.BinaryExpr():
            yield from _selectors(node.lhs, reach_s)
            yield from _selectors(node.rhs, reach_s)
        case promql_parser.Call():
            for argument in node.args:
                yield from _selectors(argument, reach_s)
        case promql_parser.AggregateExpr():
            yield from _selectors(node.expr, reach_s)
            if node.param is not None:
                yield from _selectors(node.param, reach_s)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            yield from _selectors(node.expr, reach_s)


def _selector(node: Any, reach_s: float) -> Selector:
    named = [Matcher(NAME, "=", node.name)] if node.name else []
    written = [Matcher(each.name, _OPS[str(each.op).rpartition(".")[2]], each.value) for each in node.matchers.matchers]
    return Selector((*named, *written), max(0.0, reach_s + _seconds(node.offset)))


def _seconds(span: timedelta | None) -> float:
    return span.total_seconds() if span else 0.0


def _recorded(config: AlertConfig, selector: Selector) -> Iterator[Rule]:
    """The recording rules whose series the selector can select."""
    recording = [rule for rule in config.rules if rule.record]
    chosen = _chosen(tuple(rule.record for rule in recording), selector)
    return (recording[number] for number in chosen)


@lru_cache(maxsize=32_768)
def _chosen(names: tuple[str, ...], selector: Selector) -> tuple[int, ...]:
    """Which of these names a selector takes; asked for again by every rule that reads the same."""
    return tuple(number for number, name in enumerate(names) if selector.selects(NAME, name))


def _reach(config: AlertConfig, rule: Rule, known: dict[int, float]) -> float:
    """How far a rule looks back. `known` holds what was found, by identity: rules that read one another in a circle
    count once, and a rule that many read is walked once."""
    if id(rule) not in known:
        known[id(rule)] = 0.0
        known[id(rule)] = max(
            (
                selector.reach_s
                + max((_reach(config, each, known) for each in _recorded(config, selector)), default=0.0)
                for selector in selectors(rule.expr)
            ),
            default=0.0,
        )
    return known[id(rule)]


def _delay(config: AlertConfig, rule: Rule, known: dict[int, float]) -> float:
    """Through how many intervals a sample goes until the rule sees it; `known` as for `_reach`."""
    if id(rule) not in known:
        known[id(rule)] = 0.0
        steps = [
            _step(config, rule, recorded) + _delay(config, recorded, known)
            for selector in selectors(rule.expr)
            for recorded in _recorded(config, selector)
            if recorded is not rule
        ]
        known[id(rule)] = rule.query_offset_s + max(steps, default=0.0)
    return known[id(rule)]


def _step(config: AlertConfig, reader: Rule, recorded: Rule) -> float:
    same_group = (reader.place.file, reader.group) == (recorded.place.file, recorded.group)
    if same_group and config.rules.index(recorded) < config.rules.index(reader):
        return 0.0
    return recorded.interval_s


def _sources(config: AlertConfig, rule: Rule, seen: set[int]) -> Iterator[Selector]:
    """The selectors of scraped series, through recording rules, each of which is followed once."""
    seen.add(id(rule))
    for selector in selectors(rule.expr):
        recorded = list(_recorded(config, selector))
        for below in recorded:
            if id(below) not in seen:
                yield from _sources(config, below, seen)
        if not recorded:
            yield selector
