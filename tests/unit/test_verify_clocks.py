"""Prometheus's clock need not be ours: what was measured of the difference is taken out, and what was not, admitted.

One real second is a virtual minute here, so three seconds of skew are 180 s of every hop between the two clocks.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.events import Interval, Poll
from chaoskit.history import History
from chaoskit.verify.clock_skew import DRIFT, Clock
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import verify
from tests.golden.doctored import DOORS, Truth, failed, mapped, results, told

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
BETWEEN_CLOCKS = ("detect", "notify", "clear", "all-clear")


def look(at: float, skew: Interval | None) -> Poll:
    return Poll(source="prometheus", asked=at, ok=True, seen_to=at, skew=skew)


def test_each_measurement_narrows_what_the_others_say() -> None:
    clock = Clock([look(0.0, (-0.010, 0.002)), look(0.0, (-0.001, 0.020))])
    assert clock.skew(0.0) == (-0.001, 0.002)
    assert not clock.was_set


def test_between_measurements_the_difference_may_drift() -> None:
    """500 ppm: half a millisecond a second, away from either measurement."""
    clock = Clock([look(0.0, (1.0, 1.0)), look(10.0, (1.0, 1.0))])
    assert clock.skew(4.0) == pytest.approx((1.0 - 4 * DRIFT, 1.0 + 4 * DRIFT))
    assert clock.skew(6.0) == pytest.approx((1.0 - 4 * DRIFT, 1.0 + 4 * DRIFT))
    assert clock.skew(12.0) == pytest.approx((1.0 - 2 * DRIFT, 1.0 + 2 * DRIFT))


def test_an_instant_of_theirs_on_our_clock_is_theirs_less_the_difference() -> None:
    clock = Clock([look(100.0, (2.9, 3.1))])
    assert clock.ours((103.0, 103.0)) == pytest.approx((99.9, 100.1), abs=1e-3)


def test_measurements_that_no_drift_joins_say_that_a_clock_was_set() -> None:
    clock = Clock([look(0.0, (0.0, 0.001)), look(10.0, (3.0, 3.001))])
    assert clock.was_set
    assert clock.parted_s == pytest.approx(3.001)
    assert clock.skew(0.0) == clock.skew(10.0) == (0.0, 3.001)


def test_without_a_measurement_nothing_is_known() -> None:
    clock = Clock([look(0.0, None)])
    assert not clock.known
    assert clock.ours((5.0, 6.0)) == (5.0, 6.0)


@pytest.mark.parametrize("ahead_s", [-180.0, -3.0, -0.01, 0.004, 3.0, 180.0])
def test_a_measured_difference_is_taken_out(ahead_s: float) -> None:
    """The promise was kept, whatever Prometheus's clock read meanwhile."""
    verdict = verify(told(Truth(ahead_s=ahead_s, measured=(ahead_s - 0.001, ahead_s + 0.001))))
    assert {row.result for row in verdict.rows} == {PASS}


def test_without_the_correction_a_kept_promise_would_have_failed() -> None:
    """The same run, judged by somebody who takes the clocks for equal: 180 virtual s off in both directions."""
    ahead = verify(told(Truth(ahead_s=3.0, measured=(0.0, 0.0))))
    assert results(ahead, "detect") == {FAIL}
    assert results(ahead, "notify") == {FAIL}


def test_without_the_correction_a_late_notice_would_have_passed() -> None:
    """20 virtual s too late, hidden by a clock that is 20 virtual s ahead."""
    late = Truth(notified_vs=dict.fromkeys(DOORS, 22.0), undo_vs=150.0, ahead_s=22 / 60)
    assert results(verify(told(replace(late, measured=(0.0, 0.0)))), "notify") == {PASS}
    assert results(verify(told(replace(late, measured=(22 / 60, 22 / 60)))), "notify") == {FAIL}


def test_a_difference_known_too_coarsely_is_unknown_where_it_matters() -> None:
    """200 ms are 12 virtual s: too much for a group wait of 10 s, not for one of 30 s, and nothing to `for`."""
    verdict = verify(told(Truth(measured=(-0.1, 0.1))))
    assert results(verdict, "notify", "critical-alerts") == {UNKNOWN}
    assert results(verdict, "notify", "worker-alerts") == {PASS}
    assert results(verdict, "hold") == {PASS}
    assert results(verdict, "clear") == {PASS}
    reasons = [row.reason for row in verdict.rows if row.result is UNKNOWN]
    assert all("12.0 s of it is between Prometheus's clock and ours" in reason for reason in reasons)


def test_a_difference_that_was_never_measured_makes_every_hop_between_the_clocks_unknown() -> None:
    """Right or wrong, nobody knows; only what Prometheus's clock alone tells stays judged."""
    for ahead_s in (0.0, 3.0):
        verdict = verify(told(Truth(ahead_s=ahead_s, measured=None)))
        assert {hop: results(verdict, hop) for hop in BETWEEN_CLOCKS} == {key: {UNKNOWN} for key in BETWEEN_CLOCKS}
        assert results(verdict, "hold") == {PASS}
        assert results(verdict, "clock") == {UNKNOWN}
        assert verdict.exit_code == 3


def test_hold_is_judged_on_prometheus_own_clock() -> None:
    """Too short is too short, whatever is known of the clocks."""
    for measured in ((-5.0, 5.0), None):
        assert results(verify(told(Truth(held_vs=15.0, measured=measured))), "hold") == {FAIL}


def test_a_clock_that_was_set_under_way_leaves_open_what_lies_between_the_clocks() -> None:
    history = told(Truth())
    middle = (history.events[0].t + history.last_t) / 2

    def jump(event: object) -> object:
        if isinstance(event, Poll) and event.skew is not None and event.asked > middle:
            return msgspec.structs.replace(event, skew=(3.0, 3.0))
        return event

    verdict = verify(mapped(history, jump))  # type: ignore[arg-type]
    assert not failed(verdict)
    assert results(verdict, "notify") == {UNKNOWN}
    assert results(verdict, "hold") == {PASS}
    assert any("was set during the run" in row.reason for row in verdict.rows if row.hop == "clock")


def set_back(history: History, by_s: float) -> History:
    """Our own clock went back while the history was written."""
    half = len(history.events) // 2
    return mapped(history, lambda e: msgspec.structs.replace(e, t=e.t - by_s) if e.n >= half else e)


def test_our_own_clock_set_back_is_said() -> None:
    verdict = verify(set_back(told(Truth()), 2.0))
    assert verdict.result is UNKNOWN
    assert any("this machine's clock was set back" in row.reason for row in verdict.rows)
    assert results(verify(set_back(told(Truth()), 0.0)), "clock") == set()


@settings(max_examples=60)
@given(st.floats(-200, 200), st.floats(0, 0.5), st.floats(0, 1))
def test_a_kept_promise_never_fails_for_its_clocks(ahead_s: float, width_s: float, where: float) -> None:
    """Whatever the difference, and however coarsely it was measured; and finely measured it is never UNKNOWN."""
    measured = (ahead_s - width_s * where, ahead_s + width_s * (1 - where))
    verdict = verify(told(Truth(ahead_s=ahead_s, measured=measured)))
    assert not failed(verdict)
    if width_s < 0.05:
        assert verdict.result is PASS
