"""`LoadSpec`, the load to put on a target: the one description that parent and child share, as data for JSON.

Two models. *Open*: `rate` requests are due every real second, whether or not earlier ones were answered, and a
latency counts from the instant at which its request was due. *Closed*: `users` each wait for their answer before they
go on, so a frozen target receives fewer requests and the percentiles say less about it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaoskit.errors import BadInput, Problem
from chaoskit.scenario.model import LONGEST_DRAIN_S
from chaoskit.scenario.shape import Shape, factor

MOST_IN_FLIGHT = 900
"""Open requests of one process: beyond 1,024 descriptors the HTTP client no longer reuses its connections."""

LONG_TOKEN = 32
"""Characters of a token from which keys are made: one that could be guessed could be tried on a recorded handshake."""

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_ABOVE_ZERO = (
    *("rate", "users", "connect_timeout_s", "spawn_rate", "network_timeout_s", "max_in_flight", "processes"),
    *("limit_s", "limit_requests"),
)
_CHANGING = frozenset(
    {"rate", "users", "mix", "requests", "shape", "think_s", "max_in_flight", "drain_s", "limit_s", "limit_requests"}
)
"""The fields that may change while the load flows."""
_Wrong = tuple[object, str, str]
"""Whether something is wrong, what that is, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpec:
    """One kind of request. `{n}` in path, body and JSON strings is its counter, `{n%50}` the same modulo 50;
    a JSON string that is only a placeholder becomes a number."""

    path: str
    method: str = "GET"
    json: Any = None
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """Load on `host`: exactly one of `rate` (requests per real second) and `users`. Times are real seconds. Raises
    BadInput with every problem. With a `locustfile` its own user classes are run (closed only), and `mix` and
    `requests` stay empty."""

    host: str
    rate: float | None = None
    users: int | None = None
    mix: Mapping[str, int] = field(default_factory=dict)
    """Names and whole weights; dosed exactly, in a fixed order."""
    requests: Mapping[str, RequestSpec] = field(default_factory=dict)
    """The request that each name of the mix makes."""
    locustfile: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the locustfile's own command line."""
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    """The user classes that are asked for; empty: all."""
    spawn_rate: float | None = None
    """How many users come or go in a second; None: all at once."""
    shape: Shape = field(default_factory=Shape)
    connect_timeout_s: float = 2.0
    network_timeout_s: float = 2.0
    """The longest silence of the target. No request lasts longer than both time-outs together. Keep them below the
    duration of the fault, or nothing times out while it lasts."""
    think_s: float = 1.0
    """A user's mean wait between an answer and the next request; drawn between half and one and a half times it."""
    max_in_flight: int | None = None
    """Open model: how many requests may be unanswered at once; what is due beyond is dropped and counted. None:
    as many as can come together until they time out."""
    drain_s: float | None = None
    """How long the end may take, LONGEST_DRAIN_S at most: open answers, and what users still send. None: as the
    time-outs say."""
    processes: int = 1
    limit_s: float = 900.0
    limit_requests: int = 1_000_000
    verify_tls: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        every = [*self._model_wrongs(), *self._request_wrongs(), *self._number_wrongs()]
        problems = [Problem(None, f"load: {what}", hint) for wrong, what, hint in every if wrong]
        problems += self.shape.problems()
        if not problems and (self.max_in_flight or 0) > MOST_IN_FLIGHT * self.processes:
            what = f"load: max_in_flight is {self.max_in_flight}, and one process of the load holds {MOST_IN_FLIGHT}"
            hint = f"set processes to {math.ceil((self.max_in_flight or 0) / MOST_IN_FLIGHT)}"
            problems.append(Problem(None, what, hint))
        if problems:
            raise BadInput(problems)

    def _model_wrongs(self) -> Iterator[_Wrong]:
        url, file = urlsplit(self.host), self.locustfile
        no_root = url.scheme not in ("http", "https") or not url.hostname or url.path.rstrip("/") or url.query
        neither = (self.rate is None) == (self.users is None)
        yield neither, "give exactly one of rate and users", "rate: 40/s is an open load, users: 20 a closed one"
        yield no_root, f"host '{self.host}' is not the root of a service", "write http://127.0.0.1:8000"
        if file is None:
            yield not self.mix, "the mix is empty", "name at least one request with its weight"
            return
        own = "a locustfile has users of its own, and these take no rate"
        yield self.rate is not None, own, "write users: 20"
        yield self.mix or self.requests, "both a locustfile and a mix are given", "keep one of them"
        yield not Path(file).is_file(), f"locustfile '{file}' does not exist", "give the path of a file"

    def _request_wrongs(self) -> Iterator[_Wrong]:
        known = f"known: {', '.join(sorted(self.requests)) or 'none'}"
        for name, weight in self.mix.items():
            yield weight < 1, f"the weight of '{name}' is {weight}", "write a whole number from 1"
            yield name not in self.requests, f"'{name}' of the mix is no known request", known
        for name, one in self.requests.items():
            said, methods = f"request '{name}'", "one of " + ", ".join(_METHODS)
            no_path = not re.fullmatch(r"/[\x21-\x7e]*", one.path) or one.path.startswith("//")
            by_0 = "{n%0}" in f"{one.path} {one.body} {one.json}"
            both = one.json is not None and one.body is not None
            yield one.method not in _METHODS, f"{said} has the method '{one.method}'", methods
            yield no_path, f"{said} has the path '{one.path}'", "begin with one /, and percent-encode blanks"
            yield both, f"{said} has both json and body", "keep one of them"
            yield by_0, f"{said} divides its counter by 0", "write {n%50}"

    def _number_wrongs(self) -> Iterator[_Wrong]:
        for name in _ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None:
                yield not 0 < value < math.inf, f"{name} is {value:g}", "write a number above 0"
        drain_s = self.drain_s or 0.0
        for name, value in (("think_s", self.think_s), ("drain_s", drain_s)):
            yield not 0 <= value < math.inf, f"{name} is {value:g}", "write 0 or more"
        yield drain_s > LONGEST_DRAIN_S, f"drain_s is {drain_s:g}", f"write at most {LONGEST_DRAIN_S:g}"
        if self.users is not None:
            said = f"{self.users} users over {self.processes} processes"
            yield self.processes > max(1, self.users), said, "fewer processes, or more users"

    @property
    def longest_s(self) -> float:
        """Real seconds after which a request of ours has its answer or its time-out."""
        return self.connect_timeout_s + self.network_timeout_s

    @property
    def usual_drain_s(self) -> float:
        """Real seconds until every open request has its answer or its time-out."""
        return min(self.longest_s + 0.5, LONGEST_DRAIN_S)

    @property
    def drain_for_s(self) -> float:
        """Real seconds that the end of the load may take."""
        return self.usual_drain_s if self.drain_s is None else self.drain_s

    @property
    def in_flight_bound(self) -> int:
        """How many requests of an open load may be unanswered at once, over all processes."""
        if self.max_in_flight is not None:
            return self.max_in_flight
        together = (self.rate or 0.0) * self.shape.highest * self.longest_s
        return min(MOST_IN_FLIGHT * self.processes, max(50, math.ceil(together * 1.2)))

    def level(self, t_s: float) -> float:
        """Requests per second or users that the shape asks for `t_s` after the load began."""
        return (self.rate if self.rate is not None else self.users or 0) * factor(self.shape, t_s)

    def check_change(self, new: LoadSpec) -> None:
        """Raise BadInput, with every reason, unless `new` can follow while the load flows."""
        fixed = [field.name for field in fields(self) if field.name not in _CHANGING]
        differing = [name for name in fixed if getattr(self, name) != getattr(new, name)]
        if (self.rate is None) != (new.rate is None):
            differing.append("the model (rate or users)")
        hint = "rate, users, mix, requests and shape can"
        if differing:
            raise BadInput(
                Problem(None, f"load: {name} cannot change while the load flows", hint) for name in differing
            )

    def share(self, shard: int, shards: int) -> LoadSpec:
        """The part of one of several processes; the parts of users, limits and bounds add up exactly."""

        def part(whole: int) -> int:
            return whole // shards + (shard < whole % shards)

        return replace(
            self,
            rate=None if self.rate is None else self.rate / shards,
            users=None if self.users is None else part(self.users),
            spawn_rate=None if self.spawn_rate is None else self.spawn_rate / shards,
            max_in_flight=max(1, part(self.in_flight_bound)),
            limit_requests=max(1, part(self.limit_requests)),
            processes=1,
        )
