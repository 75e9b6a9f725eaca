"""The locustfile's own exceptions: in tasks, on_start and on_stop, in listeners to events, in greenlets that it spawns.

Locust logs them, each where it happens, and goes on. Here they are heard once each, with their place, so that a run
can tell of them.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import locust
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

from chaoskit.load.theirs import theirs
from chaoskit.printable import plain

_NO_ERRORS = (gevent.GreenletExit, StopUser, StopTest, InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)
_UNCAUGHT = "Uncaught exception in "
"""How Locust logs what an on_stop of a TaskSet or a listener raised: no event tells of those."""
_TOLD = "_chaoskit_told"


def watch_exceptions(note: Callable[[BaseException], None]) -> Callable[[], None]:
    """From now on `note` hears each exception of theirs, once; until what is given is called."""

    def tell(error: BaseException) -> None:
        if isinstance(error, _NO_ERRORS) or getattr(error, _TOLD, False):
            return
        with contextlib.suppress(Exception):  # a __setattr__ of somebody's own
            setattr(error, _TOLD, True)
        note(error)

    def logged(record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]
        if error is not None and str(record.msg).startswith(_UNCAUGHT):
            tell(error)
        return True

    hub = gevent.get_hub()
    handle = hub.handle_error

    def handling(context: Any, kind: Any, value: Any, tb: Any) -> None:
        if isinstance(value, Exception) and where_of(value):
            tell(value)
        handle(context, kind, value, tb)

    def failed(exception: BaseException, **_: Any) -> None:
        tell(exception)

    def forget() -> None:
        user_error.remove_listener(failed)
        logging.getLogger().removeFilter(logged)
        hub.handle_error = handle

    user_error: Any = locust.events.user_error
    user_error.add_listener(failed)
    logging.getLogger().addFilter(logged)
    hub.handle_error = handling
    return forget


def reason_of(error: BaseException) -> str:
    """The exception in a line, with the place in the file of whoever wrote it; bounded."""
    where = where_of(error) or _place(traceback.extract_tb(error.__traceback__)[-1:])
    return plain(f"{type(error).__name__}: {error}") + (f" ({where})" if where else "")


def where_of(error: BaseException) -> str:
    """The place in their own code, as `file.py:12`; empty where it is nowhere there."""
    return _place([one for one in traceback.extract_tb(error.__traceback__) if theirs(one.filename)][-1:])


def _place(frames: list[traceback.FrameSummary]) -> str:
    return "".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
