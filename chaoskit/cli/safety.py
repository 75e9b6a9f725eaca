"""`heal`, `status`, `stop`, `unlock`: what is in force on this machine, and how it is taken back."""

from __future__ import annotations

import time
from pathlib import Path

import click

from chaoskit.cli.console import console
from chaoskit.errors import BadInput, ExitCode, Place, Problem, Refused
from chaoskit.report.text import clean
from chaoskit.safety.heal import Healed, heal
from chaoskit.safety.lever import block, stop_all, sweep, unblock
from chaoskit.safety.standing import JOURNAL, Standing, in_use
from chaoskit.safety.survey import RunSeen, run_folders, survey

RUNS = Path("chaoskit-runs")
_OUT = click.option(
    "--out", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where runs are kept."
)


@click.command("heal")
@click.argument("run", metavar="[RUN_DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Every run that is noted on this machine, and all in --out.")
@_OUT
def heal_command(run: Path | None, everything: bool, out: Path) -> ExitCode:
    """Undo what a run's journal shows as not undone: after a crash, a power cut or a reboot, as often as you like."""
    if (run is None) != everything:
        raise BadInput("name the folder of a run, or write --all")
    if run is not None:
        return _told([_heal_one(run if run.exists() else out / run)])
    results = sweep("chaoskit heal")
    done = {one.folder.resolve() for one in results}
    for folder in run_folders(out):
        if in_use(folder):
            _say(f"{folder}: still running, left alone (chaoskit stop ends it)")
        elif folder not in done:
            results.append(heal(folder, "chaoskit heal", "asked for by hand"))
    return _told(results)


@click.command("status")
@_OUT
def status_command(out: Path) -> ExitCode:
    """Runs on this machine, their leases, faults in force, locks. Exit 5 when a fault stands and its run is gone."""
    found = survey(out)
    for run in found.runs:
        _say(_run_line(run))
        for fault in run.faults:
            _say(f"    {_fault_line(fault)}")
    for note, held in found.locks:
        how = f"held for {note.age_s:.0f} s" if held else "left behind; the next run on it heals first"
        _say(f"lock    {note.target}  process {note.owner.pid}, {how}  {', '.join(note.folders)}")
    if found.blocked:
        _say(f"stopped since {found.blocked}; chaoskit unlock allows runs again")
    if not (found.runs or found.locks or found.blocked):
        _say("nothing runs, nothing is in force")
    return ExitCode.NOT_HEALED if found.broken else ExitCode.PASS


@click.command("stop")
@click.option("--grace", type=click.FloatRange(0, 600), default=30.0, show_default=True, help="Real seconds to end in.")
@click.option("--reason", default="", help="For those who wonder why nothing runs.")
@_OUT
def stop_command(grace: float, reason: str, out: Path) -> ExitCode:
    """End every run on this machine, undo everything, and let none begin until `chaoskit unlock`."""
    block(clean(reason))
    results: list[Healed] = []
    for ended in stop_all(grace):
        how = "did not end by itself and was killed" if ended.forced else "ended"
        _say(f"process {ended.entry.owner.pid} {how}: {', '.join(ended.entry.folders)}")
        results += ended.results
    code = _told(results)
    left = [run for run in survey(out).runs if run.faults or run.state != "gone"]
    for run in left:
        _say(_run_line(run))
    _say("no run begins on this machine until: chaoskit unlock")
    return ExitCode.NOT_HEALED if left else code


@click.command("unlock")
def unlock_command() -> ExitCode:
    """Let runs begin again after `chaoskit stop`."""
    _say("runs may begin again" if unblock() else "runs were not stopped")
    return ExitCode.PASS


def _heal_one(folder: Path) -> Healed:
    if not (folder / JOURNAL).exists():
        raise BadInput(
            Problem(Place(str(folder)), f"no run's folder: there is no {JOURNAL} in it", "see: chaoskit status")
        )
    if in_use(folder):
        raise Refused(Problem(Place(str(folder)), "this run is still at work", "wait for its end, or: chaoskit stop"))
    return heal(folder.resolve(), "chaoskit heal", "asked for by hand")


def _told(results: list[Healed]) -> ExitCode:
    for one in results:
        for undone in one.faults:
            word = "undone     " if undone.ok else "NOT UNDONE "
            _say(f"{word} {_fault_line(undone.fault)}: {undone.detail}  ({one.folder})")
        for trouble in one.trouble:
            _say(f"trouble     {one.folder}: {trouble}")
    if all(one.ok for one in results):
        if not any(one.faults for one in results):
            _say("nothing was left to undo")
        return ExitCode.PASS
    _say("something may still be broken: see above, mend what is named, and heal again")
    return ExitCode.NOT_HEALED


def _run_line(run: RunSeen) -> str:
    owner = f"process {run.pid}" if run.pid else "not noted here"
    beat = f", last beat {run.beat_s:.1f} s ago of {run.lease_s:g} s" if run.beat_s is not None else ""
    faults = f"{len(run.faults)} in force" if run.faults else "nothing in force"
    return f"{run.state:8}{run.folder}  {owner}{beat}; {faults}" + (f"; {run.trouble}" if run.trouble else "")


def _fault_line(fault: Standing) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(fault.since))
    return f"{fault.fault} {fault.kind} {', '.join(fault.targets)} since {at}, at most {fault.max_s:g} s"


def _say(line: str) -> None:
    console().print(clean(line), markup=False, highlight=False, soft_wrap=True)
