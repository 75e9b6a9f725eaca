"""Canaries: secrets that a fault needs are planted, and nothing that is written or listed may hold them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from chaoskit.safety.run_registry import FOLDER_VARIABLE
from tests.crm.conftest import TOKEN, RunningCrm
from tests.crm.faulting import traffic
from tests.safety_examples import ours

CANARY = "canary-4f1d2c8e9b"
HERE = {"ADMIN_PASSWORD": CANARY}


def play(tmp_path: Path, *words: str, code: int) -> str:
    """A fault by hand with the canary in the environment; what was printed, and every command line meanwhile."""
    state = tmp_path / "state"
    run = subprocess.Popen(
        [sys.executable, "-m", "chaoskit", "inject", *words, "--for", "500ms", "--out", str(tmp_path / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **HERE, FOLDER_VARIABLE: str(state)},
    )
    lines: set[str] = set()
    while run.poll() is None:
        for process in ours(state):
            try:
                lines.add(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.05)
    said, _ = run.communicate(timeout=30)
    assert run.returncode == code, said
    assert any("faults.fork_server" in line for line in lines), "somebody was looked at"
    return said + "\n".join(lines)


def assert_nowhere(secret: str, folder: Path, said: str) -> None:
    assert secret not in said
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.name == "events.jsonl" for file in files)
    for file in files:
        assert secret.encode() not in file.read_bytes(), file


def program(text: str) -> str:
    return f'["/bin/sh", "-c", "{text}"]'


@pytest.mark.parametrize(
    ("start", "code"),
    [("echo $ADMIN_PASSWORD", 0), ("echo no $ADMIN_PASSWORD here >&2; exit 3", 3)],
    ids=["that works", "that fails and says it"],
)
def test_a_secret_that_a_program_prints_is_nowhere(tmp_path: Path, start: str, code: int) -> None:
    words = ["--with", 'env=["ADMIN_PASSWORD"]', "--with", f"start={program(start)}", "--with", 'stop=["/bin/true"]']
    said = play(tmp_path, "command", *words, code=code)
    assert_nowhere(CANARY, tmp_path, said)
    if code:
        assert "<secret>" in said, "its output was told, without the secret"


def test_a_check_for_canaries_would_find_one(tmp_path: Path) -> None:
    """A variable that is not named as a secret's is just text: the search itself is shown to work."""
    (tmp_path / "events.jsonl").write_text(f"x {CANARY} y")
    with pytest.raises(AssertionError):
        assert_nowhere(CANARY, tmp_path, "")


def test_the_token_of_an_admin_interface_stays_in_its_file(
    tmp_path: Path, start_crm: Callable[..., RunningCrm]
) -> None:
    crm = start_crm(time_scale=60)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    words = ["--target", "link:upstream=upstream", "--at", f"url={crm.url('proxy_admin', '')}"]
    with traffic(lambda: crm.agent("deal-forecaster")):
        said = play(tmp_path / "ours", "http.error", *words, "--at", f"token_file={token}", code=0)
    assert_nowhere(TOKEN, tmp_path / "ours", said)


def test_a_token_that_is_not_accepted_is_not_shown_in_the_error(
    tmp_path: Path, start_crm: Callable[..., RunningCrm]
) -> None:
    crm = start_crm(time_scale=60)
    token = tmp_path / "token"
    token.write_text(CANARY)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "chaoskit", "inject", "http.error", "--for", "1s", "--out", str(tmp_path / "runs")),
            *("--target", "link:upstream=upstream", "--at", f"url={crm.url('proxy_admin', '')}"),
            *("--at", f"token_file={token}"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, FOLDER_VARIABLE: str(tmp_path / "state")},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "is refused: correct it" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists(), "what is refused before anything is touched leaves no run"
