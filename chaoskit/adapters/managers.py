"""Processes that a manager runs (supervisord, systemd, Docker): process.kill, process.stop and process.pause via it.

The state is the manager's own word. Nothing there can carry an id, so the undo brings about what the token says was
there before, and nothing else; where the manager can be told to do that by itself later, it is (`arm`).
"""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from chaoskit import waiting
from chaoskit.adapters.base import left_s, token, undone, vouched
from chaoskit.faults import processes
from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, S, Seen, Settings, Target, Undo
from chaoskit.faults.control_api import Watch
from chaoskit.faults.process import KillSettings

_STATE_S = 15.0
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class State:
    """A manager's word on one of its things."""

    up: bool
    paused: bool = False
    process: Mapping[str, Any] | None = None
    """The program's main process as `processes.token`; None where none runs."""
    said: str = ""
    policy: Any = None
    """Whether and how the manager restarts it, in its own words."""


class Manager(ABC):
    """A manager of programs, such as systemd, for faults; each call raises FaultError where it gives no answer."""

    @abstractmethod
    def state(self, name: str) -> State:
        """The state of a service now, as its manager tells."""

    @abstractmethod
    def start(self, name: str) -> None:
        """Starts the program, unless it runs already."""

    @abstractmethod
    def stop(self, name: str) -> None:
        """Stops the program so that the manager does not start it again by itself."""

    def kill(self, name: str, before: State) -> None:
        """Ends the program's main process at once, as a crash would."""
        if before.process is not None:
            processes.hit(before.process, signal.SIGKILL)

    def pause(self, name: str, before: State) -> None:
        """Stops the processes of a service (SIGSTOP)."""
        if before.process is not None:
            processes.hit(before.process, signal.SIGSTOP)

    def resume(self, name: str, before: State) -> None:
        """Lets the stopped processes run again (SIGCONT)."""
        if before.process is not None:
            processes.hit(before.process, signal.SIGCONT)

    def arm(  # noqa: B027 - a manager that cannot do this leaves it to the holder
        self, ident: str, command: str, names: list[str], after_s: float
    ) -> None:
        """Has the manager itself take the fault back after a time: `start` or `resume` of these names."""

    def disarm(self, ident: str) -> None:  # noqa: B027
        """Takes back the order that `arm` gave the manager, and sees it gone."""


class Managed(Fault[S]):
    """A fault on things that a manager runs; a kind says how it comes about and what then holds."""

    handles = ("role",)
    look_s = 0.5
    undo_by: ClassVar[str] = "start"

    def __init__(self, manager: Callable[[Mapping[str, str]], Manager]) -> None:
        self.manager = manager
        """The manager that a handle's keys lead to; raises FaultError."""

    def prepare(self, target: Target, settings: S) -> Undo:
        """Asks for the present state; raises FaultError for what does not run, or is paused already."""
        manager = self.manager(target.address.keys)
        before = {name: manager.state(name) for name in target.names}
        for name, state in before.items():
            if not state.up or state.paused:
                raise FaultError(f"{name} ({target.handle}) is not running: {state.said}; start it first")
        held = {"hold": getattr(settings, "hold", True)}
        return {**token(target), **held, "before": {name: asdict(state) for name, state in before.items()}}

    @abstractmethod
    def strike(self, manager: Manager, name: str, before: State, undo: Undo) -> None:
        """Brings the fault about for one service."""

    def struck(self, manager: Manager, name: str, before: State, undo: Undo) -> bool:
        """Whether the service is as the fault leaves it: down by its manager's word, and its process is gone."""
        state = manager.state(name)
        return not state.up and (state.process is None or not processes.alive(state.process))

    def start(self, undo: Undo) -> Seen:
        """Brings the fault about for each service and sees it in the manager's own state."""
        manager, begun = self.manager(undo["at"]), time.time()
        if undo["hold"]:
            manager.arm(undo["id"], self.undo_by, list(undo["before"]), left_s(undo))
        for name, before in _before(undo):
            self.strike(manager, name, before, undo)
        for name, before in _before(undo):
            if not waiting.await_true(lambda n=name, b=before: self.struck(manager, n, b, undo), _STATE_S, _LOOK_S):  # type: ignore[misc]
                raise FaultError(
                    f"{name}: {self.kind} was done, and it is {manager.state(name).said} all the same: see its log"
                )
        return Seen((begun, time.time()), f"{self.kind}: {', '.join(undo['before'])}")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Looks at the manager's state; raises Lapsed when it is no longer so, or the manager says nothing for long."""
        manager, watch = self.manager(undo["at"]), Watch()
        while not ended.wait(self.look_s):
            for name, before in _before(undo) if undo["hold"] else ():
                there = watch.look(lambda n=name, b=before: self.struck(manager, n, b, undo))  # type: ignore[misc]
                if there is False and not ended.is_set():
                    raise Lapsed(f"{name} is {manager.state(name).said}: something else ended the fault")

    def stop(self, undo: Undo) -> Seen:
        """Brings back the state of before and sees it there; raises FaultError."""
        manager = self.manager(undo["at"])

        def restore() -> str:
            manager.disarm(undo["id"])
            said = []
            for name, before in _before(undo):
                # What stands still is let go first: it could neither be seen to run nor be started.
                manager.resume(name, before)
                # What was killed and nothing else is the manager's to bring back, where it does that.
                if (undo["hold"] or not _settles(manager, name)) and not _settles(manager, name, start=True):
                    raise FaultError(f"{name} was started, and is {manager.state(name).said}: see its log")
                now = manager.state(name)
                if now.policy != before.policy:
                    raise FaultError(f"{name} runs, but its restart policy is {now.policy}, and was {before.policy}")
                said.append(f"{name} is {now.said}")
            return ", ".join(said)

        return undone(restore)

    def longest_s(self, undo: Undo) -> float:
        return 2 * _STATE_S * len(undo["before"])

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only tokens of the run's own targets."""
        vouched(undo, made)
        if sorted(undo["before"]) != sorted(made.targets):
            raise FaultError(f"its undo names {', '.join(undo['before'])}, its targets are {', '.join(made.targets)}")
        return f"starts or resumes {', '.join(undo['before'])} via {undo['via']}"


