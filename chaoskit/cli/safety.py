"""`heal`, `status`, `stop`, `unlock`: what is in force on this machine, and how it is taken back."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote

import click
from click.core import ParameterSource

from chaoskit.cli.console import say
from chaoskit.cli.numbers import Number
from chaoskit.cli.outputs import OUT
from chaoskit.errors import BadInput, ExitCode, Place, Problem, Refused
from chaoskit.events import Invoke
from chaoskit.faults.base import FaultError
from chaoskit.report.text import clean
from chaoskit.safety.heal import Healed, Undone, heal, vouched
from chaoskit.safety.lock import forgive
from chaoskit.safety.run_registry import notes
from chaoskit.safety.status import RunSeen, machine_status, noted_folders, prune, run_folders
from chaoskit.safety.stop_all import block, stop_all, sweep, unblock
from chaoskit.safety.unhealed import JOURNAL, FaultLedger, in_use, is_copy, read_standing
from chaoskit.trust import distrust, real_folder


@click.command("heal")
@click.argument("run", metavar="[RUN_DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="All runs in this machine's registry and in --out.")
@click.option("--trust", is_flag=True, help="Also undo faults of a journal that your run registry does not name.")
@OUT
def heal_command(run: Path | None, everything: bool, trust: bool, out: Path) -> ExitCode:
    """Undo what a run's journal shows as not undone: after a crash, a power cut or a reboot, as often as you like."""
    if (run is None) != everything:
        raise BadInput("name the folder of a run, or write --all")
    noted = noted_folders()
    if run is not None:
        return _told([_heal_one(run if run.exists() else out / run, noted, trust)])
    _refuse_foreign(out)
    results = sweep("chaoskit heal")
    done = {one.folder for one in results}
    for folder in (one for one in run_folders(out) if not is_copy(one)):
        if in_use(folder):
            say(f"{folder}: still running, left alone (chaoskit stop ends it)")
        elif why := distrust(folder, JOURNAL):
            say(f"{folder}: left alone: {why}")
        elif folder not in done:
            results.append(_heal_by_hand(folder) if trust or folder in noted else _unhealed(folder))
    for unread in (one for one in notes() if one.trouble and not one.owner):
        results.append(Healed(unread.file, trouble=(unread.trouble,), damaged=True))
    return _told(results)


@click.command("status")
@OUT
def status_command(out: Path) -> ExitCode:
    """Show this machine's runs, leases, faults in force, locks. Exit 5 when a fault stands and its run is gone."""
    found = machine_status(out)
    for run in found.runs:
        say(_run_line(run))
        for fault in run.faults:
            say(f"    {_fault_line(fault)}")
    for line in found.unread:
        say(f"trouble {line}")
    for line in found.others:
        say(f"foreign {line}; left alone")
    for note, held in found.locks:
        how = f"held for {note.age_s:.0f} s" if held else "left by a dead process; the next run heals first"
        say(f"lock    {note.target}  process {note.owner.pid}, {how}  {', '.join(note.folders)}")
    if found.blocked:
        say(f"stopped since {found.blocked}; chaoskit unlock allows runs again")
    if not (found.runs or found.locks or found.blocked or found.unread):
        say("nothing runs, nothing is in force")
    return ExitCode.NOT_HEALED if found.broken else ExitCode.PASS


@click.command("stop")
@click.option("--grace", type=Number(0, 600), default=30.0, show_default=True, help="Real seconds before a SIGKILL.")
@click.option("--reason", default="", help="The reason; refused runs show it.")
@OUT
def stop_command(grace: float, reason: str, out: Path) -> ExitCode:
    """End every run on this machine, undo everything, and let none begin until `chaoskit unlock`."""
    _refuse_foreign(out)
    block(clean(reason))
    results: list[Healed] = []
    for ended in stop_all(grace):
        how = "did not end by itself and was killed" if ended.forced else "ended"
        say(f"process {ended.entry.owner.pid} {how}: {', '.join(ended.entry.folders)}")
        results += ended.results
    code = _told(results)
    left = [run for run in machine_status(out).runs if run.may_be_broken or (run.state != "gone" and not run.foreign)]
    for run in left:
        say(_run_line(run))
    say("no run begins on this machine until: chaoskit unlock")
    return ExitCode.NOT_HEALED if left else code


@click.command("unlock")
def unlock_command() -> None:
    """Let runs begin again after `chaoskit stop`, and on targets that a run left broken."""
    for target in forgive():
        say(f"runs may begin again on {target}; faults that an earlier run left there are not undone by this")
    say("runs may begin again" if unblock() else "runs were not stopped")


def _refuse_foreign(out: Path) -> None:
    """Raises Refused where another user's folder was named; one that only lies here is left alone."""
    named = click.get_current_context().get_parameter_source("out") is ParameterSource.COMMANDLINE
    if named and out.exists():
        try:
            real_folder(out)
        except OSError as error:
            place = Place(str(out))
            raise Refused(Problem(place, f"this is no folder of yours: {error.strerror}", "name another")) from None


