"""What may happen to evidence on its way, and must never make a run greener than it was.

A run that failed does not turn green when evidence is lost, doubled, moved or blurred in ways that a mere
observer's trouble could; and a run that kept its promises does not fail for it, it becomes UNKNOWN at worst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaoskit.events import (
    AlertState,
    AnyEvent,
    Equipment,
    FaultOk,
    Header,
    Interval,
    LoadWindow,
    Notice,
    Poll,
    Stranger,
    Suppression,
    UndoOk,
    Watch,
    encode,
)
from chaoskit.history import History
from chaoskit.plan.model import Plan
from chaoskit.verify import verify as judging
from chaoskit.verify.verdict import Result, Verdict, to_json
from chaoskit.verify.verify import verify
from tests.golden.doctored import (
    DOORS,
    NAMES,
    Truth,
    failed,
    mapped,
    passed,
    recorded,
    results,
    source,
    told,
    with_events,
)

FAILING = [name for name in NAMES if verify(recorded(name)).result is Result.FAIL]
GREEN = [name for name in NAMES if verify(recorded(name)).result is Result.PASS]
ENDED = [name for name in NAMES if name != "run-killed"]
"""Recordings that came to their end: where one broke off is part of what it says."""
OBSERVERS = ("prometheus", "alertmanager", "mail-sink", "webhook-sink")
SINKS = OBSERVERS[2:]

bounded = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True, scope="module")
def plans_made_once() -> Iterator[None]:
    """The same header gives the same plan; reading its texts anew for each of thousands of verdicts takes minutes."""
    plans: dict[bytes, Plan] = {}

    def plan_of(header: Header) -> Plan:
        key = encode(header)
        if key not in plans:
            plans[key] = make(header)
        return plans[key]

    make = judging.plan_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "plan_of", plan_of)
        yield


@cache
def verdict(name: str) -> Verdict:
    """The golden history's own verdict."""
    return verify(recorded(name))


def no_greener(name: str, after: History) -> None:
    """No FAIL of the recording is PASS now, neither as a row nor as a whole."""
    was, now = verdict(name), verify(after)
    assert not failed(was) & passed(now)
    if was.result is Result.FAIL:
        assert now.result is not Result.PASS


def no_redder(name: str, after: History) -> None:
    """What did not fail does not fail now."""
    assert failed(verify(after)) <= failed(verdict(name))


def lose_looks(history: History, data: st.DataObject) -> History:
    """Any of the looks were not taken, or not written down."""
    looks = [e.n for e in history.events if isinstance(e, Poll | Watch)]
    lost = data.draw(st.sets(st.sampled_from(looks))) if looks else set()
    return with_events(history, [e for e in history.events if e.n not in lost])


def blind_sink(history: History, data: st.DataObject) -> History:
    """A sink saw nothing for a while: neither its looks nor its notices of that time exist."""
    sink = data.draw(st.sampled_from(SINKS))
    begin, end = sorted(data.draw(st.tuples(instants(history), instants(history))))

    def gone(event: AnyEvent) -> bool:
        if isinstance(event, Watch) and event.sink == sink:
            return meets(event.seen, begin, end)
        return isinstance(event, Notice) and source(event) == sink and meets(event.sent, begin, end)

    return mapped(history, lambda event: None if gone(event) else event)


def dead_observer(history: History, data: st.DataObject) -> History:
    """One observer's thread ended and told nothing more."""
    observer, end = data.draw(st.sampled_from(OBSERVERS)), data.draw(instants(history))
    return mapped(history, lambda event: None if source(event) == observer and event.t > end else event)


def broken_off(history: History, data: st.DataObject) -> History:
    """The run was killed."""
    return with_events(history, history.events[: data.draw(st.integers(1, len(history.events) - 1))])


def doubled(history: History, data: st.DataObject) -> History:
    """Any events but the header were written twice, at once or much later."""
    twice = data.draw(st.sets(st.integers(1, len(history.events) - 1), max_size=12))
    behind = data.draw(st.booleans())
    events = list(history.events)
    if behind:
        return with_events(history, [*events[:-1], *(events[n] for n in sorted(twice)), events[-1]])
    return with_events(history, [copy for e in events for copy in ([e, e] if e.n in twice else [e])])


def late_witness(history: History, data: st.DataObject) -> History:
    """One observer's thread was starved: all that it tells, in its order, comes later between what others tell."""
    observer = data.draw(st.sampled_from(OBSERVERS))
    by = data.draw(st.integers(1, 30))
    rest = [e for e in history.events if source(e) != observer]
    mine = [(min(e.n + by, len(history.events) - 2), e) for e in history.events if source(e) == observer]
    events: list[AnyEvent] = []
    for event in rest:
        while mine and mine[0][0] < event.n:
            events.append(msgspec.structs.replace(mine.pop(0)[1], t=event.t))
        events.append(event)
    return with_events(history, [*events[:-1], *(e for _, e in mine), events[-1]])


