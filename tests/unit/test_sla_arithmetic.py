"""What slices amount to: the worked examples, exact, and the ways in which such sums go wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.sla.model import SLICE_S, Buckets
from chaoskit.sla.targets import parse_targets
from chaoskit.sla.windows import between, month, months_of, quarter
from tests.sla_examples import TEXT, at, event_slice, minutes_from, planned, result, time_slices

NOVEMBER = month("2026-11", "UTC")


def percent(share: float | None) -> str:
    assert share is not None
    return f"{100 * share:.4f}"


def minutes(seconds: float) -> float:
    return round(seconds / 60, 4)


def november(*down: tuple[int, int], unknown: tuple[tuple[int, int], ...] = ()) -> list[object]:
    return list(time_slices(NOVEMBER.starts_at, NOVEMBER.ends_at, down, unknown))


def test_1_160_failed_scrapes_of_november() -> None:
    found = result("uptime", NOVEMBER, november(minutes_from("2026-11-07T10:00", 40)))
    assert (minutes(found.bad), minutes(found.budget), minutes(found.budget_left)) == (40.0, 43.2, 3.2)
    assert (percent(found.actual), found.compliant) == ("99.9074", True)
    assert round(found.burn or 0, 3) == 0.926


def test_2_october_in_berlin_has_745_hours_and_begins_two_hours_earlier() -> None:
    berlin, utc = month("2026-10", "Europe/Berlin"), month("2026-10", "UTC")
    assert (berlin.starts_at, berlin.ends_at) == (at("2026-09-30T22:00"), at("2026-10-31T23:00"))
    down = [minutes_from("2026-10-05T10:00", 16), minutes_from("2026-10-31T22:45", 30)]
    slices = list(time_slices(at("2026-09-30T00:00"), at("2026-11-02T00:00"), down))
    here, there = result("uptime", berlin, slices), result("uptime", utc, slices)
    assert (minutes(here.bad), minutes(here.budget)) == (31.0, 44.70)
    assert (percent(here.actual), here.compliant) == ("99.9306", True)
    assert (minutes(there.bad), minutes(there.budget)) == (46.0, 44.64)
    assert (percent(there.actual), there.compliant) == ("99.8970", False)


def test_3_errors_are_compared_strictly_and_exactly() -> None:
    """The counters' part of this example, with its resets, is in test_sla_counters."""
    kept = result(
        "errors",
        NOVEMBER,
        [event_slice("errors", NOVEMBER.starts_at, 1_000_000, 599)],
        settled=NOVEMBER.starts_at + SLICE_S,
    )
    assert (kept.counted, kept.bad, percent(kept.actual), kept.compliant) == (1_000_000, 599, "0.0599", True)
    assert kept.budget_left == 401
    missed = result(
        "errors",
        NOVEMBER,
        [event_slice("errors", NOVEMBER.starts_at, 1_000_000, 1000)],
        settled=NOVEMBER.starts_at + SLICE_S,
    )
    assert (missed.compliant, missed.budget_left) == (False, 0)


@pytest.mark.parametrize(
    ("gap_min", "worst", "compliant"), [(60, "99.8380", None), (20, "99.9306", True)], ids=["60 min", "20 min"]
)
def test_4_a_gap_makes_two_bounds(gap_min: float, worst: str, compliant: bool | None) -> None:
    gap = minutes_from("2026-11-12T03:00", gap_min)
    found = result("uptime", NOVEMBER, november(minutes_from("2026-11-07T10:00", 10), unknown=(gap,)))
    assert (percent(found.worst), found.compliant) == (worst, compliant)
    if gap_min == 60:
        assert (percent(found.actual), percent(found.best)) == ("99.9768", "99.9769")
        assert "nothing is known" in found.reason


def test_4_a_counter_that_did_not_fall_across_a_gap_loses_nothing() -> None:
    gap = event_slice("errors", at("2026-11-12T03:00"), 3600, 0, stop=at("2026-11-12T04:05"))
    gap = replace(gap, coverage=1 / 13)  # so much of it was looked at, and all of it was counted
    window = between("2026-11-12T02:00", "2026-11-12T06:00", "UTC")
    begin = at("2026-11-12T02:00")
    before = [event_slice("errors", start, 1000) for start in range(begin, gap.starts_at, SLICE_S)]
    after = [event_slice("errors", start, 1000) for start in range(gap.ends_at, window.ends_at, SLICE_S)]
    found = result("errors", window, [*before, gap, *after])
    assert (found.counted, found.unknown, found.compliant) == (12_000 + 3600 + 23_000, 0, True)