def _heal_by_hand(folder: Path) -> Healed:
    return heal(folder, "chaoskit heal", "asked for by hand")


def _unhealed(folder: Path) -> Healed:
    """A run that no note names, with what healing it would do; nothing is done."""
    try:
        ledger = read_standing(folder, obeyed=True)
    except OSError as error:
        return Healed(folder, trouble=(f"the run's journal cannot be read: {error.strerror}",), damaged=True)
    why = f"your registry lacks this run, so nothing was undone: chaoskit heal {quote(str(folder))} --trust"
    faults = [Undone(one, False, _what_it_does(one, ledger, folder)) for one in ledger.standing.values()]
    trouble = [f"{ledger.damaged} lines of the run's journal are damaged"] if ledger.damaged else []
    return Healed(folder, tuple(faults), (*trouble, *([why] if faults else [])), bool(ledger.damaged))


def _what_it_does(fault: Invoke, ledger: FaultLedger, folder: Path) -> str:
    """The effect of undoing a fault, or why it would be refused."""
    try:
        return f"its undo {vouched(fault, folder, ledger.header)}"
    except FaultError as error:
        return f"would be refused: {error}"


def _heal_one(folder: Path, noted: set[Path], trust: bool) -> Healed:
    if why := distrust(folder, JOURNAL):
        raise Refused(Problem(Place(str(folder)), f"the run's files are not trusted: {why}", "heal it as its owner"))
    if not (folder / JOURNAL).exists():
        raise BadInput(Problem(Place(str(folder)), f"no run's folder: it holds no {JOURNAL}", "see: chaoskit status"))
    if in_use(folder):
        raise Refused(Problem(Place(str(folder)), "this run is still at work", "wait for its end, or: chaoskit stop"))
    real = folder.resolve()
    if real not in noted and not trust and (asked := _unhealed(real)).faults:
        said = [Problem(None, f"{_fault_line(one.fault)}: {one.detail}") for one in asked.faults]
        last = Problem(Place(str(folder)), "your registry lacks this run, so nothing was undone", "add --trust")
        raise Refused([*said, last])
    return _heal_by_hand(real)


def _told(results: list[Healed]) -> ExitCode:
    for one in results:
        for undone in one.faults:
            word = "undone     " if undone.ok else "NOT UNDONE "
            say(f"{word} {_fault_line(undone.fault)}: {undone.detail}  ({one.folder})")
        for trouble in one.trouble:
            say(f"trouble     {one.folder}: {trouble}")
    if all(one.ok for one in results):
        if not any(one.faults for one in results):
            say("nothing was left to undo")
        return ExitCode.PASS
    say("something may still be broken: see above, mend what is named, and heal again")
    return ExitCode.NOT_HEALED


def _run_line(run: RunSeen) -> str:
    owner = f"process {run.pid}" if run.pid else "not noted here"
    beat = f", last beat {run.beat_s:.1f} s ago of {run.lease_s:g} s" if run.beat_s is not None else ""
    if run.foreign and not run.pid:
        return f"foreign {run.folder}  {len(run.faults)} in force; left alone: {run.foreign}"
    faults = f"{len(run.faults)} in force" if run.faults else "nothing in force"
    return f"{run.state:8}{run.folder}  {owner}{beat}; {faults}" + (f"; {run.trouble}" if run.trouble else "")


def _fault_line(fault: Invoke) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(fault.t))
    return f"{fault.fault} {fault.kind} {', '.join(fault.targets)} since {at}, at most {fault.max_s:g} s"


@click.group("runs")
def runs_group() -> None:
    """List or remove the folders of earlier runs."""


@runs_group.command("prune")
@click.option("--keep", type=click.IntRange(min=0), required=True, metavar="N", help="Keep the N newest.")
@OUT
@click.option("--dry-run", is_flag=True, help="Show what would be removed.")
def prune_command(keep: int, out: Path, dry_run: bool) -> None:
    """Remove the folders of old runs; never one that is not healed, a live one, or another user's."""
    removed = kept = 0
    named = click.get_current_context().get_parameter_source("out") is ParameterSource.COMMANDLINE
    if not named and not out.exists():
        say(f"there are no runs in {out}")
        return
    try:
        for one in prune(out, keep, remove=not dry_run):
            removed, kept = removed + (not one.kept), kept + bool(one.kept)
            word = "kept       " if one.kept else "would go   " if dry_run else "removed    "
            say(f"{word}{one.folder}" + (f": {one.kept}" if one.kept else ""))
    except OSError as error:
        why = f"no runs of yours can be removed here: {error.strerror}"
        raise Refused(Problem(Place(str(out)), why, "name another folder with --out")) from None
    say(f"{removed} {'would be removed' if dry_run else 'removed'}, {kept} kept beyond the newest {keep}")
