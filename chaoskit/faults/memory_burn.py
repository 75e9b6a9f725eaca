"""memory.burn: a process of the target's slice that holds so much memory, every page of it written."""

from __future__ import annotations

import threading
from typing import Annotated, Any, ClassVar

import psutil
from pydantic import BeforeValidator, Field

from chaoskit import waiting
from chaoskit.faults import burners
from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo
from chaoskit.faults.strength import Strength, told
from chaoskit.units import parse_size

_PROGRAM = """
import mmap, time
held = mmap.mmap(-1, int(sys.argv[2]), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0))
for at in range(0, len(held), mmap.PAGESIZE):
    held[at] = 1
while True:
    time.sleep(3600)  # to hold it is all there is to do, until it is killed
"""
_CONFIRM_S = 20.0
_SOME = 0.25
"""The part of it from which on its effect may be seen."""
_WEAK_S = 0.5
_SPARE = 0.8
"""At most this part of the machine's free memory is ever taken, whatever the limits say."""


def _size(given: Any) -> Any:
    return parse_size(given) if isinstance(given, str) else given


class MemoryBurnSettings(Settings):
    """Settings of memory.burn."""

    size: Annotated[int, BeforeValidator(_size), Field(gt=0)]
    """How much, as `200MiB`; at most the profile's limits.memory."""


class MemoryBurn(burners.Burn):
    """Uses up the slice's memory."""

    kind: ClassVar[str] = "memory.burn"
    limit: ClassVar[str] = "memory"
    unit: ClassVar[str] = "bytes"
    settings: ClassVar[type[Settings]] = MemoryBurnSettings

    @classmethod
    def asked(cls, settings: Settings) -> float:
        """Bytes."""
        assert isinstance(settings, MemoryBurnSettings)
        return settings.size

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Checks the limit and the machine's free memory; raises FaultError beyond them."""
        assert isinstance(settings, MemoryBurnSettings)
        cls.refuse_beyond(settings, target)
        free = psutil.virtual_memory().available
        if settings.size > _SPARE * free:
            raise FaultError(f"memory.burn of {settings.size} bytes would endanger this machine: {free} are free")
        return {**burners.token(target), "size": settings.size}

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Starts the process and sees the memory resident."""
        lit = burners.ignite(undo, _PROGRAM, [str(undo["size"])], 1)
        lit.release(_CONFIRM_S, begun=False)
        some = waiting.since_true(lambda: _resident(lit.burners[0]) >= undo["size"] * _SOME, _CONFIRM_S)
        full = waiting.since_true(lambda: _resident(lit.burners[0]) >= undo["size"], _CONFIRM_S)
        if some is None or full is None:
            raise FaultError(
                told(_resident(lit.burners[0]) / 2**20, undo["size"] / 2**20, "MiB, all that the process gets")
            )
        # An alert may already be about a part of it, and on a busy machine it takes a while to take all.
        return Seen((some[0], full[1]), f"{undo['size'] / 2**20:.0f} MiB held")

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Watches that it stays, and stays in memory."""
        held, strength = burners.find(undo), Strength("MiB held", _WEAK_S)
        burners.watch(
            undo, 1, ended, look=lambda: strength.look(sum(map(_resident, held)) / 2**20, undo["size"] / 2**20)
        )


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
