"""role: processes of the target that do the same work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import HOST, Handle, Local, Part, Trouble, pattern_trouble

WORKERS = 4
"""How many workers the local target has."""
PICKS = ("oldest", "each")


@dataclass(frozen=True)
class Role(Handle):
    """Processes: `process` names them at the local target, `match` finds them on this host by their titles."""

    kind: ClassVar[str] = "role"
    via: ClassVar[str] = "match"
    either: ClassVar[tuple[str, ...]] = ("process", "match")
    exclusive: ClassVar[bool] = True
    attached: ClassVar[bool] = True
    parts: ClassVar = {"worker": Part("worker", tuple(f"worker-{n + 1}" for n in range(WORKERS)))}
    needs: ClassVar[tuple[str, ...]] = ("pattern",)

    process: str = ""
    """The name that the local target gives them."""
    label: str = ""
    """The label of alerts that carries the process's name."""
    match: str = ""
    """A pattern for whole titles; its group `name` is what an alert calls one of them."""
    pick: str = ""
    """Of several processes with one name: the `oldest`, or `each`; without it they are refused, with their pids."""
    host: str = ""
    """Another host on which the processes are; refused so far."""

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """How faults find the role on the local target: by the titles that it gives its processes."""
        return Address(pattern=there.titles(rf"{re.escape(name)} (?P<name>\S+)"))

    @classmethod
    def wrong_by_hand(cls, handle: str, names: tuple[str, ...], at: Address) -> Iterator[Trouble]:
        """A problem for no pattern, for one that names no process, and for no names."""
        example = r"as in --at 'pattern=my-app worker (?P<name>\S+)'"
        if not at.pattern:
            yield f"nothing says how the processes of {handle} are found", f"name them by their titles, {example}"
        elif why := pattern_trouble(at.pattern):
            yield f"the pattern {at.pattern} {why}{' called name' if why == 'has no group' else ''}", example
        elif not names:
            yield f"no process of {handle} is named", f"write --target {handle}=NAME,…"

    @property
    def said(self) -> tuple[str, str]:
        """The key and value by which the role finds its processes: `match` where it is given."""
        return ("match", self.match) if self.match else ("process", self.process)

    @property
    def alert_label(self) -> str:
        """The label by which alerts name the role, as the profile says."""
        return self.label

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A `match` that is no pattern, or names no process; another `pick`; a host."""
        if self.host:
            yield HOST
        if self.pick not in ("", *PICKS):
            yield "pick", f"cannot be '{self.pick}'", f"write {' or '.join(PICKS)}"
        if self.match and (why := pattern_trouble(self.match)):
            end = " that is the process's name" if why == "has no group" else ""
            yield "match", f"{why}{end}", r"write 'crm worker (?P<name>\S+)'"

    def wrong_locally(self, name: str) -> Trouble | None:
        """The problem of a role that the local target does not have; a pattern is for targets that run already."""
        found = super().wrong_locally(name)
        if found and self.match and name in self.parts:
            return found[0], "only a target that runs already is searched by titles"
        return found

    def things(self, find: Callable[[str], Iterable[str]]) -> tuple[str, ...] | None:
        """The processes that run on this host now."""
        return tuple(sorted(find(self.match))) if self.match else None

    def at_attached(self, service: str) -> Address:
        """How faults find the role on a target that runs already: by its pattern."""
        return Address(pattern=self.match, pick=self.pick)

    def unreachable(self, name: str, things: tuple[str, ...]) -> Trouble | None:
        """Why the role cannot be reached: without `match`, or no process that it matches runs here; else None."""
        if not self.match:
            message = f"the role '{name}' has no match:, so its processes cannot be found on this host"
            return message, r"write match: 'TITLE (?P<name>\S+)' in the profile's handles"
        if not things:
            message = f"no process of this host has a title like '{self.match}' (role '{name}')"
            return message, "compare it with what `ps -eo args` shows; the whole title must match"
        return None

    def unread(self, name: str) -> Trouble | None:
        """A problem where `process` stands beside `match`: nothing reads it on an attached target."""
        if not (self.match and self.process):
            return None
        what = (
            f"the role '{name}' says process: {self.process} beside match:, which nothing reads on an attached target"
        )
        return what, "its processes are found by match: alone; remove process:"
