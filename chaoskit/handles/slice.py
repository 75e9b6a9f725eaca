"""slice: the target's share of the machine, which its memory, CPU and disk metrics are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part

VARIABLE = "CHAOSKIT_SLICE"
"""By this variable the local target knows the processes that are its own."""


@dataclass(frozen=True)
class Slice(Handle):
    """A share of the machine; `mark` is what the target calls the processes and the folder that count."""

    kind: ClassVar[str] = "slice"
    parts: ClassVar = {"crm": Part("crm", ("crm",))}

    mark: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The mark of its processes, the folder of its quota, and the page that tells of both."""
        mark = {"name": VARIABLE, "value": there.slice}
        return Address(mark=mark, folder=str(there.data), metrics=there.metrics)
