"""Placing series: from a selector and a wanted course to a leaf of the script, through recording rules or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import promql_parser as promql

from chaoskit.alerting.model import Matcher, Rule
from chaoskit.alerting.routing import matches_all
from chaoskit.rehearse.inverse import each
from chaoskit.rehearse.script import CannotDerive, Leaf, Pair, Script
from chaoskit.rehearse.selectors import label_values
from chaoskit.rehearse.tree import matchers_of, metric_of, promql_text


@dataclass(frozen=True, slots=True)
class Choices:
    """One way of deriving, among several that are tried in turn."""

    generosity: int = 0
    shared: bool = True
    """Every series of the rule carries the labels that any selector of it asks for, so that vectors match."""
    expand: bool = True
    """Recording rules are followed to their sources; otherwise their results are scripted themselves."""
    denominator_first: bool = True
    guards_stay: bool = False
    """Both sides of `and` hold at rest as well, except the first."""
    alternative: int = 0
    """Which side of `or` is taken."""


@dataclass(slots=True)
class Placing:
    """The state of one derivation, and how it places series; `script` holds them afterwards."""

    records: Mapping[str, Rule]
    labels: Mapping[str, str]
    """What every series carries where its selector leaves the choice."""
    mark: str
    interval_s: float
    choices: Choices
    shared: Mapping[str, str] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    copy: int = 0
    clocked: bool = False
    extra: tuple[Matcher, ...] = ()
    depth: int = 0
    summing: bool = False
    instants: frozenset[str] = frozenset()
    """Records whose value is a point on the clock."""
    apart: frozenset[str] = frozenset({"instance"})
    """The labels in which the series of one metric differ where several are wanted."""

    def _put(self, selector: Any, shape: Any, want: Pair, more: Mapping[str, str] | None = None) -> Leaf:
        labels = {**self.labels_for(selector), **(more or {})}
        name = metric_of(selector)
        if name in ("ALERTS", "ALERTS_FOR_STATE"):
            raise CannotDerive("it reads the state of other alerts")
        if not all(map(math.isfinite, want)):
            raise CannotDerive(f"{name} would need a value without bound")
        leaf = Leaf(name, labels, shape, want, self.summing, self.clocked and shape == "value")
        there = self.script.get(name, labels)
        if there is None and self.summing:
            self._make_room(leaf)
        return self.script.put(leaf)

    def _make_room(self, leaf: Leaf) -> None:
        """A sum over all statuses contains that over one: what the part takes, the whole gives."""
        for other in self.script.of(leaf.name):
            left = each(lambda a, b: a - b, other.levels, leaf.levels)
            if other.summed and other.shape == leaf.shape and min(left) >= 0:
                other.levels = left

    def labels_for(self, selector: Any) -> dict[str, str]:
        """The labels of a series that the selector picks; raises CannotDerive where none satisfy its matchers."""
        wanted = dict(self.labels)
        if self.copy:
            wanted |= {label: f"{wanted.get(label, self.mark)}-{self.copy}" for label in self.apart}
        if self.choices.shared:
            wanted |= self.shared
        found = label_values((*matchers_of(selector), *self.extra), wanted, self.mark)
        if found is None:
            raise CannotDerive(f"no labels satisfy all matchers of '{promql_text(selector)}'")
        return found

    def record_of(self, selector: Any) -> Rule | None:
        """The recording rule behind a selector, where such rules are followed."""
        if not self.choices.expand or self.depth > 8:
            return None
        return self.records.get(selector.name or "")

    def through(self, record: Rule, selector: Any, go: Callable[[Any], None]) -> None:
        """Goes on into a recording rule's expression; raises CannotDerive where its own labels are not asked for."""
        kept = [m for m in matchers_of(selector) if m.label not in record.labels]
        fixed = [m for m in matchers_of(selector) if m.label in record.labels]
        if not matches_all(fixed, record.labels):
            raise CannotDerive(f"the recording rule {record.record} has other labels than are asked for")
        before, self.extra, self.depth = self.extra, (*self.extra, *kept), self.depth + 1
        try:
            go(promql.parse(record.expr))
        finally:
            self.extra, self.depth = before, self.depth - 1
