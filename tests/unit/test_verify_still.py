"""Equipment that stands still is as blind as equipment that died: UNKNOWN with the reason, never the rule's FAIL.

Each case is a symptom that is a FAIL by itself, and the trace that a frozen, full or killed part of ours leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from chaoskit.events import AlertState, AnyEvent, Equipment, Event, FaultOk, Invoke, Notice, Processor, UndoOk, Watch
from chaoskit.history import History
from chaoskit.run.runner import without_victims
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import DOORS, Truth, instant, mapped, recorded, results, told, with_events, without

FAIL, UNKNOWN, PASS = Result.FAIL, Result.UNKNOWN, Result.PASS
MAIL, WEB = ("critical-alerts", "email"), ("critical-alerts", "webhook")


def beside(history: History, *more: Event) -> History:
    """With further events, at their instants."""
    events: list[Any] = sorted([*history.events, *more], key=lambda event: (event.t, event.n))
    return with_events(history, events)


def all_clear_too_late() -> History:
    """500 virtual seconds after resolved, at every door."""
    return told(Truth(all_clear_vs=500.0))


def no_all_clear_by_web() -> History:
    return without(
        told(Truth()), lambda e: isinstance(e, Notice) and e.integration == "webhook" and e.status == "resolved"
    )


def never_fired() -> History:
    """Pending, and then nothing more."""
    history = told(Truth())
    return without(history, lambda e: isinstance(e, Notice) or (isinstance(e, AlertState) and e.state != "pending"))


def never_pending() -> History:
    return without(told(Truth()), lambda e: isinstance(e, Notice | AlertState))


def sink_stands_still(sink: str) -> Callable[[History], History]:
    """From firing on, for good: no look of its any more, and nothing that it would have taken."""

    def freeze(history: History) -> History:
        since = instant(history, "firing")
        integration = "email" if sink == "mail-sink" else "webhook"
        return without(
            history,
            lambda e: (
                (isinstance(e, Watch) and e.sink == sink and e.seen[1] > since + 1)
                or (isinstance(e, Notice) and e.integration == integration and e.sent[1] > since + 1)
            ),
        )

    return freeze


def sink_is_full(sink: str) -> Callable[[History], History]:
    """For a second before the resolve its places were taken."""

    def fill(history: History) -> History:
        at = instant(history, "inactive")

        def change(event: AnyEvent) -> AnyEvent | None:
            if not isinstance(event, Watch) or event.sink != sink or not event.seen[0] - 1 <= at <= event.seen[1]:
                return event
            return msgspec.structs.replace(event, refused=11) if event.seen[0] > at else None

        return mapped(history, change)

    return fill


def target_is_killed(history: History) -> History:
    at = instant(history, "pending") + 0.3
    return beside(history, Equipment(name="target", state="down", detail="it ended with -9", t=at))


def a_process_stops(title: str, looks: int = 2, after_s: float = 0.5) -> Callable[[History], History]:
    """A process of the target, at so many looks from so long after the fault on; one look a real second."""

    def stop(history: History) -> History:
        others = mapped(history, lambda e: None if isinstance(e, Processor) else e)
        at = next(history.of(FaultOk)).effect[1] + after_s
        seen = [
            Processor(
                during=(at + n - 1, at + n),
                used_s={"target": 0.1},
                waited_s={},
                stopped={"target": [title]} if 0 <= n < looks else {},
                t=at + n,
            )
            for n in range(-2, 6)
        ]
        return beside(others, *seen)

    return stop


@dataclass(frozen=True)
class Case:
    """A symptom, what explains it, the hop that must be UNKNOWN and not FAIL, and words of its reason."""

    symptom: Callable[[], History]
    trace: Callable[[History], History]
    hop: str
    to: str
    words: str


CASES = {
    "the mail sink is stopped": Case(
        all_clear_too_late, sink_stands_still("mail-sink"), "all-clear", "critical-alerts (webhook)", "mail-sink"
    ),
    "the webhook sink is stopped": Case(
        all_clear_too_late, sink_stands_still("webhook-sink"), "all-clear", "critical-alerts (email)", "webhook-sink"
    ),
    "the mail sink is stopped, and nothing comes": Case(
        no_all_clear_by_web, sink_stands_still("mail-sink"), "all-clear", "critical-alerts (webhook)", "mail-sink"
    ),
    "the mail sink is full": Case(
        all_clear_too_late, sink_is_full("mail-sink"), "all-clear", "critical-alerts (webhook)", "limit of open"
    ),
    "the target is killed while pending": Case(never_fired, target_is_killed, "hold", "", "target was down"),
    "the target's metrics are stopped": Case(
        never_pending, a_process_stops("crm[k] metrics"), "detect", "", "crm[k] metrics) stood still"
    ),
    "they stop while pending, and a look shows it after the alert was due": Case(
        never_fired, a_process_stops("crm[k] metrics", after_s=2.1), "hold", "", "crm[k] metrics) stood still"
    ),
}


def reasons(verdict: Verdict, hop: str, to: str) -> str:
    return " ".join(row.reason for row in verdict.rows if row.hop == hop and to in row.to)


@pytest.mark.parametrize("name", CASES)
def test_what_our_own_equipment_may_have_brought_about_is_unknown_with_the_reason(name: str) -> None:
    case = CASES[name]
    broken = case.symptom()
    assert FAIL in results(verify(broken), case.hop, case.to), "by itself it is a failure"
    verdict = verify(case.trace(broken))
    assert results(verdict, case.hop, case.to) == {UNKNOWN}
    assert case.words in reasons(verdict, case.hop, case.to)


def test_another_receiver_does_not_wait_for_a_sink_of_which_it_has_nothing() -> None:
    """worker-alerts has mails only: that the webhook sink stood still explains nothing there."""
    verdict = verify(sink_stands_still("webhook-sink")(all_clear_too_late()))
    assert results(verdict, "all-clear", "worker-alerts") == {FAIL}


def test_a_target_that_the_scenario_itself_kills_excuses_nothing() -> None:
    history = target_is_killed(never_fired())
    up = Equipment(name="target", state="up", detail="pid 4711", t=history.events[0].t)
    kill = msgspec.structs.replace(next(history.of(Invoke)), undo={"victims": [{"name": "supervisor", "pid": 4711}]})
    mine = beside(mapped(history, lambda e: kill if isinstance(e, Invoke) else e), up)
    assert results(verify(mine), "hold") == {FAIL}
    assert results(verify(beside(history, up)), "hold") == {UNKNOWN}


def test_a_process_that_one_look_found_stopped_excuses_nothing() -> None:
    assert results(verify(a_process_stops("crm[k] supervisor", looks=1)(never_pending())), "detect") == {FAIL}


def test_the_process_that_a_fault_stops_excuses_nothing() -> None:
    (worker,) = next(told(Truth()).of(Invoke)).targets
    assert results(verify(a_process_stops(f"crm[k] worker {worker}")(never_pending())), "detect") == {FAIL}


@pytest.mark.parametrize("trace", [target_is_killed, a_process_stops("crm[k] metrics")])
def test_of_a_target_that_is_gone_nobody_knows_what_else_it_would_have_shown(
    trace: Callable[[History], History],
) -> None:
    """An alert that fires since the target is gone is no finding of the rules either."""
    kept = told(Truth())
    assert results(verify(kept), "finding") == {PASS}
    assert results(verify(trace(kept)), "finding") == {UNKNOWN}
    at = instant(kept, "pending")
    labels = {"alertname": "HighErrorRate", "severity": "critical", "component": "api"}
    stray = [
        AlertState(labels=labels, state=state, at=at + after, previous=at + after - 0.25, active_at=at, t=at + after)
        for state, after in (("pending", 0.5), ("firing", 1.0))
    ]
    assert results(verify(beside(kept, *stray)), "finding") == {FAIL}
    assert FAIL not in results(verify(trace(beside(kept, *stray))), "finding")


def test_a_notice_that_a_sink_took_and_never_answered_may_come_again() -> None:
    kept = told(Truth())
    first = next(n for n in kept.of(Notice) if (n.receiver, n.integration) == WEB and n.status == "firing")
    at = first.sent[1] + 0.8
    again = beside(kept, msgspec.structs.replace(first, sent=(at, at), t=at))
    assert FAIL in results(verify(again), "finding")

    def late(event: AnyEvent) -> AnyEvent:
        mine = isinstance(event, Watch) and event.sink == "webhook-sink" and event.seen[0] <= at <= event.seen[1]
        return msgspec.structs.replace(event, lag_s=0.8) if mine else event  # type: ignore[arg-type]

    assert FAIL not in results(verify(mapped(again, late)), "finding")


def test_equipment_that_stood_still_makes_nothing_pass() -> None:
    """What was seen on time passes all the same, and what was not seen stays unknown."""
    undone = next(told(Truth()).of(UndoOk)).gone
    assert undone
    assert set(DOORS) >= {MAIL, WEB}
    verdict = verify(sink_stands_still("mail-sink")(told(Truth())))
    assert results(verdict, "hold") == {PASS}
    assert results(verdict, "all-clear", "email") == {UNKNOWN}
    assert results(verdict, "all-clear", "webhook") == {PASS}


def test_what_a_scenario_played_beside_stops_is_no_process_that_stood_still() -> None:
    """Several scenarios share a stack: one's held replacement must not make the other's silence UNKNOWN."""
    plan = plan_of(recorded("kept").header)
    look = Processor(
        during=(1.0, 2.0), used_s={}, waited_s={}, stopped={"target": ["crm[1] worker worker-1", "crm[1] api"]}
    )
    assert without_victims(look, [plan]).stopped == {"target": ["crm[1] api"]}
    assert without_victims(look, []) == look
