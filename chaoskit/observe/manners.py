"""How a sink is told to answer badly: a file that says so, looked at for each notice; without it, all is well.

    {"status": 500, "delay_s": 0.0}

What a receiver refuses has not been heard: such a notice is reported as refused and counts for no promise.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from chaoskit.files import read_regular


class Manners(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is answered to a notice: `status` 0 is the usual answer; both SMTP and HTTP refuse from 400 on."""

    status: int = 0
    delay_s: float = 0.0

    @property
    def refuses(self) -> bool:
        """Whether the sender is told that its notice was not taken."""
        return self.status >= 400


GOOD = Manners()


def manners(file: str) -> Manners:
    """What the file says now; good manners where there is none, or half of one."""
    try:
        return msgspec.json.decode(read_regular(Path(file)), type=Manners) if file else GOOD
    except (OSError, msgspec.DecodeError):
        return GOOD
