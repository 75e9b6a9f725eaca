"""Toxics: disturbances of a link's calls, with typed settings, dosed exactly.

`ratio` is dosed by counting, not by chance: of the calls whose path matches, 0.1 hits every tenth and 0.95 nineteen
of twenty. A random 5 % would be above 5 % half of the time.

    kind            settings          effect on a dosed call
    http.error      status            answered by the proxy with this status; the upstream never sees it
    http.slow       delay_vs          held for so many virtual seconds, then passed on
    tcp.reset                         the connection is reset before an answer
    tcp.blackhole                     swallowed: no answer and no end until the toxic goes
    tcp.flaky                         the answer breaks off half-way with a reset
"""

from __future__ import annotations

import asyncio
import re
from fractions import Fraction
from typing import Annotated, Any

import msgspec

from chaoskit import json_text

_Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """`path` is a regular expression searched in the request's path; `expires_s` ends the toxic by itself."""

    ratio: _Ratio = 1.0
    path: str = ""
    expires_s: Annotated[float, msgspec.Meta(gt=0)] | None = None


class HttpError(_Settings, frozen=True, tag="http.error"):
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500


class HttpSlow(_Settings, frozen=True, tag="http.slow"):
    delay_vs: Annotated[float, msgspec.Meta(gt=0)]


class TcpReset(_Settings, frozen=True, tag="tcp.reset"):
    pass


class TcpBlackhole(_Settings, frozen=True, tag="tcp.blackhole"):
    pass


class TcpFlaky(_Settings, frozen=True, tag="tcp.flaky"):
    pass


Settings = HttpError | HttpSlow | TcpReset | TcpBlackhole | TcpFlaky


def parse(data: bytes) -> Settings:
    """A toxic's settings from JSON; raises ValueError with what is wrong."""
    try:
        settings: Settings = json_text.decode(data, type=Settings)
        re.compile(settings.path)
    except (msgspec.DecodeError, re.error) as error:
        raise ValueError(str(error)) from None
    return settings


class Dose:
    """Every n-th: after any number n of calls, exactly floor(n * ratio) were hit."""

    def __init__(self, ratio: float) -> None:
        self._ratio = Fraction(str(ratio)).limit_denominator(10_000)
        self.seen = 0
        self.hit = 0

    def take(self) -> bool:
        """Count one call; whether the toxic hits it."""
        self.seen += 1
        hit = int(self.seen * self._ratio) > self.hit
        self.hit += hit
        return hit


class Toxic:
    """A toxic in force; `gone` is set when it is taken away or replaced, so that what it holds can go on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gone = asyncio.Event()
        self.expiry: asyncio.TimerHandle | None = None
        self._dose = Dose(settings.ratio)
        self._path = re.compile(settings.path)
        self._held_vs: float | None = None

    def end(self) -> None:
        """Takes the toxic out of force."""
        self.gone.set()
        if self.expiry:
            self.expiry.cancel()

    def hits(self, path: str) -> bool:
        """Whether this call is dosed; counts it when its path matches."""
        return bool(self._path.search(path)) and self._dose.take()

    def describe(self) -> dict[str, Any]:
        """Settings, how many calls matched and were hit, and for how long those that were held were at least."""
        held = {} if self._held_vs is None else {"held_vs": self._held_vs}
        return {**msgspec.to_builtins(self.settings), "seen": self._dose.seen, "hit": self._dose.hit, **held}

    def held(self, for_vs: float) -> None:
        """Notes for how many virtual seconds a call was held."""
        if not self.gone.is_set():
            self._held_vs = min(for_vs, self._held_vs or for_vs)


class Toxics(dict[str, Toxic]):
    """The toxics of one link by id, in the order in which they were put."""

    def put(self, key: str, settings: Settings) -> None:
        """Add a toxic, or replace the one with this id without a gap; its dose starts from nothing."""
        old, new = self.get(key), Toxic(settings)
        self[key] = new
        if old:
            old.end()
        if settings.expires_s is not None:
            new.expiry = asyncio.get_running_loop().call_later(settings.expires_s, self.remove, key)

    def remove(self, key: str) -> bool:
        """Take a toxic away; False when there was none, which is just as well."""
        toxic = self.pop(key, None)
        if toxic:
            toxic.end()
        return toxic is not None
