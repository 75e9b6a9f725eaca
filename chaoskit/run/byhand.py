"""One fault by hand, for a time: the same journal, holder, lease, lock and watchdog as in a run, and no verdict.

It acts on what its address names, whoever started that; so unlike a local run's, its target outlives it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit.errors import BadInput, EquipmentError, ExitCode, Place, Problem
from chaoskit.events import (
    SCHEMA,
    End,
    Event,
    FaultFail,
    FaultOk,
    Header,
    Interruption,
    Invoke,
    UndoBegin,
    UndoFail,
    UndoOk,
)
from chaoskit.faults.base import Fault, FaultError, Settings, Target, places
from chaoskit.faults.hit import hit
from chaoskit.faults.registry import known, read_settings
from chaoskit.plan.names import undefined
from chaoskit.run.held import HeldFault
from chaoskit.run.journal import Journal
from chaoskit.run.prepare import versions
from chaoskit.run.signals import signals_end
from chaoskit.safety.guard import Guard
from chaoskit.safety.heal import HOLDER_LOG
from chaoskit.trust import read_secret

FAULT = "by-hand#0"
LONGEST_S = 3600.0
_SPARE_S = 5.0
"""How much longer than asked for the holder keeps the effect, should nobody take it back in time."""
_AT_ONCE_S = 20.0
_PATHS = ("file", "folder", "token_file", "control")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done by hand."""

    kind: type[Fault]
    settings: Settings
    target: Target
    for_s: float

    def locks(self) -> list[str]:
        """The names under which what it hits is locked, however that was spelt; its handle where it names nothing."""
        return hit(self.target.address, self.target.names) or [f"{self.kind.kind} {self.target.handle}".strip()]


def order(
    kind: str,
    handle: str,
    names: tuple[str, ...],
    address: Mapping[str, Any],
    settings: Mapping[str, Any],
    for_s: float,
) -> Order:
    """What was asked for, checked; touches nothing. Raises BadInput with every problem."""
    kinds, place = known(), Place("the command line")
    if kind not in kinds:
        raise BadInput(undefined("fault kind", kind, kinds, place))
    fault = kinds[kind]
    found, problems = read_settings(fault, settings, place)
    if fault.handles and handle.partition(":")[0] not in fault.handles:
        wanted = " or ".join(f"{one}:NAME" for one in fault.handles)
        problems.append(Problem(place, f"{kind} cannot act on '{handle}'", f"write --target {wanted}"))
    problems += _wrong_role(handle, names, address, place)
    if not 0 < for_s <= LONGEST_S:
        problems.append(Problem(place, f"--for {for_s:g}s is out of bounds", f"at most {LONGEST_S:g}s"))
    # Whoever heals may do it from another folder.
    whole = {key: str(Path(value).absolute()) for key, value in address.items() if key in _PATHS and value}
    if "token_file" in whole:
        problems += _secret_trouble(Path(whole["token_file"]), place)
    if problems or found is None:
        raise BadInput(problems)
    return Order(fault, found, Target(handle, names, {"time_scale": 1.0, **address, **whole}), for_s)


def _secret_trouble(file: Path, place: Place) -> list[Problem]:
    try:
        read_secret(file)
    except OSError as error:
        return [Problem(place, f"the token in {file} cannot be used: {error.strerror}", "name a file of yours")]
    return []


def _wrong_role(handle: str, names: tuple[str, ...], address: Mapping[str, Any], place: Place) -> list[Problem]:
    """The problems of how a role's processes are to be found."""
    if handle.partition(":")[0] != "role":
        return []
    example = r"as in --at 'pattern=my-app worker (?P<name>\S+)'"
    if "pattern" not in address:
        return [Problem(place, f"nothing says how the processes of {handle} are found", f"by their titles, {example}")]
    try:
        named = "name" in re.compile(str(address["pattern"])).groupindex
    except re.error as error:
        return [Problem(place, f"the pattern {address['pattern']} is no regular expression: {error}", example)]
    if not named:
        return [Problem(place, f"the pattern {address['pattern']} has no group called name", example)]
    return [] if names else [Problem(place, f"no process of {handle} is named", f"write --target {handle}=NAME,…")]


