"""command: any program with its undo, and as an action, a program that is run once.

`start` and `stop` do the work; `seen` is a question: to a program, whose exit code is 0 while the effect is there, or
to Prometheus. The stop must bear being called at any time and any number of times, also when the start never was: it
is the undo.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from chaoskit import waiting
from chaoskit.faults import programs, query
from chaoskit.faults.base import Action, Fault, FaultError, Lapsed, Made, Seen, Target, Undo
from chaoskit.faults.interface import Watch
from chaoskit.faults.query import Query

_SEEN_S = 15.0
_AGAIN_S = 0.2
_LOOK_S = 1.0
_MISSES = 2


class CommandSettings(programs.ProgramSettings):
    """Settings of command."""

    start: programs.Program
    """Brings the effect about and ends with 0."""
    stop: programs.Program
    """Takes it back and ends with 0, whether or not there is anything to take back."""
    seen: programs.Program | Query | None = None
    """A program that ends with 0 while the effect is there, else with something else; or a question to Prometheus,
    `{query: PROMQL, within: 30s}` (virtual), which has a result while the effect is there. Without it, exit codes are
    believed."""


class Command(Fault[CommandSettings]):
    """Runs a program that breaks something, and one that mends it."""

    kind = "command"
    handles = ()

    def beyond(self, settings: CommandSettings, limits: Mapping[str, Any]) -> str:
        return programs.forbidden(limits)

    def prepare(self, target: Target, settings: CommandSettings) -> Undo:
        """Finds the programs; raises FaultError for one that is not there."""
        self.refuse_beyond(settings, target)
        seen = settings.seen
        return {
            "start": programs.resolved(settings.start),
            "stop": programs.resolved(settings.stop),
            "seen": query.asked(target, seen) if isinstance(seen, Query) else programs.resolved(seen) if seen else None,
            **programs.orders(target, settings),
        }

    def queries(self, settings: CommandSettings) -> tuple[str, ...]:
        return (settings.seen.query,) if isinstance(settings.seen, Query) else ()

    def longest_s(self, undo: Undo) -> float:
        """How long its start, or its stop, may take by its settings, in real seconds."""
        seen = undo["seen"]
        asked_s = seen["within_s"] if isinstance(seen, dict) else 0.0 if seen is None else _SEEN_S + undo["timeout_s"]
        return float(undo["timeout_s"] + asked_s)

    def start(self, undo: Undo) -> Seen:
        """Runs `start` and waits until `seen` says yes."""
        begun = time.time()
        _work(undo, "start")
        if not _becomes(undo, there=True):
            raise FaultError(f"start ended well, but seen does not see an effect within {_seen_s(undo):g} s")
        return Seen((begun, time.time()), _told(undo, "start"))

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Asks `seen` every second; raises Lapsed when it says no twice running, or a Prometheus nothing for long."""
        misses, watch = 0, Watch()
        while not ended.wait(_LOOK_S):
            found = watch.look(lambda: _there(undo))
            misses = misses if found is None else 0 if found else misses + 1
            if misses >= _MISSES and not ended.is_set():
                raise Lapsed(f"seen ({_asks(undo)}) says that the effect is gone")

    def stop(self, undo: Undo) -> Seen:
        """Runs `stop` and waits until `seen` says no."""
        begun = time.time()
        _work(undo, "stop")
        if isinstance(undo["seen"], dict) and query.orphaned(undo["seen"]):
            told = f"stop ({undo['stop'][0]}) ended with 0; the Prometheus that saw the effect has ended with its run"
            return Seen((begun, time.time()), told)
        if not _becomes(undo, there=False):
            raise FaultError(f"stop ended well, but seen still sees the effect after {_seen_s(undo):g} s")
        return Seen((begun, time.time()), _told(undo, "stop"))

    def vouch(self, undo: Undo, made: Made) -> str:
        """Only the programs of the settings."""
        settings = CommandSettings.model_validate(dict(made.settings))
        for name in ("start", "stop", "seen"):
            wanted, found = getattr(settings, name), undo[name]
            if isinstance(wanted, Query) and isinstance(found, dict):
                made.allow("prometheus", found["at"]["url"])
            elif (wanted is None) != (found is None) or (wanted and not programs.is_resolved(wanted, found)):
                raise FaultError(f"its {name} is not the program of its settings: {found}")
        if undo["env"] != list(settings.env) or undo["timeout_s"] != settings.timeout_s:
            raise FaultError("its variables or its time are not those of its settings")
        made.allow("url", undo["url"])
        return f"runs {undo['stop']} in {undo['folder']}" + (f", then asks {undo['seen']}" if undo["seen"] else "")


def _work(undo: Undo, which: str) -> None:
    code, said = programs.run(undo[which], undo)
    if code != 0:
        raise FaultError(f"{which} ({undo[which][0]}) ended with {code}{said}")


def _there(undo: Undo) -> bool:
    if isinstance(undo["seen"], dict):
        return query.holds(undo["seen"])
    try:
        return undo["seen"] is None or programs.run(undo["seen"], undo)[0] == 0
    except FaultError:
        return False


def _becomes(undo: Undo, *, there: bool) -> bool:
    if isinstance(undo["seen"], dict):
        return query.becomes(undo["seen"], there)
    return undo["seen"] is None or waiting.await_true(lambda: _there(undo) == there, _SEEN_S, _AGAIN_S)


def _seen_s(undo: Undo) -> float:
    return float(undo["seen"]["within_s"]) if isinstance(undo["seen"], dict) else _SEEN_S


def _asks(undo: Undo) -> str:
    return str(undo["seen"]["query"] if isinstance(undo["seen"], dict) else undo["seen"][0])


def _told(undo: dict[str, Any], which: str) -> str:
    return f"{which} ({undo[which][0]}) ended with 0" + ("" if undo["seen"] is None else ", and seen confirms it")


class CommandActionSettings(programs.ProgramSettings):
    """Settings of the action command."""

    run: programs.Program | str
    """The program and its arguments as a list; with `shell: true` one line for /bin/sh."""
    shell: bool = False
    """Whether `run` is a line for a shell."""
    exit: Annotated[int, Field(ge=0, le=255)] = 0
    """The exit code that means success."""

    @model_validator(mode="after")
    def _fits(self) -> CommandActionSettings:
        if self.shell and not isinstance(self.run, str):
            raise ValueError("with shell: true, run is one line; it is a list here")
        if isinstance(self.run, str) and (not self.shell or not self.run.strip()):
            raise ValueError("run is a list, one argument each; a line is only for shell: true")
        return self


class CommandAction(Action[CommandActionSettings]):
    """Runs a program once."""

    kind = "command"
    handles = ()

    def beyond(self, settings: CommandActionSettings, limits: Mapping[str, Any]) -> str:
        return programs.forbidden(limits)

    def run(self, target: Target, settings: CommandActionSettings) -> tuple[Seen, dict[str, Any]]:
        """Runs it to its end; raises FaultError when it ends otherwise than expected, or not in time."""
        self.refuse_beyond(settings, target)
        argv = settings.run if isinstance(settings.run, str) else programs.resolved(settings.run)
        begun = time.time()
        code, said = programs.run(argv, programs.orders(target, settings), settings.shell)
        what = argv if isinstance(argv, str) else argv[0]
        if code != settings.exit:
            raise FaultError(f"{what} ended with {code}, expected was {settings.exit}{said}")
        result = {"exit": code, "output": said.removeprefix(": ")}
        return Seen((begun, time.time()), f"{what} ended with {code}"), result
