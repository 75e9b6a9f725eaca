"""What the texts of an alert query (`{{ with query "up == 0" }}`), and series for it beside those of the expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import promql_parser as promql

from chaoskit.alerting.model import Rule
from chaoskit.faults.scripted import Scripted
from chaoskit.rehearse.derive import Guess, closure, labels_for, metric_names, queried, shared_for
from chaoskit.rehearse.placing import Choices
from chaoskit.rehearse.script import CannotDerive
from chaoskit.rehearse.solve import Solver

_COURSES = ((True, True), (False, True))
"""A query should have a result all the time, or at least once the alert is there."""


def looks_at(rule: Rule, records: Mapping[str, Rule]) -> set[str]:
    """The metrics that the rule's texts query."""
    exprs = queried(rule, {})
    read = {record.expr for expr in exprs for record in closure(replace(rule, expr=expr), records).values()}
    return {name for expr in (*exprs, *read) for name in metric_names(expr)}


def fed(rule: Rule, guess: Guess, records: Mapping[str, Rule], interval_s: float) -> Guess:
    """The guess with series for what the texts query, of metrics that it has none of."""
    read = closure(rule, records)
    labels, shared = labels_for(rule, read, guess.mark), shared_for(rule, read, guess.mark)
    found: dict[str, Scripted] = {one.key: one for one in guess.series}
    there = {one.name for one in guess.series}
    for query in queried(rule, labels):
        for course in _COURSES:
            solver = Solver(records, labels, guess.mark, interval_s, Choices(), shared)
            try:
                solver.truth(promql.parse(query), *course)
            except (CannotDerive, ValueError, ArithmeticError, RecursionError):
                continue
            more = [leaf.scripted(interval_s) for leaf in solver.script if leaf.name not in there]
            found |= {one.key: one for one in more if one.key not in found}
            break
    return Guess(tuple(found.values()), guess.mark)
