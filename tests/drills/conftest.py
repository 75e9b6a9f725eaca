"""A whole run as a user starts it, with something broken on purpose, and everything that it left behind."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit import bundle
from chaoskit.events import End
from chaoskit.history import History, read_history

LONGEST_S = 150
_OURS = "(Stray|WorkerUnhealthy) is firing"  # what a drill lets fire on purpose before it begins
_BUSY = re.compile(f"this machine (was|is) (too )?busy|steady state not reached(?!.*{_OURS})")


def too_busy(verdict: dict[str, Any]) -> bool:
    """Whether a verdict says that this machine was too busy to tell, or that it gave the system no calm beginning."""
    return any(says_busy(row["reason"]) for row in verdict["rows"])


def says_busy(text: str) -> bool:
    """The same of a text, folded or not."""
    return _BUSY.search(" ".join(text.split())) is not None


class Turn:
    """The drills of all processes of a session: side by side, but for one that is alone while it is tried again."""

    def __init__(self, folder: Path) -> None:
        self._door, self._room = (os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR) for name in ("door", "room"))
        self._enter(fcntl.LOCK_SH)

    def _enter(self, how: int) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)  # in order of coming, or one that wants to be alone would never be
        fcntl.flock(self._room, how)
        fcntl.flock(self._door, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other drill is played, and lets none begin meanwhile."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._enter(fcntl.LOCK_EX)
        yield
        fcntl.flock(self._room, fcntl.LOCK_SH)

    def end(self) -> None:
        for lock in (self._room, self._door):
            os.close(lock)


@dataclass
class Ended:
    """How a run ended: exit code, what it printed, its verdict and history."""

    code: int
    said: str
    folder: Path
    verdict: dict[str, Any]
    history: History

    def rows(self, hop: str, to: str = "") -> list[dict[str, Any]]:
        return [row for row in self.verdict["rows"] if row["hop"] == hop and to in row["to"]]

    def results(self, hop: str, to: str = "") -> set[str]:
        return {row["result"] for row in self.rows(hop, to)}

    def reason(self, hop: str, to: str = "") -> str:
        return " | ".join(row["reason"] for row in self.rows(hop, to) if row["result"] != "PASS")


@dataclass
class Drill:
    """Changes the shipped configuration in a copy, runs it, and acts when a line of the output says so."""

    out: Path
    folder: Path
    turn: Turn
    scenario: str = "worker-unhealthy"
    children: list[psutil.Process] = field(default_factory=list)

    @property
    def folders(self) -> list[Path]:
        """The folders of this scenario's runs."""
        name = Path(self.scenario).stem
        return [path for path in self.out.glob(f"*-{name}*") if not path.is_symlink()]

    def play(self, steps: str, expect: str, more: str = "") -> Drill:
        """Plays a scenario of its own in place of the shipped one."""
        file = self.folder.parent / "drill.yml"
        file.write_text(f"chaoskit: 1\ntitle: a drill\nrunbook: drill\nsteps:\n{steps}expect:\n{expect}{more}")
        self.scenario = str(file)
        return self

    def change(self, file: str, old: str, new: str) -> Drill:
        """Replaces text in a file of the copy; the text must be there."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))
        return self

    def run(
        self,
        *arguments: str,
        when: str = "",
        do: Callable[[psutil.Process], None] | None = None,
        longest_s: float = LONGEST_S,
    ) -> Ended:
        """One run to its end; `do` gets the run's process as soon as a line contains `when`.

        A run that cannot tell because this machine was too busy says nothing of what the drill is about, so it is
        played once more, alone, as the gate does; what that one says counts.
        """
        ended = self._run(arguments, when, do, longest_s)
        if ended.code == 3 and too_busy(ended.verdict):
            with self.turn.alone():
                ended = self._run(arguments, when, do, longest_s)
        return ended

    def _run(
        self, arguments: tuple[str, ...], when: str, do: Callable[[psutil.Process], None] | None, longest_s: float
    ) -> Ended:
        before = set(self.folders)
        command = [sys.executable, "-m", "chaoskit", "run", self.scenario, "--bundle", str(self.folder)]
        process = subprocess.Popen(
            [*command, "--out", str(self.out), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        too_long = threading.Timer(longest_s, process.kill)
        too_long.start()
        said = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if do is not None and when in line:
                    do(psutil.Process(process.pid))
                    do = None
            code = process.wait(timeout=20)
        finally:
            too_long.cancel()
            too_long.join()
            process.kill()
            process.wait(timeout=20)
            assert process.stdout is not None
            process.stdout.close()
        text = "".join(said)
        new = set(self.folders) - before
        assert new, text
        [folder] = new
        verdict = json.loads((folder / "verdict.json").read_bytes())
        return Ended(code, text, folder, verdict, read_history(folder))


def kill(word: str) -> Callable[[psutil.Process], None]:
    """Ends, of the run's own descendants, the one whose command line has the word."""
    return signalled(word, signal.SIGKILL)


def signalled(word: str, number: signal.Signals) -> Callable[[psutil.Process], None]:
    """Sends a signal to that of the run's own descendants whose command line has the word."""

    def end(run: psutil.Process) -> None:
        found = [child for child in run.children(recursive=True) if word in " ".join(_words(child))]
        assert found, f"no child has {word!r} in its command line"
        found[0].send_signal(number)

    return end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A drill may be played twice, and wait for its neighbour in between."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(500))


@pytest.fixture(autouse=True)
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turn]:
    """The place of this test among the drills of its session's processes."""
    mine = tmp_path_factory.getbasetemp()
    one = Turn(mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine)
    yield one
    one.end()


@pytest.fixture
def drill(tmp_path: Path, binaries: object, turn: Turn) -> Iterator[Drill]:
    """A drill of its own; afterwards nothing of it may be left: no process, no fault, no data."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder(), folder)
    one = Drill(tmp_path / "runs", folder, turn)
    yield one
    mine = str(tmp_path)
    left = [p for p in psutil.process_iter() if mine in " ".join(_words(p)) or mine in _environment(p)]
    assert not left
    for run in one.folders:
        assert not (run / "stack" / "data").exists()
        end = next(read_history(run).of(End))
        assert end.healed
        assert end.left == []


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _environment(process: psutil.Process) -> str:
    try:
        return " ".join(process.environ().values()) if process.pid != psutil.Process().pid else ""
    except psutil.Error:
        return ""
