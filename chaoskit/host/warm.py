"""A child that starts warm: a fork, which has all that we have imported, in place of a new interpreter.

An interpreter with our imports takes a second of processor time to come up; a fork takes milliseconds. The kernel kills
it when the thread that forked it ends (PR_SET_PDEATHSIG, Linux only), so only a main thread forks. Other threads of
ours do not live on in it, and a lock that one of them held at that instant stays locked there.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from setproctitle import setproctitle

from chaoskit.fresh import by_default

_PR_SET_PDEATHSIG = 1
_apart = False
_room = 0
"""Bytes of a command line that a fork of ours may have: a longer one would overwrite the environment."""
with contextlib.suppress(OSError):
    _room = len(Path("/proc/self/cmdline").read_bytes())


def may_fork(title: str) -> bool:
    """Whether this process is a fork that is `apart`, with one thread, so that what it forks in turn is whole.

    And whether the title has room in its command line.
    """
    return _apart and threading.active_count() == 1 and len(title.encode()) < _room


def fork(
    main: Callable[[], int | None],
    title: str,
    streams: Sequence[int],
    *,
    apart: bool = False,
    keep: Collection[int] = (),
    tied: bool = True,
) -> int:
    """Starts `main` in a child, which ends with what it gives and never returns from here; the child's pid.

    `streams` become its input, output and error, `title` is its command line. `apart`: in a session of its own, and
    with no other descriptor of ours but those to `keep`. One that is not `tied` outlives us. Raises OSError where this
    machine has no room for it.
    """
    global _apart
    parent = os.getpid()
    up, says_up = os.pipe()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12's, of other threads: see this file's head
            pid = os.fork()
    except OSError:
        os.close(up)
        os.close(says_up)
        raise
    if pid:
        os.close(says_up)
        os.read(up, 1)  # its end: signals reach it as they reach any program
        os.close(up)
        return pid
    status = 1
    try:
        os.close(up)
        if tied:
            _tie_to(parent)
        if apart:
            _apart = True
            os.setsid()
        by_default()
        os.close(says_up)
        for number, stream in enumerate([fcntl.fcntl(stream, fcntl.F_DUPFD, len(streams)) for stream in streams]):
            os.dup2(stream, number)
            os.close(stream)
        for other in [int(entry.name) for entry in Path("/dev/fd").iterdir()] if apart else ():
            if other >= len(streams) and other not in keep:
                with contextlib.suppress(OSError):  # that of the list itself
                    os.close(other)
        # What we have said and is not written yet is not for the child to say.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
        os.environ["SPT_NOENV"] = "1"  # the environment stays where it is: we are looked for by it
        setproctitle(title)
        gc.freeze()  # the collector would write to every page that is shared
        status = main() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tie_to(parent: int) -> None:
    """The end of the parent, which is this one, ends us; raises OSError where the kernel refuses."""
    if sys.platform.startswith("linux") and ctypes.CDLL(None, use_errno=True).prctl(
        _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked
