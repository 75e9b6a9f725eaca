"""What the tests of heal, lock and watchdog share: journals written by hand, a process to stop, commands of ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit.events import SCHEMA, Header, Invoke
from chaoskit.faults import processes
from chaoskit.faults.base import Target, Undo
from chaoskit.faults.slice import DiskFill, DiskFillSettings
from chaoskit.handles.address import Address
from chaoskit.run.journal import Journal
from chaoskit.safety.run_registry import FOLDER_VARIABLE

MARK = f"safetytest{os.getpid()}"
PATTERN = rf"{MARK} worker (?P<name>\S+)"
TARGET = ("--target", "role:worker=w1", "--at", f"pattern={PATTERN}")
_SLEEPER = f"""
from setproctitle import setproctitle
import sys, time
setproctitle("{MARK} worker w1")
print("up", flush=True)
time.sleep(3600)  # until it is killed
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own: no other run on this machine is seen, or stopped."""
    folder = tmp_path / "state"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that nobody of ours started, to be paused."""
    child = subprocess.Popen([sys.executable, "-c", _SLEEPER], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    yield psutil.Process(child.pid)
    child.kill()
    child.wait(timeout=10)
    child.stdout.close()


@contextlib.contextmanager
def twin(process: psutil.Process) -> Iterator[int]:
    """The pid of another process with this one's title, of the same parent."""
    code = f"from setproctitle import setproctitle; setproctitle({processes.title(process)!r}); print(1); input()"
    other = subprocess.Popen([sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    try:
        other.stdout.readline()
        yield other.pid
    finally:
        other.kill()
        other.communicate(timeout=10)


def header() -> Header:
    return Header(
        schema=SCHEMA,
        run_id="r",
        scenario="",
        profile="",
        sources={},
        settings=[],
        time_scale=1,
        seed=0,
        versions={},
        doors=[],
        targets={},
        notes=[],
    )


def invoke(kind: str, undo: Undo, fault: str = "one#0", max_s: float = 60) -> Invoke:
    return Invoke(step="one", fault=fault, kind=kind, targets=["w1"], label="", settings={}, undo=undo, max_s=max_s)


def journal(folder: Path, *events: Any) -> Journal:
    """A run's journal with these events behind its header; still open, as a run's that is at work."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Journal(folder / "events.jsonl")
    found.write(header(), sync=True)
    for event in events:
        found.write(event)
    return found


def filled(folder: Path) -> Undo:
    """A disk.fill in force in this folder; its token."""
    undo = DiskFill().prepare(Target("slice:crm", ("crm",), Address(folder=str(folder))), DiskFillSettings(size=4096))
    DiskFill().start(undo)
    return undo


def inject(
    state: Path,
    out: Path,
    for_: str = "60s",
    before: Sequence[str] = (),
    target: Sequence[str] = TARGET,
    **more: Any,
) -> subprocess.Popen[str]:
    """`chaoskit inject process.pause` on the sleeper, by itself in a session of its own; its output is piped.

    `before` are words in front of the command, such as unshare's.
    """
    return subprocess.Popen(
        [
            *before,
            sys.executable,
            "-m",
            "chaoskit",
            "inject",
            "process.pause",
            "--for",
            for_,
            "--out",
            str(out),
            *target,
        ],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **more},
        env=environment(state),
        start_new_session=True,
    )


def in_force(run: subprocess.Popen[str]) -> Path:
    """Waits until the injected fault is in force; the run's folder."""
    assert run.stdout is not None
    said = []
    for line in run.stdout:
        said.append(line)
        if line.startswith("in force"):
            return Path(said[0].partition("journal: ")[2].strip()).parent
    raise AssertionError("".join(said))


def ours(state: Path) -> list[psutil.Process]:
    """Processes that commands with this state folder started, themselves included."""
    return [process for process in processes.marked(FOLDER_VARIABLE, str(state)) if process.pid != os.getpid()]


def with_word(found: list[psutil.Process], word: str) -> list[psutil.Process]:
    return [process for process in found if word in processes.title(process)]


def environment(state: Path) -> Mapping[str, str]:
    return {**os.environ, FOLDER_VARIABLE: str(state)}


def command(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of ours, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "chaoskit", *words],
        capture_output=True,
        text=True,
        env=environment(state),
        timeout=120,
        check=False,
    )
