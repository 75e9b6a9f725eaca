"""Faults on a link: http.error, http.slow, tcp.reset, tcp.blackhole, tcp.flaky.

Each is a toxic of an id of its own in the proxy that the link runs through:

    prepare   an id                        nothing is changed
    start     PUT /toxics/ID               listed, and, where calls come by, seen to hit
    change    PUT /toxics/ID               the same id, so there is no instant without a toxic
    hold      GET /toxics/ID               gone uninvited is a lapse
    stop      DELETE /toxics/ID, then GET  seen to be gone

The proxy doses by counting: of n matching calls exactly floor(n * ratio) are hit. A toxic carries the instant at
which it ends by itself, a little after the fault's maximum duration, for the case that no process is left to undo it.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from chaoskit import waiting
from chaoskit.faults.base import Changeable, FaultError, Lapsed, Made, Seen, Settings, Target, Undo
from chaoskit.faults.control_api import ENOUGH, Watch, ask, control_api, get, take_back, told, too_few, vouched
from chaoskit.faults.quantities import Duration, Ratio

_LOOK_S = 0.25
_HIT_LOOK_S = 0.02
_FIRST_CALL_S = 1.0
_FIRST_HIT_S = 5.0
_SPARE_S = 15.0


def _pattern(given: Any) -> Any:
    if isinstance(given, str):
        try:
            re.compile(given)
        except re.error as error:
            raise ValueError(f"'{given}' is no regular expression: {error}; correct path") from None
    return given


class LinkSettings(Settings):
    """Which calls on the link are hit."""

    ratio: Ratio = 1.0
    """Share of the matching calls, dosed exactly: `10%` hits every tenth."""
    path: Annotated[str, BeforeValidator(_pattern)] = ""
    """Only calls whose path this regular expression is found in; empty for all."""


L = TypeVar("L", bound=LinkSettings)


def connections_beyond(kind: str, settings: LinkSettings, limits: Mapping[str, Any]) -> str:
    """Why a share of the calls is more than the profile allows; empty where it is not."""
    most, asked = limits.get("connections"), f"{kind} on {settings.ratio:.3g} of the calls"
    over = most is not None and settings.ratio > most
    return f"{asked} is beyond the profile's limits.connections of {most:.3g}" if over else ""


class LinkFault(Changeable[L]):
    """A toxic on a link; a kind adds its name, its settings, and what the proxy is told of them."""

    handles = ("link",)

    def effect(self, settings: L) -> dict[str, Any]:
        """The toxic's own settings, beside ratio and path."""
        return {}

    def prepare(self, target: Target, settings: L) -> Undo:
        """Finds the proxy and makes up an id; raises FaultError where it does not answer, or beyond the limits."""
        self.refuse_beyond(settings, target)
        most = target.address.limits.get("connections")
        at = control_api(target)
        get(at, "GET", "/toxics")
        max_s = target.address.max_s
        return {
            "at": at,
            "link": ", ".join(target.names) or target.handle,
            "id": f"{self.kind}-{secrets.token_hex(6)}",
            "toxic": self._toxic(settings),
            "most": most,
            "until": None if max_s is None else time.time() + float(max_s) + _SPARE_S,
        }

    def start(self, undo: Undo) -> Seen:
        """Puts the toxic and sees it listed; where calls come by, returns once one of them was hit."""
        toxic = dict(undo["toxic"])
        if undo["until"] is not None:
            toxic["expires_s"] = max(0.1, undo["until"] - time.time())
        begun = time.time()
        get(undo["at"], "PUT", _path(undo), toxic)
        listed = time.time()
        return Seen((begun, listed), f"{self.kind} on {undo['link']}: {_first_hit(undo)}")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Looks whether the toxic is still listed; raises Lapsed when it is not, or the proxy is silent."""
        watch, over, ever = Watch(), False, False
        while not over:
            over = ended.wait(_LOOK_S)
            answer = watch.look(lambda: ask(undo["at"], "GET", _path(undo)))
            if answer is not None and answer[0] == 404 and not over and not ended.is_set():
                raise Lapsed(f"a program other than chaoskit took {self.kind} off {undo['link']}")
            if answer is not None and answer[0] == 200:
                ever = ever or bool(answer[1]["hit"])  # a change counts anew
                self._weigh(undo, answer[1], over and not ever)

    def _weigh(self, undo: Undo, shown: dict[str, Any], never: bool) -> None:
        """Raises Lapsed where fewer calls were hit than asked for, or, at the end, never one."""
        seen, hit, ratio = int(shown["seen"]), int(shown["hit"]), undo["toxic"]["ratio"]
        if too_few(hit, seen, ratio):
            raise Lapsed(told(hit, seen * ratio, f"calls on {undo['link']} hit"))
        delay_vs = undo["toxic"].get("delay_vs", 0.0)
        if (held_vs := float(shown.get("held_vs", delay_vs))) < ENOUGH * delay_vs:
            raise Lapsed(told(held_vs, delay_vs, f"virtual s for which a call on {undo['link']} was held"))
        if never and ratio:
            matching = f" whose path matches {undo['toxic']['path']}" if undo["toxic"]["path"] else ""
            raise Lapsed(f"no call on {undo['link']} was ever hit by {self.kind}: {seen} calls{matching} came by")

    def stop(self, undo: Undo) -> Seen:
        """Takes the toxic away and sees that it is no longer listed; one that never was is just as well."""

        def remove() -> tuple[float, str]:
            found = get(undo["at"], "DELETE", _path(undo))
            gone_by = time.time()
            status, _ = ask(undo["at"], "GET", _path(undo))
            if status != 404:
                raise FaultError(
                    f"{self.kind} was taken off {undo['link']}, and is still listed; remove it at {undo['at']['url']}"
                )
            taken = f"{self.kind} off {undo['link']}"
            return gone_by, taken if found.get("removed") else f"{undo['link']} was free of it"

        return take_back(undo["at"], remove)

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only a toxic with an id that this kind makes up, at the target's proxy."""
        if not re.fullmatch(rf"{re.escape(self.kind)}-[0-9a-f]{{12}}", undo["id"]):
            raise FaultError(f"{undo['id']!r} is no toxic of {self.kind}; undo it by hand")
        return f"sends DELETE {vouched(undo['at'], made)}{_path(undo)}"

    def alter(self, undo: Undo, settings: L) -> Undo:
        """The token of the other level: the same toxic, so it undoes either. Raises FaultError like `prepare`."""
        if why := self.beyond(settings, {"connections": undo.get("most")}):
            raise FaultError(why)
        return {**undo, "toxic": self._toxic(settings)}

    def change(self, undo: Undo) -> Seen:
        """Replaces the toxic's settings in one stroke and sees the new ones hit."""
        return self.start(undo)

    def beyond(self, settings: L, limits: Mapping[str, Any]) -> str:
        return connections_beyond(self.kind, settings, limits)

    def _toxic(self, settings: L) -> dict[str, Any]:
        return {"kind": self.kind, "ratio": settings.ratio, "path": settings.path, **self.effect(settings)}


