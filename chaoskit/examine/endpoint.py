"""One endpoint of an attached target, asked once, with what came of it in a person's words.

Where there is no answer, the setting that mends it is named: of the profile, for that is what is examined.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
import requests

from chaoskit import json_text
from chaoskit.access import ANSWER_S, session_for, trouble
from chaoskit.errors import BadInput
from chaoskit.scenario.model import Attached

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of `doctor`: what was checked, whether a run can rely on it, what was found, and what mends it."""

    what: str
    state: Literal["ok", "warning", "missing"]
    detail: str
    mend: str = ""


class NoAnswer(Exception):
    """The endpoint did not answer, or not as itself; carries the line that says so."""

    def __init__(self, what: str, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.checked = Checked(what, "missing", detail, mend)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the seconds that it took."""

    text: str
    content: bytes
    asked: float
    """When, in seconds since the epoch."""
    took_s: float


class _Whole(msgspec.Struct):
    data: msgspec.Raw


class Endpoint:
    """Where prometheus, alertmanager, metrics or witness answers, and who asks; raises NoAnswer in every way."""

    def __init__(self, target: Attached, name: str) -> None:
        self.name = name
        self.url = str(getattr(target, name))
        try:
            self.session = session_for(target, name)
        except BadInput as error:
            said = "; ".join(problem.message for problem in error.problems)
            raise NoAnswer(name, said, f"access: {{{name}: ...}} of the profile") from None

    def get(self, path: str, **query: str) -> Reply:
        """The answer to GET at this path below the endpoint's address; raises NoAnswer."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: object) -> Reply:
        """The answer to a message sent there as JSON."""
        return self._ask("POST", path, json=body)

    def decoded(self, path: str, kind: type[T], **query: str) -> tuple[T, Reply]:
        """The answer decoded as `kind`, and the raw reply; raises NoAnswer."""
        reply = self.get(path, **query)
        return self._decoded(reply.content, kind), reply

    def data(self, path: str, kind: type[T], **query: str) -> tuple[T, Reply]:
        """The `data` of Prometheus's answer decoded as `kind`, and the raw reply; raises NoAnswer."""
        whole, reply = self.decoded(path, _Whole, **query)
        return self._decoded(whole.data, kind), reply

    def _decoded(self, content: bytes | msgspec.Raw, kind: type[T]) -> T:
        try:
            return json_text.decode(content, type=kind)
        except msgspec.DecodeError:
            mend = f"{self.name}: URL of the profile, with its path prefix where it has one"
            raise NoAnswer(self.name, f"{self.url} answers, but not as {self.name} does", mend) from None

    def _ask(self, method: str, path: str, **more: object) -> Reply:
        asked, since = time.time(), time.monotonic()
        try:
            response = self.session.request(method, self.url + path, timeout=ANSWER_S, **more)  # type: ignore[arg-type]
        except requests.RequestException as error:
            raise NoAnswer(self.name, f"{self.url}: {_trouble(error)}", _mend(self.name, error)) from None
        took_s = time.monotonic() - since
        if not response.ok:
            raise NoAnswer(self.name, *_refused(self.name, self.url, path, response.status_code))
        return Reply(response.text, response.content, asked, took_s)


def _refused(name: str, url: str, path: str, status: int) -> tuple[str, str]:
    access = f"access: {{{name}: {{username: USER, password_file: FILE}}}} of the profile, or bearer_file"
    if status == requests.codes.unauthorized:
        return f"{url} wants credentials, or does not accept those of the profile (401)", access
    if status == requests.codes.forbidden:
        return f"{url} refuses this user access (403)", f"{access}, or rights for that user"
    if status == requests.codes.not_found:
        return f"{url} has nothing at {path or '/'} (404)", f"{name}: URL of the profile, with its path prefix"
    return f"{url} answers with status {status}", f"see its log, or correct {name}: URL of the profile"


def _trouble(error: requests.RequestException) -> str:
    if "NameResolutionError" in str(error) or "Failed to resolve" in str(error):
        return "no connection: there is no host with this name"
    if "refused" in str(error):
        return "connection refused: no program listens on this port"
    return trouble(error)


def _mend(name: str, error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return f"access: {{{name}: {{ca_file: FILE}}}} of the profile, or http:// where it speaks no TLS"
    if name == "witness":
        return "start it: chaoskit witness serve"
    return f"start {name}, or correct {name}: URL of the profile"
