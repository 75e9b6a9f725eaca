"""Finding processes by their title, and signalling exactly those; which process it is tells chaoskit.identity.

Titles are matched by a pattern with the named group `name`, which is what the target calls the process.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from chaoskit import identity, waiting
from chaoskit.faults.base import FaultError, Made, Target, Undo
from chaoskit.host import slices
from chaoskit.identity import Fate

RESTARTED = "the machine was restarted since"
ENDED = "ended by itself"


def title(process: psutil.Process) -> str:
    """The process's command line as one string; empty for one that is gone or a zombie."""
    try:
        return " ".join(process.cmdline()).strip("\x00 ")
    except psutil.Error:
        return ""


def _every() -> Iterator[psutil.Process]:
    """All processes, looked at anew: psutil keeps them by pid, and one whose number came again would count as ended."""
    psutil.process_iter.cache_clear()
    return psutil.process_iter()


def matching(pattern: str) -> Iterator[tuple[str, psutil.Process]]:
    """The live processes whose title matches, each with what the pattern's group `name` calls it."""
    wanted = re.compile(pattern)
    for process in _every():
        if match := wanted.fullmatch(title(process)):
            yield match["name"], process


def find(pattern: str) -> dict[str, psutil.Process]:
    """The live processes whose title matches, by name; of several with one name any."""
    return dict(matching(pattern))


def marked(name: str, value: str) -> list[psutil.Process]:
    """The live processes with this variable in their environment, as far as that can be read from here."""
    wanted = f"{name}={value}".encode()
    return [process for process in _every() if slices.carries(process.pid, wanted) and lives(process)]


def token(pid: int, name: str) -> dict[str, Any]:
    """The process as data for an undo token; raises FaultError when it cannot be told which one it is."""
    try:
        return {"name": name, **identity.token(pid)}
    except ProcessLookupError:
        raise FaultError(f"{name} (process {pid}) is not running; start it first") from None
    except OSError as error:
        raise FaultError(f"{name}: /proc does not tell which process {pid} is: {error.strerror}") from None


def owned(at: Mapping[str, Any]) -> dict[str, Any]:
    """An address as a token holds it: of its `owner`, where one is told, which process that is. Raises FaultError."""
    return {**at, "owner": token(at["owner"], "its owner")} if at.get("owner") is not None else dict(at)


def orphaned(at: Mapping[str, Any]) -> bool:
    """Whether the process that the thing at such an address ends with is known to have ended."""
    owner = at.get("owner")
    return owner is not None and identity.fate(owner) is Fate.ENDED


def alive(victim: identity.Token) -> bool:
    """Whether the very process of a token lives; raises FaultError where that cannot be told."""
    found = identity.fate(victim)
    if found is Fate.UNKNOWN:
        raise FaultError(
            f"whether {victim.get('name', 'it')} (process {victim['pid']}) is still the one that was hit cannot be "
            "told from here (another PID namespace, a hidden /proc, or a token of an older version); undo it where "
            "it was made"
        )
    return found is Fate.LIVES


def lives(process: psutil.Process) -> bool:
    """Whether the process of a token runs.

    A zombie, which a parent that stands still never reaps, does and holds nothing any more.
    """
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def stopped(process: psutil.Process) -> bool:
    """Whether the process stands still because of a stop signal."""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def stands_still(victim: identity.Token) -> bool:
    """Whether the very process of a token is stopped (SIGSTOP).

    Raises FaultError where it cannot be told which one that is.
    """
    return alive(victim) and stopped(psutil.Process(victim["pid"]))


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Signals exactly the process that was found as this; gone already is no error. Raises FaultError."""
    try:
        identity.send_to(process, number)
    except PermissionError:
        raise FaultError(f"not allowed to signal process {process.pid}; run as its user") from None


def victims(undo: Undo) -> list[dict[str, Any]]:
    """The processes that a token names, each with the boot it belongs to; older versions noted that only once."""
    return [{"boot": undo["boot"], **victim} for victim in undo["victims"]]


def called(victims: Sequence[Mapping[str, Any]]) -> str:
    """The processes of a token for a message: `alice (process 17)`."""
    return ", ".join(f"{one['name']} (process {one['pid']})" for one in victims)


def strike(undo: Undo, number: signal.Signals, verb: str) -> list[dict[str, Any]]:
    """Signals every process of a token, of which none may have ended; the processes. Raises FaultError."""
    found = victims(undo)
    if not all(map(alive, found)):
        raise FaultError(f"a process to {verb} ended before the fault began: {called(found)} must run; try again")
    for victim in found:
        hit(victim, number)
    return found


def kill(undo: Undo, within_s: float) -> None:
    """Kills every process of a token and sees each one gone; raises FaultError."""
    found = strike(undo, signal.SIGKILL, "kill")
    if not waiting.await_true(lambda: not any(map(alive, found)), within_s):
        raise FaultError(f"SIGKILL was sent to {called(found)}, but one is still there; see its state with ps -l")


def hit(victim: identity.Token, number: signal.Signals) -> None:
    """Signals the very process of a token, if it lives; raises FaultError when that is not allowed."""
    try:
        identity.send(victim, number)
    except PermissionError:
        raise FaultError(f"not allowed to signal process {victim['pid']}; run as its user") from None


def origin() -> dict[str, Any]:
    """A token's notes of where and as which user the fault is made: from elsewhere its processes are not seen."""
    return {**identity.place(), "uid": os.geteuid()}


