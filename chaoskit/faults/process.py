"""Faults on processes: process.kill, process.pause, process.crash-loop, and scrape.drop on the page of metrics.

A kill may `hold` the replacements of its victims before they can work. A replacement's pid is not known beforehand, so
the undo token names how replacements are recognised: the victim's name under the pattern, younger than the victim.

A pause is SIGSTOP, and SIGCONT its undo. With the page of metrics silent, scrapes connect and time out. A failed scrape
marks all series of the target stale at once, so what fires, if anything, is an alert on the scrape itself.

In a crash loop the supervisor brings each replacement up by itself; it is killed in its turn once it has lived for
`every`, until the process has died as often as `times` says. Nothing is ever held, so there is nothing to take back.
"""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import psutil
from pydantic import Field

from chaoskit import identity, waiting
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, Seen, Settings, Target, Undo
from chaoskit.faults.quantities import Duration
from chaoskit.faults.through import OnlyThrough

_KILL_S = 5.0
_NEWBORN_S = 5.0
"""So long one without a title may still get it: on a full machine it waits for a processor first."""
_SIGNAL_S = 0.1
_SCAN_S = 1.0
_GRACE_S = 0.15
"""A replacement that is stopped within this time of its start (real seconds) has done nothing that others can see."""


class KillSettings(Settings):
    """Settings of process.kill."""

    hold: bool = False
    """Keep the process down: stop a supervisor's replacement as soon as it appears."""


