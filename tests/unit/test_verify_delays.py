"""An observer that is late knows less, and says so: UNKNOWN, never FAIL. And our own equipment's delays are no alert's.

Literals in virtual seconds; one real second is a virtual minute.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from chaoskit.events import AlertState, AnyEvent, FaultFail, FaultOk, Notice, Poll, UndoBegin, Watch
from chaoskit.history import History
from chaoskit.observe.alert_states import Active, AlertStates, Group, Labels, State, labels_of
from chaoskit.verify.evidence import Evidence
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import verify
from tests.golden.doctored import DOORS, Truth, failed, mapped, results, told, with_events

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
EVERY_S = 0.25
"""Real seconds between two evaluations: 15 virtual ones."""

_MARGIN_S = 0.01
"""Rounding to whole milliseconds must not move a change to another evaluation."""


def watched_every(history: History, look_s: float) -> History:
    """The history as an observer tells it that looks at Prometheus only so often, by the real observer's logic."""
    changes: dict[str, AlertState] = {event.state: event for event in history.of(AlertState)}
    labels = labels_of(changes["pending"].labels)
    begin, end = history.events[0].t, history.last_t - 0.3
    grid = changes["pending"].at
    rule = (dict(labels)["alertname"], ())
    states, told_by_observer, now = AlertStates(), list[AnyEvent](), begin + look_s
    while now < end:
        evaluated = grid + (now - grid) // EVERY_S * EVERY_S
        alive = changes["pending"].at <= evaluated < changes["inactive"].at - _MARGIN_S
        active = {labels: Active(changes["pending"].at, "0")} if alive else {}
        group = Group("rules;worker", EVERY_S, evaluated + 0.001, (rule,), active)
        samples = {labels: _samples(changes, evaluated)} if _samples(changes, evaluated) else {}
        for found in states.look(now, [group], samples):
            told_by_observer.append(msgspec.structs.replace(found, t=now))
        told_by_observer.append(
            Poll(t=now, source="prometheus", asked=now, ok=True, seen_to=evaluated + 0.001, skew=(0.0, 0.0))
        )
        now += look_s
    others = [e for e in history.events if not isinstance(e, AlertState) and not _of_prometheus(e)]
    return with_events(history, sorted([*others, *told_by_observer], key=lambda event: event.t))


def _samples(changes: Mapping[str, AlertState], until: float) -> list[tuple[float, State]]:
    found: list[tuple[float, State]] = []
    at = changes["pending"].at
    while at <= until and at < changes["inactive"].at - _MARGIN_S:
        found.append((at, "pending" if at < changes["firing"].at - _MARGIN_S else "firing"))
        at = round(at + EVERY_S, 3)
    return found


def _of_prometheus(event: AnyEvent) -> bool:
    return isinstance(event, Poll) and event.source == "prometheus"


GRIDDED = Truth(pending_vs=15.0, undo_vs=120.0, cleared_vs=45.0, all_clear_vs=50.0)
"""Changes that lie on one grid of evaluations."""


@pytest.mark.parametrize("look_s", [0.125, 0.2])
def test_an_observer_that_keeps_up_knows_everything(look_s: float) -> None:
    assert verify(watched_every(told(GRIDDED), look_s)).result is PASS


@pytest.mark.parametrize("look_s", [1.5, 2.0, 3.0, 5.0])
def test_an_observer_delayed_beyond_the_resolution_is_unknown_and_never_fail(look_s: float) -> None:
    """What samples prove stays known; when the alert was gone again is known only to lie between two looks."""
    verdict = verify(watched_every(told(GRIDDED), look_s))
    assert not failed(verdict)
    assert verdict.result is UNKNOWN
    assert results(verdict, "hold") == {PASS}
    assert results(verdict, "clear") == {UNKNOWN}
    reason = next(row.reason for row in verdict.rows if row.hop == "clear")
    assert "known only to lie within" in reason


def test_a_failure_seen_by_a_slow_observer_is_still_one_or_unknown() -> None:
    """`for` was 15 s instead of 60 s; samples prove it however late they are read."""
    short = Truth(pending_vs=15.0, held_vs=15.0, undo_vs=120.0, cleared_vs=45.0)
    assert results(verify(watched_every(told(short), 3.0)), "hold") == {FAIL}


def late_by(real_s: float, virtual_s: float) -> History:
    """Every first notice so late, while the mail sink's loop stood still for so long."""
    history = told(Truth(notified_vs=dict.fromkeys(DOORS, 5.0 + virtual_s), undo_vs=200.0))
    firing = next(e.at for e in history.of(AlertState) if e.state == "firing")

    def lag(event: AnyEvent) -> AnyEvent:
        meets = isinstance(event, Watch) and event.seen[0] <= firing + 1 and event.seen[1] >= firing
        stood = meets and isinstance(event, Watch) and event.sink == "mail-sink"
        return msgspec.structs.replace(event, lag_s=real_s) if stood else event

    return mapped(history, lag)


