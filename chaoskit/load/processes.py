"""The processes of a load, which may be started long before it: each imports the locustfile once, and stays for it.

So what is wrong with a file is known before a run starts anything, and its top level runs no second time.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chaoskit.errors import Place, Problem
from chaoskit.host.process import Child, spawn
from chaoskit.load.messages import Command, Look, decode_looked, encode
from chaoskit.load.model import LoadSpec
from chaoskit.load.output import BoundedOutput

_IMPORT_S = 30.0
_TAIL = 500
_LOCUSTS = "LOCUST_"
"""Variables by which Locust takes options: what runs is what the profile says."""


class Processes:
    """Of one load. In `children` are those that make requests and then, of a locustfile in several, Locust's master."""

    def __init__(self, bearing: int, *, own: bool) -> None:
        """Starts `bearing` processes that make requests, and the master where it is for a locustfile (`own`).

        Raises EquipmentError."""
        self.children: list[Child] = []
        self.bearing = bearing
        self._meeting: tempfile.TemporaryDirectory[str] | None = None
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # without a name, so that nothing is left of it
        log = Path(f"/proc/self/fd/{self._printed.fileno()}")
        self.output = BoundedOutput(log)
        try:
            for shard in range(bearing + (own and bearing > 1)):
                self.children.append(
                    spawn(
                        [sys.executable, "-m", "chaoskit.load.child"],
                        name=process_name(shard, bearing),
                        log=log,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=self.output.fd,
                        env={key: value for key, value in os.environ.items() if not key.startswith(_LOCUSTS)},
                    )
                )
        except BaseException:
            self.stop()
            raise
        finally:
            self.output.started()

    def log_to(self, log: Path) -> str:
        """What they printed and will print goes there. Gives a folder beside it for their own sockets, where they have
        a master; else nothing."""
        self.output.move_to(log)
        for child in self.children:
            child.log = log
        self._printed.close()
        if len(self.children) == self.bearing:
            return ""
        self._meeting = tempfile.TemporaryDirectory(prefix="load-", dir=log.parent)
        return self._meeting.name

    def look_at(self, spec: LoadSpec, timeout_s: float = _IMPORT_S) -> list[Problem]:
        """What keeps its locustfile from being this load, with its line where there is one; empty when nothing does.
        Each process runs the file's top level for it. Bounded by `timeout_s` real seconds. A problem ends them all."""
        path = str(spec.locustfile)
        for child in self.children:
            send(child, Look(spec=spec))
        end_s = time.monotonic() + timeout_s
        for child in self.children:
            assert child.stdout is not None
            if not select.select([child.stdout], [], [], max(0.0, end_s - time.monotonic()))[0]:
                hint = "move what takes long into its tasks"
                problems = [Problem(Place(path), f"is not imported within {timeout_s:g} s", hint)]
            elif line := child.stdout.readline():
                problems = decode_looked(line).problems
            else:
                problems = [self._ended(child, path)]
            if problems:
                self.stop()
                return problems
        return []

    def stop(self, grace_s: float = 0.0) -> None:
        """Ends them all, each after its grace; idempotent."""
        for child in self.children:
            child.stop(grace_s)
        self.output.close()
        self._printed.close()
        if self._meeting is not None:
            self._meeting.cleanup()

    def _ended(self, child: Child, path: str) -> Problem:
        for one in self.children:
            one.stop()
        self.output.close()
        said = child.tail().strip()[-_TAIL:]
        return Problem(Place(path), f"ended the process that imported it with {child.returncode}", said)


def process_name(shard: int, bearing: int) -> str:
    """How one of several processes is called; the one after those that make requests is Locust's master."""
    if shard >= bearing:
        return "load-master"
    return "load" if bearing == 1 else f"load-{shard}"


def send(child: Child, command: Command) -> None:
    """Says it to the child."""
    child.say(encode(command))
