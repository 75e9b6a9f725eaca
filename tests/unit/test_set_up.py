"""Set-up shows what it does without a flood, is done once by two at once, and ends with a sentence."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaoskit import waiting
from scripts import set_up
from scripts.set_up import shown, why

SCRIPTS = Path(set_up.__file__).parent
PIP = [
    "Looking in indexes: x\n",
    "Collecting a>=1\n",
    "  Downloading a-1.whl (1 kB)\n",
    "Collecting b\n",
    "  Using cached b\n",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that set-up works in, whose .venv is there already, with a pip and a chaoskit that tell who called."""
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    (tmp_path / "scripts").mkdir()
    for name in ("setup", "set_up.py"):
        shutil.copy(SCRIPTS / name, tmp_path / "scripts" / name)
    program(tmp_path, "python", 'echo "$*" >> calls; case "$*" in *install*) echo "Collecting a" ;; esac')
    program(tmp_path, "chaoskit", 'echo "$*" >> calls')
    return tmp_path


def program(project: Path, name: str, body: str) -> None:
    file = project / ".venv" / "bin" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def running(pid: int) -> bool:
    """Whether it runs: where the first process of a machine reaps nothing, what has ended stays as a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(project: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHON": sys.executable}
    pipe = subprocess.PIPE
    command = ["sh", "scripts/setup"]
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def test_on_a_terminal_the_package_at_work_stands_in_one_line() -> None:
    said = "".join(shown(PIP, terminal=True))
    assert said.split("\r\x1b[2K")[1:-1] == [
        "packages: 1 looked at, now a>=1",
        "packages: 1 looked at, now a-1.whl",
        "packages: 2 looked at, now b",
    ]
    assert said.endswith("\r\x1b[2K")
    assert "\n" not in said


def test_elsewhere_a_line_is_shown_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def lines() -> Iterator[str]:
        for number in range(35):
            clock[0] += 1
            yield f"Collecting p{number}\n"

    clock = [0.0]
    monkeypatch.setattr(set_up.time, "monotonic", lambda: clock[0])
    assert "".join(shown(lines(), terminal=False)).splitlines() == [
        "packages: 10 looked at, now p9",
        "packages: 20 looked at, now p19",
        "packages: 30 looked at, now p29",
    ]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "WARNING: Retrying (Retry(total=0, status=None)) after connection broken by 'NewConnectionError('x: Failed "
            "to establish a new connection: [Errno 111] Connection refused')': /simple/a/\n"
            "ERROR: Could not find a version that satisfies the requirement a (from versions: none)\n",
            "the package registry cannot be reached: connection broken by 'NewConnectionError('x: Failed to establish",
        ),
        (
            "ERROR: HTTP error 403 Client Error: Forbidden\n",
            "the package registry cannot be reached: ERROR: HTTP error",
        ),
        ("Collecting a\nERROR: No matching distribution found for a==9\n", "pip ended with 1: ERROR: No matching"),
        ("", "pip ended with 1: nothing"),
    ],
)
def test_what_pip_failed_of_is_a_sentence(said: str, sentence: str) -> None:
    assert why(said, 1).startswith(sentence)
    assert "pip.log" in why(said, 1)


def test_a_set_up_that_went_well_is_shown_and_not_done_twice(project: Path) -> None:
    out, err = start(project).communicate(timeout=60)
    assert out.splitlines() == [
        "set-up: installing packages, about a minute (pip)",
        "set-up: looking for Prometheus and Alertmanager",
    ]
    assert err == ""
    calls = (project / "calls").read_text()
    assert [line.split()[0] for line in calls.splitlines()] == ["-m", "-m", "doctor"]
    assert (project / ".venv" / "pip.log").read_text() == "Collecting a\n"
    assert start(project).communicate(timeout=60) == ("", "")
    assert (project / "calls").read_text() == calls


def test_the_second_of_two_at_once_waits_and_finds_it_done(project: Path) -> None:
    folder = os.open(project, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    second = start(project)
    assert second.stdout is not None
    assert second.stdout.readline() == "set-up: waiting for another set-up in this folder to end\n"
    (project / ".venv" / ".ready").touch()
    os.close(folder)
    assert second.communicate(timeout=60) == ("", "")
    assert second.returncode == 0
    assert not (project / "calls").exists()


def test_a_package_that_cannot_be_had_ends_it_with_a_sentence(project: Path) -> None:
    program(
        project, "python", 'case "$*" in *install*) echo "ERROR: No matching distribution found for a"; exit 1 ;; esac'
    )
    failed = start(project)
    err = failed.communicate(timeout=60)[1]
    assert failed.returncode == 1
    assert err.startswith("set-up: pip ended with 1: ERROR: No matching distribution found for a (")
    assert not (project / ".venv" / ".ready").exists()


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "while pip works"])
def test_ctrl_c_is_a_sentence_and_ends_pip(project: Path, begun: bool) -> None:
    program(project, "python", 'case "$*" in *install*) echo $$ > pip.pid; echo begun; exec sleep 60 ;; esac')
    interrupted = start(project)
    assert interrupted.stdout is not None
    if begun:
        assert "installing packages" in interrupted.stdout.readline()
    os.killpg(interrupted.pid, signal.SIGINT)
    out, err = interrupted.communicate(timeout=60)
    assert "Traceback" not in out + err
    assert interrupted.returncode in ((130,) if begun else (130, -signal.SIGINT))  # a shell that has read nothing yet
    if begun:
        assert "set-up: interrupted; the same command goes on from here" in err
        pid = project / "pip.pid"
        assert not pid.exists() or waiting.await_true(lambda: not running(int(pid.read_text() or 0)), 10)
