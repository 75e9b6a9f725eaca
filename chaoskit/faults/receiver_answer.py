"""receiver.answer: whoever is notified answers badly: with an error, or late.

The sink that stands for the receivers looks at a file for every notice; while it is there, notices are refused with
its status (HTTP's for webhooks, SMTP's after DATA for mails) or answered only after a delay.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from pydantic import Field, model_validator

from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.quantities import Duration


class ReceiverAnswerSettings(Settings):
    """Settings of receiver.answer: a status, a delay, or both."""

    status: int = Field(default=0, ge=0, le=599)
    """What is answered: 500 or 400 (HTTP), 451 or 554 (SMTP); 0 is the usual answer."""
    delay: Duration = 0.0
    """Virtual time for which the sender is kept waiting."""

    @model_validator(mode="after")
    def _does_something(self) -> ReceiverAnswerSettings:
        if not self.status and not self.delay:
            raise ValueError("neither status nor delay is given, so nothing would be wrong with the answers")
        if self.status and self.status < 400:
            raise ValueError(f"{self.status} refuses nothing; errors begin at 400")
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
        """Puts the files there, each at once and whole: from now on every answer follows them."""
        begun = time.time()
        for name in undo["files"]:
            fresh = Path(f"{name}.new")
            fresh.write_text(json.dumps(undo["answer"]), encoding="utf-8")
            fresh.replace(name)
        return Seen((begun, time.time()), f"answers: {undo['answer']}")

    def lapse(self, undo: Undo) -> str:
        """One of the files is gone."""
        there = all(Path(name).exists() for name in undo["files"])
        return "" if there else "the file that tells the sink how to answer is gone"

    def stop(self, undo: Undo) -> Seen:
        """Takes the files away: the next notice is answered as usual."""
        begun = time.time()
        for file in map(Path, undo["files"]):
            if not is_gone(file):
                file.unlink(missing_ok=True)
        return Seen((begun, time.time()), "answers as usual")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Only the targets' files, in the stack's control folder."""
        for file in map(Path, undo["files"]):
            made.allow("control", str(file.parent))
            if file.suffix != ".manners" or file.stem not in made.targets:
                raise FaultError(f"{file} is none that a sink looks at")
        return f"removes {', '.join(undo['files'])}"
