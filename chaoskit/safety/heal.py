"""Taking back what a run left in force, from its journal alone: any process, any number of times, also after a reboot.

    end its holders -> for each fault without an undo: stop(token), seen to be gone -> heal.jsonl

A holder whose runner is gone heals by itself and gets a moment for it; one that does not end is ended, because it
would go on holding what is taken back here. Undoing is idempotent, so it does not matter who was first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaoskit import waiting
from chaoskit.errors import BadInput
from chaoskit.events import Header, Invoke, UndoBegin, UndoFail, UndoOk
from chaoskit.faults import processes
from chaoskit.faults.base import FORK_SERVER, FaultError, Made, Seen, Settings
from chaoskit.faults.command import Command
from chaoskit.faults.registry import known, read_settings
from chaoskit.inputs import read_inputs
from chaoskit.safety.healbook import BOOK, Busy, HealBegin, HealBook, HealEnd
from chaoskit.safety.unhealed import JOURNAL, FaultLedger, read_standing
from chaoskit.scenario.model import Inject
from chaoskit.trust import real_folder

HOLDER_LOG = "holder.log"
"""The file in a run's folder that is the stderr of each of its holders, and by which they are found."""
GRACE_S = 2.0
"""How long holders whose runner is gone are left to heal by themselves."""
_END_S = 5.0
_UNDO_S = 30.0
_MORE_S = 3600.0
"""At most this is added to it for what a token says of how long its undo takes."""
_BUSY_S = 60.0
_SIDE_BY_SIDE = 16


@dataclass(frozen=True, slots=True)
class Undone:
    """The outcome of healing for one fault."""

    fault: Invoke
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Healed:
    """The outcome of healing for one run."""

    folder: Path
    faults: tuple[Undone, ...] = ()
    trouble: tuple[str, ...] = ()
    """The files that could not be read or written, each with the reason."""
    damaged: bool = False
    """The journal cannot be trusted to name every fault."""

    @property
    def ok(self) -> bool:
        """Whether certainly no fault of the run is left."""
        return not self.damaged and all(one.ok for one in self.faults)


def heal(
    folder: Path, by: str, reason: str, *, grace_s: float = GRACE_S, fence: bool = False, sure: bool = False
) -> Healed:
    """Undoes every fault that the run in this folder left in force, and notes it in heal.jsonl; never raises for it.

    Without anything to take back nothing is written, unless `fence`: then the book is begun before the journal is
    read, so that a runner that still exists finds itself without its lease. A healing under way is waited for.
    A journal that another user may have written is not obeyed; `sure` says that the way to the folder is known.
    """
    try:
        return _heal(folder if sure else real_folder(folder), by, reason, grace_s, fence)
    except OSError as error:
        unseen = "; faults that its journal names may still be in force" if isinstance(error, FileNotFoundError) else ""
        unread = f"{error.filename or folder / JOURNAL} cannot be read: {error.strerror}{unseen}"
        return Healed(folder, trouble=(unread,), damaged=True)
    except BadInput as error:
        return Healed(folder, trouble=(str(error),), damaged=True)


def _heal(folder: Path, by: str, reason: str, grace_s: float, fence: bool) -> Healed:
    # Nobody is ended for a journal that is not to be believed, and no book is begun beside it.
    read_standing(folder, obeyed=True)
    book = _open(folder) if fence else None
    try:
        end_holders(folder, grace_s)
        ledger = read_standing(folder, obeyed=True)
    except OSError:
        if book is not None:
            book.close()
        raise
    trouble = [f"{ledger.damaged} lines of the journal are damaged"] if ledger.damaged else []
    if not ledger.standing and book is None:
        return Healed(folder, trouble=tuple(trouble), damaged=bool(ledger.damaged))
    if book is None:
        book = _open(folder)
        # Whoever was healing meanwhile may have done it all.
        ledger = read_standing(folder, obeyed=True)
    try:
        book.write(HealBegin(by=by, reason=reason, pid=os.getpid()))
        undone = _undo(folder, ledger, book)
        left = [f"{one.fault.fault}: {one.detail}" for one in undone if not one.ok]
        book.write(HealEnd(healed=not left and not ledger.damaged, left=left + trouble))
    finally:
        book.close()
    return Healed(folder, tuple(undone), (*trouble, *([book.lost] if book.lost else [])), bool(ledger.damaged))


def end_holders(folder: Path, grace_s: float) -> None:
    """Waits for a run's holders to end, and ends those that do not."""
    holders = find_holders(folder)
    waiting.await_true(lambda: not any(map(processes.lives, holders)), grace_s)
    for process in holders:
        processes.send(process, signal.SIGKILL)
    waiting.await_true(lambda: not any(map(processes.lives, holders)), _END_S)


