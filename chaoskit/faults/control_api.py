"""Asking a target's control interface over HTTP: JSON both ways, a token from a file, every wait bounded.

Undo tokens hold where the interface is and which file holds its token, never the token itself. They also hold whose
child the target is: an interface that refuses connections because its owner has ended has nothing left to undo.
"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from chaoskit.faults import processes
from chaoskit.faults.base import FaultError, Lapsed, Made, Seen, Target
from chaoskit.trust import read_own, read_secret

ANSWER_S = 4.0
"""Longest wait for one answer, in real seconds."""
SILENCE_S = 3.0
"""Real seconds without an answer of the control interface after which a fault counts as lapsed."""
_UNDO_S = 10.0
_AGAIN_S = 0.1
_SHOWN = 200
_TOKEN_LONG = 4096

ControlApi = dict[str, Any]
"""Where and whose: url, token_file, owner; JSON, part of undo tokens."""
NO_OWNER: ControlApi = {"owner": None, "token_file": ""}
"""Of what ends with no process that is known: an undo there is tried until it succeeds."""


class Unreachable(FaultError):
    """The interface did not answer; `refused` when the system refused the connection: no process listens."""

    def __init__(self, message: str, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


def control_api(target: Target) -> ControlApi:
    """The control interface of what a handle names; raises FaultError when the profile's target tells none."""
    address = target.address
    if not address.url:
        raise FaultError(
            f"{target.handle}: the target does not tell the address of its control interface; name another handle"
        )
    return processes.owned({"url": address.url, "token_file": address.token_file, "owner": address.owner})


def ask(
    at: ControlApi, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of one answer; raises Unreachable, or FaultError for a 401, a 5xx and what is no JSON."""
    where = urlsplit(at["url"])
    make = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = make(where.hostname or "", where.port, timeout=ANSWER_S)
    what = f"{method} {at['url']}{path}"
    headers = {"Content-Type": "application/json", **_authorization(at, what)}
    full = where.path.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
    try:
        connection.request(method, full, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
    except ConnectionRefusedError:
        raise Unreachable(f"{what}: the connection was refused", refused=True) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{what}: {error or type(error).__name__}", refused=False) from None
    finally:
        connection.close()
    if response.status == 401:
        raise FaultError(f"{what}: the token in {at['token_file'] or 'no file'} is refused: correct it")
    if response.status >= 500:
        raise FaultError(f"{what}: answered {response.status}: {_short(text)}")
    try:
        return response.status, json.loads(text)
    except ValueError:
        raise FaultError(f"{what}: answered {response.status} and no JSON: {_short(text)}") from None


def get(at: ControlApi, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
    """The JSON of an answer that must be a 2xx; raises FaultError otherwise."""
    status, found = ask(at, method, path, body, query)
    if not 200 <= status < 300:
        raise FaultError(f"{method} {at['url']}{path}: answered {status}: {_short(json.dumps(found).encode())}")
    return found


def vouched(at: ControlApi, made: Made) -> str:
    """The URL of a token's control interface; raises FaultError unless it and its token file are the target's."""
    if urlsplit(at["url"]).scheme not in ("http", "https"):
        raise FaultError(f"{at['url']!r} is no control address that chaoskit writes; undo it by hand")
    made.allow("url", at["url"])
    made.allow("token_file", at["token_file"])
    if at["token_file"] and _token_there(at):
        _token(at, at["url"], read_secret)
    return str(at["url"])


def take_back(at: ControlApi, work: Callable[[], tuple[float, str]]) -> Seen:
    """Does an undo's work, again and again until it succeeds or 10 real s are over; raises FaultError then.

    The work tells by when all was gone, which is before it has made sure of that, and what it did.

    Where the connection is refused and the owner has ended, there is nothing left to take back.
    """
    begun, end = time.time(), time.monotonic() + _UNDO_S
    while True:
        try:
            gone_by, detail = work()
            return Seen((begun, gone_by), detail)
        except FaultError as error:
            refused = isinstance(error, Unreachable) and error.refused
            if processes.orphaned(at) and (refused or not _token_there(at)):
                return Seen((begun, time.time()), "the system that the fault was in is gone")
            if time.monotonic() > end:
                raise
        time.sleep(_AGAIN_S)  # whether it answers again is learned by asking it


class Watch:
    """Looks that may fail for a moment, but not for longer than SILENCE_S."""

    def __init__(self) -> None:
        self._silent_since: float | None = None

    def look(self, work: Callable[[], Any]) -> Any:
        """The result of `work`, or None where it raised FaultError; raises Lapsed after SILENCE_S of such failures."""
        try:
            found = work()
        except FaultError as error:
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            if now - self._silent_since > SILENCE_S:
                raise Lapsed(f"unknown for {SILENCE_S:g} s whether the fault is still in force: {error}") from None
            return None
        self._silent_since = None
        return found


def _authorization(at: ControlApi, what: str) -> dict[str, str]:
    if not at["token_file"]:
        return {}
    # Whose files lie on the way to it is looked at where a journal or a person names it.
    return {"Authorization": f"Bearer {_token(at, what, lambda file: read_own(file.resolve()))}"}


def _token(at: ControlApi, what: str, read: Callable[[Path], bytes]) -> str:
    """The token in its file, one line; raises FaultError for any other file, so that none is sent as one."""
    try:
        token = read(Path(at["token_file"])).decode().strip()
    except UnicodeDecodeError:
        token = "\0"
    except OSError as error:
        raise FaultError(f"{what}: the token in {at['token_file']} cannot be read: {error.strerror}; mend it") from None
    if not token.isprintable() or " " in token or len(token) > _TOKEN_LONG:
        raise FaultError(
            f"{what}: {at['token_file']} holds no token, so none is sent; write it there, and nothing else"
        )
    return token


def _token_there(at: ControlApi) -> bool:
    return not at["token_file"] or Path(at["token_file"]).exists()


def _short(text: bytes) -> str:
    return text[:_SHOWN].decode(errors="replace")


ENOUGH = 0.9
"""The share of the asked strength from which on a weaker effect still counts as the fault."""


class Strength:
    """Measured again and again; what is too weak for `for_s` real seconds, at two looks at least, has lapsed."""

    def __init__(self, unit: str, for_s: float = 0.0) -> None:
        self._unit = unit
        self._for_s = for_s
        self._weak_since: float | None = None

    def look(self, got: float, asked: float) -> None:
        """Takes one measurement; raises Lapsed where the effect is too weak, as "0.5 of 1.2 cores"."""
        if got >= ENOUGH * asked:
            self._weak_since = None
            return
        now = time.monotonic()
        if self._weak_since is None:
            self._weak_since = now
        elif now - self._weak_since >= self._for_s:
            raise Lapsed(told(got, asked, self._unit))


def told(got: float, asked: float, unit: str) -> str:
    """The words for an effect that is weaker than the fault asked for."""
    return f"the effect is weaker than asked for: {got:.3g} of {asked:.3g} {unit}"


def too_few(hit: int, seen: int, ratio: float) -> bool:
    """Whether fewer calls were hit than the fault's share of them, dosed by count or by chance, comes to."""
    expected = seen * ratio
    return hit < math.floor(expected) - 3 * math.sqrt(expected * (1 - ratio)) and hit < ENOUGH * expected
