"""A fault by hand is a run like any other: one step and a wait, played by the same runner."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from chaoskit.cli import run as chaoskit
from chaoskit.events import FaultOk, Invoke, Phase, StepBegin, UndoOk
from chaoskit.history import read_history
from tests.safety_examples import PATTERN, TARGET, sleeper, state

__all__ = ["sleeper", "state"]


def test_it_is_a_step_and_a_wait_in_a_history_of_the_usual_kind(
    state: Path, tmp_path: Path, sleeper: psutil.Process
) -> None:
    assert chaoskit(["inject", "process.pause", "--for", "200ms", "--out", str(tmp_path), *TARGET]) == 0
    (folder,) = tmp_path.glob("*-by-hand-process.pause")
    history = read_history(folder)
    assert [(one.step, one.verb) for one in history.of(StepBegin)] == [("by-hand", "inject"), ("for", "wait")]
    assert [one.name for one in history.of(Phase)] == ["starting", "steady", "steps", "undo", "tail", "stopping"]
    (invoke,), (ok,), (undone,) = history.of(Invoke), history.of(FaultOk), history.of(UndoOk)
    assert (invoke.step, invoke.fault, ok.fault, undone.fault) == ("by-hand", *["by-hand#0"] * 3)
    assert invoke.max_s == pytest.approx(5.2)
    assert undone.gone[0] - ok.effect[1] >= 0.2


def test_what_is_not_there_is_refused_before_anything_is_written(
    state: Path, tmp_path: Path, sleeper: psutil.Process, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["--target", "role:sleeper=nobody", "--at", f"pattern={PATTERN}"]
    assert chaoskit(["inject", "process.pause", "--for", "1s", "--out", str(tmp_path), *target]) == 2
    assert "no such process: nobody" in capsys.readouterr().err
    assert list(tmp_path.glob("*by-hand*")) == []


def test_an_effect_that_is_not_seen_is_told_once_and_is_unknown(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = ['start=["false"]', 'stop=["true"]']
    given = [word for one in programs for word in ("--with", one)]
    assert chaoskit(["inject", "command", "--for", "1s", "--out", str(tmp_path), *given]) == 3
    said = capsys.readouterr().out
    assert said.count("not in force: ") == 1
    assert "undone: " in said
    # It may take its time to be seen: 15 s for the program, which no maximum duration cuts short.
    (invoke,) = read_history(next(tmp_path.glob("*-by-hand-command"))).of(Invoke)
    assert invoke.max_s == 1 + 5 + 15


def test_a_setting_that_is_given_twice_is_refused(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [word for one in ('start=["true"]', 'start=["false"]', 'stop=["true"]') for word in ("--with", one)]
    assert chaoskit(["inject", "command", "--for", "1s", *given]) == 2
    assert "--with: 'start' is given twice (leave one out)" in capsys.readouterr().err
