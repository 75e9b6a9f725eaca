"""cpu.burn: processes of the target's slice that do nothing but compute, `cores` of them in sum.

Each measures its own processor time and rests whenever it is ahead of its share, so that the sum is what was asked
for and stays within the profile's limit. As long as they get that they give way to whatever else runs on the machine;
where they do not, they take their part like anybody, and since one process then gets only its own, there are several.
"""

from __future__ import annotations

import threading
from typing import ClassVar

from pydantic import Field

from chaoskit.faults import burners
from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo

PROGRAM = """
import time
share, chunk = float(sys.argv[2]), 20_000
first = since, used = time.monotonic(), time.process_time()
while True:
    for _ in range(chunk):
        pass
    if first and time.process_time() > used:
        first = begun()
    ahead = (time.process_time() - used) - share * (time.monotonic() - since)
    if ahead > 0:
        time.sleep(ahead / share)  # what is not its share it leaves to others
    elif ahead < -share * float(sys.argv[3]):
        # The machine was busy for longer than that: what was missed is not made up for.
        since, used = time.monotonic(), time.process_time()
"""
_MADE_UP_S = 0.5
"""A burner makes up for what it missed in so long. With half a second of processor time each in place of half a
second's part, eight of them kept a machine busy for seconds that had been busy for a moment."""
_CONFIRM_S = 10.0


class CpuBurnSettings(Settings):
    """Settings of cpu.burn."""

    cores: float = Field(default=0.5, gt=0, le=1024)
    """Processor time a second, in sum; at most the profile's limits.cpu."""
    burners: int = Field(default=4, ge=1, le=64)
    """Among how many processes it is divided."""


class CpuBurn(burners.Burn):
    """Uses up the slice's processor time."""

    kind: ClassVar[str] = "cpu.burn"
    limit: ClassVar[str] = "cpu"
    unit: ClassVar[str] = "cores"
    settings: ClassVar[type[Settings]] = CpuBurnSettings

    @classmethod
    def asked(cls, settings: Settings) -> float:
        """Cores, in sum."""
        assert isinstance(settings, CpuBurnSettings)
        return settings.cores

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Checks the limit; raises FaultError beyond it."""
        assert isinstance(settings, CpuBurnSettings)
        cls.refuse_beyond(settings, target)
        return {**burners.token(target), "cores": settings.cores, "burners": settings.burners}

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Starts the burners, releases them together, and hears from each that it has used the processor."""
        each = undo["cores"] / undo["burners"]
        lit = burners.ignite(undo, PROGRAM, [str(each), str(_MADE_UP_S)], undo["burners"])
        # From the first one on the slice is busier, so the effect may be as old as the release.
        burnt = lit.release(_CONFIRM_S, begun=True)
        if burnt is None:
            raise FaultError("the burners were started, but do not get the processor")
        return Seen(burnt, f"{undo['burners']} processes burn {undo['cores']:g} cores")

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Watches that none of them goes, and that the machine has the time for them."""
        burners.watch(undo, undo["burners"], ended, undo["cores"])
