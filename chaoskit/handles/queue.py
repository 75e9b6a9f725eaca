"""queue: messages that wait for the target's workers, and those that nothing could handle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part


@dataclass(frozen=True)
class Queue(Handle):
    """A queue of messages; `admin` is the part of the target that rules it."""

    kind: ClassVar[str] = "queue"
    parts: ClassVar = {"agent-tasks": Part("crm", ("agent-tasks",))}
    needs: ClassVar[tuple[str, ...]] = ("url",)

    admin: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The target's control interface."""
        return there.interface("admin")
