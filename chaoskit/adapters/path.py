"""via path: the file system that a folder of this host lies on. A file is really allocated; statvfs shows it.

Nothing removes a file by itself, so a run wants a confirmation of its own. Half a GiB is always left free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from chaoskit.adapters.base import Adapter, same_place
from chaoskit.faults.base import FaultError, Kind, Made, Seen, Target, Undo
from chaoskit.faults.control_api import ENOUGH, told
from chaoskit.faults.slice import DiskFill, DiskFillSettings


@dataclass(frozen=True, kw_only=True)
class Folder(Adapter):
    """A folder of this host, for what fills its file system."""

    kind: ClassVar[str] = "slice"
    via: ClassVar[str] = "path"
    seen_by: ClassVar[str] = "statvfs; the file's blocks"
    undone_by: ClassVar[str] = "the one file is removed"
    endless_kinds: ClassVar[tuple[str, ...]] = ("disk.fill",)
    example: ClassVar[str] = "slice: {data: {via: path, path: /var/lib/shop}}"

    path: str
    """The folder's path on this host."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return (FolderFill(),)

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the folder's path is relative."""
        yield from super().wrong()
        if not Path(self.path).is_absolute():
            yield "path", "is no whole path", "write it from / on"

    def look(self) -> tuple[str, ...]:
        """The folder's path; raises FaultError where there is no such folder."""
        if not Path(self.path).is_dir():
            raise FaultError(f"there is no folder {self.path}; make it, or correct path")
        return (self.path,)


class FolderFill(DiskFill):
    """disk.fill of a folder's file system."""

    kind = "disk.fill"

    def folder(self, target: Target) -> str:
        """The folder in which the file is made."""
        return target.address.keys["path"]

    def prepare(self, target: Target, settings: DiskFillSettings) -> Undo:
        folder = self.folder(target)
        undo = super().prepare(replace(target, address=replace(target.address, folder=folder)), settings)
        return {**undo, "at": dict(target.address.keys)}

    def start(self, undo: Undo) -> Seen:
        """Fills as any disk.fill; then the file system must have that much less free space."""
        folder = str(Path(undo["file"]).parent)
        free = _free(folder)
        seen = super().start(undo)
        gone = free - _free(folder)
        if gone < ENOUGH * undo["size"]:
            raise FaultError(
                f"statvfs of {undo['file']}: {told(gone / 2**20, undo['size'] / 2**20, 'MiB less are free')}"
            )
        return seen

    def vouch(self, undo: Undo, made: Made) -> str:
        same_place(undo, made)
        folder = str(Path(undo["file"]).parent)
        self.allowed(folder, undo)
        return super().vouch(undo, replace(made, address={**made.address, "folder": folder}))

    def allowed(self, folder: str, undo: Undo) -> None:
        """Raises FaultError unless the file lies in the handle's folder."""
        if Path(folder) != Path(undo["at"]["path"]):
            raise FaultError(f"{folder} is not the folder {undo['at']['path']}, so undo the fault by hand")


def _free(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
