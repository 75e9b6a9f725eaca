"""via cgroup: burners inside a control group of this host, of either version; the group's own counters show them.

With version 1 `path` is the group's name below each controller. The group's limits hold for the burners as for
anything in it. Each burner has a clock of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from chaoskit import waiting
from chaoskit.adapters.base import Adapter, same_place
from chaoskit.faults.base import FaultError, Kind, Lapsed, Made, Seen, Target, Undo
from chaoskit.faults.control_api import ENOUGH, told
from chaoskit.faults.slice import Burn, CpuBurn, MemoryBurn, MemoryBurnSettings, ReadyBurners, burning
from chaoskit.host import slices

_ROOT = Path("/sys/fs/cgroup")
_SPAN_S = 1.0
_COUNTED_S = 5.0
_LONG_S = 5.0
_CPU = (("cpu", "cpu.stat", "1e6"), ("cpuacct", "cpuacct.usage", "1e9"))
_MEMORY = (("memory", "memory.current"), ("memory", "memory.usage_in_bytes"))


@dataclass(frozen=True, kw_only=True)
class Cgroup(Adapter):
    """A control group of this host."""

    kind: ClassVar[str] = "slice"
    via: ClassVar[str] = "cgroup"
    seen_by: ClassVar[str] = "the group's own counters"
    undone_by: ClassVar[str] = "the burners are ended"
    ends: ClassVar[str] = "each burner's own clock"
    example: ClassVar[str] = "slice: {shop: {via: cgroup, path: /system.slice/shop.service}}"

    path: str
    """The group, below /sys/fs/cgroup; `/` is the whole host."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return GroupCpuBurn(), GroupMemoryBurn()

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the path is none of a control group."""
        yield from super().wrong()
        if not self.path.startswith("/") or ".." in Path(self.path).parts:
            yield "path", "is no path of a control group", "write it as /proc/PID/cgroup shows it: /system.slice/…"

    def look(self) -> tuple[str, ...]:
        """The group's path; raises FaultError where the kernel counts no processor time of the group."""
        processor_s(self.path)
        return (self.path,)


def _file(controller: str, group: str, name: str) -> Path:
    below = group.lstrip("/")
    for root in (_ROOT, _ROOT / controller, _ROOT / "unified"):
        if (found := root / below / name).exists():
            return found
    raise FaultError(f"there is no {name} of the control group {group} below {_ROOT}; correct group")


def counted(group: str) -> list[str]:
    """How `chaoskit.host.slices` counts a group's processor time; raises FaultError where that is not counted."""
    for controller, name, unit in _CPU:
        try:
            how = [str(_file(controller, group, name)), unit]
            slices.Group(*how).used_s([])
        except (FaultError, OSError, ValueError, IndexError):
            continue
        return ["Group", *how]
    raise FaultError(f"the control group {group} is not there, or does not count processor time; correct group")


def processor_s(group: str) -> float:
    """The processor time that a group has used; raises FaultError where that is not counted."""
    return slices.Group(*counted(group)[1:]).used_s([])


def memory_bytes(group: str) -> int:
    """The memory that a group holds; raises FaultError where that is not counted."""
    for controller, name in _MEMORY:
        try:
            return int(_file(controller, group, name).read_text())
        except (FaultError, OSError):
            continue
    # The root group of version 2 has no such file.
    raise FaultError(f"the control group {group} is not there, or does not count memory; correct group")


def enter(group: str, pids: list[int], controllers: tuple[str, ...]) -> None:
    """Puts processes into a group; raises FaultError where that is not allowed."""
    for file in dict.fromkeys(_file(one, group, "cgroup.procs") for one in controllers):
        for pid in pids:
            try:
                file.write_text(str(pid))
            except OSError as error:
                raise FaultError(f"no process may enter {file.parent}: {error.strerror}; see its owner") from None


class _InGroup(Burn[Any]):
    """Burners that count in a group."""

    def group(self, keys: Mapping[str, str]) -> str:
        """The group that a handle's keys lead to."""
        return keys["path"]

    def found(self, target: Target) -> Undo:
        keys = dict(target.address.keys)
        group = self.group(keys)
        return {**burning(target), "at": keys, "group": group}

    def ignite(self, undo: Undo, program: str, arguments: list[str], count: int) -> ReadyBurners:
        lit = super().ignite(undo, program, arguments, count)
        enter(undo["group"], [one.pid for one in lit.burners], ("cpu", "cpuacct", "memory"))
        return lit

    def vouch(self, undo: Undo, made: Made) -> str:
        same_place(undo, made)
        return super().vouch(undo, made)


class GroupCpuBurn(_InGroup, CpuBurn):
    """cpu.burn in a control group."""

    kind = "cpu.burn"

    def found(self, target: Target) -> Undo:
        undo = super().found(target)
        processor_s(undo["group"])
        return undo

    def whole(self, undo: Undo) -> list[str]:
        return counted(undo["group"])

    def start(self, undo: Undo) -> Seen:
        """Burns as any cpu.burn; then the group's own counter must rise as fast as was asked for."""
        seen = super().start(undo)
        begun, before = time.monotonic(), processor_s(undo["group"])
        time.sleep(_SPAN_S)  # a rate is the counter's rise over a span, and the kernel announces none
        got = (processor_s(undo["group"]) - before) / (time.monotonic() - begun)
        if got < ENOUGH * undo["cores"]:
            raise FaultError(f"{undo['group']}: {told(got, undo['cores'], 'cores')}; see the group's cpu.max or quota")
        self._since = (time.monotonic(), processor_s(undo["group"]))
        return Seen(seen.between, f"{seen.detail}; {undo['group']} uses {got:.2f} cores")

    def measured(self, undo: Undo) -> None:
        """Over some seconds at a time the group must have used what was asked for."""
        since_s, before = self._since
        if (span_s := time.monotonic() - since_s) < _LONG_S:
            return
        now = processor_s(undo["group"])
        self._since = (time.monotonic(), now)
        if (now - before) / span_s < ENOUGH * undo["cores"]:
            raise Lapsed(f"{undo['group']}: {told((now - before) / span_s, undo['cores'], 'cores')}")


class GroupMemoryBurn(_InGroup, MemoryBurn):
    """memory.burn in a control group."""

    kind = "memory.burn"

    def prepare(self, target: Target, settings: MemoryBurnSettings) -> Undo:
        undo = super().prepare(target, settings)
        return {**undo, "held": memory_bytes(undo["group"])}

    def start(self, undo: Undo) -> Seen:
        """Holds memory as any memory.burn; then the group's own counter must show it."""
        seen = super().start(undo)
        if not waiting.await_true(lambda: self._gained(undo) >= ENOUGH * undo["size"], _COUNTED_S):
            raise FaultError(f"{undo['group']}: {told(self._gained(undo) / 2**20, undo['size'] / 2**20, 'MiB')}")
        return Seen(seen.between, f"{seen.detail}; {undo['group']} holds {self._gained(undo) / 2**20:.0f} MiB more")

    def _gained(self, undo: Undo) -> int:
        return memory_bytes(undo["group"]) - int(undo["held"])