def test_5_a_month_that_began_on_the_12th_has_the_budget_of_its_rest() -> None:
    since = at("2026-11-12T10:00")
    slices = time_slices(since, NOVEMBER.ends_at, [minutes_from("2026-11-20T10:00", 27)])
    found = result("uptime", NOVEMBER, slices, since=since)
    assert (minutes(found.counted), minutes(found.budget)) == (26_760, 26.76)
    assert (percent(found.actual), found.compliant) == ("99.8991", False)
    assert any("the budget of what is left of this month is 26.8 min" in note for note in found.notes)


def test_6_a_month_without_traffic_is_neither_kept_nor_missed() -> None:
    empty = [event_slice("errors", at, 0) for at in range(NOVEMBER.starts_at, NOVEMBER.ends_at, SLICE_S)]
    found = result("errors", NOVEMBER, empty)
    assert (found.compliant, found.actual, found.reason) == (None, None, "no traffic")


def test_6_ratios_are_not_averaged() -> None:
    begin = NOVEMBER.starts_at
    two = [event_slice("errors", begin, 2, 1), event_slice("errors", begin + SLICE_S, 998, 0)]
    found = result("errors", NOVEMBER, two, settled=begin + 2 * SLICE_S)
    assert (found.actual, found.compliant) == (0.001, False)


OUTAGE_7 = (minutes_from("2026-11-10T10:50", 30), minutes_from("2026-11-20T10:00", 22))


@pytest.mark.parametrize(
    ("windows", "down_min", "budget_min", "actual", "compliant"),
    [
        ([minutes_from("2026-11-10T10:00", 60)], 42, 43.14, "99.9026", True),
        ([minutes_from("2026-11-10T10:00", 60), minutes_from("2026-11-10T10:30", 60)], 22, 43.11, "99.9490", True),
    ],
    ids=["7", "7b"],
)
def test_7_planned_time_leaves_the_denominator(
    windows: list[tuple[int, int]], down_min: float, budget_min: float, actual: str, compliant: bool
) -> None:
    plan = [planned(*one) for one in windows]
    all_ = result("uptime", NOVEMBER, november(*OUTAGE_7), basis="all", plan=plan)
    assert (minutes(all_.bad), minutes(all_.budget), percent(all_.actual), all_.compliant) == (
        52, 43.2, "99.8796", False,
    )  # fmt: skip
    contract = result("uptime", NOVEMBER, november(*OUTAGE_7), plan=plan)
    assert (minutes(contract.bad), minutes(contract.budget)) == (down_min, budget_min)
    assert (percent(contract.actual), contract.compliant) == (actual, compliant)


def test_8_february_is_shorter_than_the_month_of_the_promise() -> None:
    february = month("2027-02", "UTC")
    slices = time_slices(february.starts_at, february.ends_at, [minutes_from("2027-02-07T10:00", 42)])
    found = result("uptime", february, slices)
    assert (minutes(found.budget), percent(found.actual), found.compliant) == (40.32, "99.8958", False)
    assert any("less than the 43.8 min of an average month" in note for note in found.notes)


def test_9_quantiles_are_judged_by_their_bucket_and_shown_with_it() -> None:
    counts = {"3": 940_000, "5": 951_000, "15": 989_000, "20": 992_000, "+Inf": 1_000_000}
    begin = NOVEMBER.starts_at
    buckets = [Buckets("live", "latency", begin, begin + 3600, counts)]
    p95 = result(
        "latency_p95",
        NOVEMBER,
        [event_slice("latency_p95", begin, 1_000_000, 49_000)],
        buckets=buckets,
        settled=begin + 3600,
    )
    assert (p95.compliant, p95.budget, p95.budget_left) == (None, 50_000, 1000)  # 55 minutes of the hour are unknown
    p95 = result(
        "latency_p95",
        NOVEMBER,
        [event_slice("latency_p95", begin, 1_000_000, 49_000, stop=begin + 3600)],
        buckets=buckets,
        settled=begin + 3600,
    )
    assert (p95.compliant, p95.budget, p95.budget_left, p95.shown) == (True, 50_000, 1000, "4.818 s (3–5 s)")
    p99 = result(
        "latency_p99",
        NOVEMBER,
        [event_slice("latency_p99", begin, 1_000_000, 11_000, stop=begin + 3600)],
        buckets=buckets,
        settled=begin + 3600,
    )
    assert (p99.compliant, p99.shown) == (False, "16.67 s (15–20 s)")


