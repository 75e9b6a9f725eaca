"""A locustfile of somebody's own: its user classes, tasks and hooks as they are, counted the same way as ours.

What is changed about it: clients that would wait a minute or for ever get the time-outs of the spec.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

from typing import Any

import gevent
from locust import FastHttpUser
from locust.util.load_locustfile import load_locustfile

from chaoskit.errors import BadInput
from chaoskit.load.tracking import clock
from chaoskit.load.traffic import LEVELS_S, Situation, end_users, environment_of


class OwnUsers:
    """The user classes of somebody's locustfile, in the numbers asked for, weighted as they say."""

    def __init__(self, at: Situation) -> None:
        self._at = at
        classes, shapes = load_locustfile(at.spec.locustfile)
        if not classes:
            raise BadInput(f"load: {at.spec.locustfile} has no user class that is not abstract")
        for one in classes.values():
            if issubclass(one, FastHttpUser):
                # Locust's own defaults, 60 s, would outlast most faults.
                if one.network_timeout == FastHttpUser.network_timeout:
                    one.network_timeout = at.spec.network_timeout_s
                if one.connection_timeout == FastHttpUser.connection_timeout:
                    one.connection_timeout = at.spec.connect_timeout_s
        self.environment = environment_of(list(classes.values()), at)
        self._runner: Any = self.environment.runner
        if shapes:
            raise BadInput(
                f"load: {at.spec.locustfile} has a LoadTestShape; a load here takes its shape from the profile, "
                "so that a change can follow it: remove the class"
            )

    @property
    def users(self) -> int:
        return int(self._runner.user_count)

    def begin(self) -> None:
        gevent.spawn(self._follow)

    def drain(self, timeout_s: float) -> None:
        end_users(self.environment, timeout_s)

    def _follow(self) -> None:
        asked = 0
        while self._at.gate.open:
            wanted = round(self._at.level(clock()))
            if wanted != asked:
                self._runner.start(wanted, spawn_rate=max(1, abs(wanted - asked)))
                asked = wanted
            gevent.sleep(LEVELS_S)
