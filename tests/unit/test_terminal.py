"""Whatever a label, a name or a file's text holds, a terminal and a pipeline's log get it as text."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.table import Table
from rich.text import Text

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.check.findings import Finding, Severity
from chaoskit.check.output import to_github
from chaoskit.check.run import Outcome
from chaoskit.cli import run as chaoskit
from chaoskit.cli.console import Terminal, console
from chaoskit.errors import Place
from chaoskit.report.junit import Case, junit
from chaoskit.report.terminal import plan_view, verdict_view
from chaoskit.run.planning import Asked, plan_for
from chaoskit.verify.verdict import Result
from chaoskit.verify.verify import verify
from tests.golden.doctored import recorded

EVIL = "a\x1b[31mb\rc\x07d\x9b2Je\u202ef\nPASS  [bold]g[/bold] :warning: \x1b]0;title\x07"
FORBIDDEN = "\x1b\r\x07\x9b\u202e"


def harmless(printed: str) -> bool:
    return not any(letter in printed for letter in FORBIDDEN)


def printed(view: object) -> str:
    screen = Terminal(width=500)
    screen.file = io.StringIO()
    screen.print(view)  # type: ignore[arg-type]
    return screen.file.getvalue()


def table(text: str) -> Table:
    found = Table(text)
    found.add_row(text)
    return found


@pytest.mark.parametrize("wrap", [str, Text, table], ids=["text", "Text", "table"])
def test_what_is_printed_holds_no_control_character_and_no_markup_is_obeyed(wrap: Callable[[str], object]) -> None:
    said = printed(wrap(EVIL))
    assert harmless(said)
    assert "[bold]g[/bold] :warning:" in said


def test_colours_of_our_own_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same check finds an escape where there is one."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = console()
    screen.file = io.StringIO()
    screen.print(Text(EVIL, style="red"))
    said = screen.file.getvalue()
    assert not harmless(said)
    assert "\x1b[31mb" not in said


def test_a_verdict_over_evil_labels_is_harmless_and_no_label_begins_a_line() -> None:
    found = verify(recorded("never-cleared"))
    failed = next(row for row in found.rows if row.result is Result.FAIL)
    row = msgspec.structs.replace(failed, about=EVIL, to=EVIL, reason=EVIL)
    evil = msgspec.structs.replace(found, scenario=EVIL, title=EVIL, notes=[EVIL], rows=[row])
    said = printed(verdict_view(evil))
    assert harmless(said)
    assert "PASS  [bold]g" not in [line.strip()[:13] for line in said.splitlines()]
    assert said.count("[bold]g[/bold]") >= 4


def test_a_plan_of_an_evil_scenario_is_harmless() -> None:
    plan = plan_for(Asked("worker-unhealthy", "local", ConfigFiles(bundle.folder())))[0]
    evil = replace(plan, scenario=replace(plan.scenario, title=EVIL, name=EVIL), warnings=(EVIL,))
    said = printed(plan_view(evil))
    assert harmless(said)
    assert said.count("[bold]g[/bold]") == 3


def test_what_is_refused_is_told_without_the_files_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evil.yml"
    file.write_text('chaoskit: 1\ntitle: x\n"a\\e[31m\\a\\nPASS": 1\n"a\\e[31m\\a\\nPASS": 2\n', encoding="utf-8")
    assert chaoskit(["plan", str(file)]) == 2
    said = capsys.readouterr().err
    assert r"a\x1b[31m\x07\x0aPASS" in said
    assert harmless(said)


def test_a_finding_ends_no_workflow_command_and_begins_none() -> None:
    evil = EVIL + "\n::set-output name=x::y\r\n::error::z"
    finding = Finding("id", Severity.ERROR, Place(f"a,b:{evil}", 3), evil, evil, evil)
    lines = list(to_github(Outcome((finding,), (), ())))
    assert len(lines) == 1
    assert harmless(lines[0])
    assert not any(line.startswith("::set") for line in lines[0].splitlines())
    assert lines[0].count("\n") == 0


def test_junit_is_whole_xml_whatever_a_name_holds() -> None:
    evil = EVIL + "]]></failure><x/>\0\ufffe\ud800"
    document = junit("chaoskit", [Case(evil, evil, 1.0, "FAIL", (evil,))])
    root = ET.fromstring(document)
    assert [element.tag for element in root.iter()] == ["testsuites", "testsuite", "testcase", "failure"]
    assert harmless(document.decode())
