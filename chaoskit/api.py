"""The library: the only module whose names stay. docs/library.md has an example of each.

from chaoskit.api import play

verdict = play("worker-unhealthy", settings=["load.rate=20/s"])
assert verdict.result == "PASS", [row.reason for row in verdict.rows]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from chaoskit import bundle as shipped
from chaoskit import json_text
from chaoskit.adapters.base import Adapter
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import BadInput, ChaoskitError
from chaoskit.events import (
    ActionOk,
    AlertState,
    Alter,
    Deadline,
    Deliveries,
    End,
    Equipment,
    Event,
    FaultFail,
    FaultOk,
    Header,
    Interruption,
    Invoke,
    Later,
    Level,
    LoadNames,
    LoadTotals,
    LoadWindow,
    LogLine,
    Notice,
    Phase,
    Poll,
    Pressure,
    Processor,
    Scrapes,
    Steady,
    StepBegin,
    StepEnd,
    Stranger,
    Suppression,
    UndoBegin,
    UndoFail,
    UndoOk,
    Watch,
)
from chaoskit.faults.base import Action, Changeable, Fault, FaultError, Lapsed, Made, Seen, Settings, Target
from chaoskit.files import HISTORY, read_regular
from chaoskit.fresh import fresh
from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle
from chaoskit.history import History, read_history
from chaoskit.hop import Hop
from chaoskit.plan.model import Plan
from chaoskit.run.planning import Asked, plan_for
from chaoskit.scenario.catalog import find_scenario
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario
from chaoskit.verify.verdict import Result, Row, Verdict
from chaoskit.verify.verify import verify

__all__ = [
    "Action", "ActionOk", "Adapter", "Address", "AlertState", "Alter", "BadInput", "CannotRun", "Changeable",
    "ChaoskitError", "Deadline", "Deliveries", "End", "Equipment", "Event", "Fault", "FaultError", "FaultFail",
    "FaultOk", "Handle", "Header", "History", "Hop", "Interruption", "Invoke", "Lapsed", "Later", "Level",
    "LoadNames", "LoadTotals", "LoadWindow", "LogLine", "Made", "Notice", "Phase", "Plan", "Poll", "Pressure",
    "Processor", "Result", "Row", "Scenario", "Scrapes", "Seen", "Settings", "Steady", "StepBegin", "StepEnd",
    "Stranger", "Suppression", "Target", "UndoBegin", "UndoFail", "UndoOk", "Verdict", "Watch", "judge",
    "load_scenario", "make_plan", "play", "read_history",
]  # fmt: skip

_LONGEST_S = 3600.0


class CannotRun(RuntimeError):
    """A run gave no verdict; the message is its output."""


def load_scenario(scenario: str | Path) -> Scenario:
    """The scenario of this name or in this file; raises BadInput with every problem."""
    return load_scenario_file(find_scenario(str(scenario)))


def make_plan(
    scenario: str | Path,
    profile: str | Path = "local",
    *,
    bundle: Path | None = None,
    settings: Sequence[str] = (),
    time_scale: float | None = None,
    seed: int = 0,
) -> Plan:
    """The plan of a run: steps, faults and windows in virtual seconds; starts and changes nothing.

    `bundle` is the folder of the alert configuration, the shipped one without it; `settings` are `key=value`, as
    `load.rate=20/s`. Raises BadInput, or Refused where limits forbid it, with every problem.
    """
    files = ConfigFiles(bundle or shipped.folder())
    return plan_for(Asked(str(scenario), str(profile), files, tuple(settings), time_scale, seed))[0]


def play(
    scenario: str | Path,
    profile: str | Path = "local",
    *,
    bundle: Path | None = None,
    settings: Sequence[str] = (),
    time_scale: float | None = None,
    out: Path = Path("runs"),
    arguments: Sequence[str] = (),
) -> Verdict:
    """Plays a scenario in a process of its own and gives its verdict; the run's folder is `out/latest`.

    `arguments` are further options of `chaoskit run`. Raises CannotRun where there is no verdict, with the reason.
    """
    command = [sys.executable, "-m", "chaoskit", "run", str(scenario), "--profile", str(profile), "--out", str(out)]
    command += ["--bundle", str(bundle)] if bundle else []
    command += ["--time-scale", f"{time_scale:g}"] if time_scale else []
    command += [word for one in settings for word in ("--set", one)]
    before = (out / "latest").resolve()
    done = subprocess.run(
        fresh([*command, *arguments]), capture_output=True, text=True, timeout=_LONGEST_S, check=False
    )
    written = out / "latest" / "verdict.json"
    if written.resolve().parent == before or not written.exists():
        raise CannotRun(done.stderr.strip() or done.stdout.strip() or f"chaoskit ended with {done.returncode}")
    return json_text.decode(read_regular(written, HISTORY), type=Verdict)


def judge(path: Path) -> Verdict:
    """The verdict on a stored history, or on the one in a run's folder: the same file gives the same verdict.

    Raises BadInput for a history that cannot be trusted.
    """
    return verify(read_history(path))