class ProcessKill(Fault[KillSettings]):
    """Kills processes, and with `hold` keeps their replacements from coming up."""

    kind = "process.kill"
    handles = ("role",)

    def prepare(self, target: Target, settings: KillSettings) -> Undo:
        """Finds the processes and their parents; raises FaultError naming those that are not there."""
        undo = processes.prepare(target)
        for victim in undo["victims"]:
            victim["parent"] = psutil.Process(victim["pid"]).ppid()
        return undo | {"hold": settings.hold}

    def start(self, undo: Undo) -> Seen:
        """Kills every process of the token and sees each one gone."""
        begun = time.time()
        processes.kill(undo, _KILL_S)
        return Seen((begun, time.time()), ", ".join(victim["name"] for victim in undo["victims"]) + " killed")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """With `hold`, stops each replacement within milliseconds of its birth, before its first heartbeat."""
        if not undo["hold"]:
            ended.wait()
            return
        watch = _Replacements(undo)
        while not ended.wait(waiting.LOOK_S):
            watch.look()
            if (name := watch.let_go()) and not ended.is_set():
                raise Lapsed(f"a program other than chaoskit let the replacement of {name} go")
            if (name := watch.missed()) and not ended.is_set():
                raise Lapsed(f"the replacement of {name} came up before it could be held")

    def stop(self, undo: Undo) -> Seen:
        """Lets every stopped replacement go and sees that none stands still."""
        begun = time.time()
        if not undo["hold"]:
            return Seen((begun, begun), "a kill has nothing to take back")
        if not processes.still_here(undo):
            return Seen((begun, begun), processes.RESTARTED)
        names = {victim["name"] for victim in undo["victims"]}
        stopped = [one for name, one in processes.matching(undo["pattern"]) if name in names and processes.stopped(one)]
        held_back = [one for one in stopped if _replaces(undo, one, processes.title(one))]
        if "ticks" not in undo["victims"][0] and len(held_back) < len(stopped):
            raise FaultError(
                "an undo token of an older version does not show which stopped process is a replacement: kill -CONT it"
            )
        for process in held_back:
            processes.send(process, signal.SIGCONT)
        pids = ", ".join(str(one.pid) for one in held_back)
        if not waiting.await_true(lambda: not any(map(processes.stopped, held_back)), _KILL_S):
            raise FaultError(f"SIGCONT was sent to the replacements {pids}, but one is still stopped: kill -CONT it")
        return Seen((begun, time.time()), f"{len(held_back)} let go")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only replacements of processes that the pattern names."""
        return f"continues the processes that replaced {processes.vouched(undo, made)}"


class _Replacements:
    """Newborn siblings of the victims, each looked at until it is known what it is, and then left alone."""

    def __init__(self, undo: Undo) -> None:
        self._undo = undo
        self._parents = {victim["parent"] for victim in undo["victims"]}
        self._first_seen: dict[int, float] = {}
        self._decided: set[int] = set()
        self._held: dict[int, psutil.Process] = {}
        self._scanned = time.monotonic()

    def look(self) -> None:
        """Stops every replacement that was born since the last look."""
        now = time.monotonic()
        for parent in self._parents:
            for pid in processes.children(parent):
                # A newborn carries its parent's title for a moment, so one look is not enough.
                if pid not in self._decided and self._decide(pid, now):
                    self._decided.add(pid)

    def _decide(self, pid: int, now: float) -> bool:
        try:
            process = psutil.Process(pid)
            # Read once: what gets its title between two readings would be no victim's by one and known by the other.
            title = processes.title(process)
            if _replaces(self._undo, process, title):
                processes.send(process, signal.SIGSTOP)
                self._held[pid] = process
                return True
        except psutil.Error:
            return not psutil.pid_exists(pid)
        titled = re.fullmatch(self._undo["pattern"], title) is not None
        return titled or now - self._first_seen.setdefault(pid, now) > _NEWBORN_S

    def missed(self) -> str:
        """The name of a victim whose replacement runs though it should stand still; looked for now and then.

        The quick look goes by parents and first titles; this one reads every process, so that nothing escapes both.
        """
        if time.monotonic() - self._scanned < _SCAN_S:
            return ""
        running = ""
        for name, process in processes.matching(self._undo["pattern"]):
            replaces = _replaces(self._undo, process, processes.title(process))
            if process.pid not in self._held and replaces and not processes.stopped(process):
                processes.send(process, signal.SIGSTOP)
                self._held[process.pid] = process
                self._decided.add(process.pid)
                running = name if _age_s(process.pid) > _GRACE_S else running
        self._scanned = time.monotonic()
        return running

    def let_go(self) -> str:
        """The title of a held replacement that runs again though this holder did not let it go; empty if none."""
        for pid, process in list(self._held.items()):
            try:
                if process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    if waiting.await_true(lambda p=process: processes.stopped(p), _SIGNAL_S):  # type: ignore[misc]
                        continue
                    return processes.title(process)
            except psutil.Error:
                # It died and will be replaced in its turn.
                del self._held[pid]
        return ""


def _replaces(undo: Undo, process: psutil.Process, title: str) -> bool:
    match = re.fullmatch(undo["pattern"], title)
    if any(process.pid == one["pid"] and processes.alive(one) for one in undo.get("spared", ())):
        return False
    return match is not None and any(
        victim["name"] == match["name"] and _born_later(process, victim) for victim in undo["victims"]
    )


def _born_later(process: psutil.Process, victim: identity.Token) -> bool:
    if "ticks" not in victim:  # of an older version
        return bool(process.create_time() > victim["created"])
    try:
        # A tick is 10 ms: what was born, killed and replaced within one has the ticks of its replacement.
        return process.pid != victim["pid"] and identity.ticks(process.pid) >= int(victim["ticks"])
    except OSError:
        return False


def _age_s(pid: int) -> float:
    try:
        return identity.age_s(pid)
    except OSError:
        return 0.0


class ProcessPause(Fault[Settings]):
    """Stops processes with SIGSTOP: they keep their sockets and answer no request."""

    kind = "process.pause"
    handles = ("role",)
    look_s = 0.05

    def prepare(self, target: Target, settings: Settings) -> Undo:
        """Finds the processes; raises FaultError naming those that are not there."""
        return processes.prepare(target)

    def start(self, undo: Undo) -> Seen:
        """Stops every process of the token and sees them stopped."""
        begun = time.time()
        victims = processes.strike(undo, signal.SIGSTOP, "pause")
        if not waiting.await_true(lambda: all(map(processes.stands_still, victims)), _KILL_S):
            raise FaultError(f"SIGSTOP was sent to {processes.called(victims)}, but one still runs; find it with ps -l")
        return Seen((begun, time.time()), f"{len(victims)} stopped")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: a paused process runs again, or has ended."""
        for victim in processes.victims(undo):
            if not processes.stands_still(victim):
                return f"{victim['name']} {'is no longer paused' if processes.alive(victim) else processes.ENDED}"
        return ""

    def stop(self, undo: Undo) -> Seen:
        """Lets the processes go and sees that none of them stands still; one that was seen to end needs nothing.

        Raises FaultError where it cannot be told what became of one.
        """
        begun = time.time()
        if not processes.still_here(undo):
            return Seen((begun, begun), processes.RESTARTED)
        victims = processes.victims(undo)
        for victim in victims:
            processes.hit(victim, signal.SIGCONT)
        if not waiting.await_true(lambda: not any(map(processes.stands_still, victims)), _KILL_S):
            raise FaultError(f"SIGCONT was sent to {processes.called(victims)}, but one is still stopped; kill -CONT")
        ended = [victim["name"] for victim in victims if not processes.alive(victim)]
        said = [f"{len(victims) - len(ended)} let go"] + [f"{name} {processes.ENDED}" for name in ended]
        return Seen((begun, time.time()), ", ".join(said))

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only processes that the pattern names."""
        return f"lets go of {processes.vouched(undo, made)}"


class ProcessStop(OnlyThrough[Settings]):
    """Stops processes by the order of what manages them, which then does not start them again."""

    kind = "process.stop"
    handles = ("role",)


_SILENCE_S = 0.3


class ScrapeDrop(ProcessPause):
    """Stops the process that serves the metrics, and hears its silence."""

    kind = "scrape.drop"
    handles = ("scrape",)

    def prepare(self, target: Target, settings: Settings) -> Undo:
        """Finds the process behind the page; raises FaultError where there is none."""
        return {**super().prepare(target, settings), "url": target.address.url}

    def start(self, undo: Undo) -> Seen:
        """Stops the process and asks for its page, which must not come."""
        seen = super().start(undo)
        if _answers(undo["url"]):
            raise FaultError(
                f"its process is stopped, and {undo['url']} still answers: another process serves it, so name that one"
            )
        return Seen(seen.between, f"{seen.detail}; {undo['url']} is silent")


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SILENCE_S) as line:
            line.sendall(f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
            return bool(line.recv(1))
    except OSError:
        return False


_REPLACED_S = 2.0
"""A replacement may take so long, or as long as it shall live where that is more: later deaths are no such loop."""


class CrashLoopSettings(Settings):
    """Settings of process.crash-loop."""

    times: int = Field(default=3, ge=1, le=1000)
    """How often each process dies."""
    every: Duration = Field(default=45.0, gt=0)
    """Virtual time that a replacement lives before it dies in its turn."""


class ProcessCrashLoop(Fault[CrashLoopSettings]):
    """Kills processes and, some time after each rebirth, their replacements."""

    kind = "process.crash-loop"
    handles = ("role",)

    def prepare(self, target: Target, settings: CrashLoopSettings) -> Undo:
        """Finds the processes; raises FaultError naming those that are not there, or that are several of one name."""
        if wrong := processes.several(target.address.pattern, target.names):
            raise FaultError(f"{wrong} ({target.handle}): chaoskit cannot tell which a replacement replaces; use pick")
        return {
            **processes.prepare(target),
            "times": settings.times,
            "every_s": settings.every / target.address.time_scale,
        }

    def start(self, undo: Undo) -> Seen:
        """Kills each process for the first time, and sees it gone."""
        begun = time.time()
        processes.kill(undo, _KILL_S)
        names = ", ".join(victim["name"] for victim in undo["victims"])
        return Seen((begun, time.time()), f"{names} killed, the first of {undo['times']} times")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Kills each replacement until the last death; raises Lapsed when a process was not replaced."""
        for _ in range(undo["times"] - 1):
            born = _await_births(undo, ended)
            if ended.wait(undo["every_s"]):
                return
            for process in born:
                processes.send(process, signal.SIGKILL)
            if not waiting.await_true(lambda born=born: not any(map(processes.lives, born)), _KILL_S):  # type: ignore[misc]
                raise Lapsed("SIGKILL was sent, but a replacement still runs: find it with ps -l, then kill -KILL")
        ended.wait()

    def stop(self, undo: Undo) -> Seen:
        """Nothing is held, so nothing is taken back; waits until each process is there again, if it is replaced."""
        begun = time.time()
        if undo["boot"] != identity.boot_id():
            return Seen((begun, begun), processes.RESTARTED)
        names = {victim["name"] for victim in undo["victims"]}
        back = waiting.await_true(lambda: names <= processes.find(undo["pattern"]).keys(), _KILL_S)
        return Seen((begun, time.time()), "all back" if back else "a crash loop has nothing to take back")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only processes that the pattern names, though undoing does nothing to them."""
        return f"waits for what replaced {processes.vouched(undo, made)}"


def _await_births(undo: Undo, ended: threading.Event) -> list[psutil.Process]:
    """One running process for each victim's name; the dead ones are not found any more."""
    names = [victim["name"] for victim in undo["victims"]]
    found: dict[str, psutil.Process] = {}

    def born() -> bool:
        found.clear()
        found.update(processes.find(undo["pattern"]))
        return ended.is_set() or all(name in found and processes.lives(found[name]) for name in names)

    within_s = max(_REPLACED_S, undo["every_s"])
    if not waiting.await_true(born, within_s):
        missing = ", ".join(name for name in names if name not in found)
        raise Lapsed(f"{missing} was not replaced within {within_s:g} s, so it dies too seldom: see its supervisor")
    return [found[name] for name in names if name in found]
