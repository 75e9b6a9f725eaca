"""alertmanager.silence: a silence as people make one, with the run's id in its comment, which ends with the fault.

Alertmanager gives a silence its id only when it is made, so the token holds the comment, which no other has: by it the
silence is found and expired, also where its making was never confirmed. It ends by itself at the latest when the fault
may last no longer.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import requests
from pydantic import AfterValidator, Field

from chaoskit import waiting
from chaoskit.access import session_at, trouble
from chaoskit.alerting.silences import silence_matchers, written
from chaoskit.errors import BadInput
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo
from chaoskit.faults.quantities import Duration
from chaoskit.handles.equipment import ALERTMANAGER, EquipmentAddress
from chaoskit.plan.silences import SILENCE, told_id
from chaoskit.scenario.model import Access

_ANSWER_S = 4.0
_SEEN_S = 10.0


def _matchers(text: str) -> str:
    silence_matchers(text)
    return text


class SilenceSettings(Settings):
    """Settings of alertmanager.silence."""

    matchers: Annotated[str, AfterValidator(_matchers)]
    """Matchers as Alertmanager reads them, all of which an alert must meet: `alertname=DiskFull, team=~"a|b"`."""
    duration: Annotated[Duration, Field(gt=0)] | None = None
    """Virtual time after which the silence ends by itself and has lapsed; default and most: limits.fault."""


class Silence(Fault[SilenceSettings]):
    """Silences alerts in Alertmanager, as people do for maintenance."""

    kind = SILENCE
    handles = ("equipment",)
    everywhere = True
    look_s = 1.0

    def prepare(self, target: Target, settings: SilenceSettings) -> Undo:
        """The undo token, with a comment for the silence; raises FaultError for equipment that takes no silences."""
        address = target.address
        assert isinstance(address, EquipmentAddress)
        if target.names != (ALERTMANAGER,) or not address.alertmanager:
            raise FaultError(f"{', '.join(target.names)} takes no silences; target equipment: {ALERTMANAGER}")
        wanted_s = settings.duration / address.time_scale if settings.duration else None
        lasting = [each for each in (wanted_s, address.max_s) if each is not None]
        return {
            "at": processes.owned(address.alertmanager),
            "matchers": settings.matchers,
            "lasts_s": min(lasting, default=_SEEN_S),
            "comment": f"chaoskit run {address.run or 'by hand'} ({secrets.token_hex(4)})",
        }

    def start(self, undo: Undo) -> Seen:
        """Makes the silence, and sees that it is active."""
        begun = time.time()
        matchers = [
            {"name": m.label, "value": m.value, "isRegex": "~" in m.op, "isEqual": m.op.startswith("=")}
            for m in silence_matchers(undo["matchers"])
        ]
        times = {"startsAt": _shown(begun), "endsAt": _shown(begun + undo["lasts_s"])}
        made = {"matchers": matchers, "createdBy": "chaoskit", "comment": undo["comment"], **times}
        _ask(undo, "POST", "silences", json=made)
        active: list[str] = []

        def seen() -> bool:
            active[:] = _standing(undo)
            return bool(active)

        if not waiting.await_true(seen, _SEEN_S):
            raise FaultError(
                f"Alertmanager took the silence and did not show it as active within {_SEEN_S:g} s: see its log"
            )
        return Seen((begun, time.time()), told_id(active[0]))

    def lapse(self, undo: Undo) -> str:
        """Why the silence lapsed: it expired or is gone; an Alertmanager that gives no answer shows nothing of that."""
        try:
            standing = _standing(undo)
        except FaultError:
            return ""
        return "" if standing else f"the silence of {written(silence_matchers(undo['matchers']))} had ended"

    def stop(self, undo: Undo) -> Seen:
        """Expires the silence and sees that; there is nothing to expire where the Alertmanager ended with its run."""
        begun = time.time()

        def expired() -> bool:
            standing = _standing(undo)
            for one in standing:
                _ask(undo, "DELETE", f"silence/{one}")
            return not standing

        try:
            if waiting.await_true(expired, _SEEN_S):
                return Seen((begun, time.time()), "the silence is expired")
        except FaultError:
            if processes.orphaned(undo["at"]):
                return Seen((begun, begun), "the Alertmanager ended with the run that it belonged to")
            raise
        raise FaultError(
            f"the silence '{undo['comment']}' is still active {_SEEN_S:g} s after its end: amtool silence expire it"
        )

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only a silence at the target's Alertmanager whose comment is chaoskit's."""
        made.allow("alertmanager", undo["at"]["url"])
        if not undo["comment"].startswith("chaoskit run "):
            raise FaultError(f"'{undo['comment']}' is no comment that chaoskit writes; undo it by hand")
        return f"expires the silence with the comment '{undo['comment']}' at {undo['at']['url']}"


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _standing(undo: Undo) -> list[str]:
    """The ids of the silences with the token's comment that are not expired."""
    found = _ask(undo, "GET", "silences")
    try:
        return [
            str(one["id"]) for one in found if one["comment"] == undo["comment"] and one["status"]["state"] != "expired"
        ]
    except (KeyError, TypeError):
        raise FaultError("the list of silences is not Alertmanager's format: correct its URL") from None


def _ask(undo: Undo, method: str, path: str, **more: Any) -> Any:
    """Alertmanager's answer as data, None where it is empty; raises FaultError where it does not do what is asked."""
    at: Mapping[str, Any] = undo["at"]
    url = f"{at['url'].rstrip('/')}/api/v2/{path}"
    try:
        with session_at(at["url"], msgspec.convert(at.get("access"), Access | None)) as session:
            answer = session.request(method, url, timeout=_ANSWER_S, **more)
        if not answer.ok:
            raise FaultError(f"{method} {url} answers {answer.status_code}: {' '.join(answer.text.split())[:200]}")
        return answer.json() if answer.text.strip() else None
    except requests.JSONDecodeError:
        raise FaultError(f"{method} {url} answers no JSON") from None
    except requests.RequestException as error:
        raise FaultError(f"{url} gives no answer: {trouble(error)}") from None
    except (BadInput, msgspec.ValidationError) as error:
        raise FaultError(f"{url} cannot be asked: {error}") from None
