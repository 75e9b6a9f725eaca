"""Choosing targets: by handle and count, never one already under a fault, the same ones for the same seed."""

from __future__ import annotations

import math
from random import Random

from chaoskit.errors import Problem
from chaoskit.plan.model import Inventory, PlannedFault
from chaoskit.plan.names import undefined
from chaoskit.scenario.handles import EQUIPMENT
from chaoskit.scenario.limits import plural
from chaoskit.scenario.model import FaultSpec, Handles, Limits, RoleHandle
from chaoskit.scenario.targets import HANDLES
from chaoskit.units import parse_ratio

_EXCLUSIVE = ("role", "scrape", EQUIPMENT)
"""Kinds of which one thing bears one fault at a time; a link or a slice bears several that add up."""
_CHOICES = ("count", "share", "all", "name")


class TargetPlanner:
    """Keeps who is under which fault while the steps are planned in order, and collects problems."""

    def __init__(self, handles: Handles, limits: Limits, inventory: Inventory, seed: int) -> None:
        self._handles = handles
        self._limits = limits
        self._inventory = inventory
        self._seed = seed
        self._taken: dict[str, set[str]] = {}
        self.problems: list[Problem] = []

    def choose(self, fault_id: str, spec: FaultSpec) -> PlannedFault | None:
        """The fault with its targets, which are now taken; None where that is impossible (see `problems`)."""
        kind = next((key for key in HANDLES if key in spec.target), None)
        if kind is None:
            if spec.target:
                self._problem(spec, f"target has none of {', '.join(HANDLES)}")
                return None
            return PlannedFault(fault_id, spec, "", (), "")
        name = str(spec.target[kind])
        handles = self._handles.of(kind)
        if kind == EQUIPMENT:
            handles = {key.partition(":")[2]: key for key in self._inventory.names if key.startswith(f"{EQUIPMENT}:")}
        handle = handles.get(name)
        if handle is None:
            self.problems.append(undefined(f"{kind} handle", name, handles, spec.place))
            return None
        unknown = set(spec.target) - {kind, *_CHOICES}
        for key in sorted(unknown):
            self.problems.append(undefined("target key", key, (kind, *_CHOICES), spec.place))
        key = f"{kind}:{name}"
        there = self._inventory.names.get(key, ())
        chosen = self._pick(fault_id, spec, key, there)
        if chosen is None:
            return None
        if kind in _EXCLUSIVE:
            self._take(spec, key, plural(name), chosen, there)
        return PlannedFault(fault_id, spec, key, chosen, handle.label if isinstance(handle, RoleHandle) else "")

    def _take(self, spec: FaultSpec, key: str, several: str, chosen: tuple[str, ...], there: tuple[str, ...]) -> None:
        taken = self._taken.setdefault(key, set())
        taken.update(chosen)
        share = self._limits.share.get(several, 1.0)
        if there and len(taken) > share * len(there) + 1e-9:
            self._problem(
                spec,
                f"{len(taken)} of {len(there)} {several} would be under a fault at once, the limit is {share:.0%}",
                f"raise limits.{several} in the profile, or hit fewer",
            )

    def release(self, fault: PlannedFault) -> None:
        """The fault was undone: its targets may be hit again."""
        self._taken.get(fault.handle, set()).difference_update(fault.targets)

    def _pick(self, fault_id: str, spec: FaultSpec, key: str, there: tuple[str, ...]) -> tuple[str, ...] | None:
        target, free = spec.target, [n for n in there if n not in self._taken.get(key, set())]
        if "name" in target:
            wanted = target["name"] if isinstance(target["name"], list) else [target["name"]]
            missing = [str(name) for name in wanted if name not in there]
            for name in missing:
                self.problems.append(undefined(key.replace(":", " "), name, there, spec.place))
            busy = [str(name) for name in wanted if name in there and name not in free]
            if busy:
                self._problem(spec, f"already under a fault of this run: {', '.join(busy)}", "undo that one first")
            return None if missing or busy else tuple(str(name) for name in wanted)
        count = self._count(spec, len(there), len(free))
        if count is None:
            return None
        if count > len(free) or not free:
            self._problem(
                spec,
                f"{count} of {key} are wanted, {len(free)} of {len(there)} are free",
                "hit fewer, or undo another fault first" if there else "the target has none of these",
            )
            return None
        # One generator a fault, so that another step more or less does not change who is hit here.
        return tuple(sorted(Random(f"{self._seed}/{fault_id}").sample(sorted(free), count)))

    def _count(self, spec: FaultSpec, there: int, free: int) -> int | None:
        target = spec.target
        if target.get("all") is True:
            return free
        if "share" in target:
            try:
                return max(1, math.ceil(parse_ratio(target["share"]) * there - 1e-9))
            except ValueError as error:
                self._problem(spec, f"target.share: {error}")
                return None
        count = target.get("count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            self._problem(spec, f"target.count: {count!r} is not a whole number from 1")
            return None
        return count

    def _problem(self, spec: FaultSpec, message: str, hint: str = "") -> None:
        self.problems.append(Problem(spec.place, message, hint))
