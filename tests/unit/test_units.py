"""Durations, sizes, rates and counts are read and written as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.units import amount, format_duration, parse_duration, parse_rate, parse_ratio, parse_size


@pytest.mark.parametrize(("count", "said"), [(0, "0 alerts"), (1, "1 alert"), (2, "2 alerts")])
def test_one_of_them_is_no_plural(count: int, said: str) -> None:
    assert amount(count, "alerts") == said


@given(st.integers(0, 10**10))
def test_a_duration_that_was_written_reads_as_the_same(millis: int) -> None:
    assert parse_duration(format_duration(millis / 1000)) == pytest.approx(millis / 1000)


@pytest.mark.parametrize("text", ["5", "", "1m1h", "1h1h", "1.5s", "-1s", "1 s"])
def test_what_prometheus_would_not_take_for_a_duration_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="number with its unit"):
        parse_duration(text)


def test_shares_rates_and_sizes_are_read_as_written() -> None:
    assert (parse_ratio("95%"), parse_ratio(0.95), parse_ratio(1)) == (0.95, 0.95, 1)
    assert (parse_rate("40/s"), parse_rate("0.5/s")) == (40, 0.5)
    assert (parse_size("1GiB"), parse_size("1.5 kB")) == (2**30, 1500)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [(parse_ratio, "120%", "120%"), (parse_rate, "30/m", "not a rate"), (parse_size, "12", "12")],
)
def test_what_is_none_is_refused_and_named(read: Callable[[str], float], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text)
