"""Scripted series: promtool's notation, and what a series shows at each instant of a rehearsal."""

from __future__ import annotations

import urllib.request

import psutil
import pytest

from chaoskit.faults.series import (
    NEVER,
    Course,
    Scripted,
    SeriesSettings,
    Values,
    constant,
    identity,
    notation,
    parse_identity,
    parse_values,
    slope,
    value_at,
)
from chaoskit.host.ports import reserve
from chaoskit.rehearse.page import Page
from chaoskit.rehearse.written import described


def played(text: str, count: int) -> list[float | None]:
    return [parse_values(text).at(float(i)) for i in range(count)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5", [5, 5, 5]),
        ("0x2 7", [0, 0, 0, 7, 7]),
        ("1+2x3", [1, 3, 5, 7, 7]),
        ("10-2.5x2", [10, 7.5, 5, 5]),
        ("1 _x2 3", [1, None, None, 3]),
        ("1 stale", [1, None, None]),
        ("1e3", [1000.0]),
        ("-1+1x2", [-1, 0, 1]),
    ],
)
def test_the_notation_is_promtools(text: str, values: list[float | None]) -> None:
    assert played(text, len(values)) == values


@pytest.mark.parametrize("text", ["1x", "x5", "1+x5", "five", "{{schema:0}}"])
def test_what_is_not_in_the_notation_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="not in promtool's notation"):
        parse_values(text)


@pytest.mark.parametrize("rest", ["1", "0+3x10000", "_"])
@pytest.mark.parametrize(
    "text", ["0x4 5x10", "0+15x10", "1 stale", "1 2 4 8", "3-0.5x4 1x3", "_x3 7x2", "inf", "1 nan"]
)
@pytest.mark.parametrize("every_s", [15.0, 7.0])
@pytest.mark.parametrize("kind", ["", "counter", "clock", "repeat"])
def test_what_promtool_is_given_is_what_the_page_would_show(rest: str, text: str, every_s: float, kind: str) -> None:
    """Sample by sample: through rest, fault and fall, however often it is sampled."""
    values = Values(parse_values(text).segments, repeat=kind == "repeat")
    one = Scripted("m", (), parse_values(rest), values, counter=kind == "counter", clock=kind == "clock")
    course = Course(0.0, 600.0, 1500.0)
    written = parse_values(notation(one, course, every_s, 140, 60.0, begin=2))
    assert sum(segment.count for segment in written.segments) == 140
    for i in range(140):
        shown = None if i < 2 else value_at(one, course, i * every_s, 60.0)
        shown = shown + i * every_s if shown is not None and kind == "clock" else shown
        assert written.at(float(i)) == (shown if shown is None else pytest.approx(shown, nan_ok=True)), i


def test_a_repeated_sequence_begins_anew() -> None:
    flips = Values(parse_values("1 0").segments, repeat=True)
    assert [flips.at(float(i)) for i in range(5)] == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(("rest", "during"), [("1 0", "1"), ("1", "1 0"), ("1 0", "5 6 7"), ("1", "5")])
def test_a_scenario_that_is_read_has_the_series_that_were_written(rest: str, during: str) -> None:
    """What alternates at rest does so again after the fault."""
    before, then = (Values(v.segments, sum(s.count for s in v.segments) > 1) for v in map(parse_values, (rest, during)))
    series = Scripted("leader", (("job", "m"),), before, then)
    assert SeriesSettings.model_validate({"series": [described(series)]}).scripted(15.0)[0] == (series,)


def test_a_gauge_follows_its_phases() -> None:
    series = Scripted("up", (), constant(1), constant(0))
    course = Course(0, 60, 120)
    assert [value_at(series, course, at, 15) for at in (0, 59, 60, 119, 120, 999)] == [1, 1, 0, 0, 1, 1]


def test_a_counter_never_falls_when_a_phase_begins() -> None:
    series = Scripted("errors_total", (), slope(0, 1), slope(0, 30), counter=True)
    course = Course(0, 150, 300)
    values = [value_at(series, course, float(at), 15) or 0.0 for at in range(0, 451, 15)]
    assert values == sorted(values)
    assert (values[10], values[20], values[30]) == (10, 310, 320)


def test_a_series_that_vanishes_is_missing_not_zero() -> None:
    series = Scripted("heartbeat", (), constant(1), NEVER)
    assert value_at(series, Course(0, 10), 20, 15) is None


@pytest.mark.parametrize("text", ["up", 'up{job="a"}', 'x{a="q\\"uote",b="back\\\\slash",c="line\\nbreak"}'])
def test_a_series_is_read_as_it_is_written(text: str) -> None:
    name, labels = parse_identity(text)
    assert identity(name, labels) == text


@pytest.mark.parametrize("text", ["", "up{job=}", "{job='a'}", "up{job='a'", "1up"])
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"series|metric"):
        parse_identity(text)


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def page(clock: list[float]):  # type: ignore[no-untyped-def]
    page = Page(reserve(1)[0], 60.0, lambda: clock[0])
    yield page
    page.close()


def test_the_page_moves_k_times_as_fast_as_the_clock(page: Page, clock: list[float]) -> None:
    series = Scripted("errors_total", (("job", "a"),), slope(0, 0), slope(0, 15), counter=True)
    page.rest([series], 15.0)
    page.start([series], 15.0)
    clock[0] += 1.0  # 60 virtual seconds
    assert page.text() == 'errors_total{job="a"} 60\n'
    page.stop([series])
    clock[0] += 10.0
    assert page.text() == 'errors_total{job="a"} 60\n'
    page.remove([series])
    assert page.text() == ""


def test_a_time_stamp_is_so_many_virtual_seconds_before_now(page: Page, clock: list[float]) -> None:
    series = Scripted("last_run_timestamp_seconds", (), constant(-60), constant(-7200), clock=True)
    page.rest([series], 15.0)
    assert page.text() == "last_run_timestamp_seconds 999\n"
    page.start([series], 15.0)
    assert page.text() == "last_run_timestamp_seconds 880\n"


def test_what_alternates_does_so_from_scrape_to_scrape_whatever_the_clock_says(page: Page) -> None:
    series = Scripted("leader", (), constant(1), Values(parse_values("1 0").segments, repeat=True))
    page.rest([series], 15.0)
    page.start([series], 15.0)
    assert [page.text() for _ in range(4)] == ["leader 0\n", "leader 1\n", "leader 0\n", "leader 1\n"]
    beats = Scripted("beat", (), series.values, constant(1))
    page.remove([series])
    page.rest([beats], 15.0)
    assert len({page.text() for _ in range(2)}) == 2, "at rest, too"
    page.start([beats], 15.0)
    page.stop([beats])
    assert len({page.text() for _ in range(2)}) == 2


def test_the_page_is_served_with_the_content_type_that_prometheus_3_insists_on(clock: list[float]) -> None:
    port = reserve(1)[0]
    page = Page(port, 1.0, lambda: clock[0])
    try:
        page.rest([Scripted("up", (), constant(1), NEVER)], 15.0)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert answer.read() == b"up 1\n"
    finally:
        page.close()


def test_the_page_of_series_is_on_loopback_only() -> None:
    page = Page(port := reserve(1)[0], 60.0)
    try:
        doors = [each.laddr for each in psutil.Process().net_connections("inet") if each.status == psutil.CONN_LISTEN]
        assert {door.ip for door in doors if door.port == port} == {"127.0.0.1"}
    finally:
        page.close()
