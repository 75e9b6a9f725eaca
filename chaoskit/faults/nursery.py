"""The nursery: a process that has imported the kinds of faults once, and forks a holder whenever one is asked for.

An interpreter with our imports takes a third of a second of processor time to come up, and the drills of a wave begin
all at once. Ten of them together leave a target that runs beside them on two cores nothing for seconds; what it does
then is our doing, not the fault's. A fork takes some milliseconds.

    <- a byte and three descriptors      the holder's stdin, stdout and stderr
    -> its pid, or 0 and why there is none
    <- EOF                               nothing more is asked for; the holders live on by themselves

Which run a holder belongs to is told by its stderr, the holder log in that run's folder: a fork cannot be given an
environment or a command line of its own.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from chaoskit.faults import holder
from chaoskit.faults.registry import known

_STREAMS = 3


def main() -> int:
    """Serves the protocol above on the socket whose descriptor is the first argument, until its other end is closed."""
    holder.leave_signals_to_the_runner()
    # Nobody waits for holders here, so the kernel shall not keep them for that.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    known()
    # What is shared stays shared: the collector would write to every page of it in every holder.
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        while True:
            word, streams, _, _ = socket.recv_fds(asked, 1, _STREAMS, socket.MSG_CMSG_CLOEXEC)
            if not word:
                return 0
            asked.sendall(_answer(asked, streams).encode() + b"\n")
            for stream in streams:
                os.close(stream)


def _answer(asked: socket.socket, streams: list[int]) -> str:
    if len(streams) != _STREAMS:
        return "0 too many files are open"
    try:
        pid = os.fork()
    except OSError as error:
        return f"0 {error.strerror}"
    if not pid:
        _become_holder(asked, streams)
    return str(pid)


def _become_holder(asked: socket.socket, streams: list[int]) -> None:
    """Never returns: whatever the nursery would do next is no business of a holder's."""
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        asked.close()
        os._exit(holder.main())
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