def blurred(history: History, data: st.DataObject) -> History:
    """Instants are known less exactly: intervals are wider on one side or both."""
    before, after = data.draw(st.tuples(st.floats(0, 5), st.floats(0, 5)))
    kind = data.draw(st.sampled_from(["notices", "fault", "undo", "clock", "evaluations"]))

    def wider(interval: Interval) -> Interval:
        return (interval[0] - before, interval[1] + after)

    def blur(event: AnyEvent) -> AnyEvent:
        match event:
            case Notice() if kind == "notices":
                return msgspec.structs.replace(event, sent=wider(event.sent))
            case FaultOk() if kind == "fault":
                return msgspec.structs.replace(event, effect=wider(event.effect))
            case UndoOk() if kind == "undo":
                return msgspec.structs.replace(event, gone=wider(event.gone))
            case Poll(skew=(float(), float()) as skew) if kind == "clock":
                return msgspec.structs.replace(event, skew=wider(skew))
            case AlertState() if kind == "evaluations" and event.previous is not None:
                return msgspec.structs.replace(event, previous=event.previous - before)
            case _:
                return event

    return mapped(history, blur)


TROUBLES = [lose_looks, blind_sink, dead_observer, broken_off, doubled, late_witness, blurred]


def instants(history: History) -> st.SearchStrategy[float]:
    return st.floats(history.events[0].t, history.last_t)


def meets(interval: Interval, begin: float, end: float) -> bool:
    return interval[0] <= end and interval[1] >= begin


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
@bounded
@given(st.sampled_from(FAILING), st.data())
def test_no_failure_turns_green(trouble: object, name: str, data: st.DataObject) -> None:
    no_greener(name, trouble(recorded(name), data))  # type: ignore[operator]


@pytest.mark.parametrize("trouble", [t for t in TROUBLES if t is not doubled], ids=lambda trouble: trouble.__name__)
@bounded
@given(st.sampled_from(GREEN), st.data())
def test_no_kept_promise_fails_because_of_whoever_looks(trouble: object, name: str, data: st.DataObject) -> None:
    no_redder(name, trouble(recorded(name), data))  # type: ignore[operator]


@pytest.mark.parametrize("name", FAILING)
def test_no_single_event_of_those_that_matter_carries_a_failure_alone(name: str) -> None:
    """Whatever one event is taken away, its traces in others are enough not to call the run green."""
    history = recorded(name)
    for event in history.events[1:]:
        if isinstance(event, Header | LoadWindow | Poll | Watch):
            continue
        after = with_events(history, [e for e in history.events if e.n != event.n])
        assert verify(after).result is not Result.PASS, f"{name}: without {event}"


@bounded
@given(st.sampled_from(ENDED), st.data())
def test_a_history_that_breaks_off_is_never_pass(name: str, data: st.DataObject) -> None:
    assert verify(broken_off(recorded(name), data)).result is not Result.PASS


@bounded
@given(st.sampled_from(ENDED), st.data())
def test_a_witness_that_speaks_late_says_the_same(name: str, data: st.DataObject) -> None:
    """The order of different observers' events in the file means nothing: the verdict is the same, to the byte."""
    history = recorded(name)
    assert to_json(verify(late_witness(history, data))) == to_json(verdict(name))


@bounded
@given(st.sampled_from(NAMES), st.data())
def test_looks_reported_twice_change_no_byte(name: str, data: st.DataObject) -> None:
    history = recorded(name)
    twice = data.draw(st.sets(st.sampled_from([e.n for e in history.events if isinstance(e, Poll | Watch)])))
    events = [copy for e in history.events for copy in ([e, e] if e.n in twice else [e])]
    assert to_json(verify(with_events(history, events))) == to_json(verdict(name))


# One truth told without noise, from which one thing at a time is moved.

INSIDE = {"pending_vs": (0.5, 45.5), "cleared_vs": (1.0, 69.0), "all_clear_vs": (0.5, 124.0)}
"""What the shipped promise allows, a little less at both ends."""

truths = st.builds(
    Truth,
    pending_vs=st.floats(*INSIDE["pending_vs"]),
    cleared_vs=st.floats(*INSIDE["cleared_vs"]),
    all_clear_vs=st.floats(*INSIDE["all_clear_vs"]),
    undo_vs=st.floats(150, 170),
    notified_vs=st.fixed_dictionaries({door: st.floats(0.1, 4.9) for door in DOORS}),
    ahead_s=st.just(0.0),
    measured=st.just((0.0, 0.0)),
)


@bounded
@given(truths)
def test_noise_free_truth_inside_every_window_is_pass_and_never_unknown(truth: Truth) -> None:
    rows = verify(told(truth)).rows
    assert not [row for row in rows if row.result is not Result.PASS]


@bounded
@given(truths, st.sampled_from([-1, 1]), st.floats(0.2, 300), st.sampled_from(["hold", "detect", "clear", "all-clear"]))
def test_noise_free_truth_outside_a_window_fails_that_hop(truth: Truth, sign: int, off: float, hop: str) -> None:
    """By however little, and never UNKNOWN."""
    match hop:
        case "detect":
            moved = replace(truth, pending_vs=46.0 + off, undo_vs=truth.undo_vs + off)
        case "hold":
            held = max(0.0, 60.0 + sign * off)
            moved = replace(truth, held_vs=held, undo_vs=truth.undo_vs + off)
        case "clear":
            moved = replace(truth, cleared_vs=70.0 + off)
        case _:
            moved = replace(truth, all_clear_vs=125.0 + off)
    assert results(verify(told(moved)), hop) - {Result.PASS} == {Result.FAIL}


