"""disk.fill: a file of so many bytes, really allocated, in the folder whose free space the target watches."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from pathlib import Path

from chaoskit.faults.base import Fault, FaultError, Made, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.interface import told
from chaoskit.faults.quantities import Size

_SPARE_BYTES = 512 * 2**20
"""So much of the machine's own disk is left free, whatever is asked for."""


class DiskFillSettings(Settings):
    """Settings of disk.fill."""

    size: Size
    """How much, as `200MiB`."""


class DiskFill(Fault[DiskFillSettings]):
    """Fills the slice's disk quota."""

    kind = "disk.fill"
    handles = ("slice",)

    def prepare(self, target: Target, settings: DiskFillSettings) -> Undo:
        """Chooses a name; raises FaultError where there is no folder, or too little room on the machine itself."""
        folder = Path(target.address.folder)
        if not target.address.folder or not folder.is_dir():
            raise FaultError(f"{target.handle}: the target does not say which folder its quota is about")
        free = shutil.disk_usage(folder).free
        if settings.size + _SPARE_BYTES > free:
            raise FaultError(f"disk.fill of {settings.size} bytes would endanger this machine: {free} are free")
        return {"file": str(folder / f"chaoskit-fill-{secrets.token_hex(6)}"), "size": settings.size}

    def start(self, undo: Undo) -> Seen:
        """Allocates the file and sees its blocks."""
        begun = time.time()
        try:
            with open(undo["file"], "xb") as file:  # noqa: PTH123 - exclusively, by descriptor
                os.posix_fallocate(file.fileno(), 0, undo["size"])
                os.fsync(file.fileno())
        except OSError as error:
            raise FaultError(f"{undo['file']} could not be filled: {error.strerror}") from None
        held = _blocks(undo)
        if held < undo["size"]:
            raise FaultError(f"{undo['file']} was made; {told(held / 2**20, undo['size'] / 2**20, 'MiB')}")
        return Seen((begun, time.time()), f"{held / 2**20:.0f} MiB filled")

    def lapse(self, undo: Undo) -> str:
        """The file has shrunk, or is gone."""
        held = _blocks(undo)
        left = told(held / 2**20, undo["size"] / 2**20, "MiB")
        return "" if held >= undo["size"] else f"something else made {undo['file']} smaller, or removed it; {left}"

    def stop(self, undo: Undo) -> Seen:
        """Removes the file; one that was never made is just as well."""
        begun = time.time()
        try:
            if not is_gone(Path(undo["file"])):
                Path(undo["file"]).unlink(missing_ok=True)
        except OSError as error:
            raise FaultError(f"{undo['file']} could not be removed: {error.strerror}") from None
        return Seen((begun, time.time()), "removed")

    def vouch(self, undo: Undo, made: Made) -> str:
        """Only a file of the name that this kind makes up, in the target's folder."""
        file = Path(undo["file"])
        made.allow("folder", str(file.parent))
        if not re.fullmatch(r"chaoskit-fill-[0-9a-f]{12}", file.name):
            raise FaultError(f"{file} is no name that disk.fill makes up, so it is not removed")
        return f"removes {file}"


def _blocks(undo: Undo) -> int:
    try:
        return os.stat(undo["file"]).st_blocks * 512  # noqa: PTH116 - blocks, which Path.stat gives as well
    except OSError:
        return 0
