"""A gate that is played several times: every round counts, in its exit code and in JUnit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chaoskit.cli import gate as command
from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.gate.gate import Outcome
from chaoskit.gate.schedule import Schedule
from chaoskit.verify.verify import verify
from tests.golden.doctored import recorded

Played = Callable[[str, str], tuple[int, list[tuple[str, list[str]]]]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Plays the rounds that a word names (p passes, f fails, i is interrupted); the exit code, and JUnit's cases."""
    ends = {"p": "kept", "f": "notified-late", "i": ""}
    rounds: list[str] = []

    class Played:
        took_cores = None

        def __init__(self, where: Path, *_: Any, **__: Any) -> None:
            self.where = where

        def interrupt(self, reason: str) -> None:
            raise AssertionError(reason)

        def run(self, schedule: Schedule) -> list[Outcome]:
            end = ends[rounds.pop(0)]
            if not end:
                return []
            member, verdict = schedule.stacks[0].members[0], verify(recorded(end))
            return [Outcome(member, verdict.exit_code, 1.0, self.where, 1, verdict)]

    def played(word: str, options: str) -> tuple[int, list[tuple[str, list[str]]]]:
        rounds[:] = word
        file = tmp_path / "found.xml"
        told = ["--junitxml", str(file), "--out", str(tmp_path / "out")]
        code = run(["gate", "worker-unhealthy", "--count", str(len(word)), *options.split(), *told])
        cases = ET.parse(file).getroot().iter("testcase")
        return code, [
            (case.get("name", ""), [child.tag for child in case if child.tag != "system-out"]) for case in cases
        ]

    monkeypatch.setattr(command, "Gate", Played)
    return played


def test_a_round_that_failed_is_told_though_the_next_one_passed(play: Played) -> None:
    assert play("fp", "") == (
        ExitCode.FAIL,
        [("worker-unhealthy, 1 of 2", ["failure"]), ("worker-unhealthy, 2 of 2", [])],
    )


def test_one_round_has_no_number(play: Played) -> None:
    assert play("p", "") == (ExitCode.PASS, [("worker-unhealthy", [])])


def test_with_x_no_round_begins_after_one_that_did_not_pass(play: Played) -> None:
    assert play("pfp", "-x") == (
        ExitCode.FAIL,
        [("worker-unhealthy, 1 of 3", []), ("worker-unhealthy, 2 of 3", ["failure"])],
    )


def test_no_round_begins_after_one_that_was_interrupted(play: Played) -> None:
    assert play("pip", "") == (ExitCode.ABORTED, [("worker-unhealthy, 1 of 3", [])])
