"""The console beside a run of a terminal: `python -m chaoskit.console FOLDER FD…`, begun by that run alone.

The folder holds what it is about; the descriptors are the sockets on which it listens.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from chaoskit import niceness
from chaoskit.console.beside import Told
from chaoskit.console.server import Settings, serve

if __name__ == "__main__":
    scratch = Path(sys.argv[1])
    told = Told.read(scratch)
    settings = Settings(
        told.token, told.port, Path(told.out), scratch, told.files, owner=told.owner, scenario=told.scenario
    )
    # Only here: what a console in the terminal's own session begins would give way with it.
    niceness.give_way()
    sys.exit(int(serve(settings, [socket.socket(fileno=int(fd)) for fd in sys.argv[2:]])))
