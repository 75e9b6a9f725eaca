"""tcp.blackhole: connections on a link are accepted, and then nothing ever comes back."""

from __future__ import annotations

from typing import ClassVar

from chaoskit.faults.link import LinkFault


class TcpBlackhole(LinkFault):
    """Swallows calls on a link: neither answer nor end, until it is undone and what it holds is reset."""

    kind: ClassVar[str] = "tcp.blackhole"
