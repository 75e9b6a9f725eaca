"""What every kind of fault offers: prepare without touching anything, start and see it, stop from the token alone.

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from chaoskit.events import Interval

Undo = dict[str, Any]
"""An undo token: JSON data that is enough to take the fault back, in another process, after a crash."""


class FaultError(Exception):
    """The effect could not be brought about or taken back; the message is for the person reading."""


class Lapsed(Exception):
    """An effect that should be in force is gone, and it was not us."""


class Settings(BaseModel):
    """Base of every kind's typed settings: unknown keys are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Target:
    """A handle of the profile, resolved: which things it names, and how to find them on the target."""

    handle: str
    """As `role:worker`."""
    names: tuple[str, ...]
    address: Mapping[str, Any]
    """How the target's things are found: `pattern` for processes, a URL for a proxy, and so on; always `time_scale`."""

    @property
    def time_scale(self) -> float:
        """Virtual seconds per real second, for settings that are virtual durations."""
        return float(self.address.get("time_scale", 1.0))


PLACES = ("url", "service", "token_file", "file", "folder", "pattern", "control")
"""The part of an address that is journaled beside a token, to be compared with it before the token is obeyed."""


def places(address: Mapping[str, Any]) -> dict[str, Any]:
    """Where an address says that the target is, as data without a secret."""
    prometheus = address.get("prometheus", "")
    found = {key: address[key] for key in PLACES if key in address}
    return {**found, "prometheus": prometheus if isinstance(prometheus, str) else prometheus["url"]}


@dataclass(frozen=True, slots=True)
class Made:
    """How a token came about, as the journal that holds it tells."""

    folder: Path
    """The run's."""
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
        elif key in ("url", "service", "prometheus"):
            right = not value or urlsplit(value).hostname in ("127.0.0.1", "::1", "localhost")
        else:
            path = Path(value)
            right = not value or (self.folder.parent in (path, *path.parents) and ".." not in path.parts)
        if not right:
            raise FaultError(f"the journal knows of no target whose {key} is {value!r}, so nothing is done with it")


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
                f"{file.parent} cannot be seen from here ({error.strerror}), so {file} may exist"
            ) from None
        if empty and os.path.ismount(file.parent):
            raise FaultError(f"{file.parent} is an empty mount, so {file} may exist where it is not covered") from None
        return True
    except OSError as error:
        raise FaultError(f"{file} cannot be seen from here: {error.strerror}") from None
    return False


class Fault(Protocol):
    """One kind of fault; a class registered under its kind."""

    kind: ClassVar[str]
    handles: ClassVar[tuple[str, ...]]
    """Which handles it acts on: role, link, queue, or none."""
    settings: ClassVar[type[Settings]]

    @classmethod
    def prepare(cls, target: Target, settings: Settings) -> Undo:
        """Resolves the target and returns the undo token; changes nothing. Raises FaultError."""

    @classmethod
    def start(cls, undo: Undo) -> Seen:
        """Brings the effect about and returns once it was seen. Raises FaultError."""

    @classmethod
    def hold(cls, undo: Undo, ended: threading.Event) -> None:
        """Keeps the effect in force until `ended` is set; raises Lapsed when it is gone uninvited.

        After a change `undo` holds the new token: its content is replaced in place.
        """

    @classmethod
    def stop(cls, undo: Undo) -> Seen:
        """Takes the effect back, from the token alone; idempotent, bounded, verified. Raises FaultError."""

    @classmethod
    def vouch(cls, undo: Undo, made: Made) -> str:
        """Tells what `stop` does with a token that was found in a journal: what it runs, removes, sends where.

        Raises FaultError for a token that this kind cannot have made like that.
        """


def beyond(kind: Any, settings: Settings, limits: Mapping[str, Any]) -> str:
    """Why a profile's limits forbid this of a kind of fault or action; empty where they do not."""
    found = getattr(kind, "beyond", None)
    return str(found(settings, limits)) if found else ""


def refuse_beyond(kind: Any, settings: Settings, target: Target) -> None:
    """Raises FaultError where the limits that the target's address tells forbid it."""
    if why := beyond(kind, settings, target.address.get("limits", {})):
        raise FaultError(why)


def longest_s(kind: type[Fault], undo: Undo) -> float:
    """What a kind's own settings add to how long its start or stop may take, in real seconds; 0 for most."""
    found = getattr(kind, "longest_s", None)
    return float(found(undo)) if found else 0.0


class Changeable(Fault, Protocol):
    """A kind whose level can be changed while it is in force."""

    @classmethod
    def alter(cls, undo: Undo, settings: Settings) -> Undo:
        """The token that undoes the present level and the one of these settings; changes nothing. Raises FaultError."""

    @classmethod
    def change(cls, undo: Undo) -> Seen:
        """Brings the token's level about, with no gap at none, and returns once it was seen. Raises FaultError."""


class Action(Protocol):
    """Something done once, with nothing to take back; a class registered under its name."""

    kind: ClassVar[str]
    handles: ClassVar[tuple[str, ...]]
    settings: ClassVar[type[Settings]]

    @classmethod
    def run(cls, target: Target, settings: Settings) -> tuple[Seen, dict[str, Any]]:
        """Does it and returns once the result is confirmed, with that result as data. Bounded; raises FaultError."""
