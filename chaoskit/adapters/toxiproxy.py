"""via toxiproxy: connections that pass through a proxy of Toxiproxy, by a toxic of the fault's own name.

A share of the *connections* is hit, as Toxiproxy's `toxicity` says, for as long as each lasts; calls and paths it
cannot tell apart. It has no toxic for an error of HTTP, nor for an answer that breaks off. A proxy that has a foreign
toxic is refused. A toxic does not end by itself: the holder takes it back, and where that is gone too, chaoskit's
watchdog, a process of its own. Tried against a server that answers as Toxiproxy 2 is documented, not against
Toxiproxy itself.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import requests

from chaoskit.access import plain_session, trouble
from chaoskit.adapters.base import Adapter, carries_password, token, undone, vouched
from chaoskit.faults.base import Changeable, FaultError, Kind, Made, Seen, Target, Undo
from chaoskit.faults.control_api import ENOUGH
from chaoskit.faults.link import HttpSlowSettings, LinkSettings, connections_beyond

_ANSWER_S = 4.0
_PROBE_S = 0.5
_ASKED = b"PING\r\n\r\n"
"""Most servers answer it with something, if only that it is wrong."""
_MISSED = 0.001
_MOST_PROBES = 60

L = TypeVar("L", bound=LinkSettings)


@dataclass(frozen=True, kw_only=True)
class Toxiproxy(Adapter):
    """Connections through a proxy of Toxiproxy."""

    kind: ClassVar[str] = "link"
    via: ClassVar[str] = "toxiproxy"
    seen_by: ClassVar[str] = "GET of the toxic; a probe through the proxy"
    undone_by: ClassVar[str] = "DELETE of the toxic of the id"
    ends: ClassVar[str] = "the holder, then the watchdog"
    example: ClassVar[str] = "link: {payments: {via: toxiproxy, url: 'http://127.0.0.1:8474', proxy: payments}}"

    proxy: str
    """The proxy's name at Toxiproxy."""
    url: str
    """Where Toxiproxy's API answers."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return ToxicReset(), ToxicBlackhole(), ToxicSlow()

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the address of Toxiproxy's API is no http:// URL."""
        yield from super().wrong()
        if not self.url.startswith(("http://", "https://")) or carries_password(self.url):
            yield "url", "is no address of Toxiproxy's API", "write http://127.0.0.1:8474"

    def look(self) -> tuple[str, ...]:
        """The proxy, which must be there and enabled."""
        if not _proxy(self.keys()).get("enabled"):
            raise FaultError(f"Toxiproxy: the proxy {self.proxy} is disabled; enable it first")
        return (self.proxy,)


