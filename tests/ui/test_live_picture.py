"""A run that is not over is drawn from its events alone: one prefix, one picture, and nothing is judged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import live_scale
from chaoskit.events import FaultOk, LoadWindow, UndoOk
from chaoskit.history import History, read_history
from chaoskit.report.html import environment
from chaoskit.report.html_live import Live
from chaoskit.report.html_load import Traffic
from chaoskit.verify.case import Case

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.jsonl"))
HELD = Path(__file__).parents[1] / "golden" / "held-too-long.jsonl"

BLIND = ("alertmanager-died", "kept", "observer-frozen", "prometheus-died", "prometheus-frozen", "run-killed")
"""Most of them with an observer that is not looking for a while."""


def drawn(history: History, count: int, now: float | None = None) -> str:
    """The timeline after so many events, as the page has it."""
    live = Live(history.header)
    for event in history.events[1:count]:
        live.feed(event)
    template = environment().from_string('{% import "marks.html" as draw %}{{ draw.timeline(shown) }}')
    return template.render(shown=live.picture(now or history.events[count - 1].t))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_every_recorded_run_can_be_drawn_at_any_time_and_twice_alike(file: Path) -> None:
    history = read_history(file)
    for part in (0.2, 0.5, 0.8, 1.0):
        count = max(1, int(len(history.events) * part))
        first = drawn(history, count)
        assert first == drawn(history, count)
        assert "could not be drawn" not in first
        for verdict in ("PASS", "FAIL", "UNKNOWN"):
            assert f'class="chip {verdict}"' not in first


def test_what_has_not_ended_ends_at_the_present_and_is_no_failure() -> None:
    history = read_history(HELD)
    effect = next(history.of(FaultOk))
    running = drawn(history, effect.n + 1)
    assert "in force" in running
    for word in ("not undone", "never seen", "not ended", "bar trouble"):
        assert word not in running
    assert "not yet" in running
    # Of the same run, over, the report says the opposite where it was cut off here.
    later = drawn(history, effect.n + 1, now=effect.t + 1)
    assert later != running


def test_the_axis_stands_still_until_the_plan_is_outlasted() -> None:
    history = read_history(HELD)
    live = Live(history.header)
    for event in history.events[1:]:
        live.feed(event)
    planned = live.axis(live.zero + 1).end
    assert live.axis(live.zero + 2).end == planned
    beyond = live.axis(planned + 1)
    assert beyond.end > planned + 1
    assert live.axis(live.zero + 1).end == beyond.end


def test_windows_that_are_to_come_are_shown_right_of_the_present() -> None:
    """Once the fault is in force, also those of hops whose beginning was not seen yet."""
    history = read_history(HELD)
    before, after = next(history.of(FaultOk)).n, next(history.of(UndoOk)).n
    live = Live(history.header)
    for event in history.events[1 : before + 1]:
        live.feed(event)
    now = history.events[before].t
    groups = {group.title: group for group in live.picture(now)["groups"]}
    expected = groups["WorkerUnhealthy worker-1"]
    axis = live.axis(now)
    coming = [bar for lane in expected.lanes for bar in lane.bars if bar.kind == "window"]
    told = [bar for lane in expected.lanes[1:] for bar in lane.bars if bar.kind == "window"]
    assert any("hold" in bar.title for bar in coming)
    assert told
    assert all(bar.x > axis.x(now) for bar in told)
    assert after > before


@pytest.mark.parametrize("file", [one for one in GOLDEN if one.stem in BLIND], ids=lambda file: file.stem)
def test_looks_that_say_nothing_new_are_left_out_and_nothing_that_is_drawn_changes(file: Path) -> None:
    history = read_history(file)
    live = Live(history.header)
    for event in history.events[1:]:
        live.feed(event)
    found, whole = live.read(history.last_t).evidence, Case(history, live.plan).evidence
    assert len(live.read(history.last_t).history.events) < 0.6 * len(history.events)
    assert (found.outages, found.unanswered, found.notices) == (whole.outages, whole.unanswered, whole.notices)
    for one, other in zip(found.episodes, whole.episodes, strict=True):
        assert one.own == other.own
        assert [*one.begun, *(one.firing or ())] == pytest.approx([*other.begun, *(other.firing or ())], abs=0.01)


def test_a_run_of_hours_is_drawn_from_what_one_of_a_minute_needs() -> None:
    recorded = read_history(HELD)
    cut = recorded.events[: next(recorded.of(FaultOk)).n + 40]
    counts, pictures = [], []
    for size in (2_000, 20_000):
        live = Live(recorded.header)
        for event in live_scale.under_fault(cut, size)[1:]:
            live.feed(event)
        counts.append(len(live.read(live.last_t).history.events))
        load = live.picture(live.last_t)["groups"][-1]
        pictures.append(load.lanes[0])
    assert counts[1] < 1_500
    assert [len(lane.curves[0].points.split()) <= 300 for lane in pictures] == [True, True]
    assert any("the highest is drawn" in word for word in pictures[1].words)


def test_the_load_is_drawn_alike_from_one_reading_and_from_many() -> None:
    history = read_history(HELD)
    axis = Live(history.header).axis(history.last_t)
    window = next(history.of(LoadWindow))
    many = [
        msgspec.structs.replace(
            window, second=(axis.begin + n, axis.begin + n + 1), started=n % 7, p50_ms=n % 3 or None
        )
        for n in range(int(min(1000, 0.9 * (axis.end - axis.begin))))
    ]
    at_once, bit_by_bit = Traffic(many, axis), Traffic((), axis)
    for start in range(0, len(many), 13):
        bit_by_bit.take(many[start : start + 13])
    for label in ("requests", "in flight", "latency"):
        assert at_once.lane(label, ()) == bit_by_bit.lane(label, ())
