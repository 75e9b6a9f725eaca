"""Compression of expressions: the corpus, and properties over generated expressions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chaoskit.alerting.promql import CannotScale, is_instant, metrics, scale
from chaoskit.alerting.promql_durations import Rounding, divide, largest_exact_scale, spell
from chaoskit.alerting.promql_lockstep import Inserted, compare
from chaoskit.alerting.promql_syntax import words

CORPUS = [
    line.removeprefix("3: ")
    for line in (Path(__file__).parent / "promql_corpus.txt").read_text().splitlines()
    if ("  =>  " in line or "  !!  " in line) and not line.startswith("#")
]
KEPT = [tuple(line.split("  =>  ")) for line in CORPUS if "  =>  " in line]
REFUSED = [tuple(line.split("  !!  ")) for line in CORPUS if "  !!  " in line]


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(KEPT) >= 150
    assert len(REFUSED) >= 40


@pytest.mark.parametrize(("expr", "wanted"), KEPT)
def test_each_construct_is_compressed_as_the_corpus_says(expr: str, wanted: str) -> None:
    assert scale(expr, 60) == wanted


@pytest.mark.parametrize(("expr", "construct"), REFUSED)
def test_what_cannot_be_compressed_is_refused_by_the_name_of_the_construct(expr: str, construct: str) -> None:
    with pytest.raises(CannotScale) as refusal:
        scale(expr, 60)
    assert refusal.value.construct == construct
    assert construct in str(refusal.value)


@pytest.mark.parametrize("expr", [line.split("  ")[0] for line in CORPUS])
def test_real_time_is_the_identity_even_for_what_cannot_be_compressed(expr: str) -> None:
    assert scale(expr, 1) == expr
    assert scale(expr, 1.0) == expr


def test_layout_and_comments_survive() -> None:
    expr = '# how many\nsum(\n  rate(a_total[5m])  # [5m], as agreed\n)\n  > 5 # "done\n'
    assert scale(expr, 60) == '# how many\nsum(\n  rate(a_total[5s]) / 60  # [5m], as agreed\n)\n  > 5 # "done\n'


def test_a_comment_at_the_end_does_not_swallow_an_inserted_factor() -> None:
    assert scale("time() - # now\nx_timestamp # then", 60) == "(time() - # now\nx_timestamp) * 60 # then"


@pytest.mark.parametrize(
    ("k", "rate", "distance"),
    [
        (10, "rate(x[30s]) / 10", "(time() - y) * 10"),
        (2.5, "rate(x[2m]) / 2.5", "(time() - y) * 2.5"),
        (Fraction(1, 4), "rate(x[20m]) * 4", "(time() - y) / 4"),
        (0.25, "rate(x[20m]) * 4", "(time() - y) / 4"),
        (Fraction(3, 7), "rate(x[11m40s]) * 7 / 3", "(time() - y) * 3 / 7"),
        (Fraction(7, 3), "rate(x[2m8s572ms]) * 3 / 7", "(time() - y) * 7 / 3"),
    ],
)
def test_any_positive_scale_is_spelt_exactly(k: float | Fraction, rate: str, distance: str) -> None:
    assert scale("rate(x[5m])", k) == rate
    assert scale("time() - y", k) == distance


@pytest.mark.parametrize("k", [0, -1, -0.5])
def test_a_scale_is_above_zero(k: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        scale("x", k)


def test_the_refusal_of_a_duration_names_the_largest_scale_that_fits() -> None:
    with pytest.raises(CannotScale, match="50 is the largest whole scale up to 60"):
        scale("rate(x[10s])", 60)
    assert scale("rate(x[10s])", 50) == "rate(x[200ms]) / 50"


def test_a_metric_known_to_be_an_instant_needs_no_telling_name() -> None:
    assert scale("max(a) - min(b)", 60) == "max(a) - min(b)"
    assert scale("max(a) - min(b)", 60, instants=["a"]) == "(max(a) - min(b)) * 60"


@pytest.mark.parametrize(
    ("expr", "answer"),
    [("time()", True), ("max(timestamp(x))", True), ("time() - x", False), ("hour()", False), ("x", False)],
)
def test_whether_an_expression_is_a_point_on_the_clock(expr: str, answer: bool) -> None:
    assert is_instant(expr) is answer


def test_metrics_are_found_wherever_they_stand() -> None:
    expr = (
        'sum(rate(a:b{x="y"}[5m])) / on () group_left () max_over_time({__name__="c", x="d"}[5m]) or {"e.f"} > time()'
    )
    assert metrics(expr) == {"a:b", "c", "e.f"}


@pytest.mark.parametrize(
    ("expr", "compressed"),
    [
        ("a / on (b) group_left rate(c[5m]) > 1", "a / on (b) group_left () (rate(c[5s]) / 60) > 1"),
        ("a / on (b) group_right\nrate(c[5m])", "a / on (b) group_right\n() (rate(c[5s]) / 60)"),
        ("a / on (b) group_left # the\n irate(c[5m])", "a / on (b) group_left # the\n () (irate(c[5s]) / 60)"),
        ("a / on (b) group_left (d) rate(c[5m])", "a / on (b) group_left (d) (rate(c[5s]) / 60)"),
        ("a / on (b) group_left sum(rate(c[5m]))", "a / on (b) group_left sum(rate(c[5s]) / 60)"),
        ("a + on (b) GROUP_LEFT rate(c[5m]) * 2", "a + on (b) GROUP_LEFT () (rate(c[5s]) / 60) * 2"),
        ("a * on (b) group_left (max(c) - time())", None),
    ],
)
def test_a_bare_group_left_takes_no_inserted_parentheses_for_its_list(expr: str, compressed: str | None) -> None:
    if compressed is None:  # PromQL reads the parentheses as a list of labels
        with pytest.raises(CannotScale):
            scale(expr, 60)
    else:
        assert scale(expr, 60) == compressed


def test_deep_nesting_is_refused_rather_than_crashing() -> None:
    with pytest.raises(CannotScale):
        scale("(" * 5000 + "x" + ")" * 5000, 60)


# Generated expressions ---------------------------------------------------------------------------------------------

_LENGTHS = st.sampled_from(["15m", "30m", "1h", "1h30m", "90m", "6h", "1d", "2700s", "900000ms"])
_NAMES = st.sampled_from(
    ["a_total", "b", "job:c:sum", 'd{job="x[5m]"}', "e{k=~`y.*`,}", "by", "rate", "f{}", "{__name__='g'}"]
)
_NUMBERS = st.sampled_from(["1", "0.5", "1e3", "0x10", "3600", ".25"])


@st.composite
def _ranges(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    window = draw(_LENGTHS)
    behind = draw(st.sampled_from(["", " offset 15m", " offset -30m", " @ end()", " @ start() offset 1h"]))
    if draw(st.booleans()):
        return f"{draw(_NAMES)}[{window}]{behind}"
    step = draw(st.sampled_from(["", "15m", " 30m "]))
    return f"({draw(inner)})[{window}:{step}]{behind}"


@st.composite
def _larger(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    one = inner.map(lambda text: f"({text})")
    ranges = _ranges(inner)
    match draw(st.integers(0, 9)):
        case 0:
            return f"{draw(st.sampled_from(['rate', 'irate', 'deriv']))}({draw(ranges)})"
        case 1:
            name = draw(st.sampled_from(["increase", "delta", "changes", "max_over_time", "absent_over_time"]))
            return f"{name}({draw(ranges)})"
        case 2:
            return f"quantile_over_time(0.5, {draw(ranges)})"
        case 3:
            return (
                f"predict_linear({draw(ranges)}, {draw(st.sampled_from(['900', '15 * 60', '(1800)', '-60', '1 + 2']))})"
            )
        case 4:
            return f"{draw(st.sampled_from(['sum', 'max by (job)', 'count without (a, b)', 'AVG']))} ({draw(inner)})"
        case 5:
            return f"topk(3, {draw(inner)}) by (job)" if draw(st.booleans()) else f"abs({draw(inner)})"
        case 6:
            sign = draw(
                st.sampled_from(["+", "-", "*", "/", "%", "^", ">", "== bool", "and", "unless", "or", "and on (job)"])
            )
            return f"{draw(one)} {sign} {draw(one)}"
        case 7:
            return f"{draw(inner)} {draw(st.sampled_from(['*', '/', '+', '- ', '>']))} {draw(_NUMBERS)}"
        case 8:
            return f"-{draw(one)}" if draw(st.booleans()) else f"(time() - {draw(_NAMES)})"
        case _:
            return f"{draw(_NAMES)} offset {draw(_LENGTHS)} # rate({draw(_LENGTHS)})\n"


EXPRESSIONS = st.recursive(_NAMES, _larger, max_leaves=12)
SCALES = st.sampled_from([2, 3, 4, 5, 10, 25, Fraction(1, 2), Fraction(3, 4), 60])


def _compressed(expr: str, k: int | Fraction) -> str:
    """The compressed expression; the few generated ones that are no PromQL or not compressible are passed over."""
    try:
        return scale(expr, k)
    except CannotScale as refusal:
        if refusal.construct == "expression":
            raise  # the net under the rewriting must never be what stops a valid expression
        assume(False)
        raise


@given(EXPRESSIONS)
def test_k_1_is_the_identity_for_any_expression(expr: str) -> None:
    assert scale(expr, 1) == expr


@given(EXPRESSIONS, SCALES, SCALES)
def test_two_compressions_are_the_same_as_their_product(expr: str, a: int | Fraction, b: int | Fraction) -> None:
    assume(a * b != 1)
    at_once, in_steps = _compressed(expr, a * b), _compressed(_compressed(expr, a), b)
    factor = Fraction(a) * b
    assert compare(expr, in_steps, factor) == compare(expr, at_once, factor)


@given(EXPRESSIONS, SCALES)
def test_there_and_back_gives_the_same_durations(expr: str, k: int | Fraction) -> None:
    back = _compressed(_compressed(expr, k), 1 / Fraction(k))
    assert _durations(back) == _durations(expr)


@given(EXPRESSIONS, SCALES)
def test_nothing_but_durations_and_factors_changes(expr: str, k: int | Fraction) -> None:
    kept = [token.text for token in words(expr) if token.form in ("string", "name")]
    assert [token.text for token in words(_compressed(expr, k)) if token.form in ("string", "name")] == kept


def _durations(expr: str) -> list[int]:
    unit = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
    found = []
    for token in words(expr):
        if token.form == "duration":
            text, total = token.text, 0
            while text:
                number = text[: len(text) - len(text.lstrip("0123456789"))]
                name = next(u for u in unit if text[len(number) :].startswith(u))
                total, text = total + int(number) * unit[name], text[len(number) + len(name) :]
            found.append(total)
    return found


# The safety net ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "wrong"),
    [
        ("rate(x[5m])", "rate(x[5s])"),
        ("rate(x[5m])", "rate(x[5m]) / 60"),
        ("rate(x[5m])", "rate(x[5s]) / 6"),
        ("rate(x[5m])", "rate(x[5s]) * 60"),
        ("rate(x[5m])", "irate(x[5s]) / 60"),
        ("rate(x[5m])", "rate(y[5s]) / 60"),
        ('rate(x{a="b"}[5m])', 'rate(x{a="c"}[5s]) / 60'),
        ("a / rate(x[5m])", "a / rate(x[5s]) / 60"),
        ("-x ^ 2", "(-x) ^ 2"),
        ("x offset 5m", "x offset -5s"),
        ("x offset 5m", "x"),
        ("max_over_time(x[30m:])", "max_over_time(x[30s:1s])"),
        ("max_over_time(x[30m:1m])", "max_over_time(x[30s:])"),
        ("max_over_time(x[30m:1m])", "max_over_time(x[30s:2s])"),
        ("x @ end()", "x @ start()"),
        ("sum by (a) (x)", "sum by (b) (x)"),
        ("sum by (a) (x)", "sum without (a) (x)"),
        ("x and on (a) y", "x and ignoring (a) y"),
        ("x > 5", "x > bool 5"),
        ("x > 5", "x > 6"),
        ("x > 5", "x >= 5"),
        ("predict_linear(x[1h], 60)", "predict_linear(x[1m], 60)"),
        ("predict_linear(x[1h], 60)", "predict_linear(x[1m], 60 * 60)"),
        ("x * y", "(x * y) * 60"),
        ("increase(x[5m])", "increase(x[5s]) / 60"),
        ("time() - x", "(time() - x) / 60"),
        ("x + 60", "x + 60 / 6"),
        ("x", "x > 0"),
    ],
)
def test_the_net_catches_each_way_of_being_wrong(expr: str, wrong: str) -> None:
    with pytest.raises(CannotScale):
        compare(expr, wrong, Fraction(60))


def test_the_net_counts_what_it_cannot_judge() -> None:
    scaled = "((time() - x) * 60) > 5 and (rate(y[5s]) / 60) > predict_linear(y[5s], 60 / 60) + (7 / 60)"
    original = "(time() - x) > 5 and rate(y[5m]) > predict_linear(y[5m], 60) + 7"
    with pytest.raises(CannotScale):
        compare(original.replace("(time() - x)", "time() + x"), scaled, Fraction(60))
    found = compare("time() - x > 5 and rate(y[5m]) > predict_linear(y[5m], 60) + 7", scaled, Fraction(60))
    assert found == Inserted(per_second=1, horizons=1, distances=1, lengths=1)


@given(EXPRESSIONS, st.data())
def test_the_net_catches_a_changed_duration_or_a_lost_factor_anywhere(expr: str, data: st.DataObject) -> None:
    scaled = _compressed(expr, 60)
    durations = [token for token in words(scaled) if token.form == "duration"]
    assume(durations)
    token = data.draw(st.sampled_from(durations))
    wrong = f"{scaled[: token.start]}{_durations(token.text)[0] * 2}ms{scaled[token.end :]}"
    with pytest.raises(CannotScale):
        compare(expr, wrong, Fraction(60))
    if " / 60" in scaled and " / 60" not in expr:
        before, after = scaled.split(" / 60", 1)
        try:
            found = compare(expr, before + after, Fraction(60))
        except CannotScale:
            return
        assert found != compare(expr, scaled, Fraction(60))


# Rounding ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**9), st.fractions(Fraction(1, 100), 1000), st.sampled_from(Rounding))
def test_a_division_is_within_its_tolerance_and_direction_or_refused(millis: int, k: Fraction, way: Rounding) -> None:
    exact = Fraction(millis) / k
    try:
        found = divide(millis, k, way, "x")
    except CannotScale:
        assert exact.denominator != 1
        assert abs(way.of(exact) - exact) > way.tolerance * exact or way.of(exact) < 1
        return
    assert abs(found - exact) <= way.tolerance * exact
    assert abs(found - exact) < 1
    assert not (way is Rounding.WINDOW and found < exact)
    assert not (way in (Rounding.PERIOD, Rounding.LIMIT) and found > exact)
    assert divide(-millis, k, way, "x") == -found


@pytest.mark.parametrize(
    ("window", "period"), [(30_000, 10_000), (100_000, 10_000), (7_000_000, 14_000), (60_000, 20_000)]
)
@pytest.mark.parametrize("k", [7, 30, 59, 60, 61])
def test_a_window_that_held_n_samples_never_holds_fewer(window: int, period: int, k: int) -> None:
    try:
        scaled = divide(window, Fraction(k), Rounding.WINDOW, "w"), divide(period, Fraction(k), Rounding.PERIOD, "p")
    except CannotScale:
        return
    assert scaled[0] // scaled[1] >= window // period


@pytest.mark.parametrize(
    ("millis", "k", "best"), [(10_000, 60, 50), (1_000, 60, 50), (7, 60, 7), (300_000, 60, 60), (7919, 60, 1)]
)
def test_the_largest_exact_scale(millis: int, k: int, best: int) -> None:
    assert largest_exact_scale(millis, k) == best


@pytest.mark.parametrize(
    ("number", "text"),
    [(Fraction(60), "60"), (Fraction(5, 2), "2.5"), (Fraction(1, 3), None), (Fraction(10**6), "1000000")],
)
def test_numbers_are_spelt_exactly_or_not_at_all(number: Fraction, text: str | None) -> None:
    assert spell(number) == text