def _ask(at: Mapping[str, str], method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    """Status and JSON of an answer about the proxy; raises FaultError where there is none, or for a 5xx."""
    what = f"{at['url'].rstrip('/')}/proxies/{at['proxy']}{path}"
    try:
        with plain_session() as session:
            answer = session.request(method, what, json=body, timeout=_ANSWER_S)
        if answer.status_code >= 500:
            raise FaultError(f"Toxiproxy answered {method} {what} with {answer.status_code}: {answer.text[:200]}")
        return answer.status_code, answer.json() if answer.content else None
    except requests.JSONDecodeError:
        raise FaultError(f"{method} {what}: answered {answer.status_code}, no JSON: {answer.text[:200]}") from None
    except requests.RequestException as error:
        raise FaultError(f"{method} {what}: {trouble(error)}") from None


def _fine(at: Mapping[str, str], method: str, path: str = "", body: Any = None) -> Any:
    status, found = _ask(at, method, path, body)
    if not 200 <= status < 300:
        said = found.get("error", found) if isinstance(found, dict) else found
        raise FaultError(f"Toxiproxy at {at['url']} answered {status} to {method} of {at['proxy']}{path}: {said}")
    return found


def _proxy(at: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = _fine(at, "GET")
    return found


class Toxic(Changeable[L]):
    """A toxic of the fault's id; a kind says of which type, and when a probe was hit by it."""

    handles = ("link",)
    look_s = 0.5
    type: ClassVar[str]

    def attributes(self, settings: L) -> dict[str, int]:
        """The toxic's own settings."""
        return {"timeout": 0}

    def beyond(self, settings: L, limits: Mapping[str, Any]) -> str:
        """Why Toxiproxy cannot do these settings: it tells no paths apart; empty where it can."""
        if settings.path:
            return f"{self.kind} takes no path with Toxiproxy: leave path out"
        return connections_beyond(self.kind, settings, limits)

    def prepare(self, target: Target, settings: L) -> Undo:
        """Finds the proxy; raises FaultError for one that is disabled, or has a toxic that is not ours."""
        self.refuse_beyond(settings, target)
        at = target.address.keys
        found = _proxy(at)
        if foreign := [one["name"] for one in found.get("toxics", ()) if not one["name"].startswith("chaoskit_")]:
            raise FaultError(f"the proxy {at['proxy']} has toxics that chaoskit did not make: {', '.join(foreign)}")
        most = target.address.limits.get("connections")
        return self.alter({**token(target), "listen": found["listen"], "most": most}, settings)

    def alter(self, undo: Undo, settings: L) -> Undo:
        """The token of another level: the same toxic, so it undoes either."""
        if why := self.beyond(settings, {"connections": undo["most"]}):
            raise FaultError(why)
        toxic = {"name": undo["id"], "type": self.type, "stream": "downstream", "toxicity": settings.ratio}
        return {**undo, "toxic": {**toxic, "attributes": self.attributes(settings)}}

    def start(self, undo: Undo) -> Seen:
        """Adds the toxic, sees it listed as it was asked for, and a connection of our own hit by it."""
        answered_s = _probe_s(undo["listen"])
        begun = time.time()
        _fine(undo["at"], "POST", "/toxics", undo["toxic"])
        return self._seen(undo, begun, answered_s)

    def change(self, undo: Undo) -> Seen:
        """Gives the toxic its new figures, and sees Toxiproxy list these."""
        begun = time.time()
        changed = {key: undo["toxic"][key] for key in ("attributes", "toxicity")}
        _fine(undo["at"], "POST", f"/toxics/{undo['id']}", changed)
        return self._seen(undo, begun, None)

    def _seen(self, undo: Undo, begun: float, answered_s: float | None) -> Seen:
        if why := self.lapse(undo):
            raise FaultError(why)
        listed, ratio = time.time(), undo["toxic"]["toxicity"]
        told = f"{self.kind} through {undo['at']['proxy']}: listed"
        if not ratio or (answered_s is None and self.type != "reset_peer"):
            return Seen((begun, listed), f"{told}; no probe could tell more")
        tries = 1 if ratio >= 1 else min(_MOST_PROBES, math.ceil(math.log(_MISSED) / math.log(1 - ratio)))
        for _ in range(tries):
            if self.hit(undo, answered_s or 0.0):
                return Seen((begun, time.time()), f"{told}, and a connection was hit")
        raise FaultError(
            f"{told}, and none of {tries} connections of our own was hit: does the proxy's upstream answer?"
        )

    def hit(self, undo: Undo, answered_s: float) -> bool:
        """Whether a new connection through the proxy is hit."""
        return _probe_s(undo["listen"]) is None

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the toxic is gone, or another one than was asked for."""
        status, found = _ask(undo["at"], "GET", f"/toxics/{undo['id']}")
        if status == 404:
            return f"another program took the toxic {undo['id']} off {undo['at']['proxy']}"
        got, asked = (found or {}).get("attributes", {}), undo["toxic"]["attributes"]
        wrong = {key: got.get(key) for key in asked if got.get(key) != asked[key]}
        return f"the toxic {undo['id']} is {wrong}, and not {asked}" if wrong else ""

    def stop(self, undo: Undo) -> Seen:
        """Takes the toxic away and sees it gone; one that never was, or whose proxy is gone, is just as well."""

        def delete() -> str:
            status, _ = _ask(undo["at"], "DELETE", f"/toxics/{undo['id']}")
            left, _ = _ask(undo["at"], "GET", f"/toxics/{undo['id']}")
            if left != 404:
                raise FaultError(
                    f"the toxic {undo['id']} was deleted ({status}), and GET answers {left}; delete it by hand"
                )
            return f"{undo['at']['proxy']} is free of it"

        return undone(delete)

    def vouch(self, undo: Undo, made: Made) -> str:
        return f"sends DELETE of the toxic {vouched(undo, made)} to {undo['at']['url']}"


def _probe_s(listen: str, within_s: float = _PROBE_S) -> float | None:
    """How long until something answers through the proxy; None where nothing does."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    host = "127.0.0.1" if host in ("", "::", "0.0.0.0") else host
    begun = time.monotonic()
    with contextlib.suppress(TimeoutError, ConnectionRefusedError, BrokenPipeError, ConnectionResetError):
        with socket.create_connection((host, int(port)), within_s) as line:
            line.sendall(_ASKED)
            return time.monotonic() - begun if line.recv(1) else None
    return None


class ToxicReset(Toxic[LinkSettings]):
    """tcp.reset by Toxiproxy."""

    kind = "tcp.reset"
    type = "reset_peer"


class ToxicBlackhole(Toxic[LinkSettings]):
    """tcp.blackhole by Toxiproxy."""

    kind = "tcp.blackhole"
    type = "timeout"


class ToxicSlow(Toxic[HttpSlowSettings]):
    """http.slow by Toxiproxy."""

    kind = "http.slow"
    type = "latency"

    def attributes(self, settings: HttpSlowSettings) -> dict[str, int]:
        return {"latency": round(settings.by * 1000), "jitter": 0}

    def hit(self, undo: Undo, answered_s: float) -> bool:
        asked_s = undo["toxic"]["attributes"]["latency"] / 1000
        took_s = _probe_s(undo["listen"], asked_s + answered_s + _ANSWER_S)
        if took_s is None:
            raise FaultError(f"a call through {undo['at']['proxy']} got no answer: does its upstream answer?")
        return bool(took_s >= ENOUGH * asked_s)

    def longest_s(self, undo: Undo) -> float:
        return float(undo["toxic"]["attributes"]["latency"]) / 1000 + 2 * _ANSWER_S
