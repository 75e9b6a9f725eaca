"""The runner's end of a held fault: start its holder, bring the effect about, take it back, know when it lapses.

The holder is deliberately not tied to our life by a parent-death signal: it must outlive us for the moment that
healing takes. What ties it to us is the pipe on its stdin. Its stderr is the log in the run's folder, by which
whoever heals for us finds it. When it dies uninvited, what it held is taken back at once.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from chaoskit.faults import processes
from chaoskit.faults.base import Changeable, Fault, FaultError, Seen, Undo
from chaoskit.run import nursery

_ARM_S = 20.0
_EFFECT_S = 20.0
_UNDO_S = 20.0
_END_S = 5.0


class HeldFault:
    """One fault and its holder. `on_lapse` is called once, from another thread, when the effect goes uninvited.

    While `lost` says why, nothing may be touched: somebody else undoes what this run left. `log` lies in the run's
    folder. Raises FaultError when there is no holder to be had.
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
        born = nursery.bear(log)
        self._fault = fault
        self._undo = undo
        self._on_lapse = on_lapse
        self._lost = lost
        self._begun = False
        self._ending = False
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._holder, self._orders, self._heard = born.process, born.orders, born.answers
        self._listener = threading.Thread(target=self._listen, name="holder", daemon=True)
        self._listener.start()
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
        answer = self._answer(_EFFECT_S + self._longer_s, "bring the effect about")
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
            self._orders.close()
        try:
            answer = self._answer(_UNDO_S + self._longer_s, "undo")
        except FaultError:
            answer = {}
        self._end()
        if "undone" in answer:
            return Seen((answer["undone"][0], answer["undone"][1]), answer.get("detail", ""))
        return self._fault.stop(self._undo)

    @property
    def _longer_s(self) -> float:
        return self._fault.longest_s(self._undo)

    def discard(self) -> None:
        """Ends a holder that was never asked to begin; nothing is in force, so nothing is undone."""
        self._ending = True
        with contextlib.suppress(OSError):
            self._orders.close()
        self._end()

    def _end(self) -> None:
        # Its end of the pipe closes with it, which we hear of at once; it is not our child, so nobody else tells.
        self._listener.join(_END_S)
        if self._listener.is_alive():
            processes.send(self._holder, signal.SIGKILL)
            self._listener.join(_END_S)

    def _say(self, line: str) -> None:
        # A holder that is gone answers nothing; whoever waits for its answer is told.
        with contextlib.suppress(OSError):
            self._orders.write(line + "\n")
            self._orders.flush()

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
        lapsed = undone = False
        with self._heard as lines:
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


class HeldHere:
    """A fault that the run's own process shows: it ends with it by itself, so there is no holder."""

    def __init__(self, fault: type[Fault], undo: Undo) -> None:
        self._fault = fault
        self.token = undo

    def await_armed(self) -> None:
        """Nothing has to come up."""

    def go(self) -> None:
        """The effect comes with `await_effect`."""

    def discard(self) -> None:
        """Nothing was begun."""

    def await_effect(self) -> Seen:
        """Brings it about; raises FaultError."""
        return self._fault.start(self.token)

    def change(self, altered: Undo) -> Seen:
        """Gives it the level of an altered token; raises FaultError."""
        self.token = altered
        return cast(type[Changeable], self._fault).change(altered)

    def take_back(self) -> Seen:
        """Undoes it; raises FaultError."""
        return self._fault.stop(self.token)


def _lapse(answer: dict[str, Any]) -> str:
    if "expired" in answer:
        return f"its maximum duration of {answer['expired']:g} real s was over, so it was undone"
    return str(answer["lapsed"])
