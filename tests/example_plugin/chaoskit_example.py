"""A third party's kind of fault: a flag file that some service looks at. It knows nothing of chaoskit but its base."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import ClassVar

from chaoskit.faults.base import Fault, FaultError, Lapsed, Seen, Settings, Target, Undo


class FlagSettings(Settings):
    """Settings of file.flag."""

    path: str
    """The file that is there while the fault is in force."""


class FileFlag(Fault):
    """Puts a flag file where a service finds it."""

    kind: ClassVar[str] = "file.flag"
    handles: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[type[Settings]] = FlagSettings

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Says which file; raises FaultError when it is there already."""
        assert isinstance(settings, FlagSettings)
        if Path(settings.path).exists():
            raise FaultError(f"{settings.path} is there already")
        return {"file": settings.path}

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Makes the file."""
        begun = time.time()
        Path(undo["file"]).touch(exist_ok=False)
        return Seen((begun, time.time()), "flag put")

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Watches that it stays."""
        while not ended.wait(0.1):
            if not Path(undo["file"]).exists() and not ended.is_set():
                raise Lapsed("somebody else took the flag away")

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Takes it away."""
        begun = time.time()
        Path(undo["file"]).unlink(missing_ok=True)
        return Seen((begun, time.time()), "flag taken")