def test_10_a_quarter_that_is_kept_has_a_month_that_was_missed() -> None:
    window = quarter("2026-Q4", "Europe/Berlin")
    assert window.ends_at - window.starts_at == 2209 * 3600
    down = [minutes_from(f"2026-{one}-10T10:00", length) for one, length in ((10, 31), (11, 42), (12, 50))]
    slices = list(time_slices(window.starts_at, window.ends_at, down))
    found = result("uptime", window, slices)
    assert (minutes(found.bad), minutes(found.budget)) == (123, 132.54)
    assert (percent(found.actual), found.compliant) == ("99.9072", True)
    months = [result("uptime", one, slices) for one in months_of(window)]
    assert [one.compliant for one in months] == [True, True, False]
    assert percent(months[2].actual) == "99.8880"


def test_missing_slices_are_unknown_time_not_down_and_not_up() -> None:
    half = time_slices(NOVEMBER.starts_at + 15 * 86_400, NOVEMBER.ends_at)
    found = result("uptime", NOVEMBER, half)
    assert (found.actual, found.compliant, found.coverage) == (1.0, None, 0.5)
    assert (found.worst, found.best) == (0.5, 1.0)


def test_a_window_without_any_evidence_is_unknown_and_says_so() -> None:
    for level in ("uptime", "errors"):
        found = result(level, NOVEMBER, [])
        assert (found.compliant, found.reason) == (None, "nothing is known of this window")


def test_events_of_a_gap_are_estimated_by_the_rate_of_what_is_known() -> None:
    begin = NOVEMBER.starts_at
    rows = [event_slice("errors", begin + n * SLICE_S, 1000, 0 if n else 4) for n in range(9)]
    found = result("errors", NOVEMBER, rows, settled=begin + 10 * SLICE_S)
    assert (found.counted, found.unknown) == (9000, 1000)
    assert (found.worst, found.best) == (1004 / 10_000, 4 / 10_000)
    assert found.compliant is None


def test_what_was_not_counted_of_a_slice_is_unknown() -> None:
    begin = NOVEMBER.starts_at
    rows = [replace(event_slice("errors", begin, 500), coverage=0.5), event_slice("errors", begin + SLICE_S, 1000)]
    found = result("errors", NOVEMBER, rows, settled=begin + 2 * SLICE_S)
    assert (found.counted, found.unknown, found.coverage) == (1500, 500, 0.75)


def test_a_row_without_counts_is_a_gap_and_so_is_one_across_the_windows_border() -> None:
    begin = NOVEMBER.starts_at
    known = [event_slice("errors", begin + (n + 2) * SLICE_S, 1000) for n in range(8)]
    dark = event_slice("errors", begin, None, None, stop=begin + 2 * SLICE_S)
    across = event_slice("errors", begin - SLICE_S, 9999, 0, stop=begin + 2 * SLICE_S)
    for row in (dark, across):
        found = result("errors", NOVEMBER, [row, *known], settled=begin + 10 * SLICE_S)
        assert (found.counted, found.unknown) == (8000, 2000)


def test_slices_touched_by_planned_time_lose_their_events_and_none_else() -> None:
    begin = NOVEMBER.starts_at
    rows = [event_slice("errors", begin + n * SLICE_S, 1000, 100 if n in (3, 4) else 0) for n in range(10)]
    plan = [planned(begin + 3 * SLICE_S + 60, begin + 4 * SLICE_S + 60)]
    found = result("errors", NOVEMBER, rows, plan=plan, settled=begin + 10 * SLICE_S)
    assert (found.counted, found.bad, found.unknown, found.compliant) == (8000, 0, 0, True)
    assert result("errors", NOVEMBER, rows, basis="all", plan=plan, settled=begin + 10 * SLICE_S).bad == 200


def test_down_time_in_a_slice_that_is_planned_in_part_is_certain_only_beyond_the_planned_part() -> None:
    begin = NOVEMBER.starts_at
    rows = list(time_slices(begin, begin + 600, [(begin + 100, begin + 300)]))
    found = result("uptime", NOVEMBER, rows, plan=[planned(begin, begin + 120)], settled=begin + 600)
    assert (found.bad, found.unknown, found.counted) == (80, 100, 380)
    rows = list(time_slices(begin, begin + 600))
    found = result("uptime", NOVEMBER, rows, plan=[planned(begin, begin + 120)], settled=begin + 600)
    assert (found.bad, found.unknown, found.counted) == (0, 0, 480)


