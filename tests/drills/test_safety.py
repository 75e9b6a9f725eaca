"""A whole run that is aborted, told twice to stop, or stands still: healed, said, and nothing left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from chaoskit import waiting
from chaoskit.events import AlertState, End, Interruption, UndoOk
from chaoskit.history import read_history
from chaoskit.safety.healbook import BOOK, read_book
from tests.drills.conftest import Drill
from tests.safety_examples import environment, ours, state

__all__ = ["state"]
pytestmark = [pytest.mark.drill, pytest.mark.stack]
ROOT = Path(__file__).parents[2]


def profile(folder: Path, condition: str) -> str:
    """The local profile with an abort condition."""
    file = folder / "aborting.yml"
    file.write_text((ROOT / "profiles" / "local.yml").read_text() + f"\nabort: [{condition}]\n")
    return str(file)


def test_a_forbidden_alert_stops_the_run_heals_and_ends_with_4(drill: Drill, tmp_path: Path) -> None:
    ended = drill.run("--profile", profile(tmp_path, "{alert: WorkerUnhealthy}"))
    reason = next(ended.history.of(Interruption)).reason
    assert "WorkerUnhealthy is firing" in reason
    assert "aborting.yml:" in reason
    fired = next(event.at for event in ended.history.of(AlertState) if event.state == "firing")
    gone = next(ended.history.of(UndoOk)).gone[1]
    assert ended.code == 4, ended.said
    assert gone - fired < 10, f"{gone - fired:.1f} s from the condition to healed"


@pytest.mark.long
def test_a_query_that_comes_true_stops_the_run(drill: Drill, tmp_path: Path) -> None:
    query = "{query: 'insa_worker_health_status == 0'}"
    ended = drill.run("--profile", profile(tmp_path, query))
    assert "has a result" in next(ended.history.of(Interruption)).reason
    assert ended.code == 4, ended.said


def started(state: Path, out: Path) -> subprocess.Popen[str]:
    """A run whose fault is in force."""
    run = subprocess.Popen(
        [sys.executable, "-m", "chaoskit", "run", "worker-unhealthy", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(state),
    )
    assert run.stdout is not None
    assert any("kill#0 in force" in line for line in run.stdout)
    return run


def over(run: subprocess.Popen[str], state: Path) -> None:
    assert run.stdout is not None
    run.stdout.close()
    assert waiting.await_true(lambda: not ours(state), 20), ours(state)


@pytest.mark.long
def test_told_twice_to_stop_a_run_ends_at_once_healed_with_4(state: Path, tmp_path: Path, binaries: object) -> None:
    run = started(state, tmp_path)
    run.send_signal(signal.SIGINT)
    assert run.stdout is not None
    assert any("SIGINT was received" in line for line in run.stdout)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 4
    over(run, state)


@pytest.mark.long
def test_a_run_that_stands_still_is_healed_and_touches_nothing_when_it_goes_on(
    state: Path, tmp_path: Path, binaries: object
) -> None:
    """The target outlives the watchdog's undo here, for it belongs to the run that stands still."""
    run = started(state, tmp_path)
    folder = next(path for path in tmp_path.glob("*worker-unhealthy*") if not path.is_symlink())
    run.send_signal(signal.SIGSTOP)
    try:
        assert waiting.await_true(lambda: read_book(folder / BOOK).healed is True, 20)
    finally:
        run.send_signal(signal.SIGCONT)
    assert run.stdout is not None
    said = run.stdout.read()
    assert run.wait(timeout=60) == 4, said
    over(run, state)
    history = read_history(folder)
    assert "lease" in next(history.of(Interruption)).reason
    assert list(history.of(UndoOk)) == []
    assert next(history.of(End)).healed
    assert psutil.pid_exists(run.pid) is False


@pytest.mark.long
def test_credentials_of_the_alert_configuration_are_nowhere_in_what_a_run_writes(drill: Drill) -> None:
    """They are planted where a real configuration has them; the run never needs them, for nothing leaves loopback."""
    secrets = ["canary-smtp-77f0", "canary-hook-91ab"]
    drill.change("alertmanager.yml", "global:\n", f"global:\n  smtp_auth_password: {secrets[0]}\n")
    drill.change(
        "alertmanager.yml",
        "  # slack_api_url: https://hooks.slack.com/services/...\n",
        f"  slack_api_url: https://hooks.slack.com/services/{secrets[1]}\n",
    )
    ended = drill.run(when="kill#0 in force", do=lambda process: process.send_signal(signal.SIGINT))
    assert ended.code == 4, ended.said
    for secret in secrets:
        assert secret not in ended.said
        for file in ended.folder.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes(), file