def still_here(undo: Undo) -> bool:
    """Whether the machine is still in the boot of the token.

    Raises FaultError where what the token names cannot be seen.
    """
    if not (boot := identity.boot_id()):
        raise FaultError("/proc does not tell which boot of the machine this is, so no process is touched; mount /proc")
    if undo["boot"] != boot:
        return False
    if undo.get("space") not in (None, identity.space() or None):
        raise FaultError(
            "the fault was made in another PID namespace, so its processes are not seen here; undo it in that one"
        )
    if os.geteuid() not in (0, undo.get("uid", os.geteuid())):
        raise FaultError(f"the fault was made by the user with uid {undo['uid']}; undo it as that user or root")
    return True


def children(parent: int) -> Iterator[int]:
    """Pids of a process's direct children, cheaply where the kernel lists them."""
    tasks = Path(f"/proc/{parent}/task")
    try:
        for task in tasks.iterdir():
            yield from (int(pid) for pid in (task / "children").read_text().split())
    except OSError:
        try:
            yield from (child.pid for child in psutil.Process(parent).children())
        except psutil.Error:
            return


def several(pattern: str, names: Iterable[str]) -> str:
    """The problems of names that more than one process has, with their pids; empty where none is."""
    there: dict[str, list[int]] = {}
    for name, process in matching(pattern):
        there.setdefault(name, []).append(process.pid)
    found = [f"{one} (pids {', '.join(map(str, there[one]))})" for one in names if len(there.get(one, ())) > 1]
    return f"several processes have one name: {'; '.join(found)}" if found else ""


HOW_TO_CHOOSE = (
    "write pick: oldest or pick: each beside match:, or let the pattern's group name take in what tells them apart"
)


def prepare(target: Target) -> Undo:
    """The token that process faults share: where, pattern, and the victims; raises FaultError for missing ones."""
    pattern, pick = target.address.pattern, target.address.pick
    there: dict[str, list[psutil.Process]] = {}
    for name, process in matching(pattern):
        there.setdefault(name, []).append(process)
    if missing := [name for name in target.names if name not in there]:
        running = ", ".join(sorted(there)) or "none"
        raise FaultError(f"no such process: {', '.join(missing)} ({target.handle}; running: {running})")
    if not pick and (wrong := several(pattern, target.names)):
        raise FaultError(f"{wrong} ({target.handle}); {HOW_TO_CHOOSE}: {pattern}")
    tokens = [(name, [token(one.pid, name) for one in there[name]]) for name in target.names]
    oldest = [(name, sorted(found, key=lambda one: (one["ticks"], one["pid"]))) for name, found in tokens]
    cut = 1 if pick == "oldest" else None
    spared = [one for _, found in oldest for one in found[cut:]] if cut else []
    victims = [one for _, found in oldest for one in found[:cut]]
    return {**origin(), "pattern": pattern, "victims": victims, **({"spared": spared} if spared else {})}


def vouched(undo: dict[str, Any], made: Made) -> str:
    """The victims of a token, in words; raises FaultError unless they are the targets, found by their pattern."""
    if made.address:
        made.allow("pattern", undo["pattern"])
    names = list(dict.fromkeys(str(victim["name"]) for victim in undo["victims"]))
    if "name" not in re.compile(undo["pattern"]).groupindex or names != list(made.targets):
        raise FaultError(f"its processes {', '.join(names)} are not its targets {', '.join(made.targets)}")
    return ", ".join(f"process {int(victim['pid'])} ({victim['name']})" for victim in undo["victims"])
