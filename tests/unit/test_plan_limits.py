"""`plan` and `check` refuse by a profile's limits what a run would refuse, with the step's file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.cli import run as chaoskit
from chaoskit.scenario.catalog import find_profile
from tests.safety_examples import sleeper

__all__ = ["sleeper"]

HEAD = "chaoskit: 1\ntitle: Too much\nsteps:\n"
REST = "  - wait: 30s\nexpect: nothing\n"
BURN = "  - inject: memory.burn\n    target: {slice: crm}\n    with: {size: 2GiB}\n"
CPU = "  - inject: cpu.burn\n    target: {slice: crm}\n    with: {cores: 1.5}\n"
LINK = "  - inject: http.error\n    as: broken\n    target: {link: upstream}\n    with: {ratio: 20%, status: 500}\n"
RAISE = LINK + "  - change: broken\n    with: {ratio: 80%}\n"
COMMAND = "  - inject: command\n    with: {start: [touch, /tmp/x], stop: [rm, -f, /tmp/x]}\n"
ACTION = "  - do: command\n    with: {run: [touch, /tmp/x]}\n"


def scenario(tmp_path: Path, steps: str) -> str:
    file = tmp_path / "too-much.yml"
    file.write_text(HEAD + steps + REST)
    return str(file)


@pytest.mark.parametrize(
    ("steps", "limit", "line", "said"),
    [
        (BURN, "memory=1GiB", 4, "memory.burn of 2147483648 bytes is beyond the profile's limits.memory of 1073741824"),
        (CPU, "cpu=1", 4, "cpu.burn of 1.5 cores is beyond the profile's limits.cpu of 1"),
        (RAISE, "connections=50%", 8, "http.error on 0.8 of the calls is beyond the profile's limits.connections"),
        (COMMAND, "commands=false", 4, "limits.commands is false: its scenarios run no programs"),
        (ACTION, "commands=false", 4, "limits.commands is false: its scenarios run no programs"),
    ],
)
def test_what_a_run_refuses_by_limits_a_plan_refuses(
    tmp_path: Path, steps: str, limit: str, line: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = scenario(tmp_path, steps)
    more = ["--set", "limits.cpu=2", "--set", "limits.memory=4GiB"]
    assert chaoskit(["plan", file, *more]) == 0, "the control"
    capsys.readouterr()
    for command in (["plan", file], ["run", file, "--out", str(tmp_path)]):
        assert chaoskit([*command, "--set", f"limits.{limit}"]) == 2
        told = " ".join("".join(capsys.readouterr()).split())
        assert f"too-much.yml:{line}" in told
        assert said in told


@pytest.mark.parametrize(
    ("seen", "code", "said"),
    [
        ("{query: 'rate(broken[5m]) > 0', within: 30s}", 0, ""),
        ("{query: 'rate(broken[5m]'}", 2, "too-much.yml:4"),
        ("{query: up, within: 30}", 2, "has no unit"),
        ("{query: hour() > 7}", 2, "cannot be asked"),
    ],
)
def test_a_command_may_be_seen_by_a_query_that_can_be_asked_at_the_scale(
    tmp_path: Path, seen: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asking = COMMAND.replace("with: {", f"with: {{seen: {seen}, ")
    assert chaoskit(["plan", scenario(tmp_path, asking)]) == code
    assert said in " ".join("".join(capsys.readouterr()).split())


def test_check_says_of_a_scenario_s_programs_that_the_profile_forbids_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "profiles").mkdir()
    scenario(tmp_path / "scenarios", COMMAND)
    profile = find_profile("local").read_text()
    for allowed, code in ((True, 0), (False, 1)):
        (tmp_path / "profiles" / "local.yml").write_text(
            profile if allowed else profile.replace("limits:\n", "limits:\n  commands: false\n")
        )
        assert chaoskit(["check", "--no-programs"]) == code
        assert ("limits.commands" in "".join(capsys.readouterr())) is not allowed
