"""process.pause and scrape.drop: processes stand still (SIGSTOP) and are let go again (SIGCONT).

With the page of metrics silent, scrapes connect and time out. A failed scrape marks all series of the target stale at
once, so rules on them see nothing: what fires, if anything, is an alert on the scrape itself.
"""

from __future__ import annotations

import signal
import socket
import time
from urllib.parse import urlsplit

from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo

_CONFIRM_S = 5.0


class ProcessPause(Fault[Settings]):
    """Stops processes with SIGSTOP: they keep their sockets and answer nobody."""

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
        if not waiting.await_true(lambda: all(map(processes.stands_still, victims)), _CONFIRM_S):
            raise FaultError("SIGSTOP was sent, but a process still runs")
        return Seen((begun, time.time()), f"{len(victims)} stopped")

    def lapse(self, undo: Undo) -> str:
        """Somebody let one go, or ended it."""
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
        if not waiting.await_true(lambda: not any(map(processes.stands_still, victims)), _CONFIRM_S):
            raise FaultError("SIGCONT was sent, but a process still stands still")
        ended = [victim["name"] for victim in victims if not processes.alive(victim)]
        said = [f"{len(victims) - len(ended)} let go"] + [f"{name} {processes.ENDED}" for name in ended]
        return Seen((begun, time.time()), ", ".join(said))

    def vouch(self, undo: Undo, made: Made) -> str:
        """Only processes that the pattern names."""
        return f"lets go of {processes.vouched(undo, made)}"


_SILENCE_S = 0.3


class ScrapeDrop(ProcessPause):
    """Stops the process that serves the metrics, and hears its silence."""

    kind = "scrape.drop"
    handles = ("scrape",)

    def prepare(self, target: Target, settings: Settings) -> Undo:
        """Finds the process behind the page; raises FaultError where there is none."""
        return {**super().prepare(target, settings), "url": target.address.url}

    def start(self, undo: Undo) -> Seen:
        """Stops it and asks for the page, which must not come."""
        seen = super().start(undo)
        if _answers(undo["url"]):
            raise FaultError(f"its process is stopped, and {undo['url']} still answers")
        return Seen(seen.between, f"{seen.detail}; {undo['url']} is silent")


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SILENCE_S) as line:
            line.sendall(f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
            return bool(line.recv(1))
    except OSError:
        return False
