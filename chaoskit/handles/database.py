"""database: the file in which the target keeps its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part


@dataclass(frozen=True)
class Database(Handle):
    """A database of SQLite; `file` is what the target calls it."""

    kind: ClassVar[str] = "database"
    parts: ClassVar = {"crm": Part("crm", ("crm",))}
    needs: ClassVar[tuple[str, ...]] = ("file",)

    file: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The file itself."""
        return Address(file=str(there.data / f"{name}.db"))
