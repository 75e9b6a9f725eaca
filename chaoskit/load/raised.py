"""The locustfile's own exceptions: in tasks, on_start and on_stop, in listeners to events, in greenlets that it spawns.

Locust logs them, each where it happens, and goes on. Here they are heard once each, with their place, so that a run
can tell of them.

Users that end by themselves are counted likewise: they raise StopUser, their on_start raises, they cannot even be
made. Locust starts no other in their place, so their part of the load is gone with them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import locust
from locust import TaskSet, User
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.users import PytestUser

from chaoskit.load.theirs import theirs
from chaoskit.printable import plain

_NO_ERRORS = (gevent.GreenletExit, StopUser, StopTest, InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)
RAISED = (Exception, SystemExit, KeyboardInterrupt, gevent.GreenletExit, gevent.Timeout)
"""All that code of theirs may raise where it is called."""
_UNCAUGHT = "Uncaught exception in "
"""How Locust logs what an on_stop of a TaskSet or a listener raised: no event tells of those."""
_EXITS = (SystemExit, KeyboardInterrupt)
_TOLD = "_chaoskit_told"
ITSELF = "it stopped itself (StopUser)"


def watch_exceptions(note: Callable[[BaseException], None]) -> Callable[[], None]:
    """From now on `note` hears each exception of theirs, once; until what is given is called."""

    def tell(error: BaseException) -> None:
        if isinstance(error, _NO_ERRORS) or getattr(error, _TOLD, False):
            return
        with contextlib.suppress(Exception):  # a __setattr__ of the locustfile's own
            setattr(error, _TOLD, True)
        note(error)

    log: Any = logging
    log_error = log.error

    @functools.wraps(log_error)
    def logging_error(text: object, *args: object, **more: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and str(text).startswith(_UNCAUGHT):
            tell(error)
        log_error(text, *args, **{**more, "stacklevel": more.get("stacklevel", 1) + 1})

    hub = gevent.get_hub()
    handle = hub.handle_error

    def handling(context: Any, kind: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, _EXITS) and where_of(value):
            tell(value)
        handle(context, kind, value, tb)

    def failed(exception: BaseException, **_: Any) -> None:
        tell(exception)

    def forget() -> None:
        user_error.remove_listener(failed)
        log.error = log_error
        hub.handle_error = handle

    user_error: Any = locust.events.user_error
    user_error.add_listener(failed)
    log.error = logging_error  # a locustfile may set up logging in a way of its own
    hub.handle_error = handling
    return forget


def watch_exits(ended: Callable[[BaseException], None]) -> None:
    """From now on a sys.exit of the locustfile's, in any greenlet, ends no process but calls `ended`."""
    hub = gevent.get_hub()
    handle = hub.handle_error

    def handling(context: Any, kind: Any, value: Any, tb: Any) -> None:
        if isinstance(value, _EXITS) and where_of(value):
            ended(value)
        else:
            handle(context, kind, value, tb)

    hub.handle_error = handling


def watch_users(environment: Environment, ended: Callable[[Any, str], None]) -> None:
    """From now on `ended` hears of each user of this environment's runner (None: one that could not be made) that ends
    by itself, and of the reason."""
    runner: Any = environment.runner
    told: set[int] = set()
    user: Any = User
    stop, spawn = user.stop, runner.spawn_users

    def note(error: BaseException | None = None, user: Any = None) -> None:
        ended(user, ITSELF if error is None else reason_of(error))

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


def exit_code_of(asked: object) -> int:
    """The exit code of a process that calls sys.exit with this value."""
    return 0 if asked is None else asked & 0xFF if isinstance(asked, int) else 1


def reason_of(error: BaseException) -> str:
    """The exception in a line, with its place in the locustfile, or else their class, or else ours; bounded."""
    where = where_of(error) or _class_of(error) or _place(traceback.extract_tb(error.__traceback__)[-1:])
    return plain(f"{type(error).__name__}: {error}") + (f" ({where})" if where else "")


def where_of(error: BaseException) -> str:
    """The place of an error in the locustfile's own code, as `file.py:12`; empty where it is not in there."""
    return _place([one for one in traceback.extract_tb(error.__traceback__) if theirs(one.filename)][-1:])


def _class_of(error: BaseException) -> str:
    """Of the user for which Locust itself raised: where a class says `wait_time = 1`, nothing else does."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = [frame.f_locals.get(name) for frame in frames for name in ("self", "new_user")]
    users = [getattr(one, "user", None) if isinstance(one, TaskSet) else one for one in found]
    own = [type(one) for one in users if isinstance(one, User)]
    return _defined(own[-1]) if own else ""


@functools.cache
def _defined(one: type[Any]) -> str:
    with contextlib.suppress(OSError, TypeError):
        return f"class {one.__name__}, {Path(inspect.getfile(one)).name}:{inspect.getsourcelines(one)[1]}"
    return f"class {one.__name__}"


def _place(frames: list[traceback.FrameSummary]) -> str:
    return "".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
