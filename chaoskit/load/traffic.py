"""The common part of the three ways to make requests: open arrivals, our closed users, a locustfile's own users.

Each ends in two steps: the gate is shut, so that nothing new begins, then answers are awaited, for as long as the drain
lasts. Requests that are still open after that are cut off, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import locust
from locust.env import Environment
from locust.runners import LocalRunner, WorkerRunner
from locust.stats import RequestStats

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.load.counters import Counters
from chaoskit.load.mix import Mix
from chaoskit.load.model import LoadSpec
from chaoskit.load.raised import reason_of, watch_exceptions, where_of
from chaoskit.load.tracking import Gate, clock

LEVELS_S = 0.25
"""How often the number of users is brought to the level of the moment."""
_MOST_KEPT = 10


@dataclass(slots=True)
class Situation:
    """The state that the parts of one process have in common; `spec` is its share of the load; a change replaces it."""

    spec: LoadSpec
    counters: Counters
    gate: Gate
    mix: Mix
    since_s: float
    """The instant from which the load shape's time counts."""
    count: Callable[[Any, Any, Any, Any, Any], None] = lambda *_: None
    """Has Locust count a request; told once there is an environment to count in."""
    shard: int = 0
    shards: int = 1
    whole_users: int | None = None
    """The users of all load processes together."""
    drain_s: float = math.inf
    """How long the end may take, once it has begun."""
    ends_since_s: float | None = None
    raised: list[str] = field(default_factory=list)
    """The first exceptions of the locustfile's own code."""

    def note_raised(self, error: BaseException) -> None:
        """Notes an exception of the locustfile's own code; to be heard by `watch_exceptions`."""
        reason = reason_of(error)
        self.counters.raise_one(clock(), f"{type(error).__name__} {where_of(error)}", reason)
        if len(self.raised) < _MOST_KEPT:
            self.raised.append(reason)

    @property
    def left_s(self) -> float:
        """Seconds that are left of the drain; infinite until the end begins."""
        return math.inf if self.ends_since_s is None else self.ends_since_s + self.drain_s - clock()

    def begin_drain(self, *, hurried: bool = False) -> None:
        """Begins the load's end, unless begun: no new requests. `hurried` also shortens a drain under way."""
        self.gate.shut = True
        if self.ends_since_s is None:
            self.ends_since_s, self.drain_s = clock(), self.spec.drain_for_s
        if hurried:
            self.drain_s = min(self.drain_s, self.spec.usual_drain_s)

    spawned: float = 0.0
    spawned_s: float | None = None
    """How far spawn_rate has come, and when."""

    def level(self, now_s: float) -> float:
        level = self.spec.level(now_s - self.since_s)
        if self.spec.spawn_rate is None:
            return level
        since_s = self.since_s if self.spawned_s is None else self.spawned_s
        step = self.spec.spawn_rate * max(0.0, now_s - since_s)
        self.spawned += min(step, max(-step, level - self.spawned))
        self.spawned_s = max(since_s, now_s)
        return self.spawned

    def asked(self, now_s: float) -> float:
        """Requests a second, or whole users."""
        level = self.level(now_s)
        return level if self.spec.users is None else round(level)

    def change(self, spec: LoadSpec) -> None:
        """Takes another load from now on: the mix goes on unless it differs, and so does the shape's time."""
        if spec.shape != self.spec.shape:
            self.since_s = clock()
        if spec.mix != self.spec.mix:
            self.mix.change(spec.mix)
        self.spec = spec


class Traffic:
    """The part that a load of users and one of open arrivals share."""

    environment: Environment

    def __init__(self, at: Situation) -> None:
        self._at = at

    @property
    def _runner(self) -> Any:
        return self.environment.runner

    @property
    def users(self) -> int:
        """The number of users alive now."""
        return int(self._runner.user_count)

    def begin(self) -> None:
        """Starts the load; returns at once."""

    def drain(self) -> None:
        """The gate is shut: wait until every open request that is no user's has an outcome, or the drain is over."""

    def settle(self) -> None:
        """The users are gone: let Locust's own processes tell each other the last of what they counted."""


def environment_of(
    classes: list[type[Any]], at: Situation, runner: type[Any] = LocalRunner, options: Any = None
) -> Environment:
    """Locust's environment with a runner: no web server, no port, no sockets but those to the target and its own.
    Raises BadInput where a listener to its `init` raises."""
    watch_exceptions(at.note_raised)
    environment = Environment(
        user_classes=classes, events=locust.events, host=at.spec.host, parsed_options=options, catch_exceptions=True
    )
    if at.spec.locustfile is not None:
        environment.locustfile, environment.parsed_locustfiles = Path(at.spec.locustfile).name, [at.spec.locustfile]
    if issubclass(runner, WorkerRunner) or at.spec.locustfile is None:  # nothing asks for percentiles of the moment
        environment.stats = RequestStats(use_response_times_cache=False)
    # Locust's own makers of runners take no class. Host and port are replaced by what the class meets by.
    environment._create_runner(runner, *(() if runner is LocalRunner else ("", 0)))
    init: Any = locust.events.init
    try:
        init.fire(environment=environment, runner=environment.runner, web_ui=None)
    except (Exception, SystemExit) as error:
        at.note_raised(error)
    if at.raised:  # Locust, too, goes no further
        hint = "there is no web UI here: test whether web_ui is None" if "NoneType" in at.raised[0] else ""
        raise BadInput(Problem(Place(str(at.spec.locustfile)), f"a listener to init raised {at.raised[0]}", hint))
    return environment