def find_holders(folder: Path) -> list[psutil.Process]:
    """The processes that hold faults for the run in this folder."""
    wanted = folder.resolve() / HOLDER_LOG
    found = []
    for process in psutil.process_iter():
        try:
            ours = Path(f"/proc/{process.pid}/fd/2").readlink() == wanted and FORK_SERVER in process.cmdline()
            if ours and processes.lives(process):
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def remove_scratch(scratch: Sequence[str], folders: Sequence[str]) -> None:
    """Removes what only a running stack needed, beside or below its runs' folders; what cannot be removed stays."""
    near = {Path(folder).parent for folder in folders}
    for folder in map(Path, scratch):
        with contextlib.suppress(OSError):
            real = real_folder(folder)
            if any(parent in folder.parents for parent in near):
                shutil.rmtree(real, ignore_errors=True)


def _open(folder: Path) -> HealBook:
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            return HealBook(folder / BOOK)
        except Busy:
            if time.monotonic() > end:
                raise BadInput(f"{folder}: another process is healing this run: wait for its end") from None
            time.sleep(0.05)  # a lock of the kernel that is let go tells nobody who may not have it


def _undo(folder: Path, ledger: FaultLedger, book: HealBook) -> list[Undone]:
    if not (faults := list(reversed(ledger.standing.values()))):
        return []
    with ThreadPoolExecutor(min(len(faults), _SIDE_BY_SIDE)) as pool:
        return list(pool.map(lambda one: _undo_one(one, folder, ledger.header, book), faults))


def _undo_one(fault: Invoke, folder: Path, header: Header | None, book: HealBook) -> Undone:
    book.write(UndoBegin(fault=fault.fault))
    try:
        vouched(fault, folder, header)
        seen = _bounded(fault)
    except Exception as error:
        reason = str(error) if isinstance(error, FaultError) else f"{type(error).__name__}: {error}"
        book.write(UndoFail(fault=fault.fault, reason=reason))
        return Undone(fault, False, reason)
    book.write(UndoOk(fault=fault.fault, gone=seen.between, detail=seen.detail))
    return Undone(fault, True, seen.detail)


def _bounded(fault: Invoke) -> Seen:
    """The kind's own stop, in a thread that is left behind when it takes too long; raises FaultError."""
    kind = known()[fault.kind]
    within_s = _UNDO_S + kind.longest_undo_s(fault.undo)
    found: list[Seen] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(kind.stop(fault.undo))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name=f"undo {fault.fault}", daemon=True)
    thread.start()
    thread.join(within_s)
    if failed:
        raise failed[0]
    if not found:
        raise FaultError(f"the undo of {fault.fault} was not done within {within_s:g} s; try again: chaoskit heal")
    return found[0]


def vouched(fault: Invoke, folder: Path, header: Header | None) -> str:
    """The effect of undoing this fault, in words; raises FaultError where its kind cannot have made its token.

    `folder` is where its journal lies, `header` how that begins.
    A journal is data that names programs, files and addresses: what its own plan never had is not done.
    """
    kind = known().get(fault.kind)
    if kind is None:
        raise FaultError(f"there is no fault kind {fault.kind} here; install the package that brings it")
    made = Made(folder, tuple(fault.targets), fault.settings, fault.address)
    try:
        said = kind.vouch(fault.undo, made)
        if not 0 <= (more_s := kind.longest_undo_s(fault.undo)) <= _MORE_S:
            raise FaultError(f"its undo would take {more_s:g} s longer than others do; undo it by hand")
    except FaultError as error:
        raise FaultError(f"{error}; the journal's token of {fault.fault} is not believed") from None
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise FaultError(f"no undo token of {fault.kind}: {type(error).__name__}: {error}: undo it by hand") from None
    if isinstance(kind, Command):
        _planned(kind, fault, header)
    return said


def _planned(kind: Command, fault: Invoke, header: Header | None) -> None:
    """Raises FaultError unless the programs are those that the journal's own scenario has; by hand there is none."""
    if header is None:
        raise FaultError(f"the journal has lost its beginning, so no program of {fault.fault} is run; undo it by hand")
    if not header.scenario:
        return
    try:
        steps = read_inputs(header.sources, header.scenario, header.profile, header.settings).scenario.steps
    except BadInput as error:
        raise FaultError(f"the plan in its journal cannot be read: {error.problems[0]}") from None
    for step in steps:
        if isinstance(step, Inject) and step.name == fault.step:
            for spec in (one for one in step.faults if one.kind == fault.kind):
                settings, _ = read_settings(kind, spec.settings, spec.place)
                if isinstance(settings, Settings) and settings.model_dump(mode="json") == fault.settings:
                    return
    raise FaultError(
        f"the scenario in the journal runs no such programs as the token of {fault.fault}; undo it by hand"
    )
