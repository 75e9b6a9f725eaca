"""Faults and actions that are programs of the user's own: what they are given, how they end, what is told of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit import waiting
from chaoskit.faults.base import FaultError, Lapsed, Target
from chaoskit.faults.command import Command, CommandSettings
from chaoskit.faults.command_action import CommandAction, CommandActionSettings

NOWHERE = Target("", (), {})


def settings(flag: Path, **more: Any) -> CommandSettings:
    """A fault that consists of a file being there."""
    given = {
        "start": ["touch", str(flag)],
        "stop": ["rm", "-f", str(flag)],
        "seen": ["test", "-e", str(flag)],
    }
    return CommandSettings.model_validate({**given, **more})


def test_a_program_breaks_something_and_its_undo_mends_it_elsewhere(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    token = json.loads(json.dumps(Command.prepare(NOWHERE, settings(flag))))
    assert not flag.exists(), "prepare changes nothing"
    Command.start(token)
    assert flag.exists()
    code = "import json, sys; from chaoskit.faults.command import Command; Command.stop(json.loads(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, json.dumps(token)], check=True, timeout=30, cwd="/")
    assert not flag.exists()
    Command.stop(token)  # idempotent, and without a start


def test_an_effect_that_is_gone_uninvited_is_a_lapse(tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    token = Command.prepare(NOWHERE, settings(flag))
    Command.start(token)
    flag.unlink()
    with pytest.raises(Lapsed, match=r"seen \(\S*test\) says that the effect is gone"):
        Command.hold(token, threading.Event())


def test_a_start_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = settings(tmp_path / "x", start=["sh", "-c", "echo no such device >&2; exit 4"])
    with pytest.raises(FaultError, match=r"start \(\S*sh\) ended with 4: no such device"):
        Command.start(Command.prepare(NOWHERE, broken))


def test_a_start_whose_effect_is_not_seen_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code alone proves nothing."""
    monkeypatch.setattr("chaoskit.faults.command._SEEN_S", 0.3)
    with pytest.raises(FaultError, match="seen does not see an effect"):
        Command.start(Command.prepare(NOWHERE, settings(tmp_path / "x", start=["true"])))


def test_an_undo_that_does_not_undo_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.faults.command._SEEN_S", 0.3)
    token = Command.prepare(NOWHERE, settings(tmp_path / "x", stop=["true"]))
    Command.start(token)
    with pytest.raises(FaultError, match="seen still sees the effect"):
        Command.stop(token)


def test_a_program_that_is_not_there_is_named_before_anything_happens(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="there is no program 'no-such-program'"):
        Command.prepare(NOWHERE, settings(tmp_path / "x", stop=["no-such-program"]))


def act(run: list[str] | str, **more: Any) -> dict[str, Any]:
    return CommandAction.run(NOWHERE, CommandActionSettings.model_validate({"run": run, **more}))[1]


def test_arguments_are_never_a_shell_line() -> None:
    assert act(["echo", "$HOME; exit 3", "a b"]) == {"exit": 0, "output": "$HOME; exit 3 a b"}


def test_a_shell_is_used_only_when_asked_for() -> None:
    assert act("echo one && exit 3", shell=True, exit=3) == {"exit": 3, "output": "one"}
    with pytest.raises(ValueError, match="a line is only for shell: true"):
        CommandActionSettings.model_validate({"run": "echo one"})
    with pytest.raises(ValueError, match="run is one line"):
        CommandActionSettings.model_validate({"run": ["echo"], "shell": True})


def test_another_exit_code_than_expected_fails_with_its_output() -> None:
    with pytest.raises(FaultError, match="exit 7 ended with 7, expected was 0: gone wrong"):
        act("echo gone wrong; exit 7", shell=True)


def test_the_environment_is_small_and_what_is_handed_over_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_KEY", "sesame-4711")
    monkeypatch.setenv("OTHER_KEY", "not-for-you")
    said = act("echo key=$CARGO_KEY other=$OTHER_KEY", shell=True, env=["CARGO_KEY"])["output"]
    assert said == "key=<secret> other="
    with pytest.raises(FaultError) as caught:
        act("echo $CARGO_KEY; exit 1", shell=True, env=["CARGO_KEY"])
    assert "sesame" not in str(caught.value)


def test_no_half_of_a_secret_is_left_where_the_output_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_KEY", "abcdefghij" * 20)
    for padding in (3850, 3900, 3999):
        said = act(
            f"printf '%s' \"$CARGO_KEY\"; head -c {padding} /dev/zero | tr '\\0' .", shell=True, env=["CARGO_KEY"]
        )
        assert "fghij" not in said["output"]


def test_much_output_is_cut(tmp_path: Path) -> None:
    said = act("yes | head -c 3000000; echo the end", shell=True)["output"]
    assert len(said) <= 1000
    assert said.endswith("the end")


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(FaultError, match=r"was not done within 0\.5 s"):
        act(f"sleep 60 & echo $! > {note}; wait", shell=True, timeout_s=0.5)
    pid = int(note.read_text())
    assert waiting.await_true(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 5)


def test_a_child_left_behind_does_not_keep_it_waiting(tmp_path: Path) -> None:
    """A program may leave a daemon that holds its output open."""
    note = tmp_path / "pid"
    try:
        assert act(f"sleep 60 & echo $! > {note}", shell=True, timeout_s=5)["exit"] == 0
    finally:
        os.kill(int(note.read_text()), 9)


def test_the_target_s_address_is_told() -> None:
    given = CommandActionSettings.model_validate({"run": "echo $TARGET_URL", "shell": True})
    result = CommandAction.run(Target("", (), {"url": "http://127.0.0.1:1"}), given)[1]
    assert result["output"] == "http://127.0.0.1:1"
