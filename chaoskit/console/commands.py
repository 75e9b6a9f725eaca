"""The page's commands (start, stop, heal …), each carried out as a process of the command line, judged by its code.

A drill is `chaoskit run` in a session of its own, its output in a file: nothing that happens to the console can hold
it up or end it, and a console that ends in order asks it to end first, as a terminal that closes does.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from chaoskit.errors import BadInput, Problem
from chaoskit.fresh import fresh
from chaoskit.printable import clean_lines
from chaoskit.report.notes import LONGEST, NOTES, Note
from chaoskit.safety.run_registry import Owner, entries
from chaoskit.scenario.catalog import profile_names, scenario_names

_RATE = re.compile(r"\d{1,6}(\.\d{1,3})?/s")
_SCALE = re.compile(r"\d{1,4}(\.\d{1,3})?")
_ENVIRONMENT = re.compile(r"[\w.@:+,-]{0,300}")
_COMMAND_WITHIN_S = 180.0
_SAID = 20_000
"""Characters of a command's output that are shown: its end."""


class Busy(Exception):
    """A drill is at work; it says which."""


@dataclass(slots=True)
class Drill:
    """A run that this console began (`process`), or beside which it was started (`owner`)."""

    scenario: str
    began: float
    out: Path
    process: subprocess.Popen[bytes] | None = None
    owner: Owner | None = None
    log: Path | None = None
    asked: Mapping[str, str] | None = None
    """The form's fields as they were given, to begin the same drill again."""
    folder: Path | None = None
    """The folder of the drill's history; None until the run has told it."""
    stopping: bool = False
    """Whether the run was told to stop."""

    @property
    def alive(self) -> bool:
        """Whether the drill's process is at work."""
        if self.process is not None:
            return self.process.poll() is None
        return self.owner is not None and not self.owner.gone

    @property
    def code(self) -> int | None:
        """The exit code of the drill's process; None while it has not, and where that is not told."""
        return self.process.poll() if self.process is not None else None

    @property
    def pid(self) -> int:
        """The pid of the drill's process."""
        if self.process is not None:
            return self.process.pid
        return self.owner.pid if self.owner is not None else 0

    @property
    def shown_as(self) -> str:
        """The folder as the pages name it; empty while there is none."""
        return "" if self.folder is None else self.folder.name

    def find(self) -> None:
        """Looks for the folder of the run that this process has noted last."""
        for _, entry in entries():
            if entry.owner.pid == self.pid and entry.folders:
                self.folder = Path(entry.folders[-1])

    def stop(self) -> None:
        """Tells the drill to end, once: it undoes its faults and ends with exit 4. A second signal would hurry it."""
        if self.stopping or not self.alive:
            return
        self.stopping = True
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if self.process is not None:
                self.process.send_signal(signal.SIGTERM)
            elif self.owner is not None and (found := self.owner.process) is not None:
                found.send_signal(signal.SIGTERM)

    def said(self) -> str:
        """The last lines that the drill's process printed."""
        return "" if self.log is None else _end_of(self.log)


class Desk:
    """The drills of one console: at most one at a time. `begins` says whether it may begin any."""

    def __init__(self, out: Path, profile: str, scratch: Path, *, begins: bool) -> None:
        self.out = out
        self.profile = profile
        self.begins = begins
        self.drill: Drill | None = None
        self._scratch = scratch
        self._count = 0

    @property
    def profiles(self) -> list[str]:
        """The profiles to choose among, the one that was asked for first."""
        return list(dict.fromkeys([self.profile, *profile_names()]))

    def accompany(self, owner: Owner, scenario: str) -> None:
        """Shows the runs of another process: the `chaoskit run` that this console was started by."""
        self.drill = Drill(scenario, time.time(), self.out, owner=owner)

    def words(self, asked: Mapping[str, str], *, verb: str = "run") -> list[str]:
        """The command that was asked for; raises BadInput with everything that is wrong with it."""
        scenario, profile = asked.get("scenario", ""), asked.get("profile", "") or self.profile
        scale, rate, confirm = (asked.get(key, "").strip() for key in ("scale", "rate", "confirm"))
        problems = []
        if scenario not in scenario_names():
            problems.append(Problem(None, f"no scenario is called '{scenario}'", "choose one of the list"))
        if profile not in self.profiles:
            problems.append(Problem(None, f"no profile is called '{profile}'", "choose one of the list"))
        if scale and not _SCALE.fullmatch(scale):
            problems.append(Problem(None, f"the time scale '{scale}' is not a number", "write 60, or 1 for real time"))
        if rate and not _RATE.fullmatch(rate):
            problems.append(Problem(None, f"the rate '{rate}' is not a number a second", "write for example 25/s"))
        if not _ENVIRONMENT.fullmatch(confirm):
            problems.append(Problem(None, "the environment's name has forbidden characters", "copy it from the page"))
        if problems:
            raise BadInput(problems)
        found = [verb, scenario, "--profile", profile]
        found += ["--time-scale", scale] if scale else []
        found += ["--set", f"load.rate={rate}"] if rate else []
        if verb == "run":
            found += ["--out", str(self.out)] + (["--confirm", confirm] if confirm else [])
        return found

    def start(self, asked: Mapping[str, str]) -> Drill:
        """Begins a drill. Raises Busy while another one is at work, BadInput for what cannot be asked for."""
        if not self.begins:
            raise Busy("this page belongs to a run of a terminal; `chaoskit ui` begins drills")
        before = self.drill
        if before is not None and before.alive:
            raise Busy(f"{before.scenario} is at work (process {before.pid}); stop that drill, or wait for its end")
        words = self.words(asked)
        self._count += 1
        log = self._scratch / f"run-{self._count}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                fresh(_command(words)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        self.drill = Drill(asked["scenario"], time.time(), self.out, process=process, log=log, asked=dict(asked))
        return self.drill

    def note(self, text: str) -> None:
        """Keeps a note beside the history of the drill that is shown; raises BadInput where that cannot be done."""
        drill = self.drill
        if drill is None or drill.folder is None:
            raise BadInput("there is no drill yet to which a note could belong: start one")
        if not text.strip() or len(text) > LONGEST:
            raise BadInput(f"a note has 1 to {LONGEST} characters")
        try:
            by = getpass.getuser()
        except (KeyError, OSError):
            by = str(os.geteuid())
        line = msgspec.json.encode(Note(time.time(), by, text.strip())) + b"\n"
        try:
            fd = os.open(drill.folder / NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(line)
        except OSError as error:
            raise BadInput(f"the note cannot be kept: {error.strerror}") from None


async def carried_out(words: list[str], scratch: Path) -> tuple[int, str]:
    """Another command of chaoskit, run to its end: its exit code, and the end of what it printed."""
    log = scratch / f"command-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *fresh(_command(words)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = await asyncio.wait_for(process.wait(), _COMMAND_WITHIN_S)
    except TimeoutError:
        return 3, f"chaoskit {shlex.join(words)} has not ended within {_COMMAND_WITHIN_S:g} s; the command goes on"
    said = _end_of(log)
    log.unlink(missing_ok=True)
    return code, said


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "chaoskit", *words]


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SAID))
            return clean_lines(file.read().decode(errors="replace")).strip()
    except OSError as error:
        return f"the command's output cannot be read: {error.strerror}"
