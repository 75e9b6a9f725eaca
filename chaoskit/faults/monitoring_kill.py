"""monitoring.kill: Prometheus, Alertmanager or a sink dies (SIGKILL) and stays down until the undo.

Who started it brings it back: a note in the stack's control folder says that it is meant to be down, and once the
note is gone its owner starts it again. So the token needs no knowledge of how the equipment is started, and when
the owner is gone too there is nothing left to bring back.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path
from typing import ClassVar

import psutil

from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo

_CONFIRM_S = 5.0
_BACK_S = 15.0
_FAITHFUL_SCALE = 2.5


class MonitoringKillSettings(Settings):
    """It has no settings: dead is dead."""


class MonitoringKill:
    """Takes down what should have watched, and lets it come back."""

    kind: ClassVar[str] = "monitoring.kill"
    handles: ClassVar[tuple[str, ...]] = ("equipment",)
    settings: ClassVar[type[Settings]] = MonitoringKillSettings

    @classmethod
    def largest_scale(cls, names: tuple[str, ...]) -> tuple[float, str]:
        """Up to which time scale this is faithful, and why.

        A Prometheus that starts again publishes its targets on a fixed 5 s ticker but evaluates at once, so in
        compressed time its second evaluation, at which it restores pending alerts, comes before its first scrape.
        """
        if "prometheus" in names:
            reason = "a restarted Prometheus scrapes only 5 real s later, however short its intervals are"
            return _FAITHFUL_SCALE, reason
        return float("inf"), ""

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Finds the equipment and its owner; raises FaultError for what is not running."""
        address = target.address
        victims = []
        for name in target.names:
            try:
                victims.append(processes.token(psutil.Process(address["pids"][name]), name))
            except psutil.NoSuchProcess:
                raise FaultError(f"{name} is not running") from None
        return {
            "boot": processes.boot_id(),
            "victims": victims,
            "control": address["control"],
            "ports": {name: address["ports"][name] for name in target.names},
            "owner": processes.token(psutil.Process(address["owner"]), "owner"),
        }

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Notes what is meant to be down, kills it, and sees that it is gone."""
        begun = time.time()
        for victim in undo["victims"]:
            _note(undo, victim["name"]).write_text("down\n", encoding="utf-8")
            process = processes.alive(victim)
            if process is None:
                raise FaultError(f"{victim['name']} ended before the fault began")
            processes.send(process, signal.SIGKILL)
        if not waiting.await_true(lambda: not any(map(processes.alive, undo["victims"])), _CONFIRM_S):
            raise FaultError("SIGKILL was sent, but it is still there")
        return Seen((begun, time.time()), ", ".join(victim["name"] for victim in undo["victims"]) + " killed")

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Its owner leaves it down as long as the note lies there."""
        ended.wait()

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Takes the notes away and waits until everything answers again, if there is still an owner."""
        begun = time.time()
        for victim in undo["victims"]:
            _note(undo, victim["name"]).unlink(missing_ok=True)
        if undo["boot"] != processes.boot_id() or processes.alive(undo["owner"]) is None:
            return Seen((begun, begun), "what it belonged to is gone")
        down = [v["name"] for v in undo["victims"] if not _answers(undo["ports"][v["name"]], undo["owner"])]
        if down:
            raise FaultError(f"{', '.join(down)} did not come back within {_BACK_S:g} s")
        return Seen((begun, time.time()), "back again")


def _note(undo: Undo, name: str) -> Path:
    return Path(undo["control"]) / f"{name}.down"


def _answers(ports: list[int], owner: dict[str, object]) -> bool:
    """Whether all these ports are open again in time, or their owner has ended meanwhile."""

    def back() -> bool:
        return processes.alive(owner) is None or all(map(_open, ports))

    return waiting.await_true(back, _BACK_S)


def _open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False
