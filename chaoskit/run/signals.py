"""Ctrl-C, SIGTERM and SIGHUP end a run in order; the second of them ends it at once.

One that was ignored when the command began (`nohup`, a shell's background job) stays ignored.

A handler may run while its thread holds a journal's lock, so it does nothing: the signal's number goes through a
socket to a thread that may wait for locks.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def signals_end(interrupt: Callable[[str], None], at_once: Callable[[str], None] | None = None) -> Iterator[None]:
    """A context in which `interrupt` is told of each signal, from another thread. Only in the main thread.

    With `at_once`, that is told instead from the second signal on.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {n: signal.signal(n, lambda *_: None) for n in heeded}
    fd_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

    def listen() -> None:
        tell = interrupt
        while number := ours.recv(1):
            if number[0] in before:
                tell(f"{signal.Signals(number[0]).name} was received")
                tell = at_once or interrupt

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, old in before.items():
            signal.signal(number, old)
        theirs.close()
        listener.join(timeout=5)
        ours.close()
