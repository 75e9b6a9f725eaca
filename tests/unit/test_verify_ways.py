"""A whole way (fault to phone, undo to all-clear) and the hops that it is made of never disagree.

FAIL only where a hop failed, or where all were in time and their sum is too long; never where a hop could not be
known; PASS only where each hop was seen.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaoskit.events import AlertState, AnyEvent, Equipment, FaultFail, FaultOk, Notice, Poll, Processor, UndoOk, Watch
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan
from chaoskit.verify.verdict import Result, Row, Verdict
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import DOORS, NAMES, Truth, mapped, recorded, source, told, with_events

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
WAYS = {
    Hop.FAULT_TO_PHONE: (Hop.DETECT, Hop.HOLD, Hop.NOTIFY),
    Hop.UNDO_TO_ALL_CLEAR: (Hop.CLEAR, Hop.ALL_CLEAR),
}
LOOSE, TIGHT = ("2m", "2m30s", "3m15s", "6m15s"), ("1m10s", "1m20s", "1m", "1m")
"""What is promised to each receiver, to be told and to be told of the end: more and less than the hops take."""
OBSERVERS = ("prometheus", "alertmanager", "mail-sink", "webhook-sink")
SCALE = 60.0


def promising(history: History, bounds: tuple[str, ...]) -> History:
    """The history as if these whole ways had been promised, where it promises none."""
    critical, workers, critical_over, workers_over = bounds
    ways = (
        f"    phone: {{critical-alerts: {critical}, worker-alerts: {workers}}}\n"
        f"    all_clear: {{critical-alerts: {critical_over}, worker-alerts: {workers_over}}}\n"
    )
    key = next(key for key in history.header.sources if key.startswith("promise:"))
    text = history.header.sources[key]
    if "    phone:" not in text:
        text = text.replace("  WorkerUnhealthy:\n", f"  WorkerUnhealthy:\n{ways}", 1)
    header = msgspec.structs.replace(history.header, sources={**history.header.sources, key: text})
    return dataclasses.replace(with_events(history, [header, *history.events[1:]]), header=header)


@cache
def plan(bounds: tuple[str, ...]) -> Plan:
    return plan_of(promising(recorded("kept"), bounds).header)


def check_ways(verdict: Verdict) -> int:
    """Compares each whole way with its hops; how many there were."""
    rows = {(row.about, row.hop, row.to): row for row in verdict.rows}
    ways = [row for row in verdict.rows if row.hop in WAYS]
    for way in ways:
        hops = [rows.get((way.about, hop, way.to), rows.get((way.about, hop, ""))) for hop in WAYS[Hop(way.hop)]]
        _compare(way, [hop for hop in hops if hop is not None])
    return len(ways)


def _compare(way: Row, hops: list[Row]) -> None:
    said = "\n".join(f"{row.hop} {row.result} {row.observed} {row.reason}" for row in [way, *hops])
    judged = [hop for hop in hops if hop.result is not UNKNOWN or " or less; governed" in hop.reason]
    if way.result is FAIL and not any(hop.result is FAIL for hop in hops):
        assert judged == hops, said
        assert way.observed, said
        assert way.allowed, said
        assert way.observed[0] > way.allowed[1], said
    if way.result is PASS:
        assert way.observed, said
        assert all(hop.observed for hop in hops), said


@pytest.mark.parametrize("bounds", [LOOSE, TIGHT], ids=["loose", "tight"])
@pytest.mark.parametrize("name", NAMES)
def test_whole_ways_of_recorded_runs_agree_with_their_hops(name: str, bounds: tuple[str, ...]) -> None:
    check_ways(verify(promising(recorded(name), bounds)))


Trouble = tuple[str, str, float, float]
"""Its kind, the equipment or event, and from when to when, in virtual seconds after the fault."""

truths = st.builds(
    Truth,
    pending_vs=st.floats(1, 80),
    held_vs=st.floats(55, 90),
    notified_vs=st.fixed_dictionaries({door: st.floats(0, 60) for door in DOORS}),
    undo_vs=st.floats(200, 260),
    cleared_vs=st.floats(-30, 120),
    all_clear_vs=st.floats(0, 200),
)
troubles = st.lists(
    st.tuples(
        st.sampled_from(["busy", "down", "blind", "lost", "lapsed"]),
        st.sampled_from([*OBSERVERS, "target"]),
        st.floats(-60, 500),
        st.floats(30, 300),
    ),
    max_size=3,
)  # fmt: skip


def suffering(history: History, each: Trouble) -> History:
    """The history of a run in which that happened."""
    kind, name, since_vs, lasted_vs = each
    fault = next((event.effect[0] for event in history.of(FaultOk)), history.events[0].t)
    begin, end = fault + since_vs / SCALE, fault + (since_vs + lasted_vs) / SCALE
    if kind == "blind":
        looks = (e for e in history.events if isinstance(e, Poll | Watch) and source(e) == name and begin <= e.t <= end)
        blind = {event.n for event in looks}
        return mapped(history, lambda event: None if event.n in blind else event)
    if kind == "lost":
        gone = [e.n for e in history.events if isinstance(e, Notice | AlertState | FaultOk | UndoOk)]
        lost = gone[int(lasted_vs) % len(gone)] if gone else -1
        return mapped(history, lambda event: None if event.n == lost else event)
    more: list[AnyEvent]
    if kind == "busy":
        seconds = [begin + n for n in range(int(lasted_vs / SCALE) + 1)]
        used, waited = {name: 0.05}, {name: 0.95}
        more = [Processor(t=at + 1, during=(at, at + 1), used_s=used, waited_s=waited) for at in seconds]
    elif kind == "down":
        more = [Equipment(t=at, name=name, state=to) for at, to in ((begin, "down"), (end, "up"))]  # type: ignore[arg-type]
    else:
        more = [FaultFail(t=begin, fault=ok.fault, reason="it ended", lapsed=True) for ok in history.of(FaultOk)]
    inner = sorted([*history.events[1:-1], *more], key=lambda event: event.t)
    return with_events(history, [history.events[0], *inner, history.events[-1]])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(truths, troubles, st.sampled_from([LOOSE, TIGHT]))
def test_whole_ways_agree_with_their_hops_whatever_happened(
    truth: Truth, happened: list[Trouble], bounds: tuple[str, ...]
) -> None:
    history = promising(told(truth), bounds)
    for each in happened:
        history = suffering(history, each)
    check_ways(verify(history, plan(bounds)))
