"""tcp.flaky: answers on a link break off half-way with a reset."""

from __future__ import annotations

from typing import ClassVar

from chaoskit.faults.link import LinkFault


class TcpFlaky(LinkFault):
    """Lets calls through and breaks their answers off half-way: the work was done, the caller does not know."""

    kind: ClassVar[str] = "tcp.flaky"
