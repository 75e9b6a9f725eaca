"""README is true: its files are accepted, and each command that it prints is run as printed or says why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from chaoskit.cli import run as chaoskit
from chaoskit.cli.all import chaoskit as every
from chaoskit.crm.supervisor import title
from tests.readme_commands import ELSEWHERE, LONG, QUICK, ROOT, STORY, TEXT, commands, files, lay_out


def test_each_command_is_run_somewhere_or_says_why_not() -> None:
    assert commands() == {*QUICK, *LONG, *STORY, *ELSEWHERE}


def test_it_names_every_command() -> None:
    assert {name for name in every.list_commands(click.Context(every)) if f"`chaoskit {name}" not in TEXT} == set()


def test_no_line_is_wider_than_a_hundred_columns() -> None:
    assert [line for line in TEXT.split("\n") if len(line) > 100] == []


def test_its_files_and_links_are_there() -> None:
    assert set(files()) == {"rules.yml", "alertmanager.yml"}
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / target).is_file(), target
    for command in (one for one in ELSEWHERE if one.startswith("make ")):
        assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.stack
def test_the_quick_commands_do_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside README's files; `check` looks at those too: what they promise is what it computes."""
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    ended = {command: int(chaoskit(shlex.split(command)[1:])) for command in QUICK}
    assert ended == QUICK, capsys.readouterr().err
    assert (tmp_path / "deploy" / "alertmanager.yml").is_file()
    planned = [one for one in ELSEWHERE if "--time-scale 1" in one]
    assert [int(chaoskit(["plan", *shlex.split(one)[2:]])) for one in planned] == [0]


@pytest.mark.stack
def test_its_two_files_are_what_their_programs_accept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert int(chaoskit(["check", "--rules", "rules.yml", "--alertmanager", "alertmanager.yml"])) == 0


def test_the_pattern_in_the_safety_page_finds_the_practice_crms_workers() -> None:
    text = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    pattern = re.search(r"--at 'pattern=([^']+)'", text)
    assert pattern
    found = re.search(pattern[1], title("0a1b2c3d", "worker worker-1"))
    assert found
    assert found["name"] == "worker-1"
