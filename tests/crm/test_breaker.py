"""The circuit breaker against a clock that only the test moves."""

from __future__ import annotations

import pytest

from chaoskit.crm.breaker import Breaker, BreakerOpen


class Bench:
    def __init__(self) -> None:
        self.now_vs = 1000.0
        self.changes: list[tuple[str, str]] = []
        self.breaker = Breaker(lambda: self.now_vs, lambda before, after: self.changes.append((before, after)))

    def calls(self, *failed: bool) -> None:
        for outcome in failed:
            permit = self.breaker.admit()
            if outcome:
                permit.settle(failed=True)
            else:
                permit.settle(failed=False)

    def trip(self) -> None:
        self.calls(*[True] * 20)
        assert self.breaker.state == "open"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_opens_when_half_of_the_last_forty_calls_failed_and_not_before(bench: Bench) -> None:
    bench.calls(*[True, False, False] * 40, *[False] * 40)
    assert bench.breaker.state == "closed"
    bench.calls(*[True, False] * 19)
    assert bench.breaker.state == "closed", "19 of the last 40"
    bench.calls(True)
    assert bench.breaker.state == "open"
    assert bench.changes == [("closed", "open")]


def test_failures_older_than_forty_calls_are_forgotten(bench: Bench) -> None:
    bench.calls(*[True] * 19, *[False] * 40, *[True] * 19)
    assert bench.breaker.state == "closed"


def test_refuses_calls_for_sixty_virtual_seconds(bench: Bench) -> None:
    bench.trip()
    bench.now_vs += 59.9
    with pytest.raises(BreakerOpen):
        bench.breaker.admit()
    bench.now_vs += 0.1
    assert bench.breaker.admit().limit_vs == 10
    assert bench.breaker.state == "half_open"


def test_lets_one_probe_through_at_a_time(bench: Bench) -> None:
    bench.trip()
    bench.now_vs += 60
    probe = bench.breaker.admit()
    with pytest.raises(BreakerOpen):
        bench.breaker.admit()
    probe.settle(failed=False)
    assert bench.breaker.state == "closed"
    assert bench.breaker.admit().limit_vs is None


def test_a_failed_probe_opens_for_a_full_recovery(bench: Bench) -> None:
    bench.trip()
    bench.now_vs += 60
    bench.breaker.admit().settle(failed=True)
    bench.now_vs += 59
    with pytest.raises(BreakerOpen):
        bench.breaker.admit()
    assert bench.changes == [("closed", "open"), ("open", "half_open"), ("half_open", "open")]


def test_a_probe_that_never_reports_back_counts_as_failed_after_ten_virtual_seconds(bench: Bench) -> None:
    bench.trip()
    bench.now_vs += 60
    lost = bench.breaker.admit()
    bench.now_vs += 10.1
    with pytest.raises(BreakerOpen):
        bench.breaker.admit()
    assert bench.breaker.state == "open"
    lost.settle(failed=False)
    assert bench.breaker.state == "open", "too late to count"


def test_a_withdrawn_probe_makes_room_for_the_next(bench: Bench) -> None:
    bench.trip()
    bench.now_vs += 60
    bench.breaker.admit().withdrawn()
    assert bench.breaker.admit().limit_vs == 10


def test_a_4xx_is_not_counted_while_closed_and_closes_when_a_probe_gets_it(bench: Bench) -> None:
    bench.calls(*[True] * 19)
    for _ in range(100):
        bench.breaker.admit().answered()
    assert bench.breaker.state == "closed"
    bench.calls(True)
    assert bench.breaker.state == "open", "the 4xx pushed no failure out of the window"
    bench.now_vs += 60
    bench.breaker.admit().answered()
    assert bench.breaker.state == "closed"


def test_a_call_admitted_before_the_breaker_opened_no_longer_counts(bench: Bench) -> None:
    late = bench.breaker.admit()
    bench.trip()
    late.settle(failed=False)
    assert bench.breaker.state == "open"


def test_a_permit_is_settled_once(bench: Bench) -> None:
    permit = bench.breaker.admit()
    for _ in range(30):
        permit.settle(failed=True)
    assert bench.breaker.state == "closed"
