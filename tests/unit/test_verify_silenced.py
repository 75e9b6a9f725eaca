"""A silence: shown by its id, no notice until it ends, told then; each can fail, and each can be unknown."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec
import pytest

from chaoskit.events import AnyEvent, FaultFail, FaultOk, Notice, Poll, Pressure, Processor, Suppression, UndoOk
from chaoskit.history import History
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import verify
from tests.golden.doctored import mapped, recorded, with_events

PASS, FAIL, UNKNOWN = Result.PASS, Result.FAIL, Result.UNKNOWN
SILENCE = "silence#0"


def calm(event: AnyEvent) -> AnyEvent:
    """What a machine without other work would have told."""
    if isinstance(event, Processor):
        return msgspec.structs.replace(event, waited_s=dict.fromkeys(event.waited_s, 0.0))
    if isinstance(event, Pressure):
        return msgspec.structs.replace(event, readings=[(at, 0.0) for at, _ in event.readings])
    return event


@cache
def kept() -> History:
    return mapped(recorded("silenced"), calm)


def rows(history: History, hop: str, to: str = "") -> list[Row]:
    return [row for row in verify(history).rows if row.hop == hop and to in row.to]


def results(history: History, hop: str, to: str = "") -> set[Result]:
    return {row.result for row in rows(history, hop, to)}


def without(drop: Callable[[AnyEvent], bool]) -> History:
    return mapped(kept(), lambda event: None if drop(event) else event)


def told_early(history: History) -> History:
    """The first mail to worker-alerts, but a virtual minute before the silence ended."""
    end = next(event.gone[0] for event in history.of(UndoOk) if event.fault == SILENCE)
    first = next(one for one in history.of(Notice) if one.receiver == "worker-alerts")
    early = msgspec.structs.replace(first, sent=(end - 1.02, end - 1.0), t=end - 1.0)
    return with_events(history, [*history.events[:-1], early, history.events[-1]])


def shown_active(event: AnyEvent) -> AnyEvent:
    """What Alertmanager shows, without any silence."""
    if isinstance(event, Suppression):
        return msgspec.structs.replace(event, state="active", silenced_by=[], silences={})
    return event


def unshown(event: AnyEvent) -> AnyEvent | None:
    """Alertmanager's API as it is while no answer comes."""
    asked = isinstance(event, Poll) and event.source == "alertmanager"
    return None if asked or isinstance(event, Suppression) else event


def test_a_silence_that_holds_and_ends_passes() -> None:
    (row,) = rows(kept(), "suppressed")
    told = next(event.detail for event in kept().of(FaultOk) if event.fault == SILENCE)
    assert (row.result, row.rests_on) == (PASS, f"shown suppressed by {told}")
    assert {row.to for row in rows(kept(), "after-silence")} == {
        "critical-alerts (email)", "critical-alerts (webhook)", "worker-alerts (email)"
    }  # fmt: skip
    assert results(kept(), "after-silence") == {PASS}
    assert rows(kept(), "notify") == rows(kept(), "fault-to-phone") == []


def test_a_notice_before_the_silence_ends_fails() -> None:
    (row,) = rows(told_early(kept()), "suppressed")
    assert row.result is FAIL
    assert "worker-alerts heard of the alert although silence" in row.reason
    assert results(told_early(kept()), "after-silence", "worker-alerts") == {FAIL}


def test_one_that_alertmanager_never_shows_fails_and_is_a_finding_and_unseen_it_is_unknown() -> None:
    never = mapped(kept(), shown_active)
    assert results(never, "suppressed") == {FAIL}
    (found,) = [row for row in rows(never, "finding") if row.about == "silence"]
    assert (found.result, found.reason) == (FAIL, 'the silence of alertname="WorkerUnhealthy" muted no alert')
    blind = mapped(kept(), unshown)
    assert results(blind, "suppressed") == {UNKNOWN}
    assert {row.result for row in rows(blind, "finding") if row.about == "silence"} == {UNKNOWN}


def test_another_silence_does_not_stand_for_it() -> None:
    def another(event: AnyEvent) -> AnyEvent:
        return msgspec.structs.replace(event, silenced_by=["x"]) if isinstance(event, Suppression) else event

    assert results(mapped(kept(), another), "suppressed") == {FAIL}


def test_without_a_notice_afterwards_it_fails_and_with_a_dead_mailbox_it_is_unknown() -> None:
    def of_workers(event: AnyEvent) -> bool:
        return isinstance(event, Notice) and event.receiver == "worker-alerts"

    (row,) = rows(without(of_workers), "after-silence", "worker-alerts")
    assert row.result is FAIL
    assert "was never notified within" in row.reason
    assert "of the silence's end" in row.reason
    unwatched = without(lambda event: of_workers(event) or getattr(event, "sink", "") == "mail-sink")
    assert results(unwatched, "after-silence", "worker-alerts") == {UNKNOWN}
    assert results(unwatched, "suppressed") == {UNKNOWN}


def test_a_silence_that_ended_by_itself_shows_nothing() -> None:
    at = next(event.effect[1] for event in kept().of(FaultOk) if event.fault == SILENCE)
    lapse = FaultFail(t=at + 1, n=0, fault=SILENCE, reason="it had ended", lapsed=True)
    lapsed = with_events(kept(), [*kept().events[:-1], lapse, kept().events[-1]])
    assert results(lapsed, "suppressed") == {UNKNOWN}
    assert results(lapsed, "after-silence") == {UNKNOWN}


@pytest.mark.parametrize("kind", [FaultOk, UndoOk])
def test_a_silence_whose_begin_or_end_was_not_seen_shows_nothing_of_what_comes_after(kind: type[AnyEvent]) -> None:
    lost = without(lambda event: isinstance(event, kind) and event.fault == SILENCE)
    assert results(lost, "after-silence") == ({UNKNOWN} if kind is UndoOk else {PASS})
    assert results(lost, "suppressed") == ({PASS} if kind is UndoOk else {UNKNOWN})
