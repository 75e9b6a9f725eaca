"""Parts that only the practice target has, so that nothing of them is reached elsewhere.

    link, queue, cache, database, scrape, slice

Each has one key, which says what the target calls it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part

VARIABLE = "CHAOSKIT_SLICE"
"""By this variable the local target knows the processes that are its own."""


@dataclass(frozen=True)
class Link(Handle):
    """Calls that pass through a proxy, which can disturb them; `proxy` is what the target calls it."""

    kind: ClassVar[str] = "link"
    parts: ClassVar = {"upstream": Part("upstream", ("upstream",))}
    needs: ClassVar[tuple[str, ...]] = ("url",)
    proxy: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        return there.interface("proxy_admin")


@dataclass(frozen=True)
class Queue(Handle):
    """A queue of messages; `admin` is the part of the target that rules it."""

    kind: ClassVar[str] = "queue"
    parts: ClassVar = {"agent-tasks": Part("crm", ("agent-tasks",))}
    needs: ClassVar[tuple[str, ...]] = ("url",)
    admin: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        return there.interface("admin")


@dataclass(frozen=True)
class Cache(Handle):
    """A cache; `admin` is the part of the target that rules it."""

    kind: ClassVar[str] = "cache"
    parts: ClassVar = {"reports": Part("crm", ("reports",))}
    needs: ClassVar[tuple[str, ...]] = ("url", "service")
    admin: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        return replace(there.interface("admin"), service=there.url("api"))


@dataclass(frozen=True)
class Database(Handle):
    """A database of SQLite; `file` is what the target calls it."""

    kind: ClassVar[str] = "database"
    parts: ClassVar = {"crm": Part("crm", ("crm",))}
    needs: ClassVar[tuple[str, ...]] = ("file",)
    file: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        return Address(file=str(there.data / f"{name}.db"))


@dataclass(frozen=True)
class Scrape(Handle):
    """A scrape endpoint; `process` is what serves it."""

    kind: ClassVar[str] = "scrape"
    exclusive: ClassVar[bool] = True
    watches: ClassVar[bool] = True
    parts: ClassVar = {"crm": Part("metrics", ("metrics",))}
    needs: ClassVar[tuple[str, ...]] = ("pattern", "url")
    process: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        return Address(pattern=there.titles("(?P<name>metrics)"), url=there.metrics)


@dataclass(frozen=True)
class Slice(Handle):
    """A share of the machine; `mark` is what the target calls the processes and the folder that count."""

    kind: ClassVar[str] = "slice"
    parts: ClassVar = {"crm": Part("crm", ("crm",))}
    mark: str

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        mark = {"name": VARIABLE, "value": there.slice}
        return Address(mark=mark, folder=str(there.data), metrics=there.metrics)