def test_planned_time_beyond_the_months_cap_counts() -> None:
    plan = [planned(*minutes_from("2026-11-10T10:00", 60)), planned(*minutes_from("2026-11-20T10:00", 60))]
    outage = minutes_from("2026-11-20T10:40", 20)
    free = result("uptime", NOVEMBER, november(outage), plan=plan)
    capped = result("uptime", NOVEMBER, november(outage), plan=plan, cap_s=90 * 60)
    assert (minutes(free.bad), minutes(free.planned_s)) == (0, 120)
    assert (minutes(capped.bad), minutes(capped.planned_s)) == (20, 90)
    assert any("30.0 min of planned time are beyond the cap of 1h30m" in note for note in capped.notes)


def test_a_running_month_has_its_whole_budget_and_says_what_is_left() -> None:
    settled = NOVEMBER.starts_at + 86_400
    rows = time_slices(NOVEMBER.starts_at, settled, [minutes_from("2026-11-01T10:00", 5)])
    found = result("uptime", NOVEMBER, rows, settled=settled)
    assert (minutes(found.budget), minutes(found.budget_left), found.final) == (43.2, 38.2, False)
    assert found.compliant is False
    assert any("38.2 min of the window's 43.2 min are left" in note for note in found.notes)


def test_a_budget_smaller_than_one_failure_is_noted() -> None:
    begin = NOVEMBER.starts_at
    found = result("errors", NOVEMBER, [event_slice("errors", begin, 900, 0)], settled=begin + SLICE_S)
    assert found.compliant is True
    assert found.notes == ("one failure is more than the budget of 900 events",)


@pytest.mark.parametrize(
    ("target", "bad", "compliant"),
    [
        ("above: 80 %", 200, False),
        ("above: 80 %", 199, True),
        ("at_least: 80 %", 200, True),
        ("at_least: 80 %", 201, False),
        ("bad_below: 20 %", 200, False),
        ("bad_below: 20 %", 199, True),
    ],
)
def test_a_share_exactly_at_its_target_is_compared_as_it_was_written(target: str, bad: int, compliant: bool) -> None:
    targets = parse_targets(TEXT.replace("above: 80 %", target), "targets.yml")
    begin = NOVEMBER.starts_at
    rows = [event_slice("cache", begin, 1000, bad)]
    assert result("cache", NOVEMBER, rows, settled=begin + SLICE_S, targets=targets).compliant is compliant


counts = st.integers(0, 10**6)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=60), st.randoms())
def test_events_sum_up_in_any_order_however_they_are_cut(parts: list[tuple[int, int]], chance: object) -> None:
    begin = NOVEMBER.starts_at
    rows = [event_slice("errors", begin + n * SLICE_S, a + b, b) for n, (a, b) in enumerate(parts)]
    settled = begin + len(rows) * SLICE_S
    found = result("errors", NOVEMBER, rows, settled=settled)
    assert (found.counted, found.bad) == (sum(a + b for a, b in parts), sum(b for _, b in parts))
    chance.shuffle(rows)  # type: ignore[attr-defined]
    assert replace(result("errors", NOVEMBER, rows, settled=settled)) == found


spans = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 300)), max_size=6)


@given(spans, spans, spans)
def test_up_down_and_unknown_time_is_the_whole_time_that_is_not_planned(
    down: list[tuple[int, int]], dark: list[tuple[int, int]], plan: list[tuple[int, int]]
) -> None:
    """And the bounds hold the share that was true, whatever the unknown time was."""
    begin, end = NOVEMBER.starts_at, NOVEMBER.starts_at + 2400
    stretches = [[(begin + a, begin + a + b) for a, b in one] for one in (down, dark, plan)]
    truth = result(
        "uptime", between("2026-11-01", "2026-11-01T00:40", "UTC"), time_slices(begin, end, stretches[0]), basis="all"
    )
    found = result(
        "uptime",
        between("2026-11-01", "2026-11-01T00:40", "UTC"),
        # What is dark was up or down.
        time_slices(begin, end, _without(stretches[0], stretches[1]), stretches[1]),
        basis="all",
    )
    assert round(found.counted + found.unknown, 6) == 2400
    assert truth.actual is not None
    assert (found.worst or 0) - 1e-12 <= truth.actual <= (found.best or 0) + 1e-12
    contract = result(
        "uptime",
        between("2026-11-01", "2026-11-01T00:40", "UTC"),
        time_slices(begin, end, stretches[0]),
        plan=[planned(*one) for one in stretches[2] if one[0] < one[1]],
    )
    assert round(contract.counted + contract.unknown + contract.planned_s, 6) == 2400


def _without(found: list[tuple[int, int]], cut: list[tuple[int, int]]) -> list[tuple[int, int]]:
    inside = {second for a, b in found for second in range(a, b)} - {s for a, b in cut for s in range(a, b)}
    return [(second, second + 1) for second in inside]
