"""What a person sees first fits a terminal of 80 columns: tables fold, and nothing is cut."""

from __future__ import annotations

import io
import re
from pathlib import Path

import click
import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.check.findings import LINTS
from chaoskit.cli import run as chaoskit
from chaoskit.cli.all import chaoskit as commands
from chaoskit.cli.console import Terminal
from chaoskit.faults.registry import known, known_actions
from chaoskit.handles import handle_kinds
from chaoskit.history import read_history
from chaoskit.report.checklist import checklist_view
from chaoskit.report.terminal import plan_view, verdict_view
from chaoskit.run.planning import Asked, plan_for
from chaoskit.scenario.catalog import list_scenarios
from chaoskit.verify.checks import CHECKS
from chaoskit.verify.verify import judge_all

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = ("suppressed", "observer-frozen", "quiet", "notified-late")
COLUMNS = 80


def printed(view: object, width: int) -> str:
    screen = Terminal(width=width)
    screen.file = io.StringIO()
    screen.print(view)  # type: ignore[arg-type]
    return screen.file.getvalue()


def whole(view: object) -> None:
    """No line is too long, and every letter of the wide print is there, as often."""
    narrow, wide = printed(view, COLUMNS), printed(view, 1000)
    assert max(map(len, narrow.splitlines()), default=0) <= COLUMNS
    assert sorted(re.sub(r"\s", "", narrow)) == sorted(re.sub(r"\s", "", wide))


@pytest.mark.parametrize("name", RECORDED)
def test_the_verdict_and_the_checklist_of_a_run_fit(name: str) -> None:
    verdict, checklists = judge_all(read_history(GOLDEN / f"{name}.jsonl"))
    whole(verdict_view(verdict))
    whole(checklist_view(checklists))


@pytest.mark.parametrize("name", ["worker-unhealthy", "dead-letter-queue-growing"])
def test_a_plan_fits(name: str) -> None:
    whole(plan_view(plan_for(Asked(name, "local", ConfigFiles(bundle.folder())))[0]))


FIRST_SCREENS = {
    "list": [one.name for one in list_scenarios()],
    "list --faults": [*known(), *known_actions()],
    "list --handles": list(handle_kinds()),
    "list --checks": [check.name for check in CHECKS],
    "list --lints": list(LINTS),
    "doctor": ["ok", "MISSING"],
}


@pytest.mark.parametrize("command", FIRST_SCREENS)
def test_the_first_screens_fit_and_list_all_that_is_registered(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Doctor also where a program lies deep, and where it says what mends."""
    for name in ("console.console", "listing.console"):
        monkeypatch.setattr(f"chaoskit.cli.{name}", lambda: Terminal(width=COLUMNS))
    monkeypatch.setenv("CHAOSKIT_PROMETHEUS", str(tmp_path / "-".join(["deep"] * 30)))
    chaoskit(command.split())
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= COLUMNS
    assert "…" not in said
    first = "".join(line[: len(line.split("  ")[0])] for line in said.splitlines())
    assert [name for name in FIRST_SCREENS[command] if name not in first] == []


def test_help_says_each_sentence_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    for group in ([], ["witness"], ["bundle"]):
        chaoskit([*group, "--help"])
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= COLUMNS
        assert "..." not in said.replace("[ARGS]...", "")
    assert set(commands.list_commands(click.Context(commands))) >= {"run", "doctor", "witness"}
