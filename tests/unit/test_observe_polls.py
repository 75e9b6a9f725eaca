"""Looks become Polls: failures are facts, equal ones are merged, and nothing that was found is held back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import requests

from chaoskit.events import Event, Poll, Suppression
from chaoskit.host.ports import reserve
from chaoskit.observe.alertmanager import AlertmanagerObserver, SuppressionStates, _Alert, _Receiver, _Status
from chaoskit.observe.poller import LookFailed, Poller
from chaoskit.observe.prometheus import PrometheusObserver


class Scripted(Poller):
    """Looks with the given outcomes, one after the other, and the last one for ever."""

    source = "alertmanager"

    def __init__(
        self, every_s: float, hear: Callable[[Event], None], *outcomes: str, session: requests.Session | None = None
    ) -> None:
        super().__init__("http://127.0.0.1:1", every_s, hear, session)
        self.outcomes = list(outcomes)
        self.over = threading.Event()

    def look(self, asked: float) -> tuple[Poll, bool]:
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if len(self.outcomes) == 1:
            self.over.set()
        if outcome.startswith("fail"):
            raise LookFailed(outcome)
        return Poll(source="alertmanager", asked=asked, ok=True), outcome == "found"


def looks(*outcomes: str) -> list[tuple[bool, str]]:
    seen: list[Event] = []
    poller = Scripted(9, seen.append, *outcomes)
    for _ in outcomes:
        poller.look_once()
    return [(e.ok, e.detail) for e in seen if isinstance(e, Poll)]


def test_equal_looks_are_merged_and_every_change_is_said() -> None:
    assert looks("same", "same", "same") == [(True, "")]
    assert looks("fail a", "fail a", "fail b") == [(False, "fail a"), (False, "fail b")]
    assert looks("same", "found", "same", "found") == [(True, "")] * 3


def test_to_a_new_listener_the_next_look_is_said_and_how_far_the_last_one_reached() -> None:
    """Its history begins between two told looks: without one of its own it says that nobody watched at first."""
    seen: list[Event] = []
    poller = Scripted(9, seen.append, "same")
    poller.look_once()
    merged = poller.look_once()
    poller.tell_anew()
    told = poller.look_once()
    poller.look_once()
    assert seen[1:] == [merged, told]


def test_before_a_failure_it_is_said_how_far_the_good_looks_reached() -> None:
    assert looks("same", "same", "fail") == [(True, ""), (True, ""), (False, "fail")]
    assert looks("same", "fail", "fail", "same") == [(True, ""), (False, "fail"), (True, "")]


def test_what_was_merged_is_said_at_the_end() -> None:
    seen: list[Event] = []
    poller = Scripted(0.001, seen.append, "same", "same", "same")
    poller.start()
    assert poller.over.wait(10)
    poller.stop()
    poller.stop()
    polls = [event for event in seen if isinstance(event, Poll)]
    assert len(polls) >= 2
    assert polls[0].asked < polls[-1].asked


def test_nobody_there_is_a_poll_that_is_not_ok() -> None:
    (port,) = reserve(1)
    for kind in (PrometheusObserver, AlertmanagerObserver):
        seen: list[Event] = []
        poll = kind(f"http://127.0.0.1:{port}", every_s=1, on_event=seen.append).look_once()
        assert (poll.ok, poll.detail, poll.seen_to) == (False, "no connection", None)
        assert seen == [poll]


class Says(requests.Session):
    """Answers everything alike."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self.status, self.body = status, body

    def get(self, url, **kwargs):  # type: ignore[no-untyped-def,override]
        response = requests.Response()
        response.status_code, response._content = self.status, self.body
        return response


def test_an_answer_that_makes_no_sense_is_a_poll_that_is_not_ok() -> None:
    answers = [
        (503, b"Service Unavailable"),
        (200, b"[{}]"),
        (200, b'{"status":"error","error":"query timed out"}'),
        (200, b'{"status":"success","data":{"result":"?"}}'),
    ]
    for kind in (PrometheusObserver, AlertmanagerObserver):
        for status, body in answers:
            seen: list[Event] = []
            poll = kind("http://x", every_s=1, on_event=seen.append, session=Says(status, body)).look_once()
            assert not poll.ok
            assert poll.detail
            assert seen == [poll]


def alert(name: str, state: str = "active", by: tuple[str, ...] = (), silences: tuple[str, ...] = ()) -> _Alert:
    status = _Status(state=state, inhibited_by=list(by), silenced_by=list(silences))  # type: ignore[arg-type]
    return _Alert({"alertname": name}, f"fp-{name}", status, [_Receiver("ops")])


def brief(found: list[Suppression]) -> list[tuple[str, str, list[str], tuple[float, float]]]:
    return [
        (e.labels["alertname"], e.state, [next(iter(s.values())) for s in e.inhibited_by] + e.silenced_by, e.seen)
        for e in found
    ]


def test_each_change_of_suppression_is_told_once_between_the_looks_that_differ() -> None:
    states = SuppressionStates()
    assert brief(states.look(10, 11, [alert("A")])) == [("A", "active", [], (10, 11))]
    assert states.look(12, 13, [alert("A")]) == []
    muted = alert("A", "suppressed", by=("fp-S", "fp-unknown"))
    assert brief(states.look(14, 15, [muted, alert("S")])) == [
        ("A", "suppressed", ["S", "fp-unknown"], (12, 15)),
        ("S", "active", [], (12, 15)),
    ]
    silenced = alert("A", "suppressed", silences=("id-1",))
    assert brief(states.look(16, 17, [silenced])) == [
        ("A", "suppressed", ["id-1"], (14, 17)),
        ("S", "gone", [], (14, 17)),
    ]
    # A source that has left the list is still known by name.
    assert brief(states.look(18, 19, [alert("A", "suppressed", by=("fp-S",))]))[0][2] == ["S"]
    assert brief(states.look(20, 21, [])) == [("A", "gone", [], (18, 21))]


def test_an_observer_that_has_ended_holds_no_connection_open() -> None:
    class Noted(requests.Session):
        closed = False

        def close(self) -> None:
            self.closed = True
            super().close()

    session = Noted()
    poller = Scripted(0.001, lambda event: None, "found", session=session)
    poller.start()
    assert not session.closed
    poller.stop()
    assert session.closed
