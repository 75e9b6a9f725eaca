"""Users that end though nobody asked them to: they stop themselves, their on_start raises, they cannot even be made.

Locust starts no other in their place, so the load that was asked for is gone with them. Each is counted with its
reason, in the second in which it ended.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from locust import User
from locust.env import Environment
from locust.user.users import PytestUser

from chaoskit.load.raised import reason_of
from chaoskit.load.tracking import clock
from chaoskit.load.traffic import Situation

ITSELF = "it stopped itself (StopUser)"


def watch_users(environment: Environment, at: Situation, leaves: Callable[[Any], bool]) -> None:
    """Begins to count, for every user that this environment's runner makes from now on; `leaves` says whether one was
    asked to go."""
    runner: Any = environment.runner
    told: set[int] = set()
    user: Any = User
    stop, spawn = user.stop, runner.spawn_users

    def note(error: BaseException | None = None, user: Any = None) -> None:
        if at.gate.open and not leaves(user):
            at.counters.end_user(clock(), ITSELF if error is None else reason_of(error))

    def watched(run: Any) -> Any:
        @functools.wraps(run)
        def running(self: Any) -> None:
            try:
                run(self)
            except BaseException as error:
                note(error, self)
                raise
            else:
                if id(self) not in told:
                    note(user=self)
            finally:
                told.discard(id(self))

        return running

    @functools.wraps(stop)
    def stopping(self: Any, force: bool = False) -> Any:
        told.add(id(self))
        return stop(self, force)

    @functools.wraps(spawn)
    def spawning(counts: dict[str, int], wait: bool = False) -> Any:
        try:
            return spawn(counts, wait)
        except Exception as error:
            note(error)
            raise

    own: Any = PytestUser
    for one in (user, own):  # the second has a `run` of its own
        one.run = watched(one.run)
    user.stop, runner.spawn_users = stopping, spawning