@bounded
@given(truths, st.sampled_from(sorted(DOORS)), st.floats(0.2, 20))
def test_one_receiver_that_hears_late_fails_alone(truth: Truth, door: tuple[str, str], off: float) -> None:
    late = failed(verify(told(replace(truth, notified_vs={**truth.notified_vs, door: 5.0 + off}))))
    assert {(hop, to) for _, hop, to in late} == {("notify", f"{door[0]} ({door[1]})")}


@bounded
@given(st.sampled_from(["kept", "latched", "observer-frozen"]), st.floats(0.3, 30), st.sampled_from([-1, 1]), st.data())
def test_a_notice_moved_beyond_its_window_and_resolution_is_never_pass(
    name: str, by_s: float, sign: int, data: st.DataObject
) -> None:
    """At 60 times, 0.3 real s are 18 virtual s; the coarsest resolution of a first notice is 15."""
    history = recorded(name)
    chosen = data.draw(st.sampled_from([e for e in history.of(Notice) if e.status == "firing"]))
    row = next(
        row
        for row in verdict(name).rows
        if row.hop == "notify" and row.to == f"{chosen.receiver} ({chosen.integration})" and row.observed
    )
    assert row.observed is not None
    assert row.allowed is not None
    moved_vs = (row.observed[0] + sign * by_s * 60, row.observed[1] + sign * by_s * 60)
    if meets(moved_vs, row.allowed[0] - 15.1, row.allowed[1] + 15.1):
        return
    new = msgspec.structs.replace(chosen, sent=(chosen.sent[0] + sign * by_s, chosen.sent[1] + sign * by_s))
    after = verify(mapped(history, lambda e: new if e.n == chosen.n else e))
    assert (row.about, row.hop, row.to) not in passed(after)
    assert after.result is not Result.PASS


def test_a_notice_that_no_evaluation_explains_is_a_finding() -> None:
    """The alert's own events are lost; somebody was told of it all the same."""
    history = recorded("stray-alert")
    after = verify(
        mapped(history, lambda e: None if isinstance(e, AlertState) and e.labels["alertname"] == "Stray" else e)
    )
    assert after.result is Result.FAIL
    assert any("Stray" in row.reason and "no evaluation showed" in row.reason for row in after.rows)


def test_silence_of_a_suppressed_alert_counts_only_where_sinks_were_watched() -> None:
    history = recorded("suppressed")
    assert results(verify(history), "suppressed") == {Result.PASS}
    for sink in SINKS:
        blind = mapped(history, lambda e, sink=sink: None if isinstance(e, Watch) and e.sink == sink else e)  # type: ignore[misc]
        assert results(verify(blind), "suppressed") == {Result.UNKNOWN}
    unseen = mapped(history, lambda e: None if isinstance(e, Suppression) else e)
    assert results(verify(unseen), "suppressed") == {Result.FAIL}
    nobody = mapped(unseen, lambda e: None if isinstance(e, Poll) and e.source == "alertmanager" else e)
    assert results(verify(nobody), "suppressed") == {Result.UNKNOWN}


def test_equipment_that_the_scenario_takes_down_excuses_nothing() -> None:
    """Alertmanager is away on purpose while a notice is due: too late is too late."""
    history = told(Truth(notified_vs=dict.fromkeys(DOORS, 100.0), undo_vs=250.0))
    firing = next(e.t for e in history.of(AlertState) if e.state == "firing")
    at = next(e.n for e in history.events if e.t > firing)

    def down(invited: bool) -> History:
        gone = Equipment(name="alertmanager", state="down", t=history.events[at].t, invited=invited)
        deaf = [_unanswered(event) for event in history.events[at:]]
        return with_events(history, [*history.events[:at], gone, *deaf])

    assert results(verify(down(False)), "notify") == {Result.UNKNOWN}
    assert results(verify(down(True)), "notify") == {Result.FAIL}


def _unanswered(event: AnyEvent) -> AnyEvent:
    looks = isinstance(event, Poll) and event.source == "alertmanager"
    return msgspec.structs.replace(event, ok=False, detail="no connection") if looks else event


@pytest.mark.parametrize("name", [GREEN[0], FAILING[0], "mailbox-died", "run-killed"])
def test_what_strangers_said_is_counted_and_changes_no_row(name: str) -> None:
    was = recorded(name)
    forged = [
        Stranger(
            sink="mail-sink", receiver="ops", integration="email", index=0, reason="no word", count=count, t=was.last_t
        )
        for count in (2, 3)
    ]
    before = verify(was)
    after = verify(with_events(was, [*was.events[:-1], *forged, was.events[-1]]))
    assert (after.rows, after.result, after.exit_code) == (before.rows, before.result, before.exit_code)
    said = "mail-sink refused 5 messages of foreign senders, at the door of ops (email): no word; it counts for nothing"
    assert after.notes == [*before.notes, said]