def _path(undo: Undo) -> str:
    return f"/toxics/{undo['id']}"


def _first_hit(undo: Undo) -> str:
    """Waits for the first hit as long as calls come by, and tells what was seen; raises FaultError."""
    begun, dosed = time.monotonic(), undo["toxic"]["ratio"]
    shown: dict[str, Any] = {}

    def known() -> bool:
        status, found = ask(undo["at"], "GET", _path(undo))
        if status == 404:
            raise FaultError(f"the proxy took the toxic on {undo['link']}, and does not list it; see the proxy's log")
        shown.update(found)
        return bool(shown["hit"] or not dosed or (time.monotonic() - begun > _FIRST_CALL_S and not shown["seen"]))

    waiting.await_true(known, _FIRST_HIT_S, _HIT_LOOK_S)
    if shown["hit"] or not dosed:
        return f"{shown['hit']} of the first {shown['seen']} calls hit"
    came = f"{shown['seen']} calls have come by, none is due yet" if shown["seen"] else "no call has come by"
    return f"listed; {came}"


class HttpErrorSettings(LinkSettings):
    """Settings of http.error."""

    status: Annotated[int, Field(ge=400, le=599)] = 500
    """The HTTP status. A 4xx blames the request: callers commonly neither retry it nor count it in a breaker."""


class HttpError(LinkFault[HttpErrorSettings]):
    """Answers calls on a link with an error status."""

    kind = "http.error"

    def effect(self, settings: HttpErrorSettings) -> dict[str, Any]:
        return {"status": settings.status}


class HttpSlowSettings(LinkSettings):
    """Settings of http.slow."""

    by: Annotated[Duration, Field(gt=0)]
    """How long a call is held before it is passed on, in virtual time: `15s`."""


class HttpSlow(LinkFault[HttpSlowSettings]):
    """Holds calls on a link for a while; when it is undone, those that are held go on at once."""

    kind = "http.slow"

    def effect(self, settings: HttpSlowSettings) -> dict[str, Any]:
        return {"delay_vs": settings.by}  # the proxy lives in the target's time


class TcpReset(LinkFault[LinkSettings]):
    """Resets connections on a link before an answer comes, as a crashed or restarted peer does."""

    kind = "tcp.reset"


class TcpBlackhole(LinkFault[LinkSettings]):
    """Swallows calls on a link: neither answer nor end, until it is undone and what it holds is reset."""

    kind = "tcp.blackhole"


class TcpFlaky(LinkFault[LinkSettings]):
    """Lets calls through and breaks their answers off half-way: the work was done, the caller does not know."""

    kind = "tcp.flaky"
