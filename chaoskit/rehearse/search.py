"""Series for an expression by trial: every series that it reads gets a level out of its own numbers, again and again.

Where a condition cannot be walked backwards (one series on both sides of a comparison, a sum that holds its own part,
a count of versions, a ratio of overlapping selectors), a small search finds levels nevertheless: the numbers in the
expression and their neighbours are where its truth changes. The choices are drawn by a generator that is seeded with
the expression, so the same rule gets the same series everywhere. The real engine says which of them hold.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chaoskit.alerting.expression import Expr, expression, walk
from chaoskit.alerting.promql_syntax import COMPARISONS
from chaoskit.alerting.quantity import constant as number_of
from chaoskit.faults.series import NEVER, Scripted, Segment, Values, constant, slope
from chaoskit.rehearse.script import CannotDerive
from chaoskit.rehearse.solve import Choices, Solver
from chaoskit.rehearse.tree import COUNTERS, is_constant, metric_of, reads_clock

Use = Literal["value", "slope", "counter", "toggle", "bucket"]
_USES: Mapping[str, Use] = {
    **dict.fromkeys(COUNTERS, "counter"),
    **dict.fromkeys(("delta", "idelta", "deriv", "predict_linear"), "slope"),
    **dict.fromkeys(("changes", "resets"), "toggle"),
}
"""By function, how it reads its series, where that is not as what stands around it does."""
_MOST_COPIES = 150
_DAY_S = 86400.0
_LONGEST_AGO_S = 2 * _DAY_S
_EDGES_S = (0.005, 0.05, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 1e6, math.inf)
_GROWTH = 60
"""Steps of a value that multiplies itself, after which it stays."""


@dataclass(frozen=True, slots=True)
class Read:
    """One series that an expression reads, and how."""

    name: str
    labels: tuple[tuple[str, str], ...]
    use: Use
    clocked: bool = False


def reads(node: Expr, solver: Solver, varied: frozenset[str]) -> dict[str, Read]:
    """The series below a node, one for each selector, by identity; `varied` labels tell the copies apart."""
    found: dict[str, Read] = {}

    def read(one: Expr, use: Use, clocked: bool) -> None:
        match one.kind:
            case "selector":
                if (record := solver.record_of(one)) is not None:
                    solver.through(record, one, lambda inner: read(inner, use, clocked))
                    return
                labels = dict(solver.labels_for(one))
                if solver.copy:
                    wanted = {m.label for m in one.matchers if m.op in ("=", "!=")}
                    labels |= {label: f"{solver.mark}-{solver.copy}" for label in varied - wanted if label in labels}
                name = metric_of(one)
                if name in ("ALERTS", "ALERTS_FOR_STATE"):
                    raise CannotDerive("the expression reads the state of other alerts")
                kind: Use = "bucket" if name.endswith("_bucket") else use
                series = Read(name, tuple(sorted(labels.items())), kind, clocked)
                key = f"{name}{series.labels}"
                there = found.get(key)
                # Read as a value and as a slope, a series must grow.
                found[key] = series if there is None or there.use == "value" else there
            case "call":
                for arg in one.children:
                    read(arg, _USES.get(one.name, use), clocked)
            case _:
                compares = one.kind == "binary" and one.name in COMPARISONS
                for child in one.children:
                    read(child, use, clocked or (compares and reads_clock(one)))

    read(node, "value", False)
    return found


def numbers(nodes: Sequence[Expr]) -> list[float]:
    """The numbers that stand in expressions, with constant arithmetic done."""
    found: set[float] = set()
    for node in (one for each in nodes for one in walk(each)):
        if node.kind == "number":
            found.add(abs(node.value))
        elif node.kind == "call" and node.name == "time":
            found.add(0.0)
        elif (value := number_of(node)) is not None:
            found.add(abs(value))
    return sorted(n for n in found if math.isfinite(n) and n < 1e15)


def searched(
    exprs: Sequence[str], solver: Callable[..., Solver], interval_s: float, most: int
) -> Iterator[tuple[Scripted, ...]]:
    """At most so many series sets to try, each once; none where nothing is read that can be scripted. `exprs`: a rule's
    expression and those of the recording rules that it reads; `solver` makes its solvers."""
    nodes = [expression(expr) for expr in exprs]
    draw = random.Random(zlib.crc32(exprs[0].encode()))
    own = numbers(nodes)
    varied = frozenset(name for node in nodes for name in _varied(node))
    numbers_of_series = [1, 2, *(math.ceil(n) + 1 for n in own if 1 < n < _MOST_COPIES)][:4]
    variants: list[list[Read]] = []
    for choices in (Choices(), Choices(expand=False), Choices(shared=False)):
        for copies in numbers_of_series:
            one = solver(choices)
            for apart in dict.fromkeys((_apart(nodes[0], varied), frozenset[str](), frozenset(one.labels) - varied)):
                found = list(_copied(nodes[0], one, copies, apart))
                if found and found not in variants and len(found) <= max(12, copies):
                    variants.append(found)
    if not variants:
        return
    seen: set[tuple[Scripted, ...]] = set()
    for number in range(most):
        leaves = variants[number % len(variants)]
        common = draw.choice(_levels(draw, own))
        alike = draw.random() < 0.2
        series: list[Scripted] = []
        for leaf in leaves:
            # Many series of one kind are alike, or the levels of so many would never fit.
            up = common if alike or len(leaves) > 12 else draw.choice(_levels(draw, own))
            series += _scripted(leaf, up, draw, draw.randrange(3), interval_s, own)
        made = tuple(series)
        if made not in seen:
            seen.add(made)
            yield made


def _copied(node: Expr, solver: Solver, copies: int, apart: frozenset[str]) -> Iterator[Read]:
    """The series of so many instances, of which the further ones differ in `instance` and the labels of `apart`."""
    found: dict[str, Read] = {}
    for copy in range(copies):
        solver.copy = copy
        try:
            found |= reads(node, solver, apart if copy else frozenset())
        except CannotDerive:
            return
    yield from found.values()


def _levels(draw: random.Random, own: list[float]) -> list[float]:
    """Where truth may change: nothing, one, a few, much, and either side of each number of the expression."""
    found = [0.0, 0.0, 1.0, 1.0, 2.0, 5.0, 20.0, 100.0, 1000.0]
    for number in own:
        found += [number, number * 0.5, number * 0.9, number * 1.1, number * 2, number + 1, max(0.0, number - 1)]
        if draw.random() < 0.3:
            found += [number / 100, number * 100]
    return found


def _scripted(
    leaf: Read, up: float, draw: random.Random, way: int, interval_s: float, own: list[float]
) -> list[Scripted]:
    name, labels = leaf.name, leaf.labels
    down = {0: None, 1: 0.0, 2: draw.choice([*own, 0.0, 1.0, 100.0, up])}[way]
    if leaf.use == "bucket":
        high = draw.choice([*_EDGES_S[:-1], *own])
        low = draw.choice([high / 100, high * 100])
        return _histogram(leaf, low, high, up or 1.0, interval_s)
    if leaf.use in ("slope", "counter"):
        speed = up * draw.choice([1.0, 1.0, 0.1, 0.01, 1 / 300])
        rest = slope(100.0, 0.0 if not down else down * interval_s) if way else NEVER
        kind = draw.random()
        if kind < 0.15:  # a gauge that falls or rises; a counter never falls, but may grow ever faster
            start, sign = draw.choice([1.0, 100.0, 1e6]), draw.choice([-1, 1])
            values = slope(start, sign * speed * interval_s)
            if leaf.use == "counter":
                values = _multiplied(start, draw.choice([1.05, 1.2]))
            return [Scripted(name, labels, constant(start), values)]
        return [Scripted(name, labels, rest, slope(100.0, speed * interval_s), counter=bool(way))]
    if leaf.use == "toggle":
        flips = Values((Segment(up or 1.0, 0.0, 1), Segment(0.0, 0.0, 1)), repeat=True)
        return [Scripted(name, labels, constant(up or 1.0), flips)]
    if leaf.clocked and draw.random() < 0.8:
        ago = draw.choice([-60.0, 0.0, 60.0, 600.0, -600.0, *(s * n for n in own for s in (-0.9, -1.1, 0.9, 1.1)), up])
        days = draw.choice([1.0, 1.0, 1.0, _DAY_S])
        # promtool's time begins at 0: a time stamp of long ago wants as many samples before it.
        ago = max(ago, -_LONGEST_AGO_S / days)
        before = draw.choice([0.0, -60.0, 10 * _DAY_S, 100 * _DAY_S]) if way else None
        rest = NEVER if before is None else constant(before)
        return [Scripted(name, labels, rest, constant(ago * days), clock=True)]
    rest = NEVER if down is None else constant(down)
    kind = draw.random()
    if kind < 0.12:  # grows for as long as it lasts
        return [Scripted(name, labels, rest, slope(up, draw.choice([1, -1, 10]) * max(up, 1.0) / 20))]
    if kind < 0.2:  # multiplies itself
        start = max(up, 1.0)
        return [Scripted(name, labels, constant(start), _multiplied(start, draw.choice([1.05, 1.2, 0.9])))]
    if kind < 0.3:  # goes away, or stays as it was
        return [Scripted(name, labels, constant(up), NEVER if draw.random() < 0.5 else constant(up))]
    return [Scripted(name, labels, rest, constant(up))]


def _multiplied(start: float, factor: float) -> Values:
    return Values(tuple(Segment(start * factor**n, 0.0, 1) for n in range(_GROWTH)))


def _histogram(leaf: Read, low: float, high: float, speed: float, interval_s: float) -> list[Scripted]:
    """Everything in the bucket that ends at `low` at rest, and in that which ends at `high` during the fault."""
    edges = sorted({low * 0.9, low * 1.1, high * 0.9, high * 1.1, math.inf})
    found = []
    for edge in edges:
        le = "+Inf" if math.isinf(edge) else f"{edge:.9g}"
        labels = tuple(sorted({**dict(leaf.labels), "le": le}.items()))
        rest, during = (100.0 * speed * interval_s if edge >= level else 0.0 for level in (low, high))
        found.append(Scripted(leaf.name, labels, slope(0.0, rest), slope(0.0, during), counter=True))
    return found


def _varied(node: Expr) -> set[str]:
    """The labels by which something below is grouped or counted."""
    return {label for one in walk(node) if one.kind == "aggregate" for label in one.labels}


def _apart(node: Expr, varied: frozenset[str]) -> frozenset[str]:
    """Of these labels, those that the outermost aggregation lets differ among the series that it takes together."""
    if node.kind == "aggregate":
        return varied & node.labels if node.mode == "without" else varied - node.labels
    return next((_apart(child, varied) for child in node.children if not is_constant(child)), varied)
