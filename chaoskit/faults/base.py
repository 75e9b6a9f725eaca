"""The calls of every fault kind: prepare without touching anything, start and see it, stop from the token alone.

    runner                      holder (a child that lives as long as the fault)
prepare() -> undo token
journal: invoke, fsync
           ── start ──>     start()      returns when the effect was seen
journal: ok                 hold()       keeps it in force, notices when it lapses
journal: alter, fsync
           ── change ─>     change()     another level, without a gap at none; only kinds that have levels
           ── EOF ───>      stop(undo)   from the token alone; any process may do it, any number of times

An action (`do:`) has no undo: it is done when its result was confirmed.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from chaoskit.events import Interval
from chaoskit.handles.address import Address
from chaoskit.host.ports import LOOPBACKS

FORK_SERVER = "chaoskit.faults.fork_server"
"""The module that forks holders, so a word in their command lines and not in those of a fault's programs."""
Undo = dict[str, Any]
"""An undo token: JSON data that is enough to take the fault back, in another process, after a crash."""


class FaultError(Exception):
    """The effect could not be brought about or taken back; the message is for the person reading."""


class Lapsed(Exception):
    """An effect that should be in force is gone, and it was not us."""


class Settings(BaseModel):
    """Base of every kind's typed settings: unknown keys are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Target:
    """A handle of the profile, resolved: which things it names, and how to find them on the target."""

    handle: str
    """The handle as profiles and messages write it: `role:worker`."""
    names: tuple[str, ...]
    address: Address = field(default_factory=Address)


@dataclass(frozen=True, slots=True)
class Made:
    """How an undo token came about, as the journal that holds it tells."""

    folder: Path
    """The run's folder."""
    targets: tuple[str, ...]
    settings: Mapping[str, Any]
    address: Mapping[str, Any]
    """`places` of the target; empty where an older journal does not tell."""

    def allow(self, key: str, value: str) -> None:
        """Raises FaultError unless the target is in this place, as far as the journal tells.

        An older one tells nothing: then only what lies beside or below the run, or on loopback, is it.
        """
        if any(self.address.values()):
            right = self.address.get(key, "") == value
        elif key in ("url", "service", "prometheus", "alertmanager"):
            right = not value or urlsplit(value).hostname in LOOPBACKS
        else:
            path = Path(value)
            right = not value or (self.folder.parent in (path, *path.parents) and ".." not in path.parts)
        if not right:
            raise FaultError(f"the journal knows of no target whose {key} is {value!r}, so undo the fault by hand")


@dataclass(frozen=True, slots=True)
class Seen:
    """Inside which instants something came true, and what was seen."""

    between: Interval
    detail: str = ""


def is_gone(file: Path) -> bool:
    """Whether a file is seen not to be there; raises FaultError where that cannot be seen from here."""
    try:
        file.lstat()
    except FileNotFoundError:
        try:
            empty = not any(file.parent.iterdir())
        except OSError as error:
            raise FaultError(
                f"{file.parent} cannot be seen from here ({error.strerror}), so {file} may exist; undo it there"
            ) from None
        if empty and os.path.ismount(file.parent):
            raise FaultError(
                f"{file.parent} is an empty mount, so {file} may exist below it; unmount it, or remove the file"
            ) from None
        return True
    except OSError as error:
        raise FaultError(f"{file} cannot be seen from here: {error.strerror}; undo the fault on its host") from None
    return False


class Kind(ABC, Generic[S]):
    """The part that faults and actions share; the class names its settings by deriving: `Fault[MySettings]`."""

    kind: ClassVar[str]
    """The kind's name as scenarios write it, such as `process.kill`."""
    handles: ClassVar[tuple[str, ...]]
    """The kinds of handle that this kind acts on, one of which a target must name; none: it needs no target."""
    settings: ClassVar[type[Settings]] = Settings
    in_process: ClassVar[bool] = False
    """Whether the run's own process shows the effect, which ends with it: then no child holds it."""

    everywhere: ClassVar[bool] = False
    """Whether this kind acts on the Alertmanager of a target that runs already as on a local one."""

    def __init_subclass__(cls) -> None:
        for base in vars(cls).get("__orig_bases__", ()):
            for given in get_args(base):
                if isinstance(given, type) and issubclass(given, Settings):
                    cls.settings = given

    def beyond(self, settings: S, limits: Mapping[str, Any]) -> str:
        """Why a profile's limits forbid these settings; empty where they do not."""
        return ""

    def refuse_beyond(self, settings: S, target: Target) -> None:
        """Raises FaultError where the limits that the target's address tells forbid it."""
        if why := self.beyond(settings, target.address.limits):
            raise FaultError(why)


class Fault(Kind[S]):
    """A kind of fault. Methods that are not abstract have a default that is right for most kinds."""

    look_s: ClassVar[float] = 0.25
    """Real seconds between two looks of `hold`."""
    takes_cores: ClassVar[bool] = False
    """Whether it uses up processor time of this machine: a gate plays such scenarios one at a time."""

    @abstractmethod
    def prepare(self, target: Target, settings: S) -> Undo:
        """Resolves the target and returns the undo token; changes nothing. Raises FaultError."""

    @abstractmethod
    def start(self, undo: Undo) -> Seen:
        """Brings the effect about and returns once it was seen. Raises FaultError."""

    @abstractmethod
    def stop(self, undo: Undo) -> Seen:
        """Takes the effect back, from the token alone; idempotent, bounded, verified. Raises FaultError."""

    def lapse(self, undo: Undo) -> str:
        """Why the effect that should be in force is gone; empty as long as it is there."""
        return ""

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Keeps the effect in force until `ended` is set; raises Lapsed when it is gone uninvited (see `lapse`).

        After a change `undo` holds the new token: its content is replaced in place.
        """
        while not ended.wait(self.look_s):
            if (why := self.lapse(undo)) and not ended.is_set():
                raise Lapsed(why)

    def vouch(self, undo: Undo, made: Made) -> str:
        """Says what `stop` would run, remove or send, given a token that was found in a journal.

        Raises FaultError for a token that this kind cannot have made like that.
        """
        return f"does what {self.kind} does with {undo}"

    def longest_s(self, undo: Undo) -> float:
        """How much longer than other kinds this fault's start or stop may take, in real seconds."""
        return 0.0

    def longest_undo_s(self, undo: Undo) -> float:
        """As `longest_s`, of the undo alone, once no holder is left; as that where a kind does not tell them apart."""
        return self.longest_s(undo)

    def largest_scale(self, names: tuple[str, ...]) -> tuple[float, str]:
        """Up to which time scale its consequences on these things are not falsified, and why no further."""
        return float("inf"), ""

    def queries(self, settings: S) -> tuple[str, ...]:
        """The PromQL queries that the fault will ask of the target's Prometheus."""
        return ()


class Changeable(Fault[S]):
    """A kind whose level can be changed while it is in force."""

    @abstractmethod
    def alter(self, undo: Undo, settings: S) -> Undo:
        """The token that undoes the present level and the one of these settings; changes nothing. Raises FaultError."""

    @abstractmethod
    def change(self, undo: Undo) -> Seen:
        """Brings the token's level about, with no gap at none, and returns once it was seen. Raises FaultError."""


class Action(Kind[S]):
    """Something done once, with nothing to take back."""

    @abstractmethod
    def run(self, target: Target, settings: S) -> tuple[Seen, dict[str, Any]]:
        """Does the action, and returns its confirmed result as data, within a bounded time; raises FaultError."""
