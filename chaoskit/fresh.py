"""All that we start begins with default signals and none blocked: what it does with them is its own affair.

A signal that is ignored stays ignored through exec, one that is caught becomes default. So what of ours must outlive a
signal catches it and does nothing; and what we inherited as ignored (nohup, a shell's background) is reset on the way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence

NO_START = "does not run: "
_GATE = f"""
import contextlib, os, signal, sys
for number in signal.valid_signals():
    with contextlib.suppress(OSError):
        signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.exit({NO_START!r} + error.strerror)
"""
_RESTORED = {getattr(signal, name) for name in ("SIGPIPE", "SIGXFZ", "SIGXFSZ") if hasattr(signal, name)}
"""Signals that Python ignores itself, and subprocess takes back in what it starts."""


def outlive(numbers: Iterable[signal.Signals]) -> None:
    """Lets this process ignore these signals from now on; programs that it starts get them as usual."""
    for number in numbers:
        signal.signal(number, lambda *_: None)


def by_default() -> None:
    """Resets the signals of this forked child: a fork inherits what its parent catches, too."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - _RESTORED - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def fresh(argv: Sequence[str]) -> list[str]:
    """The words that start a program with default signals; same process, so same pid. Raises FileNotFoundError."""
    ignored = {n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN} - _RESTORED
    if not ignored and not signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return list(argv)
    if shutil.which(argv[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    return [sys.executable, "-I", "-S", "-c", _GATE, *argv]
