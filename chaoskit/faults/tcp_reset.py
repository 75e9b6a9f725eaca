"""tcp.reset: connections on a link are reset before an answer comes."""

from __future__ import annotations

from typing import ClassVar

from chaoskit.faults.link import LinkFault


class TcpReset(LinkFault):
    """Resets connections on a link before an answer comes, as a crashed or restarted peer does."""

    kind: ClassVar[str] = "tcp.reset"
