"""Every view of the terminal over a configuration and a history whose names hold whatever they can.

An alert's labels come from whoever wrote a rule or a metric: none may end our line and begin one that looks like ours.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from chaoskit import bundle
from chaoskit.cli import run as chaoskit
from chaoskit.cli.console import Terminal
from chaoskit.events import AlertState, AnyEvent, Equipment, Invoke, Notice, StepBegin, UndoBegin, UndoFail
from chaoskit.gate.candidate import LeftOut, candidate
from chaoskit.gate.coverage import could_prove, covered
from chaoskit.gate.gate import Outcome
from chaoskit.gate.record import AtScale
from chaoskit.gate.view import gate_view, outcome_line
from chaoskit.history import History
from chaoskit.report.live import LiveView, PlainLines
from chaoskit.run.progress import Progress
from chaoskit.verify.verify import plan_of, verify
from tests.golden.doctored import mapped, recorded
from tests.unit.test_terminal import EVIL, harmless, printed

ALERT = "WorkerUnhealthy"


def quiet(said: str) -> bool:
    """Nothing that moves the cursor, and nobody else's text at the beginning of a line."""
    return harmless(said) and not any(line.lstrip(" │•").startswith("PASS  [bold]g") for line in said.splitlines())


def evil_bundle(folder: Path) -> Path:
    """The shipped configuration, with a label, an annotation, a receiver and a group's name as evil as can be."""
    shutil.copytree(bundle.folder(), folder, dirs_exist_ok=True)
    rules, routes = folder / "prometheus_alerts.yml", folder / "alertmanager.yml"
    content = yaml.safe_load(rules.read_text(encoding="utf-8"))
    for group in content["groups"]:
        group["name"] += EVIL
        for rule in group["rules"]:
            if rule.get("alert") == ALERT:
                rule["labels"]["team"] = rule["annotations"]["summary"] = EVIL
    rules.write_text(yaml.safe_dump(content), encoding="utf-8")
    routes.write_text(yaml.safe_dump(_renamed(yaml.safe_load(routes.read_text(encoding="utf-8")))), encoding="utf-8")
    return folder


def _renamed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _renamed(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_renamed(child) for child in value]
    return EVIL if value == "worker-alerts" else value


def test_an_explanation_of_an_evil_configuration_is_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaoskit(["explain", ALERT, "--bundle", str(evil_bundle(tmp_path))]) == 0
    said = capsys.readouterr().out
    assert quiet(said)
    assert said.count("\\x1b[31mb") >= 2


@pytest.mark.parametrize("turned", [False, True], ids=["to evil", "from evil"])
def test_a_difference_of_evil_configurations_is_harmless(
    turned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [str(bundle.folder()), str(evil_bundle(tmp_path))]
    assert chaoskit(["diff", *(reversed(sides) if turned else sides)]) in (0, 1)
    said = capsys.readouterr()
    assert quiet(said.out + said.err)
    assert "\\x1b[31mb" in said.out


def test_a_gates_table_of_evil_scenarios_is_harmless(tmp_path: Path) -> None:
    history = recorded("never-cleared")
    plan = plan_of(history.header)
    verdict = verify(history)
    rows = [msgspec.structs.replace(row, about=EVIL, reason=EVIL) for row in verdict.rows]
    one = replace(candidate(EVIL, "x.yml", plan, None), expects=frozenset({EVIL}))
    outcomes = [
        Outcome(one, 1, 1.0, tmp_path / EVIL.replace("/", ""), 1, msgspec.structs.replace(verdict, rows=rows)),
        Outcome(replace(one, name=f"{EVIL}2"), 70, 1.0, tmp_path, 2, None, EVIL),
    ]
    coverage = covered(plan.config, [could_prove(plan)], ())
    evil = replace(coverage, all={kind: names | {EVIL} for kind, names in coverage.all.items()})
    said = printed(gate_view(outcomes, evil, AtScale(), [LeftOut(EVIL, EVIL, EVIL)]))
    said += "".join(printed(outcome_line(each)) for each in outcomes)
    assert quiet(said)
    assert said.count("[bold]g[/bold]") >= 8


def evil_history() -> History:
    """A run whose worker, receiver, subject, step and trouble are called as evil as can be."""

    def evil(event: AnyEvent) -> AnyEvent:
        match event:
            case AlertState():
                return msgspec.structs.replace(event, labels={**event.labels, "worker_name": EVIL})
            case Notice():
                return msgspec.structs.replace(event, receiver=EVIL, subject=EVIL)
            case Invoke():
                return msgspec.structs.replace(event, targets=[EVIL])
            case StepBegin():
                return msgspec.structs.replace(event, verb=EVIL)
            case UndoBegin():
                return UndoFail(n=event.n, t=event.t, fault=event.fault, reason=EVIL)
            case _:
                return event

    return mapped(recorded("kept"), evil)


def test_the_picture_of_a_run_is_harmless_at_every_moment() -> None:
    history = evil_history()
    shipped = plan_of(history.header)
    plan = replace(shipped, alerts=tuple(replace(alert, names=()) for alert in shipped.alerts))
    progress = Progress(plan)
    screen = Terminal(width=500)
    screen.file = io.StringIO()
    view = LiveView(plan, progress, screen)
    seen = ""
    for event in history.events:
        progress.feed(event)
        seen += printed(view.get_renderable())
    assert quiet(seen)
    for word in ("in force: process.kill on a\\x1b", "! ", "notices", f"{ALERT} a\\x1b"):
        assert word in seen


def test_a_run_told_in_lines_says_each_thing_in_one() -> None:
    history = evil_history()
    said: list[str] = []
    lines = PlainLines(plan_of(history.header), said.append)
    for event in history.events:
        lines.feed(event)
    assert all(quiet(line) and "\n" not in line for line in said)
    assert sum("\\x1b[31mb" in line for line in said) >= 6


def test_equipment_that_is_silent_is_told_until_it_is_heard_again() -> None:
    plan = plan_of(recorded("kept").header)
    said: list[str] = []
    lines, progress = PlainLines(plan, said.append), Progress(plan)
    for event in (
        Equipment(name="load", state="silent", detail="it hangs", t=1.0),
        Equipment(name="load", state="up", detail="it is heard again", t=2.0),
    ):
        lines.feed(event)
        progress.feed(event)
        assert progress.fold.trouble == (["load: it hangs"] if event.state == "silent" else [])
    (line,) = said
    assert line.endswith("load is SILENT: it hangs")


def test_the_views_print_through_the_same_screen() -> None:
    """The check itself sees a line that somebody else began."""
    screen = Terminal(width=500)
    screen.file = io.StringIO()
    screen.print("x\nPASS  [bold]g")
    assert not quiet(screen.file.getvalue())
