"""Carrying out the steps: each begins and ends with an event; every wait is bounded; faults are journaled first."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from chaoskit.errors import ChaoskitError, EquipmentError, Place
from chaoskit.events import (
    ActionOk,
    Alter,
    Deadline,
    FaultFail,
    FaultOk,
    Invoke,
    Level,
    StepBegin,
    StepEnd,
    UndoBegin,
    UndoFail,
    UndoOk,
)
from chaoskit.faults.base import Changeable, FaultError, Kind, Seen, Target
from chaoskit.faults.registry import known, known_actions, read_settings
from chaoskit.handles.address import Address
from chaoskit.plan.model import Plan, PlannedFault, PlannedStep
from chaoskit.run.held_fault import HeldFault, HeldHere
from chaoskit.run.journal import Journal
from chaoskit.run.progress import Progress
from chaoskit.scenario.model import Change, Do, Inject, Undo, Wait

_LOOK_S = 0.25
_QUERY_EVERY_S = 0.25


class StepFailed(Exception):
    """A step could not be done; the remaining ones are skipped and everything is undone."""


@dataclass(slots=True)
class InForce:
    """A fault in force: its plan and its holder."""

    planned: PlannedFault
    held: HeldFault | HeldHere
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of a query over a time, by series: each with its instant."""

    series: Sequence[Sequence[tuple[float, float]]] = ()
    detail: str = ""
    """Why Prometheus could not be asked for the level; empty where it was."""


@dataclass(frozen=True, slots=True)
class World:
    """The services of the stack that steps use: addresses, changes of load, queries to Prometheus."""

    address: Callable[[str], Address]
    change_load: Callable[[Mapping[str, Any] | None], None]
    """Gives the load another level; None gives it back the one it began with."""
    query: Callable[[str], bool]
    lost: Callable[[], str] = lambda: ""
    """Why the run may no longer touch the target, since another process undoes what it left; empty while it may."""
    level: Callable[[str, float, float, float], Measured] = lambda *_: Measured(detail="there is no Prometheus to ask")
    """The values of a query from an instant to another, at instants so many seconds apart."""


