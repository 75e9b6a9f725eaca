"""Watches Alertmanager: which alerts it has, and which of them it keeps quiet, because of what.

Alertmanager works the answer out for each question (it asks its inhibitor and its silences on the spot), so the
state is that of the question's instant; whether something was sent is the sinks' business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
import requests
from msgspec.structs import replace

from chaoskit import json_text
from chaoskit.events import Equipment, Event, Interval, Poll, Suppression
from chaoskit.observe.alert_states import Labels, labels_of
from chaoskit.observe.poller import ANSWER_LIMIT_S, LookFailed, Poller

READY_LIMIT_S = 1.0
"""Seconds for a member's word that it is there: one that stands still delays every look by as much."""

ALL = {"active": "true", "silenced": "true", "inhibited": "true", "unprocessed": "true"}


class _Receiver(msgspec.Struct):
    name: str


class _Status(msgspec.Struct, rename="camel"):
    state: Literal["active", "suppressed", "unprocessed"]
    inhibited_by: list[str] = []
    silenced_by: list[str] = []


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    fingerprint: str
    status: _Status
    receivers: list[_Receiver] = []


_ALERTS = msgspec.json.Decoder(list[_Alert])


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    created_by: str = ""
    comment: str = ""
    ends_at: str = ""


_SILENCES = msgspec.json.Decoder(list[_Silence])


class SuppressionStates:
    """Takes successive answers, in order, and gives the changes that each of them shows; pure.

    A change happened after the last good question was asked and before this answer came; for what the first
    answer holds, that is between its own question and answer, at an instant of which the state held.
    """

    def __init__(self) -> None:
        self._asked: float | None = None
        self._known: dict[Labels, Suppression] = {}
        self._names: dict[str, dict[str, str]] = {}

    def look(self, asked: float, answered: float, alerts: list[_Alert]) -> list[Suppression]:
        """The changes since the last look: new, different or gone, in order of labels."""
        self._names.update({alert.fingerprint: alert.labels for alert in alerts})
        seen = (asked if self._asked is None else self._asked, answered)
        self._asked = asked
        now = {labels_of(alert.labels): self._suppression(alert, seen) for alert in alerts}
        known = ((self._known.get(labels), new) for labels, new in now.items())
        found = [new for old, new in known if old is None or replace(old, seen=new.seen) != new]
        found += [
            replace(old, state="gone", inhibited_by=[], silenced_by=[], seen=seen)
            for labels, old in self._known.items()
            if labels not in now
        ]
        self._known = now
        return sorted(found, key=lambda event: labels_of(event.labels))

    def _suppression(self, alert: _Alert, seen: Interval) -> Suppression:
        return Suppression(
            labels=alert.labels,
            state=alert.status.state,
            # The source may have left the list since; one that never was in it has nothing but a fingerprint.
            inhibited_by=[
                self._names.get(source, {"fingerprint": source}) for source in sorted(alert.status.inhibited_by)
            ],
            silenced_by=sorted(alert.status.silenced_by),
            receivers=sorted(receiver.name for receiver in alert.receivers),
            seen=seen,
        )


class AlertmanagerObserver(Poller):
    """Emits Suppression and Poll events from a thread of its own until `stop`; never raises from there."""

    source = "alertmanager"

    def __init__(
        self,
        url: str,
        *,
        every_s: float,
        on_event: Callable[[Event], None],
        session: requests.Session | None = None,
        peers: Mapping[str, requests.Session] | None = None,
    ) -> None:
        """Of a cluster each of the `peers` is looked at, itself one of them, and the first that answers is believed:
        they know the same."""
        super().__init__(url, every_s, on_event, session)
        self._silences: dict[str, str] = {}
        self._states = SuppressionStates()
        self._peers = peers or {}
        self._down: set[str] = set()

    def look(self, asked: float) -> tuple[Poll, bool]:
        """Asks once for the alerts; gives the Poll and whether an event was reported. Raises LookFailed."""
        found_one = False
        for url, session in self._peers.items():
            try:
                up = session.get(f"{url}/-/ready", timeout=READY_LIMIT_S).ok
            except requests.RequestException:
                up = False
            if up is (url in self._down):
                (self._down.discard if up else self._down.add)(url)
                self._on_event(Equipment(name=f"alertmanager {url}", state="up" if up else "down"))
            if up and not found_one:
                found_one, self._url, self._session = True, url, session
        response = self._session.get(self._url + "/api/v2/alerts", params=ALL, timeout=ANSWER_LIMIT_S)
        answered = time.time()
        if response.status_code != requests.codes.ok:
            raise LookFailed(f"status {response.status_code}, {response.text[:200]!r}")
        found = self._states.look(asked, answered, json_text.decode_with(_ALERTS, response.content))
        for event in found:
            self._on_event(self._explained(event))
        return Poll(source="alertmanager", asked=asked, ok=True), bool(found)

    def _explained(self, event: Suppression) -> Suppression:
        """With who made the silences behind it, and why; Alertmanager is asked once for each that is new."""
        if not event.silenced_by:
            return event
        if any(one not in self._silences for one in event.silenced_by):
            response = self._session.get(self._url + "/api/v2/silences", timeout=ANSWER_LIMIT_S)
            if response.status_code == requests.codes.ok:
                self._silences |= {one.id: _made(one) for one in json_text.decode_with(_SILENCES, response.content)}
        known = {one: self._silences[one] for one in event.silenced_by if one in self._silences}
        return replace(event, silences=known)


def _made(silence: _Silence) -> str:
    return f"by {silence.created_by or 'nobody named'}, until {silence.ends_at}: {silence.comment or 'no comment'}"[
        :400
    ]
