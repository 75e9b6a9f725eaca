"""Choosing targets: by handle and count, never one already under a fault, the same ones for the same seed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random

from chaoskit.errors import Place, Problem
from chaoskit.handles import handle_kinds
from chaoskit.plan.model import Inventory, PlannedFault
from chaoskit.scenario.model import FaultSpec, Handles, Limits
from chaoskit.scenario.profile import plural
from chaoskit.units import parse_ratio
from chaoskit.yaml_source import nearest


def undefined(what: str, name: str, known: Iterable[str], place: Place | None) -> Problem:
    """The problem of an unknown name, with the nearest known one or the list of them."""
    names = sorted(known)
    hint = nearest(name, names) or f"there are: {', '.join(names) or 'none'}"
    return Problem(place, f"{what} '{name}' is defined nowhere", hint)


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
        kinds = handle_kinds()
        kind = next((kind for name, kind in kinds.items() if name in spec.target), None)
        if kind is None:
            if spec.target:
                self._problem(spec, f"target has none of {', '.join(kinds)}")
                return None
            return PlannedFault(fault_id, spec, "", (), "")
        name = str(spec.target[kind.kind])
        key = f"{kind.kind}:{name}"
        handle = self._handles.of(kind.kind).get(name)
        known = [one.partition(":")[2] for one in self._inventory if one.startswith(f"{kind.kind}:")]
        if kind.in_profiles:
            known = list(self._handles.of(kind.kind))
        if name not in known:
            self.problems.append(undefined(f"{kind.kind} handle", name, known, spec.place))
            return None
        there = self._inventory.get(key, ())
        chosen = self._pick(fault_id, spec, key, there)
        if chosen is None:
            return None
        if kind.exclusive:
            self._take(spec, key, plural(name), chosen, there)
        return PlannedFault(fault_id, spec, key, chosen, handle.alert_label if handle else "")

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
        """Frees the targets of a fault that was undone: others may hit them again."""
        self._taken.get(fault.handle, set()).difference_update(fault.targets)

    def _pick(self, fault_id: str, spec: FaultSpec, key: str, there: tuple[str, ...]) -> tuple[str, ...] | None:
        target, free = spec.target, [n for n in there if n not in self._taken.get(key, set())]
        if "name" in target:
            name = str(target["name"])
            if name in free:
                return (name,)
            if name in there:
                self._problem(spec, f"already under a fault of this run: {name}", "undo that one first")
            else:
                self.problems.append(undefined(key.replace(":", " "), name, there, spec.place))
            return None
        count: int = len(free) if "all" in target else target.get("count", 1)
        if "share" in target:
            count = max(1, math.ceil(parse_ratio(target["share"]) * len(there) - 1e-9))
        if count > len(free) or not free:
            self._problem(
                spec,
                f"{count} of {key} are wanted, {len(free)} of {len(there)} are free",
                "hit fewer, or undo another fault first" if there else "the target has none: name others",
            )
            return None
        # One generator a fault, so that another step more or less does not change who is hit here.
        return tuple(sorted(Random(f"{self._seed}/{fault_id}").sample(sorted(free), count)))

    def _problem(self, spec: FaultSpec, message: str, hint: str = "") -> None:
        self.problems.append(Problem(spec.place, message, hint))
