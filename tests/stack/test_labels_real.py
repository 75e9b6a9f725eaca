"""The labels that survive a random expression are those that each generation of Prometheus hands on."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from chaoskit.alerting.expression import expression
from chaoskit.alerting.labels import labels_of
from chaoskit.rehearse.promtool import answered, asking, results_of, run_tests
from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack
LABELS = ("a", "b", "c", "le")
METRICS = {"first": LABELS, "second": LABELS, "bare": ()}


@pytest.mark.parametrize(("expressions", "seed"), [(600, 0), pytest.param(12_000, 1, marks=pytest.mark.long)])
def test_a_result_carries_the_labels_that_are_said_and_no_others(
    generation: Binaries, tmp_path: Path, expressions: int, seed: int
) -> None:
    """A label that is said to be gone is in no result; one that may be there is, but where a value decides it."""
    rng = random.Random(seed)
    texts = [vector(rng, 3) for _ in range(expressions)]
    told = answers(generation, tmp_path, texts)
    found = {n: frozenset().union(*results_of(got)) for n, got in told.items() if "{" in got}
    assert len(found) > expressions / 3, "too few expressions have a result to prove anything"
    said = {n: frozenset(label for label in LABELS if labels_of(expression(texts[n])).may_have(label)) for n in found}
    assert {texts[n]: carried - said[n] for n, carried in found.items() if carried - said[n] - {"made"}} == {}
    unseen = {texts[n]: said[n] - carried for n, carried in found.items() if said[n] - carried}
    # Which labels come out of an `or`, or where a filter leaves one value of a label, is for the values to say.
    assert len(unseen) < len(found) / 4, unseen


def vector(rng: random.Random, depth: int) -> str:
    """A random expression whose results are series."""
    if depth == 0 or rng.random() < 0.1:
        return selector(rng)
    inner = vector(rng, depth - 1)
    some = ", ".join(rng.sample(LABELS, rng.randint(0, 3)))
    match rng.choice(("aggregate", "call", "binary", "binary", "binary", "scalar")):
        case "aggregate":
            name = rng.choice(("sum", "max", "count", "group", "topk", "quantile", "count_values"))
            first = {"topk": "2, ", "quantile": "0.5, ", "count_values": '"made", '}.get(name, "")
            return f"{name}{rng.choice(('', f' by ({some}) ', f' without ({some}) '))}({first}{inner})"
        case "call":
            return rng.choice((
                f"abs({inner})", f"-{inner}", f"({inner})", f"max_over_time(({inner})[5m:1m])",
                f"rate({selector(rng)}[5m])",
                f"quantile_over_time(scalar(bare) / 9, {selector(rng)}[5m])", f"absent({selector(rng)} > 1e9)",
                'absent(gone{a="a1", b=~"b.", c="c1", c!="c2"})', f"absent(({selector(rng, 'gone')}))",
                f"absent_over_time({selector(rng, 'gone')}[5m])", f"absent_over_time({selector(rng, 'gone')}[5m:1m])",
                f"histogram_quantile(0.9, {inner})", f'label_replace({inner}, "c", "x$1", "a", "(.*)")',
                f'label_replace({inner}, "made", "x", "", "")', f'label_join({inner}, "b", "-", "a", "c")',
                f"clamp({inner}, 0, scalar(bare))", f"timestamp({inner})", f"sort({inner})",
                f"vector(scalar({inner}))",
            ))  # fmt: skip
        case "scalar":
            return rng.choice((f"{inner} * 2", f"scalar(bare) + {inner}", f"{inner} > bool 1", f"{inner} != -1"))
    other = vector(rng, depth - 1)
    operator = rng.choice(("+", "*", "!=", "!= bool", "<", "and", "or", "unless"))
    matching = rng.choice(("", f"on ({some})", f"ignoring ({some})"))
    if operator in ("and", "or", "unless"):
        return f"({inner}) {operator} {matching} ({other})"
    extra = [label for label in LABELS if not matching.startswith("on") or label not in some.split(", ")]
    taken = ", ".join(rng.sample(extra, min(len(extra), rng.randint(0, 2))))
    many = rng.choice(("", f"group_left ({taken})", f"group_right ({taken})", "group_left ()")) if matching else ""
    # So that one side has one series for each match, more often than not.
    one = f"max by ({some or 'a'}) ({other})" if rng.random() < 0.7 else other
    inner, other = (one, inner) if "right" in many else (inner, one)
    return f"({inner}) {operator} {matching} {many} ({other})"


def selector(rng: random.Random, metric: str = "") -> str:
    """A metric, with a matcher more often than not."""
    matcher = rng.choice(("", "", '{a="a1"}', '{b=""}', '{c!="", a=~"a."}', '{b="b1", b!="b2"}'))
    return f"{metric or rng.choice(('first', 'second'))}{matcher}"


def answers(binaries: Binaries, folder: Path, texts: list[str]) -> dict[int, str]:
    """What promtool gets for each; nothing where there is no result."""
    series = [
        {"series": f"{metric}{{{', '.join(pairs)}}}", "values": f"{n + 1}+{n + 1}x20"}
        for metric, labels in METRICS.items()
        for n, pairs in enumerate(itertools.product(*([f'{each}="{each}{i}"' for i in (1, 2)] for each in labels)))
    ]
    asked = [asking(number, "x", text, 600) for number, text in enumerate(texts)]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]
    _, said = run_tests(binaries.promtool, folder / "tests.yml", {"tests": tests})
    return {number: got["x"] for number, got in answered(said).items()}