def _before(undo: Undo) -> list[tuple[str, State]]:
    return [(name, State(**state)) for name, state in undo["before"].items()]


def _settles(manager: Manager, name: str, *, start: bool = False) -> bool:
    def runs() -> bool:
        state = manager.state(name)
        if start and not state.up:
            manager.start(name)  # again and again: one that is still being stopped cannot be started
        return state.up and not state.paused

    return waiting.await_true(runs, _STATE_S, _LOOK_S)


class ManagedKill(Managed[KillSettings]):
    """process.kill via a manager; with `hold` the manager is kept from starting it again."""

    kind = "process.kill"

    def strike(self, manager: Manager, name: str, before: State, undo: Undo) -> None:
        """Kills the program, and with `hold` orders the manager to leave it down."""
        manager.kill(name, before)
        if undo["hold"]:
            manager.stop(name)
            # Started again before that order came, it would live as long as its manager lets it end by itself.
            if (again := manager.state(name)).process is not None:
                manager.kill(name, again)

    def struck(self, manager: Manager, name: str, before: State, undo: Undo) -> bool:
        """Whether the service is down; without `hold`, whether the process of before is gone."""
        if undo["hold"]:
            return super().struck(manager, name, before, undo)
        return before.process is None or not processes.alive(before.process)


class ManagedStop(Managed[Settings]):
    """process.stop via a manager."""

    kind = "process.stop"

    def strike(self, manager: Manager, name: str, before: State, undo: Undo) -> None:
        """Stops the programs by the manager's own stop."""
        manager.stop(name)


class ManagedPause(Managed[Settings]):
    """process.pause via a manager."""

    kind = "process.pause"
    undo_by = "resume"

    def strike(self, manager: Manager, name: str, before: State, undo: Undo) -> None:
        """The manager's own pause, or SIGSTOP."""
        manager.pause(name, before)

    def struck(self, manager: Manager, name: str, before: State, undo: Undo) -> bool:
        """Whether the service's process runs and is stopped (SIGSTOP)."""
        state = manager.state(name)
        return state.up and state.paused


def managed(manager: Callable[[Mapping[str, str]], Manager]) -> tuple[Fault[Any], ...]:
    """The faults on what a manager runs, which is made of a handle's keys."""
    return ManagedKill(manager), ManagedStop(manager), ManagedPause(manager)


def local_process(pid: int, name: str) -> tuple[dict[str, Any] | None, bool]:
    """A process of this host as data, and whether it stands still; none where there is no such process."""
    if not pid:
        return None, False
    try:
        found = processes.token(pid, name)
        return found, processes.stands_still(found)
    except FaultError:
        return None, False
