"""monitoring.kill: Prometheus, Alertmanager or a sink dies (SIGKILL) and stays down until the undo.

Who started it brings it back: a note in the stack's control folder says that it is meant to be down, and once the
note is gone its owner starts it again. So the token needs no knowledge of how the equipment is started, and when
the owner is gone too there is nothing left to bring back.
"""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo
from chaoskit.handles.equipment import EquipmentAddress

_CONFIRM_S = 5.0
_BACK_S = 15.0
_FAITHFUL_SCALE = 2.5


class MonitoringKill(Fault[Settings]):
    """Takes down what should have watched, and lets it come back."""

    kind = "monitoring.kill"
    handles = ("equipment",)
    look_s = 0.5

    def largest_scale(self, names: tuple[str, ...]) -> tuple[float, str]:
        """Up to which time scale this is faithful, and why.

        A Prometheus that starts again publishes its targets on a fixed 5 s ticker but evaluates at once, so in
        compressed time its second evaluation, at which it restores pending alerts, comes before its first scrape.
        """
        if "prometheus" in names:
            reason = "a restarted Prometheus scrapes only 5 real s later, however short its intervals are"
            return _FAITHFUL_SCALE, reason
        return float("inf"), ""

    def prepare(self, target: Target, settings: Settings) -> Undo:
        """Finds the equipment and its owner; raises FaultError for what is not running."""
        address = target.address
        assert isinstance(address, EquipmentAddress)
        if address.owner is None or not {*target.names} <= address.pids.keys() & address.ports.keys():
            raise FaultError(f"{target.handle}: the target does not tell its process, its ports and what started it")
        victims = [processes.token(address.pids[name], name) for name in target.names]
        return {
            **processes.origin(),
            "victims": victims,
            "control": address.control,
            "ports": {name: address.ports[name] for name in target.names},
            "owner": processes.token(address.owner, "owner"),
        }

    def start(self, undo: Undo) -> Seen:
        """Notes what is meant to be down, kills it, and sees that it is gone."""
        begun = time.time()
        for victim in undo["victims"]:
            _note(undo, victim["name"]).write_text("down\n", encoding="utf-8")
        processes.kill(undo, _CONFIRM_S)
        return Seen((begun, time.time()), ", ".join(victim["name"] for victim in undo["victims"]) + " killed")

    def lapse(self, undo: Undo) -> str:
        """It answers, though its owner leaves it down as long as the note lies there."""
        up = [name for name, ports in undo["ports"].items() if ports and all(map(_open, ports))]
        return f"{', '.join(up)} was started again by something else" if up else ""

    def stop(self, undo: Undo) -> Seen:
        """Takes the notes away and waits until everything answers again, if there is still an owner."""
        begun = time.time()
        for victim in undo["victims"]:
            _note(undo, victim["name"]).unlink(missing_ok=True)
        owner = {"boot": undo["boot"], **undo["owner"]}
        if not processes.still_here(undo) or not processes.alive(owner):
            return Seen((begun, begun), "what it belonged to is gone")
        down = [v["name"] for v in undo["victims"] if not _answers(undo["ports"][v["name"]], owner)]
        if down:
            raise FaultError(f"{', '.join(down)} did not come back within {_BACK_S:g} s")
        return Seen((begun, time.time()), "back again")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Only notes of the targets, in the stack's control folder."""
        made.allow("control", undo["control"])
        names = [victim["name"] for victim in undo["victims"]]
        if names != list(made.targets) or not all(re.fullmatch("[a-z0-9-]+", name) for name in names):
            raise FaultError(f"{names} are not its targets")
        return f"removes {', '.join(str(_note(undo, name)) for name in names)}"


def _note(undo: Undo, name: str) -> Path:
    return Path(undo["control"]) / f"{name}.down"


def _answers(ports: list[int], owner: dict[str, object]) -> bool:
    """Whether all these ports are open again in time, or their owner has ended meanwhile."""

    def back() -> bool:
        return not processes.alive(owner) or all(map(_open, ports))

    return waiting.await_true(back, _BACK_S)


def _open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False
