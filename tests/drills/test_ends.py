"""However a run ends, nothing of it stays: no process, no fault."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from chaoskit.events import End, Interruption, UndoOk
from chaoskit.history import read_history
from tests.drills.conftest import Drill

pytestmark = [pytest.mark.drill, pytest.mark.stack]


def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path: Path, binaries: object) -> None:
    """SIGKILL while the fault is in force: the holder heals and ends, everything else dies with its parent."""
    run = subprocess.Popen(
        [sys.executable, "-m", "chaoskit", "run", "worker-unhealthy", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.stdout is not None
    try:
        assert any("kill#0 in force" in line for line in run.stdout)
        mine = psutil.Process(run.pid).children(recursive=True)
        assert len(mine) > 8
    finally:
        run.kill()
        run.wait(timeout=10)
        run.stdout.close()
    _, left = psutil.wait_procs(mine, timeout=15)
    assert not left


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(each, marks=pytest.mark.long) for each in (signal.SIGTERM, signal.SIGHUP))]
)
def test_a_run_that_is_told_to_stop_heals_and_says_so(drill: Drill, number: signal.Signals) -> None:
    """Exit 4: interrupted, healed; the history has its last event."""
    ended = drill.run(when="kill#0 in force", do=lambda process: process.send_signal(number))
    assert ended.code == 4, ended.said
    assert next(ended.history.of(Interruption)).reason == f"{number.name} was received"
    assert next(ended.history.of(UndoOk)).fault == "kill#0"
    assert next(read_history(ended.folder).of(End)).healed