class ByHand:
    """Carries an order out, into a new folder. Made and used in the main thread."""

    def __init__(
        self, order: Order, folder: Path, listen: Callable[[Event], None], leave: Callable[[int], None]
    ) -> None:
        self._order = order
        self._folder = folder
        self._leave = leave
        self._ended = threading.Event()
        self._interrupted = False
        self._taking_back = False
        self._weak = False
        """Told at the end: what was in force acted on nothing."""
        self._journal = Journal(folder / "events.jsonl", listen)

    def run(self) -> ExitCode:
        """PASS after an effect that was seen and taken back in its time; ABORTED, UNKNOWN or NOT_HEALED otherwise.

        Raises Refused, with nothing touched, where the target is locked or runs are stopped.
        """
        healed, guard = True, None
        try:
            self._journal.write(_header(self._folder), sync=True)
            guard = Guard(self._order.locks(), [self._folder], [], self._interrupt)
            with signals_end(self._interrupt, lambda reason: self._end_at_once(guard)):
                guard.begin()
                code = self._inject(guard)
            healed = code is not ExitCode.NOT_HEALED
            return code
        finally:
            self._write(End(healed=healed, left=[]))
            self._journal.close()
            if guard is not None:
                guard.close(healed=healed)

    def _inject(self, guard: Guard) -> ExitCode:
        order = self._order
        max_s = order.for_s + _SPARE_S
        address = {**order.target.address, "max_s": max_s}
        try:
            undo = order.kind.prepare(Target(order.target.handle, order.target.names, address), order.settings)
        except FaultError as error:
            raise BadInput(Problem(None, f"{order.kind.kind}: {error}", "nothing was touched")) from None
        held = HeldFault(order.kind, undo, max_s, self._folder / HOLDER_LOG, self._lapsed, lambda: guard.lease.lost)
        begun = False
        seen = False
        try:
            held.await_armed()
            self._journal.write(
                Invoke(
                    step="by-hand",
                    fault=FAULT,
                    kind=order.kind.kind,
                    targets=list(order.target.names),
                    label="",
                    settings=order.settings.model_dump(mode="json"),
                    undo=undo,
                    max_s=max_s,
                    address=places(address),
                ),
                sync=True,
            )
            if guard.lease.lost:
                return self._taken_over(guard)
            begun = True
            held.go()
            effect = held.await_effect()
            seen = True
            self._journal.write(FaultOk(fault=FAULT, effect=effect.between, detail=effect.detail), sync=True)
            self._ended.wait(order.for_s)
        except (FaultError, EquipmentError) as error:
            self._write(FaultFail(fault=FAULT, reason=str(error)))
        if not begun:
            held.discard()
            return ExitCode.UNKNOWN
        if guard.lease.lost:
            return self._taken_over(guard)
        if not self._take_back(held):
            return ExitCode.NOT_HEALED
        return ExitCode.ABORTED if self._interrupted else ExitCode.PASS if seen and not self._weak else ExitCode.UNKNOWN

    def _take_back(self, held: HeldFault) -> bool:
        self._taking_back = True
        self._write(UndoBegin(fault=FAULT))
        try:
            gone = held.take_back()
        except Exception as error:
            self._write(UndoFail(fault=FAULT, reason=str(error)))
            return False
        self._write(UndoOk(fault=FAULT, gone=gone.between, detail=gone.detail))
        return True

    def _taken_over(self, guard: Guard) -> ExitCode:
        return ExitCode.ABORTED if guard.lease.healed else ExitCode.NOT_HEALED

    def _interrupt(self, reason: str) -> None:
        self._interrupted = True
        self._write(Interruption(reason=reason))
        self._ended.set()

    def _end_at_once(self, guard: Guard) -> None:
        healed = guard.lease.hand_over(_AT_ONCE_S)
        self._leave(int(ExitCode.ABORTED if healed else ExitCode.NOT_HEALED))

    def _lapsed(self, reason: str) -> None:
        self._write(FaultFail(fault=FAULT, reason=reason, lapsed=True))
        self._weak, self._interrupted = self._taking_back, self._interrupted or not self._taking_back
        self._ended.set()

    def _write(self, event: Event) -> None:
        # A journal that takes no line any more keeps nothing from being undone.
        try:
            self._journal.write(event, sync=True)
        except EquipmentError:
            self._ended.set()


def _header(folder: Path) -> Header:
    return Header(
        schema=SCHEMA,
        run_id=folder.name,
        scenario="",
        profile="",
        sources={},
        settings=[],
        time_scale=1.0,
        seed=0,
        versions=versions(None),
        doors=[],
        targets={},
        notes=[f"one fault by hand at {time.strftime('%Y-%m-%d %H:%M:%S')}; there is nothing to judge"],
    )
