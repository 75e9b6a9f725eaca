"""How an expression reads its series: how far back, which samples it waits for, which jobs feed it.

The one idea: every series selector is found once, with all that stands around it, and followed through the
recording rules that make it. `@` modifiers and the ALERTS series are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

from chaoskit.alerting.expression import Expr, expression
from chaoskit.alerting.model import AlertConfig, Matcher, Rule, ScrapeJob
from chaoskit.alerting.routing import matches_all, values_of

NAME = "__name__"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Selector:
    """One series selector; `reach_s` is how old the oldest sample is that it looks at, in seconds."""

    matchers: tuple[Matcher, ...]
    """The selector's label matchers, with the metric's name as `__name__`."""
    reach_s: float
    names: frozenset[str] | None = None
    """The few names of which it selects one, where a matcher tells them; None: any that `selects`."""

    def selects(self, label: str, value: str) -> bool:
        """Whether series with this value of the label can be selected."""
        return matches_all((each for each in self.matchers if each.label == label), {label: value})


@lru_cache(maxsize=32_768)
def selectors(expr: str) -> tuple[Selector, ...]:
    """The series selectors of an expression, in its order; raises ValueError when it does not parse.

    Ranges, subquery ranges and offsets around a selector add up, since each looks further into the past.
    """
    return tuple(_selectors(expression(expr), 0.0))


def once(of: Callable[[AlertConfig, Rule], T]) -> Callable[[AlertConfig, Rule], T]:
    """The answer of a function about a rule, worked out once a rule and configuration, and kept with the latter."""

    @wraps(of)
    def asked(config: AlertConfig, rule: Rule) -> T:
        key = of.__name__, id(rule)
        known = config.found.get(key)
        if known is None or known[0] is not rule:  # one that came from another process brings identities of there
            known = config.found[key] = rule, of(config, rule)
        answer: T = known[1]
        return answer

    return asked


@once
def range_of(config: AlertConfig, rule: Rule) -> float:
    """Seconds that the rule's expression reaches into the past, through recording rules.

    As long as that after a change, the expression may still be under the influence of what was before.
    """
    return _reach(config, rule, {})


@once
def recording_delay(config: AlertConfig, rule: Rule) -> float:
    """Seconds at most until a scraped sample has gone through the recording rules that the rule reads.

    Each step into another group costs one interval of that group, and so does a recording rule that stands
    behind its reader in the same group; of several paths the longest counts. Groups' query offsets add up.
    """
    return _delay(config, rule, {})


@once
def feeding_jobs(config: AlertConfig, rule: Rule) -> tuple[ScrapeJob, ...]:
    """The scrape jobs whose samples the rule may read: those its selectors name by `job`, otherwise all."""
    read = list(_sources(config, rule, set()))
    return tuple(job for job in config.jobs if any(each.selects("job", job.name) for each in read)) or config.jobs


def unread_below(config: AlertConfig, rule: Rule) -> tuple[str, ...]:
    """The records that the rule rests on and that could not be read."""
    leaves = list(_sources(config, rule, set())) if config.not_understood else []
    return tuple(name for name in config.unread if any(leaf.selects(NAME, name) for leaf in leaves))


def _selectors(node: Expr, reach_s: float) -> Iterator[Selector]:
    if node.kind != "selector":
        further_s = node.range_s + node.offset_s if node.kind == "subquery" else 0.0
        for child in node.children:
            yield from _selectors(child, reach_s + further_s)
        return
    named = node.name and not any(each.label == NAME for each in node.matchers)
    matchers = (Matcher(NAME, "=", node.name), *node.matchers) if named else node.matchers
    told = [values for m in matchers if m.label == NAME and (values := values_of(m)) is not None]
    yield Selector(matchers, max(0.0, reach_s + node.range_s + node.offset_s), min(told, key=len, default=None))


def recorded_by(config: AlertConfig, selector: Selector) -> list[Rule]:
    """The recording rules whose series the selector can select."""
    names = config.recorded if selector.names is None else selector.names & config.recorded.keys()
    return [rule for name in names if selector.selects(NAME, name) for rule in config.recorded[name]]


def _reach(config: AlertConfig, rule: Rule, known: dict[int, float]) -> float:
    """How far a rule looks back. `known` holds what was found, by identity: rules that read one another in a circle
    count once, and a rule that many read is walked once."""
    if id(rule) not in known:
        known[id(rule)] = 0.0
        known[id(rule)] = max(
            (
                selector.reach_s
                + max((_reach(config, each, known) for each in recorded_by(config, selector)), default=0.0)
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
            for recorded in recorded_by(config, selector)
            if recorded is not rule
        ]
        known[id(rule)] = rule.query_offset_s + max(steps, default=0.0)
    return known[id(rule)]


def _step(config: AlertConfig, reader: Rule, recorded: Rule) -> float:
    same_group = (reader.place.file, reader.group) == (recorded.place.file, recorded.group)
    before = recorded.place.line < reader.place.line
    if recorded.place.line == reader.place.line:
        before = config.rules.index(recorded) < config.rules.index(reader)
    return 0.0 if same_group and before else recorded.interval_s


def _sources(config: AlertConfig, rule: Rule, seen: set[int]) -> Iterator[Selector]:
    """The selectors of scraped series, through recording rules, each of which is followed once."""
    seen.add(id(rule))
    for selector in selectors(rule.expr):
        recorded = recorded_by(config, selector)
        for below in recorded:
            if id(below) not in seen:
                yield from _sources(config, below, seen)
        if not recorded:
            yield selector
