"""The processes of a load, which may be started long before it: each imports the locustfile once, and stays for it.

So mistakes in a file are known before a run starts anything, and its top level runs no second time. Their prints (a
locustfile may print each answer) go to a pipe; one thread of ours reads it into a file that never grows beyond a bound,
with its beginning and its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from chaoskit import json_text
from chaoskit.errors import EquipmentError, Place, Problem
from chaoskit.host.process import Child, spawn
from chaoskit.load.messages import Gather, Gathered, Look, Looked, encode
from chaoskit.load.model import LoadSpec

MOST_BYTES = 20_000_000
_BEGINNING = 0.4
"""The share of the bound that is kept of the beginning for good."""
_END = 0.3
"""The share that is left of the rest whenever the bound is reached."""
_BLOCK = 1 << 20
"""Bytes that are read at once, and that may be printed before they are read."""
_LAST_S = 1.0


class BoundedOutput:
    """Open until `close`; give `fd` to processes as their output."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Appends to `path`; raises OSError where it cannot be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = _open(path)
        self._lock = threading.Lock()
        self._most = most_bytes
        self._size = os.fstat(self._file).st_size
        self._left_out = 0
        self._note = b""
        read, self.fd = os.pipe()
        with contextlib.suppress(AttributeError, OSError):  # Linux has it; those who print wait less for us
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _BLOCK)
        self._thread = threading.Thread(target=self._read, args=(read,), name="load-output", daemon=True)
        self._thread.start()

    def started(self) -> None:
        """The last process that is to write has the pipe: it ends with them."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def move_to(self, path: Path) -> None:
        """Goes on at the end of another file, with all that was written so far; raises OSError as at first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, open(_open(path), "ab") as file, self._path.open("rb") as before:
            shutil.copyfileobj(before, file)
            file.flush()
            if self._file >= 0:
                os.dup2(file.fileno(), self._file, inheritable=False)
                self._size = os.fstat(self._file).st_size
            self._path = path

    def close(self) -> None:
        """Waits until all is written that ended processes printed; briefly, for others may still hold the pipe."""
        self._thread.join(_LAST_S)

    def _read(self, read: int) -> None:
        with contextlib.suppress(OSError):
            while block := os.read(read, min(_BLOCK, self._most // 10)):
                with self._lock, contextlib.suppress(OSError):  # a full disk must not stop those who print
                    self._write(block)
        os.close(read)
        with self._lock:
            os.close(self._file)
            self._file = -1

    def _write(self, block: bytes) -> None:
        if self._size + len(block) > self._most:
            self._leave_out()
        self._size += os.write(self._file, block)

    def _leave_out(self) -> None:
        """Leaves out the middle, and says so there."""
        beginning, kept = int(self._most * _BEGINNING), int(self._most * _END)
        rest = max(beginning + len(self._note), self._size - kept)
        end = os.pread(self._file, self._size - rest, rest)
        whole_lines = end[end.find(b"\n") + 1 :]
        self._left_out += self._size - beginning - len(self._note) - len(whole_lines)
        self._note = b"\n[%d bytes of output are left out here]\n" % self._left_out
        os.ftruncate(self._file, beginning)
        self._size = beginning + os.write(self._file, self._note + whole_lines)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


_IMPORT_S = 30.0
_TAIL = 500
_LOCUSTS = "LOCUST_"
"""Variables by which Locust takes options: what runs is what the profile says."""


class Processes:
    """The child processes of one load.

    In `children` are those that make requests and then, of a locustfile in several, Locust's master.
    Of workers on other machines only the master is here. `names` are those of all who report, in the same order.
    """

    def __init__(self, bearing: int, *, own: bool, elsewhere: bool = False) -> None:
        """Starts `bearing` processes that make requests, unless they are `elsewhere`, and the master where it is for a
        locustfile (`own`) or for workers.

        Raises EquipmentError."""
        self.children: list[Child] = []
        self.bearing = bearing
        self.elsewhere = elsewhere
        every = range(bearing + (own and (elsewhere or bearing > 1)))
        self.names = [process_name(shard, bearing) for shard in every]
        self._meeting: tempfile.TemporaryDirectory[str] | None = None
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # without a name, so that nothing is left of it
        log = Path(f"/proc/self/fd/{self._printed.fileno()}")
        self.output = BoundedOutput(log)
        try:
            for shard in [bearing] if elsewhere else every:
                self.children.append(
                    spawn(
                        [sys.executable, "-m", "chaoskit.load.child"],
                        name=process_name(shard, bearing),
                        log=log,
                        talks=True,
                        stderr=self.output.fd,
                        env=without_locusts(os.environ),
                    )
                )
        except BaseException:
            self.stop()
            raise
        finally:
            self.output.started()

    def log_to(self, log: Path) -> str:
        """Moves the workers' past and future output to this file. Returns the folder beside it for their sockets, where
        they have a master; else the empty text."""
        self.output.move_to(log)
        for child in self.children:
            child.log = log
        self._printed.close()
        if self.elsewhere or len(self.children) == self.bearing:
            return ""
        self._meeting = tempfile.TemporaryDirectory(prefix="load-", dir=log.parent)
        return self._meeting.name

    def look_at(self, spec: LoadSpec, timeout_s: float = _IMPORT_S) -> list[Problem]:
        """The problems that keep the locustfile from being this load, with their lines; empty where it can be.
        Each process runs the file's top level for it. Bounded by `timeout_s` real seconds. A problem ends them all."""
        path = str(spec.locustfile)
        for child in self.children:
            child.lines.send(encode(Look(spec=spec)))
        end_s = time.monotonic() + timeout_s
        for child in self.children:
            try:
                line = child.lines.hear(end_s - time.monotonic())
                problems = json_text.decode(line, type=Looked).problems if line else [self._ended(child, path)]
            except TimeoutError:
                hint = "move the slow code into the locustfile's tasks"
                problems = [Problem(Place(path), f"is not imported within {timeout_s:g} s", hint)]
            if problems:
                self.stop()
                return problems
        return []

    def gather(self, bind: str, port: int, token: str, within_s: float) -> None:
        """Listens at the address, and waits for every worker elsewhere, for `within_s` real seconds at most.

        Raises EquipmentError with who is missing, and who is there; all is ended then.
        """
        master = self.children[0]
        asked = Gather(bind=bind, port=port, token=token, expect=self.bearing, within_s=within_s)
        master.lines.send(encode(asked))
        try:
            found = json_text.decode(master.hello(within_s + _IMPORT_S, "the workers are there"), type=Gathered)
            if found.wrong:
                raise EquipmentError("load", found.wrong)
        except BaseException:
            self.stop()
            raise
        self.names[: self.bearing] = found.names

    def stop(self, grace_s: float = 0.0) -> None:
        """Ends all processes of the load, each after its grace; may be called twice."""
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


def without_locusts(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of load."""
    return {key: value for key, value in environment.items() if not key.startswith(_LOCUSTS)}


def process_name(shard: int, bearing: int) -> str:
    """How one of several processes is called; the one after those that make requests is Locust's master."""
    if shard >= bearing:
        return "load-master"
    return "load" if bearing == 1 else f"load-{shard}"
