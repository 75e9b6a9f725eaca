"""A child process of the supervisor: forked warm, named for outsiders, and never left behind.

A fork of a process that has everything imported serves within milliseconds, and shares the memory of the imports.
The kernel kills a child when its supervisor dies, however that happens (the parent-death signal follows the
forking *thread*, so only the supervisor's only thread forks).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from setproctitle import setproctitle

_PR_SET_PDEATHSIG = 1
_LOG = "crm.log"


def title(mark: str, role: str) -> str:
    """The process title under which outsiders find a role: `crm[SLICE] ROLE`."""
    return f"crm[{mark}] {role}"


def fork(mark: str, role: str, data_dir: Path, main: Callable[[], None]) -> int:
    """Start `main` in a child, which never returns, and return its pid.

    The child's output goes to crm.log in the data folder, so that it holds no pipe of the starter open.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        setproctitle(title(mark, role))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:
            os._exit(1)  # it died before we asked
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(data_dir / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, stream in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, stream)
        main()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