def test_what_waited_for_a_sink_that_stood_still_is_unknown() -> None:
    """Half a second is 30 virtual s: 20 s too late may be the sink's doing, 40 s may not."""
    assert results(verify(late_by(0.5, 20.0)), "notify") == {UNKNOWN}
    assert results(verify(late_by(0.5, 40.0)), "notify") == {FAIL}
    assert results(verify(late_by(0.0, 20.0)), "notify") == {FAIL}


def silent_alertmanager(silent_s: float, late_vs: float) -> History:
    """Alertmanager answers no look from firing on for so long, and every first notice is so late."""
    history = told(Truth(notified_vs=dict.fromkeys(DOORS, 5.0 + late_vs), undo_vs=late_vs + 150.0))
    firing = next(e.at for e in history.of(AlertState) if e.state == "firing")

    def silence(event: AnyEvent) -> AnyEvent:
        if isinstance(event, Poll) and event.source == "alertmanager" and firing <= event.asked <= firing + silent_s:
            return msgspec.structs.replace(event, ok=False, detail="no answer in time")
        return event

    return mapped(history, silence)


def test_what_came_late_while_alertmanager_answered_nobody_is_unknown() -> None:
    verdict = verify(silent_alertmanager(1.0, 100.0))
    assert results(verdict, "notify") == {UNKNOWN}
    assert any("alertmanager did not answer for" in row.reason for row in verdict.rows)
    assert results(verify(silent_alertmanager(-1.0, 100.0)), "notify") == {FAIL}


def test_what_never_came_while_alertmanager_answered_nobody_is_unknown() -> None:
    def untold(history: History) -> History:
        return mapped(history, lambda e: None if isinstance(e, Notice) else e)

    assert results(verify(untold(silent_alertmanager(1.0, 0.0))), "notify") == {UNKNOWN}
    assert results(verify(untold(silent_alertmanager(-1.0, 0.0))), "notify") == {FAIL}


def test_a_late_notice_is_unknown_where_its_sink_may_have_missed_an_earlier_one() -> None:
    """Blind when the notice was due; the one that came at the group's next tick is no proof of lateness."""
    history = told(Truth(notified_vs=dict.fromkeys(DOORS, 120.0), undo_vs=250.0))
    firing = next(e.at for e in history.of(AlertState) if e.state == "firing")

    def blind(event: AnyEvent) -> bool:
        return (
            isinstance(event, Watch) and event.sink == "mail-sink" and event.seen[0] <= firing + 1 <= event.seen[1] + 1
        )

    verdict = verify(mapped(history, lambda e: None if blind(e) else e))
    assert results(verdict, "notify", "email") == {UNKNOWN}
    assert results(verdict, "notify", "webhook") == {UNKNOWN}, "the same receiver's: it may have had to wait"
    assert results(verify(history), "notify") == {FAIL}
    assert any("may have missed an earlier notice" in row.reason for row in verdict.rows)


def test_an_alert_cannot_be_missed_that_we_ourselves_took_back_before_it_was_due() -> None:
    """Undone while pending: it never fired, and that is no failure. Gone by itself while the fault lasts, it is one."""
    early = told(Truth(pending_vs=15.0, undo_vs=30.0, cleared_vs=15.0))

    def never_fired(event: AnyEvent) -> AnyEvent | None:
        return (
            None if isinstance(event, Notice) or (isinstance(event, AlertState) and event.state == "firing") else event
        )

    verdict = verify(mapped(early, never_fired))
    assert not failed(verdict)
    assert results(verdict, "hold") == {UNKNOWN}
    assert any("recovery took effect 14.9 s after pending" in row.reason for row in verdict.rows if row.hop == "hold")
    alone = told(Truth(pending_vs=15.0, undo_vs=200.0, cleared_vs=-150.0))
    assert results(verify(mapped(alone, never_fired)), "hold") == {FAIL}


def test_a_sink_knows_nothing_beyond_its_last_look() -> None:
    """Not even for a quarter of a second, in which 15 virtual seconds pass."""
    history = told(Truth())
    last = [e for e in history.of(Watch) if e.sink == "mail-sink"][8]
    after = mapped(history, lambda e: None if isinstance(e, Watch) and e.n > last.n else e)
    evidence = Evidence(after)
    assert evidence.blind_from("mail-sink", last.seen[0], last.seen[1]) is None
    assert evidence.blind_from("mail-sink", last.seen[0], last.seen[1] + 0.01) == last.seen[1]


def test_an_alert_first_seen_firing_may_have_waited_since_prometheus_says_it_was_active() -> None:
    """Nobody saw it pending, so nobody knows whether it was held: that is no failure to hold it."""
    unseen = mapped(told(Truth()), lambda e: None if isinstance(e, AlertState) and e.state == "pending" else e)
    verdict = verify(unseen)
    assert results(verdict, "hold") == {UNKNOWN}
    assert not failed(verdict)


def test_what_is_told_twice_counts_as_first_told() -> None:
    history = told(Truth())
    pending = next(e for e in history.of(AlertState) if e.state == "pending")
    later = msgspec.structs.replace(pending, at=pending.at + 0.5, active_at=pending.at + 0.5)
    events = [copy for e in history.events for copy in ([e, later] if e is pending else [e])]
    assert results(verify(with_events(history, events)), "hold") == {PASS}


def test_an_effect_that_lapsed_leaves_open_when_the_alert_should_have_cleared() -> None:
    history = told(Truth())
    at = next(e.n for e in history.of(FaultOk)) + 1
    lapse = FaultFail(t=history.events[at].t, fault="kill#0", reason="let go by somebody else", lapsed=True)
    verdict = verify(with_events(history, [*history.events[:at], lapse, *history.events[at:]]))
    assert not failed(verdict)
    assert results(verdict, "clear") == results(verdict, "effect") == {UNKNOWN}
    assert results(verdict, "notify") == results(verdict, "all-clear") == {PASS}


@pytest.mark.parametrize(("lapsed", "found"), [(True, UNKNOWN), (False, FAIL)])
def test_an_alert_that_fires_once_more_is_a_finding_unless_its_own_fault_had_lapsed(
    lapsed: bool, found: Result
) -> None:
    """What comes and goes makes its alert come and go; a fault that was in force all the time does not."""
    history = told(Truth())
    states = {event.state: event for event in history.of(AlertState)}
    fires, undo = states["firing"].at, next(event.t for event in history.events if isinstance(event, UndoBegin))
    again = [
        msgspec.structs.replace(states[state], at=at, previous=at - 0.01, t=at + 0.001, active_at=pending)
        for at, state, pending in (
            (fires + 0.05, "inactive", states["pending"].at),
            (fires + 0.1, "pending", fires + 0.1),
            (fires + 0.2, "firing", fires + 0.1),
        )
    ]
    assert again[-1].t < undo
    lapse = [FaultFail(t=fires + 0.01, fault="kill#0", reason="let go by somebody else", lapsed=True)] * lapsed
    events = sorted([*history.events, *again, *lapse], key=lambda event: event.t)
    verdict = verify(with_events(history, events))
    assert results(verdict, "finding") == {found}
    assert any("once more" in row.reason and lapsed is ("its fault lapsed" in row.reason) for row in verdict.rows)


@pytest.mark.parametrize(("pending_vs", "result"), [(30.0, PASS), (90.0, FAIL)], ids=["in time", "too late"])
def test_what_was_pending_for_a_moment_gives_way_to_what_fires_if_that_is_detected_in_time(
    pending_vs: float, result: Result
) -> None:
    """A value that rises noisily crosses its threshold, falls back, and crosses it again."""
    history = told(Truth(pending_vs=pending_vs))
    states = {event.state: event for event in history.of(AlertState)}
    effect = next(history.of(FaultOk)).effect[1]
    flap = [
        msgspec.structs.replace(states[state], at=at, previous=at - 0.01, t=at + 0.001, active_at=effect + 0.05)
        for at, state in ((effect + 0.05, "pending"), (effect + 0.1, "inactive"))
    ]
    events = sorted([*history.events, *flap], key=lambda event: event.t)
    verdict = verify(with_events(history, events))
    assert verdict.result is result
    assert results(verdict, "hold") == {result}


def test_an_alert_that_fires_though_its_faults_effect_was_not_seen_is_no_stranger() -> None:
    """Detection cannot be judged; but it is the expected alert, and not a finding."""
    verdict = verify(mapped(told(Truth()), lambda e: None if isinstance(e, FaultOk) else e))
    assert not failed(verdict)
    assert results(verdict, "detect") == {UNKNOWN}
    assert results(verdict, "notify") == {PASS}


def test_a_group_of_labels_is_the_same_in_any_order() -> None:
    labels: Labels = labels_of({"b": "2", "a": "1"})
    assert labels == (("a", "1"), ("b", "2"))
