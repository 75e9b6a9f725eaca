"""The runner's end of a held fault: start its holder, bring the effect about, take it back, know when it lapses.

The holder is deliberately not tied to our life by a parent-death signal: it must outlive us for the moment that
healing takes. What ties it to us is the pipe on its stdin. Its environment carries the run's folder, so that
whoever heals for us finds it. When it dies uninvited, what it held is taken back at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaoskit.faults.base import Fault, FaultError, Seen, Undo
from chaoskit.safety.heal import HOLDS

_ARM_S = 20.0
_EFFECT_S = 20.0
_UNDO_S = 20.0


class HeldFault:
    """One fault and its holder. `on_lapse` is called once, from another thread, when the effect goes uninvited.

    While `lost` says why, nothing may be touched: somebody else undoes what this run left.
    """

    def __init__(
        self,
        fault: type[Fault],
        undo: Undo,
        max_s: float,
        log: Path,
        on_lapse: Callable[[str], None],
        lost: Callable[[], str] = lambda: "",
    ) -> None:
        self._fault = fault
        self._undo = undo
        self._on_lapse = on_lapse
        self._lost = lost
        self._begun = False
        self._ending = False
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        with log.open("ab") as errors:
            self._holder = subprocess.Popen(
                [sys.executable, "-m", "chaoskit.faults.holder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, HOLDS: str(log.parent.resolve())},
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="holder", daemon=True).start()
        self._say(json.dumps({"kind": fault.kind, "undo": undo, "max_s": max_s}))

    def await_armed(self) -> None:
        """Returns once the holder is ready; raises FaultError."""
        if "armed" not in self._answer(_ARM_S, "arm"):
            raise FaultError("the holder did not come up")

    def go(self) -> None:
        """Asks the holder to bring the effect about; `await_effect` tells the outcome."""
        self._begun = True
        self._say("start")

    def await_effect(self) -> Seen:
        """Returns when the effect was seen; raises FaultError when it was not."""
        answer = self._answer(_EFFECT_S, "bring the effect about")
        if "ok" in answer:
            return Seen((answer["ok"][0], answer["ok"][1]), answer.get("detail", ""))
        raise FaultError(str(answer.get("fail", answer)))

    @property
    def token(self) -> Undo:
        """The present undo token."""
        return self._undo

    def change(self, altered: Undo) -> Seen:
        """Gives the fault in force the level of an altered token; raises FaultError when it was not seen."""
        self._undo = altered
        self._say("change " + json.dumps(altered))
        answer = self._answer(_EFFECT_S, "change the effect")
        if "changed" in answer:
            return Seen((answer["changed"][0], answer["changed"][1]), answer.get("detail", ""))
        raise FaultError(str(answer.get("change_failed", answer)))

    def take_back(self) -> Seen:
        """Undoes the fault, by the holder or, if that is gone, by ourselves; raises FaultError."""
        self._ending = True
        with contextlib.suppress(OSError):
            if self._holder.stdin is not None:
                self._holder.stdin.close()
        try:
            answer = self._answer(_UNDO_S, "undo")
        except FaultError:
            answer = {}
        self._end()
        if "undone" in answer:
            return Seen((answer["undone"][0], answer["undone"][1]), answer.get("detail", ""))
        return self._fault.stop(self._undo)

    def discard(self) -> None:
        """Ends a holder that was never asked to begin; nothing is in force, so nothing is undone."""
        self._ending = True
        with contextlib.suppress(OSError):
            if self._holder.stdin is not None:
                self._holder.stdin.close()
        self._end()

    def _end(self) -> None:
        try:
            self._holder.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait(timeout=5)

    def _say(self, line: str) -> None:
        assert self._holder.stdin is not None
        # A holder that is gone answers nothing; whoever waits for its answer is told.
        with contextlib.suppress(OSError):
            self._holder.stdin.write(line + "\n")
            self._holder.stdin.flush()

    def _answer(self, within_s: float, what: str) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=within_s)
        except queue.Empty:
            raise FaultError(f"the holder did not {what} within {within_s:g} s") from None
        if "gone" in answer:
            self._answers.put(answer)
            raise FaultError("the holder ended by itself")
        return answer

    def _listen(self) -> None:
        assert self._holder.stdout is not None
        lapsed = undone = False
        with self._holder.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    answer = json.loads(line)
                    if "lapsed" in answer or "expired" in answer:
                        if not lapsed:
                            lapsed = True
                            self._on_lapse(_lapse(answer))
                    else:
                        undone = undone or "undone" in answer
                        self._answers.put(answer)
        self._answers.put({"gone": True})
        if self._begun and not self._ending and not undone:
            self._orphaned()

    def _orphaned(self) -> None:
        """Nobody holds the effect any more, and nobody bounds its duration: it is taken back here and now."""
        if why := self._lost():
            self._on_lapse(f"its holder was ended: {why}")
            return
        try:
            self._fault.stop(self._undo)
        except Exception as error:
            self._on_lapse(f"its holder died, and the undo failed: {error}")
        else:
            self._on_lapse("its holder died, so it was undone")


def _lapse(answer: dict[str, Any]) -> str:
    if "expired" in answer:
        return f"its maximum duration of {answer['expired']:g} real s was over, so it was undone"
    return str(answer["lapsed"])
