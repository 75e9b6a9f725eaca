"""The console beside a run of a terminal: `python -m chaoskit.console FOLDER FD…`, begun by that run alone.

The folder holds what it is about; the descriptors are the sockets on which it listens.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import msgspec

from chaoskit import json_text, niceness
from chaoskit.console.beside import ABOUT, Told
from chaoskit.console.server import Settings, serve
from chaoskit.files import read_regular
from chaoskit.safety.run_registry import Owner

if __name__ == "__main__":
    scratch = Path(sys.argv[1])
    told = json_text.decode(read_regular(scratch / ABOUT), type=Told, dec_hook=lambda kind, given: kind(given))
    settings = Settings(
        told.token, told.port, Path(told.out), scratch, told.files,
        owner=msgspec.convert(told.owner, Owner), scenario=told.scenario,
    )  # fmt: skip
    # Only here: what a console in the terminal's own session begins would give way with it.
    niceness.give_way()
    sys.exit(int(serve(settings, [socket.socket(fileno=int(fd)) for fd in sys.argv[2:]])))
