"""Counters, uptime and gaps, pure: the definitions against slower ones, and mistakes that others make."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.sla.counters import (
    Counter,
    Increase,
    began_again,
    counters,
    labels_of,
    prior,
    raw_slices,
    read_raw,
    steps,
)
from chaoskit.sla.gaps import Tally, event_rows
from chaoskit.sla.model import SLICE_S
from chaoskit.sla.source import Series, doubled
from chaoskit.sla.uptime import Known, combined, instances, seen, states

EVERY_MS = 15_000
BORDERS = [0, 300, 600, 900, 1200]


def series(times: Sequence[int], values: Sequence[float], **labels: str) -> Series:
    return Series(labels, times, list(values))


def by_definition(times: Sequence[int], values: Sequence[float], begin: int, end: int) -> float:
    """What a counter rose by over its samples in (begin, end] (seconds), the step to the first of them included."""
    pairs = itertools.pairwise(zip(times, values, strict=True))
    return sum((b - a if b >= a else b) for (_, a), (at, b) in pairs if begin * 1000 < at <= end * 1000)


def sums(times: Sequence[int], values: Sequence[float], borders: Sequence[int]) -> list[float]:
    """The same by slices, as they are fetched: borders, suspects, and raw samples only where need be."""
    ends = [[(at, v) for at, v in zip(times, values, strict=True) if a * 1000 < at <= b * 1000]
            for a, b in itertools.pairwise([borders[0] - SLICE_S, *borders])]  # fmt: skip
    at_borders = [(border * 1000, found[-1][1]) for border, found in zip(borders, ends, strict=True) if found]
    suspects = [
        border * 1000
        for border in borders[1:]
        for (before, a), (at, b) in itertools.pairwise(zip(times, values, strict=True))
        if b < a and border * 1000 - 615_000 <= before and at <= border * 1000
    ]
    label = {"job": "a"}
    (counter,) = counters(
        [Series(label, *map(list, zip(*at_borders, strict=True)))] if at_borders else [series([], [])],
        [Series(label, suspects, [1.0] * len(suspects))],
        borders,
    ).values()
    found = steps(counter)
    for number in raw_slices([counter]):
        inside = ends[number]
        if inside:
            raw = Series(label, [at for at, _ in inside], [v for _, v in inside])
            found[number - 1] += read_raw(raw, prior(counter, number), set()).whole
    return found


samples = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), min_size=2, max_size=80)


@given(samples, st.integers(0, EVERY_MS - 1))
def test_slices_add_up_to_what_the_samples_say_wherever_counters_begin_again(
    steps_: list[tuple[int, int]], offset_ms: int
) -> None:
    """Pauses of up to ten minutes, resets anywhere, samples on and off the borders; each slice has its own events."""
    times, values, at, value = [], [], offset_ms, 100.0
    for pause, rise in steps_:
        at, value = at + pause * EVERY_MS, (value + rise if rise < 9 else float(pause))
        times.append(at)
        values.append(value)
    borders = list(range(0, times[-1] // 300_000 * 300 + 601, SLICE_S))
    # The first sample has none before it, in this stretch or in the slice before.
    assert sums(times, values, borders) == [by_definition(times, values, a, b) for a, b in itertools.pairwise(borders)]


def test_a_sample_on_a_border_belongs_to_the_slice_that_ends_there() -> None:
    times = [300_000, 600_000, 900_000]
    assert sums(times, [10.0, 15.0, 17.0], BORDERS[:4]) == [0.0, 5.0, 2.0]


def test_an_event_between_two_slices_samples_counts_once() -> None:
    """`increase()` over each slice sees 0 of it, and 1.05 of one that lies inside."""
    times = list(range(7_000, 900_000, EVERY_MS))
    values = [0.0 if at < 300_000 else 1.0 for at in times]
    assert sums(times, values, BORDERS[:4]) == [0.0, 1.0, 0.0]


def test_3_resets_lose_nothing_that_was_scraped() -> None:
    success = sums([290_000, 590_000, 605_000], [1_200_000.0, 1_650_000.0, 549_401.0], BORDERS[:4])
    errors = sums([290_000, 590_000, 605_000], [100.0, 400.0, 299.0], BORDERS[:4])
    assert (sum(success) + sum(errors), sum(errors)) == (1_000_000, 599)


def test_a_histogram_whose_bucket_fell_began_again_as_a_whole() -> None:
    """Else more would be fast than there were at all."""
    slow = series([10_000, 25_000], [9.0, 3.0], le="5")
    all_ = series([10_000, 25_000], [9.0, 12.0], le="+Inf")
    priors = {labels_of(one.labels): 9.0 for one in (slow, all_)}
    fell = began_again([slow, all_], priors)
    assert [read_raw(one, 9.0, fell).whole for one in (slow, all_)] == [3.0, 12.0]


def test_series_that_differ_in_a_replica_alone_are_found() -> None:
    found = [{"job": "a", "prometheus_replica": one} for one in "xy"]
    assert doubled([series([], [], **one) for one in found]) == "prometheus_replica"
    assert doubled([series([], [], job="a", instance=one) for one in "xy"]) == ""
    assert doubled([series([], [], job="a"), series([], [], job="a", replica="x")]) == "replica"


def rows(
    inside: Sequence[float], raw: Mapping[int, Increase], light: Mapping[int, int], last_light: int | None
) -> list[tuple[int, int, float | None, float]]:
    tally = Tally.of(len(inside), [list(inside)], [raw])
    found = event_rows("live", "errors", 0, tally, tally, light=light, last_light=last_light)
    return [(one.starts_at, one.ends_at, one.total, round(one.coverage, 4)) for one in found]


def test_4_a_gap_that_no_counter_began_again_in_is_one_row() -> None:
    """Prometheus was away for an hour, and 500,000 became 503,600."""
    light = {0: -7_000, 1: 7_000, **{n: n * 300_000 - 293_000 for n in (14, 15)}}
    found = rows([5.0] + [0.0] * 12 + [0.0, 6.0], {14: Increase(10.0, 3590.0)}, light, None)
    assert found[0] == (0, 300, 5.0, 1.0)
    assert [one for one in found if one[2] is None] == [(a, a + 300, None, 0.0) for a in range(300, 3900, 300)]
    assert found[-2:] == [(300, 4200, 3600.0, round(300 / 3900, 4)), (4200, 4500, 6.0, 1.0)]


@pytest.mark.parametrize(
    ("raw", "light", "last_light", "first"),
    [
        ({2: Increase(10.0, 50.0, fell=True)}, {0: -1, 2: 307_000}, None, (300, 600, 10.0, 0.9767)),  # it began again
        ({2: Increase(10.0)}, {0: -1, 2: 307_000}, None, (300, 600, 10.0, 0.9767)),  # no sample before is left
        ({2: Increase(10.0, 50.0)}, {2: 307_000}, None, (300, 600, 10.0, 0.9767)),  # never seen before
        ({2: Increase(10.0, 50.0)}, {2: 600_000}, None, (300, 600, None, 0.0)),  # first seen in its last instant
        ({2: Increase(10.0, 50.0)}, {2: 307_000}, -3600, (-3600, 600, 60.0, round(300 / 4200, 4))),
    ],
)
def test_what_came_before_the_first_sample_is_unknown_unless_a_counter_bridges_it(
    raw: Mapping[int, Increase], light: Mapping[int, int], last_light: int | None, first: tuple[int, int, float, float]
) -> None:
    assert rows([0.0, 0.0], raw, light, last_light)[-1] == first


def test_a_series_that_is_missing_at_a_border_is_read_raw_where_it_comes_back() -> None:
    one = Counter({}, [1.0, None, 3.0, 4.0], {2})
    assert (steps(one), prior(one, 2), prior(one, 1)) == ([0.0, 0.0, 1.0], 1.0, 1.0)


# Uptime


def test_a_sample_stands_for_the_time_since_the_one_before() -> None:
    times = [7_000, 22_000, 37_000, 52_000]
    assert states(times, [1, 1, 0, 1]) == [
        Known(-8_000, 22_000, True), Known(22_000, 37_000, False), Known(37_000, 52_000, True),
    ]  # fmt: skip


def test_after_a_pause_of_more_than_two_intervals_a_sample_stands_for_one() -> None:
    times = [*range(0, 90_001, 15_000), 120_000, 180_000, 195_000]
    found = states(times, [1.0] * len(times))
    assert found == [Known(-15_000, 120_000, True), Known(165_000, 195_000, True)]


def test_an_interval_that_is_changed_is_known_by_its_third_pause() -> None:
    times = [*range(0, 150_001, 15_000), *range(210_000, 810_001, 60_000)]
    found = states(times, [1.0] * len(times))
    assert found[-1].begin_ms <= 330_000
    assert found[-1].end_ms == 810_000
    assert states([7_000], [1.0]) == []


def seconds(mode: str, *each: Sequence[Known]) -> tuple[float, float, float]:
    ((up, down, unknown),) = combined(each, [0, 300], mode)
    return up, down, unknown


def test_instances_are_combined_at_every_instant_over_those_that_are_known() -> None:
    """One that was down for five minutes and is gone weighs its five minutes, not half of all time."""
    healthy = [Known(0, 300_000, True)]
    gone = [Known(0, 60_000, False)]
    assert seconds("mean", healthy, gone) == (270.0, 30.0, 0.0)
    assert seconds("all", healthy, gone) == (240.0, 60.0, 0.0)
    assert seconds("any", healthy, gone) == (300.0, 0.0, 0.0)
    assert seconds("mean", [Known(0, 100_000, True)], gone) == (70.0, 30.0, 200.0)


known = st.lists(st.tuples(st.integers(0, 1200), st.integers(1, 300), st.booleans()), max_size=6)


@given(st.lists(known, max_size=3), st.sampled_from(["mean", "all", "any"]))
def test_every_slice_is_up_down_and_unknown_for_as_long_as_it_is(
    each: list[list[tuple[int, int, bool]]], mode: str
) -> None:
    """And it is what a look at each second finds."""
    found = [_apart(one) for one in each]
    slices = combined(found, BORDERS, mode)
    assert all(abs(sum(one) - SLICE_S) < 1e-6 for one in slices)
    up = sum(one[0] for one in slices)
    naive = 0.0
    for second in range(1200):
        at = [one.up for stretches in found for one in stretches if one.begin_ms <= second * 1000 < one.end_ms]
        if at:
            naive += sum(at) / len(at) if mode == "mean" else float(all(at) if mode == "all" else any(at))
    assert abs(up - naive) < 1e-6


def _apart(found: list[tuple[int, int, bool]]) -> list[Known]:
    """Stretches of one instance, none of which overlap."""
    made: list[Known] = []
    for begin, length, up in sorted(found):
        begin = max(begin, made[-1].end_ms // 1000 if made else 0)
        made.append(Known(begin * 1000, (begin + length) * 1000, up))
    return made


def test_an_instance_whose_label_changes_goes_on_and_two_at_once_are_two() -> None:
    old = series([0, 15_000], [1, 1], job="a", instance="x")
    new = series([30_000, 45_000], [1, 0], job="a", instance="x", version="2")
    (one,) = instances([new, old])
    assert (list(one.times), one.values) == ([0, 15_000, 30_000, 45_000], [1, 1, 1, 0])
    assert len(instances([old, series([10_000, 25_000], [1, 1], job="a", instance="x", cluster="b")])) == 2


def test_the_first_instant_that_anything_was_scraped_is_known_of_each_slice() -> None:
    found = seen([series([-1, 0, 1, 300_000, 300_001], [1] * 5), series([450_000], [0])], BORDERS)
    assert found == {1: 1, 2: 300_001}
