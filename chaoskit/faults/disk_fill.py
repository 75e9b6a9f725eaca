"""disk.fill: a file of so many bytes, really allocated, in the folder whose free space the target watches."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, Seen, Settings, Target, Undo, is_gone
from chaoskit.faults.strength import told
from chaoskit.units import parse_size

_LOOK_S = 0.25
_SPARE_BYTES = 512 * 2**20
"""So much of the machine's own disk is left free, whatever is asked for."""


def _size(given: Any) -> Any:
    return parse_size(given) if isinstance(given, str) else given


class DiskFillSettings(Settings):
    """Settings of disk.fill."""

    size: Annotated[int, BeforeValidator(_size), Field(gt=0)]
    """How much, as `200MiB`."""


class DiskFill(Fault):
    """Fills the slice's disk quota."""

    kind: ClassVar[str] = "disk.fill"
    handles: ClassVar[tuple[str, ...]] = ("slice",)
    settings: ClassVar[type[Settings]] = DiskFillSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Chooses a name; raises FaultError where there is no folder, or too little room on the machine itself."""
        assert isinstance(settings, DiskFillSettings)
        folder = Path(target.address.folder)
        if not target.address.folder or not folder.is_dir():
            raise FaultError(f"{target.handle}: the target does not say which folder its quota is about")
        free = shutil.disk_usage(folder).free
        if settings.size + _SPARE_BYTES > free:
            raise FaultError(f"disk.fill of {settings.size} bytes would endanger this machine: {free} are free")
        return {"file": str(folder / f"chaoskit-fill-{secrets.token_hex(6)}"), "size": settings.size}

    @classmethod
    def start(cls, undo: Undo) -> Seen:
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

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Watches that the file stays."""
        while not ended.wait(_LOOK_S):
            if _blocks(undo) < undo["size"] and not ended.is_set():
                left = told(_blocks(undo) / 2**20, undo["size"] / 2**20, "MiB")
                raise Lapsed(f"something else made {undo['file']} smaller, or removed it; {left}")

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Removes the file; one that was never made is just as well."""
        begun = time.time()
        try:
            if not is_gone(Path(undo["file"])):
                Path(undo["file"]).unlink(missing_ok=True)
        except OSError as error:
            raise FaultError(f"{undo['file']} could not be removed: {error.strerror}") from None
        return Seen((begun, time.time()), "removed")

    @classmethod
    def vouch(cls, undo: Undo, made: Made) -> str:
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
