"""The description of a kind of handle, all of it in one class, so that a new kind is one file.

role: {worker: {process: worker, label: worker_name}}
----  ------    ---------------
kind  name      keys: the fields of the kind's dataclass
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from chaoskit.handles.address import Address

Trouble = tuple[str, str]
"""A problem, and the next thing to do about it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the local target: what a profile calls it there, and the names of the things that it is made of."""

    called: str
    things: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """The description that a running local target gives of itself."""

    told: Mapping[str, Any]
    """The JSON that the target printed when it was ready: its ports, for one."""
    slice: str
    """The word in the titles and in the environment of its processes."""
    data: Path
    metrics: str
    pids: Mapping[str, int]
    """Process ids of the local stack, by the name of the equipment."""
    ports: Mapping[str, list[int]]
    control: Path
    """The folder of the notes by which equipment is ruled."""
    owner: int

    def url(self, port: str) -> str:
        """The URL at which the local target answers on the port that it told under this name."""
        return f"http://127.0.0.1:{self.told[port]}"

    def interface(self, port: str) -> Address:
        """A control interface of the target."""
        return Address(url=self.url(port), token_file=str(self.data / "token"), owner=self.owner)

    def titles(self, of: str) -> str:
        """The pattern for the titles of its processes; `of` is the end of it."""
        return rf"crm\[{re.escape(self.slice)}\] {of}"


@dataclass(frozen=True)
class Handle(ABC):
    """One handle of a profile. A kind's class is a frozen dataclass whose fields are the keys, all of them text.

    A key without a default is needed; of `either` one is. Everything that is not overridden says: one fault at a time
    adds to another, nothing of it is local, and it cannot be reached on a target that runs already.
    """

    kind: ClassVar[str]
    """The word by which a scenario's target names the handle: `target: {role: worker}`."""
    via: ClassVar[str] = ""
    """The profile's `via:`, the way by which the handle is reached; empty where its kind has but one."""
    files: ClassVar[tuple[str, ...]] = ()
    """Keys that name files: a relative one lies beside the profile."""
    either: ClassVar[tuple[str, ...]] = ()
    """Keys of which one is needed, the first unless another is there."""
    in_profiles: ClassVar[bool] = True
    """Whether profiles define handles of this kind; else they have the names of the local target's parts."""
    exclusive: ClassVar[bool] = False
    """Whether one thing of this kind bears one fault at a time; faults on a link, for instance, add up."""
    watches: ClassVar[bool] = False
    """Whether its things watch the whole stack, so that a scenario that harms them plays alone."""
    attached: ClassVar[bool] = False
    """Whether faults can reach this kind of handle on a target that runs already."""
    parts: ClassVar[Mapping[str, Part]] = {}
    """The parts of the local target that are of this kind, by the handle's name."""
    address: ClassVar[type[Address]] = Address
    needs: ClassVar[tuple[str, ...]] = ()
    """The fields of the address without which faults do not find it."""

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The keys that a profile may give for one."""
        return tuple(one.name for one in fields(cls))

    @classmethod
    @abstractmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """How faults find the part of the local target that has this handle's name; asked for what `parts` names."""

    @property
    def said(self) -> tuple[str, str]:
        """The key that says what is behind it at the target, and its value."""
        key = self.key_names()[0]
        return key, getattr(self, key)

    @property
    def alert_label(self) -> str:
        """The label by which alerts name one of its things; empty where they name none."""
        return ""

    @classmethod
    def wrong_by_hand(cls, handle: str, names: tuple[str, ...], at: Address) -> Iterator[Trouble]:
        """Why an address that a person gave does not lead to these things."""
        for key in cls.needs:
            if not getattr(at, key):
                yield f"nothing says where {handle} is: {key} is missing", f"write --at {key}=…"

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """Keys whose text cannot be right, each with what is wrong with it and what to do next."""
        return iter(())

    def wrong_locally(self, name: str) -> Trouble | None:
        """Why the handle has nothing behind it on the local target; None where it has."""
        part = self.parts.get(name)
        if part is None:
            return f"the local target has no {self.kind} '{name}'", f"it has: {', '.join(self.parts) or 'none'}"
        key, value = self.said
        if value == part.called:
            return None
        message = f"the {self.kind} '{name}' says {key}: {value}, and the local target has no such thing"
        return message, f"write {key}: {part.called}"

    def things(self, find: Callable[[str], Iterable[str]]) -> tuple[str, ...] | None:
        """The names of the handle's things on a target that runs already, None where nothing says how they are found.

        `find` names the processes of a pattern.
        """
        return None

    def at_attached(self, service: str) -> Address:
        """How faults find the handle on a target that runs already; `service` is where the target answers."""
        return Address(url=service)

    def unreachable(self, name: str, things: tuple[str, ...]) -> Trouble | None:
        """Why faults cannot reach the handle on a running target that has these things; None where they can."""
        return None

    def carries(self) -> tuple[str, ...] | None:
        """The kinds of faults and actions that reach the handle; None where all for its kind of handle do."""
        return None

    def endless(self, kind: str) -> bool:
        """Whether the effect of such a fault stays on the target when nothing of this program is left to end it."""
        return False

    def unread(self, name: str) -> Trouble | None:
        """The problem with a key that has no effect on a target that runs already; None where each has one."""
        return None


def pattern_trouble(text: str) -> str:
    """Why a text is no pattern for the titles of processes, as the end of a sentence; empty where it is one."""
    try:
        named = "name" in re.compile(text).groupindex
    except re.error as error:
        return f"is no regular expression: {error}"
    return "" if named else "has no group"


HOST = ("host", "is not read yet: faults act on the host on which chaoskit runs", "run it there, without host:")
"""The problem of a key that names another host."""
