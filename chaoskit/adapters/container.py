"""via container: what a container of this host's Docker uses: burners in its control group, a file in its file system.

The group is that of the container's main process. The file lies in the container's own view, so it counts where the
container's files count, and goes with the container.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from chaoskit.adapters.cgroup import GroupCpuBurn, GroupMemoryBurn
from chaoskit.adapters.docker import Docker, Engine
from chaoskit.adapters.path import FolderFill
from chaoskit.faults.base import FaultError, Kind, Seen, Target, Undo


@dataclass(frozen=True, kw_only=True)
class Container(Docker):
    """The part of the machine that one container uses."""

    kind: ClassVar[str] = "slice"
    via: ClassVar[str] = "container"
    exclusive: ClassVar[bool] = False
    seen_by: ClassVar[str] = "the counters of its control group; statvfs"
    undone_by: ClassVar[str] = "the burners are ended; the one file is removed"
    ends: ClassVar[str] = "each burner's own clock"
    endless_kinds: ClassVar[tuple[str, ...]] = ("disk.fill",)
    example: ClassVar[str] = "slice: {shop: {via: container, container: shop, path: /data}}"

    path: str = ""
    """The folder inside the container that disk.fill fills; `/` if nothing is said."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return ContainerCpuBurn(), ContainerMemoryBurn(), ContainerFill()

    def look(self) -> tuple[str, ...]:
        """The container's name; raises FaultError where it does not run."""
        main_pid(self.keys())
        return (self.container,)


def main_pid(keys: Mapping[str, str]) -> int:
    """The main process of the container; raises FaultError where it does not run."""
    state = Engine(keys).state(keys["container"])
    if state.process is None:
        raise FaultError(
            f"the container {keys['container']} does not run on this host: it is {state.said}; start it first"
        )
    return int(state.process["pid"])


def _group(keys: Mapping[str, str]) -> str:
    lines = Path(f"/proc/{main_pid(keys)}/cgroup").read_text().splitlines()
    groups = {parts[1]: parts[2] for parts in (line.split(":", 2) for line in lines)}
    return groups.get("cpu") or groups.get("cpu,cpuacct") or groups[""]


class ContainerCpuBurn(GroupCpuBurn):
    """cpu.burn in a container's control group."""

    kind = "cpu.burn"

    def group(self, keys: Mapping[str, str]) -> str:
        return _group(keys)


class ContainerMemoryBurn(GroupMemoryBurn):
    """memory.burn in a container's control group."""

    kind = "memory.burn"

    def group(self, keys: Mapping[str, str]) -> str:
        return _group(keys)


class ContainerFill(FolderFill):
    """disk.fill in a container."""

    kind = "disk.fill"

    def folder(self, target: Target) -> str:
        return _inside(target.address.keys)

    def stop(self, undo: Undo) -> Seen:
        """Removes the file where the container is now: one that was started anew has another process."""
        keys = undo["at"]
        if keys["container"] not in Engine(keys).names():
            now = time.time()
            return Seen((now, now), "the container is gone")
        return super().stop({**undo, "file": f"{_inside(keys)}/{Path(undo['file']).name}"})

    def allowed(self, folder: str, undo: Undo) -> None:
        """Raises FaultError unless the file lies in the handle's folder of a container."""
        if not re.fullmatch(r"/proc/\d+/root" + re.escape(_below(undo["at"])), folder):
            raise FaultError(f"{folder} is not the container's {_below(undo['at']) or '/'}, so undo this by hand")


def _below(keys: Mapping[str, str]) -> str:
    return f"/{keys.get('path', '/').strip('/')}".rstrip("/")


def _inside(keys: Mapping[str, str]) -> str:
    return f"/proc/{main_pid(keys)}/root{_below(keys)}"
