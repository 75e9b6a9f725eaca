"""An interval against a window: FAIL when they do not meet, PASS when they do and are sharp, UNKNOWN otherwise."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.verify.check import DUST_VS, between, judge, margin_vs, outside
from chaoskit.verify.verdict import Result, worst_of

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
times = st.floats(-1e4, 1e4)
widths = st.floats(0, 100)


@pytest.mark.parametrize(
    ("observed", "result"),
    [
        ((10.0, 10.5), PASS),
        ((9.8, 10.1), PASS),
        ((15.0, 15.0), PASS),
        ((15.1, 15.2), FAIL),
        ((9.0, 9.9), FAIL),
        ((8.0, 12.0), PASS),
        ((8.0, 14.0), UNKNOWN),
        ((0.0, 100.0), UNKNOWN),
    ],
)
def test_a_window_of_ten_to_fifteen_with_a_resolution_of_five(observed: tuple[float, float], result: Result) -> None:
    assert judge(observed, (10.0, 15.0), 5.0) is result


@given(times, widths, times, widths, st.floats(0, 50), st.floats(0, 1))
def test_a_truth_outside_by_more_than_the_resolution_is_never_pass(
    lo: float, length: float, truth: float, width: float, resolution: float, where: float
) -> None:
    """Wherever in its interval the truth lies."""
    window = (lo, lo + length)
    observed = (truth - width * where, truth + width * (1 - where))
    off = max(window[0] - truth, truth - window[1])
    if off > resolution + 3 * DUST_VS:
        assert judge(observed, window, resolution) is not PASS


@given(times, widths, times, st.floats(0, 50))
def test_noise_free_data_is_never_unknown(lo: float, length: float, truth: float, resolution: float) -> None:
    assert judge((truth, truth), (lo, lo + length), resolution) is not UNKNOWN


@given(times, widths, times, widths)
def test_a_margin_is_negative_for_a_failure_and_for_nothing_else(
    lo: float, length: float, a: float, width: float
) -> None:
    observed, window = (a, a + width), (lo, lo + length)
    assert (margin_vs(observed, window) < 0) is (judge(observed, window, 1e9) is FAIL)


def test_the_span_between_two_uncertain_instants_holds_every_possible_one() -> None:
    assert between((110.0, 110.5), (100.0, 100.25), 60) == (585.0, 630.0)


@given(times, widths, st.integers(-1000, 1000), st.integers(0, 1000))
def test_the_figures_of_a_failure_add_up_as_they_are_shown(a: float, width: float, low: int, length: int) -> None:
    """`89.4 s after firing, 74.4 s too late (at most 15.0 s promised)`: 15.0 and 74.4 are 89.4."""
    observed, allowed = (a, a + width), (low / 10, (low + length) / 10)
    if judge(observed, allowed, 1e9) is not FAIL:
        return
    said = outside(observed, allowed, "firing")
    figures = re.fullmatch(
        r"(at least |at most )?(?P<when>[\d.]+) s (?P<side>after|before) firing, (?P<off>[\d.]+) s too "
        r"(?P<how>late|early) \(at (most|least) (?P<bound>-?[\d.]+) s promised\)",
        said,
    )
    assert figures is not None, said
    when = float(figures["when"]) * (-1 if figures["side"] == "before" else 1)
    off = float(figures["off"]) * (1 if figures["how"] == "late" else -1)
    assert when - float(figures["bound"]) == pytest.approx(off, abs=1e-6)


def test_worst_wins_and_nothing_judged_is_unknown() -> None:
    assert worst_of([PASS, UNKNOWN, FAIL]) is FAIL
    assert worst_of([PASS, UNKNOWN]) is UNKNOWN
    assert worst_of([PASS]) is PASS
    assert worst_of([]) is UNKNOWN
