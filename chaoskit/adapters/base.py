"""The base of adapters: how a profile names the thing, whether it is there, and which faults act on it."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from chaoskit.faults.base import FaultError, Kind, Made, Seen, Target, Undo
from chaoskit.faults.control_api import NO_OWNER, take_back
from chaoskit.handles.address import Address
from chaoskit.handles.base import HOST, Handle, Local, Trouble
from chaoskit.host.process import run
from chaoskit.trust import read_secret

LONGEST_S = 3600.0
SPARE_S = 15.0
"""So long after the fault's maximum the effect ends by itself: this program takes it back before."""
_PROGRAM_S = 10.0
_ID = re.compile(r"chaoskit_[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Adapter(Handle):
    """One handle that is reached by a way of its own; its class says that way, its fields are the keys of a profile."""

    attached: ClassVar[bool] = True
    needs_extra: ClassVar[tuple[str, ...]] = ()
    """The Python modules of the client, which pip installs with the extra of the adapter's name."""
    ends: ClassVar[str] = ""
    """How the effect ends by itself on the target, for people."""
    seen_by: ClassVar[str] = ""
    undone_by: ClassVar[str] = ""
    endless_kinds: ClassVar[tuple[str, ...]] = ()
    """The kinds of fault whose effect stays on the target when nothing is left to end it."""
    example: ClassVar[str] = ""
    """One handle of this adapter, as a profile writes it."""

    label: str = ""
    """The label of alerts that carries the thing's name."""
    host: str = ""
    """Another host on which the handle's things are; refused so far."""

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The adapter's keys in a profile, its own first; the first of them says what is behind the handle."""
        shared = ("label", "host")
        return (*(one.name for one in fields(cls) if one.name not in shared), *shared)

    @classmethod
    @abstractmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        """The faults that act through it: one object for each kind of fault and action."""

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """An empty address: the local target has nothing that is reached by an adapter."""
        return Address()

    @abstractmethod
    def look(self) -> tuple[str, ...]:
        """The names of the handle's things, as the target tells; raises FaultError where it gives no answer."""

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """The problem of a `host` key, which most adapters cannot use."""
        if self.host:
            yield HOST

    @property
    def alert_label(self) -> str:
        """The label by which alerts name the handle, as the profile says."""
        return self.label

    def carries(self) -> tuple[str, ...]:
        """The kinds of fault that this adapter can do."""
        return tuple(one.kind for one in self.faults())

    def endless(self, kind: str) -> bool:
        """Whether the effect lasts until it is undone, as the adapter's class says."""
        return kind in self.endless_kinds

    def things(self, find: Callable[[str], Iterable[str]]) -> tuple[str, ...] | None:
        """The handle's things that are there now; none where the target cannot be reached."""
        try:
            return self.look()
        except FaultError:
            return ()

    def unreachable(self, name: str, things: tuple[str, ...]) -> Trouble | None:
        """Why the handle's target cannot be reached, asked anew."""
        if things:
            return None
        try:
            if self.look():
                return None
            why = f"there is no {self.said[1]}"
        except FaultError as error:
            why = str(error)
        lacking = [file for key in self.files if (file := getattr(self, key)) and not Path(file).exists()]
        mend = "; ".join(f"install -D -m 600 /dev/stdin {file}" for file in lacking)
        return f"the {self.kind} '{name}' cannot be reached via {self.via}: {why}", mend or "see docs/handles.md"

    def keys(self) -> dict[str, str]:
        """The keys that faults are told and tokens note: never a secret, only where one lies."""
        return {
            key: value for key in self.key_names() if key not in ("label", "host") and (value := getattr(self, key))
        }

    def at_attached(self, service: str) -> Address:
        """How faults find the handle on a target that runs already: by the adapter's keys."""
        return Address(via=self.via, keys=self.keys())


def token(target: Target) -> Undo:
    """The part of a token that all share: where, an id of its own, and until when the effect may last at all."""
    max_s = target.address.max_s or LONGEST_S
    identity = f"chaoskit_{secrets.token_hex(6)}"
    return {"at": dict(target.address.keys), "id": identity, "until": time.time() + max_s + SPARE_S}


def left_s(undo: Undo) -> float:
    """For how long the effect may last from now on, at least one second."""
    return max(1.0, float(undo["until"]) - time.time())


def vouched(undo: Undo, made: Made) -> str:
    """The token's id; raises FaultError unless it is one of ours and acts where the journal's target is."""
    if not _ID.fullmatch(undo["id"]):
        raise FaultError(f"{undo['id']!r} is no id that chaoskit makes up; undo it by hand")
    same_place(undo, made)
    return str(undo["id"])


def same_place(undo: Undo, made: Made) -> None:
    """Raises FaultError unless a token acts where the journal's target is."""
    if made.address.get("keys") != undo["at"] or made.address.get("via") != undo["via"]:
        raise FaultError(f"the journal knows of no target at {undo['at']}, so undo the fault by hand")


def undone(work: Callable[[], str]) -> Seen:
    """Does an undo's work until it succeeds, for some seconds; the work sees that all is gone, and says so."""

    def timed() -> tuple[float, str]:
        said = work()
        return time.time(), said

    return take_back(NO_OWNER, timed)


def client(module: str, via: str) -> Any:
    """The module of a client; raises FaultError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError:
        wanted = f"python -m pip install 'chaoskit[{via}]'"
        raise FaultError(f"via: {via} needs the Python package {module}, which is not installed: {wanted}") from None


def secret(file: str) -> str:
    """The text of a file that holds a secret, one line; raises FaultError where it cannot be used."""
    try:
        return read_secret(Path(file)).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise FaultError(f"{file} cannot be used: {why}; correct the file") from None


def carries_password(url: str) -> bool:
    """Whether a URL has a user or a password in it, which no profile may hold."""
    try:
        return urlsplit(url).password is not None or "@" in urlsplit(url).netloc
    except ValueError:
        return True


def program(*argv: str, given: str = "", within_s: float = _PROGRAM_S) -> str:
    """The output of a program, which ends with us; raises FaultError, with its own words where it fails."""
    try:
        done = run(argv, within_s, given=given)
    except FileNotFoundError:
        raise FaultError(f"there is no program {argv[0]} on this host; install it, or correct PATH") from None
    except subprocess.TimeoutExpired:
        raise FaultError(f"{argv[0]} gave no answer within {within_s:g} s; try it by hand") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:400]
        raise FaultError(f"{' '.join(argv)[:120]} ended with {done.returncode}: {said}")
    return done.stdout
