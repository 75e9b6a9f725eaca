"""When an episode was first notified: what a witness heard, else what the promise says; and when silences came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import requests

from chaoskit import json_text
from chaoskit.access import trouble
from chaoskit.alerting.config_matchers import regex
from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import EquipmentError
from chaoskit.scenario.model import Scenario
from chaoskit.sla.incidents import Known, Notice
from chaoskit.sla.model import Episode
from chaoskit.witness.client import WitnessClient

_LIMIT_S = 20.0
_LATEST_S = 900.0


@dataclass(frozen=True, slots=True)
class Word:
    """A witness heard at an instant that an alert with these labels fires."""

    at: float
    labels: Mapping[str, str]


class _Matcher(msgspec.Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class Silence(msgspec.Struct, rename="camel"):
    """A silence as Alertmanager lists it, for some days after its end too."""

    starts_at: datetime
    matchers: list[_Matcher]

    def mutes(self, labels: Mapping[str, str]) -> bool:
        """Whether the silence mutes an alert with these labels."""
        return all(_holds(one, labels.get(one.name, "")) == one.is_equal for one in self.matchers)


def _holds(one: _Matcher, value: str) -> bool:
    return bool(regex(one.value).match(value)) if one.is_regex else value == one.value


def words(url: str, session: requests.Session) -> list[Word]:
    """The firing notices that a witness still holds; raises EquipmentError where it does not answer."""
    client = WitnessClient(url, session)
    found: list[Word] = []
    while notices := client.next(0.0):
        for one in notices:
            notice = one.notice()
            if notice.status == "firing":
                found += [Word(one.arrived[1], alert.labels) for alert in notice.alerts if alert.status == "firing"]
    return found


def silences(url: str, session: requests.Session) -> list[Silence]:
    """The silences that an Alertmanager still lists; raises EquipmentError where it does not answer."""
    try:
        answer = session.get(url.rstrip("/") + "/api/v2/silences", timeout=_LIMIT_S)
        answer.raise_for_status()
        return json_text.decode(answer.content, type=list[Silence])
    except requests.RequestException as error:
        raise EquipmentError("Alertmanager", f"{url} gives no answer: {trouble(error)}", "see --silences") from None
    except msgspec.DecodeError:
        raise EquipmentError("Alertmanager", f"{url} does not answer as an Alertmanager", "correct the URL") from None


def known(
    config: AlertConfig,
    heard: Sequence[Word] = (),
    silenced: Sequence[Silence] = (),
    scenarios: Iterable[Scenario] | None = None,
) -> Known:
    """The notices, silences and scenarios that are known, as questions about an episode."""
    waits_s: dict[str, float] = {}
    for notice in config.promise.notices.values():
        waits_s[notice.alert] = min(notice.group_wait_s, waits_s.get(notice.alert, notice.group_wait_s))
    rehearsed = None if scenarios is None else frozenset(e.alert for one in scenarios for e in one.expect)
    return Known(_noticing(waits_s, heard), lambda one: _silenced(one, silenced), rehearsed)


def _noticing(waits_s: Mapping[str, float], heard: Sequence[Word]) -> Callable[[Episode], Notice | None]:
    def notice(one: Episode) -> Notice | None:
        until = (one.last_at if one.resolved_at is None else one.resolved_at) + _LATEST_S
        own = one.labels.items()
        instants = [word.at for word in heard if one.fired_at <= word.at <= until and own <= word.labels.items()]
        if instants:
            return Notice(min(instants) - one.active_at, True)
        wait_s = waits_s.get(one.alertname)
        return None if wait_s is None else Notice(one.fired_at - one.active_at + wait_s, False)

    return notice


def _silenced(one: Episode, silenced: Sequence[Silence]) -> float | None:
    until = one.last_at if one.resolved_at is None else one.resolved_at
    begun = [each.starts_at.timestamp() for each in silenced if each.mutes(one.labels)]
    return min((at - one.active_at for at in begun if one.active_at <= at <= until), default=None)
