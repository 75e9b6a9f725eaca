"""Faults on what watches: monitoring.kill takes it down, receiver.answer has a sink answer badly.

The owner of the equipment brings it back: a note in the stack's control folder says that it is meant to be down, and
once the note is gone its owner starts it again. So the token needs no knowledge of how it is started, and when the
owner is gone too there is nothing left to bring back. A sink looks at a file for every notice; while it is there,
notices are refused with its status (HTTP's for webhooks, SMTP's after DATA for mails) or answered only after a delay.
"""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path

from pydantic import Field, model_validator

from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.quantities import Duration
from chaoskit.handles.equipment import EquipmentAddress

_DEAD_S = 5.0
_BACK_S = 15.0
_FAITHFUL_SCALE = 2.5


class MonitoringKill(Fault[Settings]):
    """Takes down equipment that should have watched, and lets it come back."""

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
            raise FaultError(f"{target.handle}: the target tells no process and ports of it; name another")
        victims = [processes.token(address.pids[name], name) for name in target.names]
        return {
            **processes.origin(),
            "victims": victims,
            "control": address.control,
            "ports": {name: address.ports[name] for name in target.names},
            "owner": processes.token(address.owner, "owner"),
        }

    def start(self, undo: Undo) -> Seen:
        """Notes which programs are meant to be down, kills them, and sees that they are gone."""
        begun = time.time()
        for victim in undo["victims"]:
            _note(undo, victim["name"]).write_text("down\n", encoding="utf-8")
        processes.kill(undo, _DEAD_S)
        return Seen((begun, time.time()), ", ".join(victim["name"] for victim in undo["victims"]) + " killed")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the program answers, though its owner keeps it down as long as the note is there."""
        up = [name for name, ports in undo["ports"].items() if ports and all(map(_open, ports))]
        return f"{', '.join(up)} was started again by a program other than chaoskit" if up else ""

    def stop(self, undo: Undo) -> Seen:
        """Takes the notes away and waits until everything answers again, if there is still an owner."""
        begun = time.time()
        for victim in undo["victims"]:
            _note(undo, victim["name"]).unlink(missing_ok=True)
        owner = {"boot": undo["boot"], **undo["owner"]}
        if not processes.still_here(undo) or not processes.alive(owner):
            return Seen((begun, begun), "the stack that the fault was in is gone")
        down = [v["name"] for v in undo["victims"] if not _answers(undo["ports"][v["name"]], owner)]
        if down:
            raise FaultError(
                f"{', '.join(down)} did not come back within {_BACK_S:g} s; see the log in its stack's folder"
            )
        return Seen((begun, time.time()), "back again")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only notes of the targets, in the stack's control folder."""
        made.allow("control", undo["control"])
        names = [victim["name"] for victim in undo["victims"]]
        if names != list(made.targets) or not all(re.fullmatch("[a-z0-9-]+", name) for name in names):
            raise FaultError(f"{names} are not its targets; undo it by hand")
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


class ReceiverAnswerSettings(Settings):
    """Settings of receiver.answer: a status, a delay, or both."""

    status: int = Field(default=0, ge=0, le=599)
    """The sink's answer: 500 or 400 (HTTP), 451 or 554 (SMTP); 0 is the usual one."""
    delay: Duration = 0.0
    """Virtual time for which the sender is kept waiting."""

    @model_validator(mode="after")
    def _does_something(self) -> ReceiverAnswerSettings:
        if not self.status and not self.delay:
            raise ValueError("neither status nor delay is given, so the answers would stay as they are: give one")
        if self.status and self.status < 400:
            raise ValueError(f"{self.status} refuses nothing; write 400 or more")
        return self


class ReceiverAnswer(Fault[ReceiverAnswerSettings]):
    """Makes a sink refuse notices, or answer slowly."""

    kind = "receiver.answer"
    handles = ("equipment",)

    def prepare(self, target: Target, settings: ReceiverAnswerSettings) -> Undo:
        """The file for each sink; raises FaultError for equipment that receives nothing."""
        others = [name for name in target.names if not name.endswith("-sink")]
        if others:
            raise FaultError(f"{', '.join(others)} receives no notices; name mail-sink or webhook-sink")
        answer = {"status": settings.status, "delay_s": settings.delay / target.address.time_scale}
        control = Path(target.address.control)
        return {"files": [str(control / f"{name}.manners") for name in target.names], "answer": answer}

    def start(self, undo: Undo) -> Seen:
        """Writes the files that tell the sinks how to answer, each at once and whole: every answer follows them."""
        begun = time.time()
        for name in undo["files"]:
            fresh = Path(f"{name}.new")
            fresh.write_text(json.dumps(undo["answer"]), encoding="utf-8")
            fresh.replace(name)
        return Seen((begun, time.time()), f"answers: {undo['answer']}")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: one of the files that the sinks read is gone."""
        there = all(Path(name).exists() for name in undo["files"])
        return "" if there else "another program removed the file that tells the sink how to answer"

    def stop(self, undo: Undo) -> Seen:
        """Takes the files away: the next notice is answered as usual."""
        begun = time.time()
        for file in map(Path, undo["files"]):
            if not is_gone(file):
                file.unlink(missing_ok=True)
        return Seen((begun, time.time()), "answers as usual")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only files of the targets' sinks, in the stack's control folder."""
        for file in map(Path, undo["files"]):
            made.allow("control", str(file.parent))
            if file.suffix != ".manners" or file.stem not in made.targets:
                raise FaultError(f"{file} is no file that a sink reads; undo it by hand")
        return f"removes {', '.join(undo['files'])}"