@dataclass(slots=True)
class StepRunner:
    """Runs a scenario's steps: faults, changes, actions and waits."""

    plan: Plan
    journal: Journal
    progress: Progress
    world: World
    log: Path
    interrupted: threading.Event
    """Set when the run must end early: waits return at once."""
    in_force: list[InForce] = field(default_factory=list)
    healed: bool = True
    load_changed: bool = False
    _done_at: dict[str, float] = field(default_factory=dict)

    def run(self, planned: PlannedStep) -> None:
        """Runs one step from begin to end; raises StepFailed when the rest must not follow."""
        step = planned.step
        verb = type(step).__name__.lower()
        self.measure(step.name)
        self.journal.write(StepBegin(step=step.name, verb=verb))  # type: ignore[arg-type]
        try:
            self._still_ours()
            detail = self._carry_out(planned)
        except StepFailed as failure:
            timed_out = isinstance(step, Wait)
            self.journal.write(
                StepEnd(step=step.name, outcome="timeout" if timed_out else "failed", detail=str(failure))
            )
            raise
        self.progress.step_done(step.name)
        self._done_at[step.name] = time.time()
        self.journal.write(StepEnd(step=step.name, outcome="done", detail=detail))

    def measure(self, before: str = "") -> None:
        """Asks for the levels that the step of this name ends, or the end of the steps, and writes them down."""
        scale = self.plan.time_scale
        for planned in self.plan.controls:
            begun = self._done_at.get(planned.control.during)
            if planned.ends_before != before or begun is None:
                continue
            now, every_s = time.time(), planned.rule.interval_s / scale
            begin = min(begun + planned.settle_vs / scale, now)
            got = self.world.level(planned.query, begin, now, every_s)
            values = [value for one in got.series for _, value in one]
            self.journal.write(
                Level(
                    alert=planned.control.alert,
                    step=planned.control.during,
                    during=(begin, now),
                    low=min(values, default=None),
                    high=max(values, default=None),
                    samples=len({at for one in got.series for at, _ in one}),
                    near_s=max((planned.near_s(one, every_s) for one in got.series), default=0.0),
                    expected=int((now - begin) / every_s) + 1,
                    detail=got.detail,
                )
            )

    def undo_all(self) -> None:
        """Takes back all faults in force, newest first; never raises: `healed` is False where one failed."""
        for one in reversed(self.in_force):
            if not one.undone:
                self._take_back(one)
        self._restore_load()

    def _restore_load(self) -> None:
        if self.load_changed:
            self.load_changed = False
            with contextlib.suppress(ChaoskitError):
                self.world.change_load(None)

    def _carry_out(self, planned: PlannedStep) -> str:
        match planned.step:
            case Inject():
                return self._inject(planned)
            case Undo() as undo:
                return self._undo(undo)
            case Change() as change:
                return self._change(change)
            case Wait() as wait:
                return self._wait(wait, planned.at_most_vs)
            case Do() as action:
                return self._act(action, planned.faults)

    def _inject(self, planned: PlannedStep) -> str:
        armed: list[tuple[InForce, Invoke]] = []
        max_s = self.plan.profile.limits.fault_s
        try:
            for fault in planned.faults:
                armed.append(self._arm(planned.step.name, fault, max_s))
            for one, _ in armed:
                one.held.await_armed()
            for one, invoke in armed:
                self.journal.write(invoke, sync=True)
                self.in_force.append(one)
            # Holders are there by now, and a process that takes over ends them, so no effect begins later.
            self._still_ours()
            for one, _ in armed:
                one.held.start()
        except FaultError as error:
            for one, _ in armed:
                if one not in self.in_force:
                    one.held.discard()
            raise StepFailed(str(error)) from None
        problems, seen = [], []
        for one, _ in armed:
            try:
                effect = one.held.await_effect()
            except FaultError as error:
                problems.append(str(error))
                self.journal.write(FaultFail(fault=one.planned.id, reason=str(error)), sync=True)
                continue
            seen.append(effect.detail)
            self.journal.write(FaultOk(fault=one.planned.id, effect=effect.between, detail=effect.detail), sync=True)
        if problems:
            raise StepFailed("; ".join(problems))
        return "; ".join(seen)

    def _arm(self, step: str, fault: PlannedFault, max_s: float) -> tuple[InForce, Invoke]:
        kind = known()[fault.spec.kind]
        settings = _settings(kind, fault.spec.settings, fault.spec.place)
        bounds = self.plan.profile.limits.bounds
        address = replace(self.world.address(fault.handle), run=self.log.parent.name, max_s=max_s, limits=bounds)
        undo = kind.prepare(Target(fault.handle, fault.targets, address), settings)
        held: HeldFault | HeldHere
        if kind.in_process:
            held = HeldHere(kind, undo)
        else:
            lapsed = partial(self._lapsed, fault.id)
            held = HeldFault(kind, undo, max_s, self.log, lapsed, self.world.lost)
        invoke = Invoke(
            step=step,
            fault=fault.id,
            kind=kind.kind,
            targets=list(fault.targets),
            label=fault.label,
            settings=settings.model_dump(mode="json"),
            undo=undo,
            max_s=max_s,
            address=address.journaled(),
        )
        return InForce(fault, held), invoke

    def _change(self, change: Change) -> str:
        begun = time.time()
        try:
            if change.of == "load":
                self.load_changed = True
                self.world.change_load(change.settings)
        except ChaoskitError as error:
            raise StepFailed(str(error)) from None
        seen: list[Seen] = []
        for one in self._of(change.of):
            try:
                seen.append(self._alter(change, one))
            except FaultError as error:
                raise StepFailed(f"{one.planned.id}: {error}") from None
        # What a fault saw is narrower than the time it took to make sure.
        ends = [end for one in seen for end in one.between] or [begun, time.time()]
        done = (min(ends), max(ends))
        self.journal.write(ActionOk(step=change.name, action=f"change {change.of}", done=done, result={}), sync=True)
        return "; ".join(one.detail for one in seen if one.detail) or f"{change.of} changed"

    def _alter(self, change: Change, one: InForce) -> Seen:
        kind = cast(Changeable[Any], known()[one.planned.spec.kind])
        given = {**one.planned.spec.settings, **change.settings}
        settings = _settings(kind, given, change.place)
        token = kind.alter(one.held.token, settings)
        shown = settings.model_dump(mode="json")
        self.journal.write(Alter(step=change.name, fault=one.planned.id, settings=shown, undo=token), sync=True)
        return one.held.change(token)

    def _act(self, action: Do, chosen: Sequence[PlannedFault]) -> str:
        kind = known_actions()[action.action]
        settings = _settings(kind, action.settings, action.place)
        handle, names = (chosen[0].handle, chosen[0].targets) if chosen else ("", ())
        try:
            address = replace(self.world.address(handle), limits=self.plan.profile.limits.bounds)
            seen, result = kind.run(Target(handle, names, address), settings)
        except FaultError as error:
            raise StepFailed(str(error)) from None
        self.journal.write(
            ActionOk(step=action.name, action=action.action, done=seen.between, result=result), sync=True
        )
        return seen.detail

    def _of(self, name: str) -> list[InForce]:
        return [one for one in self.in_force if one.planned.id.partition("#")[0] == name and not one.undone]

    def _lapsed(self, fault: str, reason: str) -> None:
        with contextlib.suppress(EquipmentError):
            self.journal.write(FaultFail(fault=fault, reason=reason, lapsed=True), sync=True)

    def _still_ours(self) -> None:
        if why := self.world.lost():
            raise StepFailed(why)

    def _undo(self, undo: Undo) -> str:
        names = undo.targets or tuple(
            dict.fromkeys(one.planned.id.partition("#")[0] for one in reversed(self.in_force))
        )
        seen = []
        for name in names:
            seen += [self._take_back(one) for one in self._of(name)]
        if not undo.targets or "load" in undo.targets:
            self._restore_load()
        if not self.healed:
            raise StepFailed("an undo failed, so no further step is begun; see the fault that is not healed")
        return "; ".join(filter(None, seen))

    def _take_back(self, one: InForce) -> str:
        one.undone = True
        if self.world.lost():
            return ""
        self._say(UndoBegin(fault=one.planned.id))
        try:
            gone = one.held.take_back()
        except Exception as error:
            self.healed = False
            self._say(UndoFail(fault=one.planned.id, reason=f"{error}"))
            return ""
        self._say(UndoOk(fault=one.planned.id, gone=gone.between, detail=gone.detail))
        return gone.detail

    def _say(self, event: UndoBegin | UndoOk | UndoFail) -> None:
        try:
            self.journal.write(event, sync=True)
        except EquipmentError:
            # A journal that cannot be written any more must not keep anything from being undone.
            return

    def _wait(self, wait: Wait, at_most_vs: float) -> str:
        bound = time.monotonic() + at_most_vs / self.plan.time_scale
        if wait.duration_vs is not None:
            self.interrupted.wait(wait.duration_vs / self.plan.time_scale)
            return ""
        if wait.settled:
            return self.settle()
        if wait.query is not None:
            return self._await_query(wait.query, bound)
        assert wait.alert is not None
        assert wait.state is not None
        while not self.progress.reached(wait.alert, wait.state):
            if time.monotonic() > bound or self.interrupted.is_set():
                raise StepFailed(
                    f"{wait.alert} was not {wait.state} within {at_most_vs:g} virtual s; raise at_most, or see its rule"
                )
            with self.progress.news:
                self.progress.news.wait(_LOOK_S)
        return ""

    def settle(self) -> str:
        """Waits until every expectation that has begun is noticed everywhere, or it is too late for that."""
        while (until := self.progress.settled_at()) and not self.interrupted.is_set():
            left = until - time.time()
            if left <= 0:
                self.journal.write(Deadline(what="settled: the last bound has passed"))
                return "the last bound has passed"
            with self.progress.news:
                self.progress.news.wait(min(left, _LOOK_S))
        return ""

    def _await_query(self, query: str, bound: float) -> str:
        while not self.world.query(query):
            if time.monotonic() > bound or self.interrupted.wait(_QUERY_EVERY_S):
                raise StepFailed(f"Prometheus gave no result for '{query}' in time; raise at_most, or see the query")
        return ""


def _settings(kind: Kind[Any], given: Mapping[str, Any], place: Place) -> Any:
    """The settings as the kind reads them; raises StepFailed."""
    settings, problems = read_settings(kind, given, place)
    if settings is None:
        raise StepFailed("; ".join(map(str, problems)))
    return settings
