"""A locustfile of somebody's own: its user classes, tasks and hooks as they are, counted the same way as ours.

What is changed about it: clients that would wait a minute or for ever get the time-outs of the spec.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import functools
import sys
import traceback
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser
from locust.runners import STATE_INIT, LocalRunner
from locust.util.load_locustfile import load_locustfile, load_locustfile_pytest

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.load.locust_options import check_tasks, chosen, options_of, said_as_shape
from chaoskit.load.model import LoadSpec
from chaoskit.load.raised import RAISED, reason_of, watch_exceptions
from chaoskit.load.theirs import theirs
from chaoskit.load.tracking import clock, pause
from chaoskit.load.traffic import LEVELS_S, Situation, environment_of


def problems_of(spec: LoadSpec) -> list[Problem]:
    """What keeps a locustfile from being this load; it is run for it, if it was not."""
    path = str(spec.locustfile)
    raised: list[BaseException] = []
    forget = watch_exceptions(raised.append)
    try:
        classes = chosen(spec, user_classes(path))
        options = options_of(spec, spec.users)
        if raised:
            raise BadInput(Problem(Place(path), f"a listener raised {reason_of(raised[0])}"))
        check_tasks(spec, classes, options)
    except BadInput as error:
        return list(error.problems)
    except RAISED as error:  # such as a sys.exit in a listener
        return [Problem(Place(path), f"cannot be used: {reason_of(error)}")]
    finally:
        forget()
    return []


@functools.cache
def user_classes(path: str) -> dict[str, type[Any]]:
    """The user classes of a locustfile, which is run for it; raises BadInput with what keeps it from being used."""
    sys.path.insert(0, str(Path(path).parent))  # for good, since its tasks may import what is beside it
    try:
        classes, shapes = load_locustfile(path)
        if not classes:
            classes = load_locustfile_pytest(path)
    except RAISED as error:
        raise BadInput(_not_imported(error, path)) from error
    if not classes:
        hint = "write a class that inherits from FastHttpUser or HttpUser, or a function test_something(fastsession)"
        raise BadInput(Problem(Place(path), "has no user class that is not abstract", hint))
    if shapes:
        said = said_as_shape(shapes[0])
        hint = f"remove the class, and write {said or 'shape:'} in the profile, so that a step can change it"
        raise BadInput(
            Problem(Place(path), "has a LoadTestShape, and a load here takes its shape from the profile", hint)
        )
    return classes


def _not_imported(error: BaseException, path: str) -> Problem:
    """With the innermost line of theirs, which may be in a module beside the file."""
    places = [Place(one.filename, one.lineno or 0) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append(Place(error.filename, error.lineno or 0))
    places = [place for place in places if theirs(place.file)] or [Place(path)]
    hints = [f"{place.file}:{place.line} imports it" for place in places[:-1] if place.file != places[-1].file][-1:]
    if isinstance(error, FileNotFoundError) and (Path(path).parent / str(error.filename)).is_file():
        hints.append(
            f"it is beside the file: open(Path(__file__).parent / '{error.filename}') finds it from everywhere"
        )
    return Problem(places[-1], f"cannot be imported: {type(error).__name__}: {error}", "; ".join(hints))


class OwnUsers:
    """The user classes of somebody's locustfile, in the numbers asked for, weighted as they say."""

    def __init__(self, at: Situation, runner: type[Any] = LocalRunner, **said: Any) -> None:
        """`said`: options of Locust's own by which its command tells a process what it is."""
        self._at = at
        classes = chosen(at.spec, user_classes(str(at.spec.locustfile)))
        for one in classes:
            if issubclass(one, FastHttpUser):
                # Locust's own defaults, 60 s, would outlast most faults.
                if one.network_timeout == FastHttpUser.network_timeout:
                    one.network_timeout = at.spec.network_timeout_s
                if one.connection_timeout == FastHttpUser.connection_timeout:
                    one.connection_timeout = at.spec.connect_timeout_s
        options = options_of(at.spec, at.whole_users)
        vars(options).update(said)
        check_tasks(at.spec, classes, options)
        self.environment = environment_of(classes, at, runner, options)
        self._runner: Any = self.environment.runner
        self._asking: gevent.Greenlet | None = None
        """Brings the users to what was asked last."""

    @property
    def users(self) -> int:
        return int(self._runner.user_count)

    def begin(self) -> None:
        gevent.spawn(self._follow)

    def drain(self) -> None:
        pass

    def settle(self) -> None:
        pass

    def _follow(self) -> None:
        asked = 0
        while self._at.gate.open:
            wanted = int(self._at.asked(clock()))
            if wanted != asked and not self._starts():
                self._ask(wanted, max(1, abs(wanted - asked)))
                asked = wanted
            pause(LEVELS_S)

    def _ask(self, users: int, spawn_rate: float) -> None:
        """Has so many from now on; returns at once."""
        self._runner.start(users, spawn_rate)
        self._asking = self._runner.spawning_greenlet

    def _starts(self) -> bool:
        """Whether test_start has begun and not ended: asked anew, Locust would break it off and fire it again."""
        return self._runner.state == STATE_INIT and self._asking is not None and not self._asking.ready()
