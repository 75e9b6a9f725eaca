"""command: any program with its undo, and as an action, a program that is run once.

`start` and `stop` do the work; `seen` is a question: to a program, whose exit code is 0 while the effect is there, or
to Prometheus. The stop must bear being called at any time and any number of times, also when the start never was: it
is the undo.
A program is arguments as a list, with bounded time and output. It gets PATH, HOME, LANG and the like, TARGET_URL, and
the variables that the settings name. Their values are secrets: every message that quotes the output masks them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import requests
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from chaoskit import waiting
from chaoskit.access import session_at, trouble
from chaoskit.alerting.promql import at_scale, says_yes
from chaoskit.errors import BadInput
from chaoskit.faults import processes
from chaoskit.faults.base import Action, Fault, FaultError, Lapsed, Made, Seen, Settings, Target, Undo
from chaoskit.faults.control_api import Watch
from chaoskit.faults.quantities import Duration
from chaoskit.files import users_umask
from chaoskit.fresh import fresh
from chaoskit.scenario.model import Access

_QUERY_S = 4.0
_QUERY_EVERY_S = 0.1


def _parsed(query: str) -> str:
    at_scale(query, 1)
    return query


class Query(Settings):
    """A question to Prometheus and how long its answer may take."""

    query: Annotated[str, Field(min_length=1), AfterValidator(_parsed)]
    """PromQL that has a result while the effect is there, and none before and after."""
    within: Annotated[Duration, Field(gt=0, le=3600)] = 30.0
    """Virtual time in which the answer must come true after the start, and false after the stop."""


def _asked(target: Target, settings: Query) -> dict[str, Any]:
    """The question as data; raises FaultError where no Prometheus is known or the scale cannot be applied to it."""
    given = target.address.prometheus
    if not given:
        raise FaultError("no Prometheus is known to ask 'seen' of; by hand: --at prometheus=URL")
    at = processes.owned({"url": given} if isinstance(given, str) else given)
    try:
        scaled = at_scale(settings.query, target.address.time_scale)
    except ValueError as error:
        raise FaultError(f"'{settings.query}' cannot be asked at this time scale: {error}") from None
    return {"query": scaled, "within_s": settings.within / target.address.time_scale, "at": at}


def _holds(question: dict[str, Any]) -> bool:
    """The answer now; raises FaultError where Prometheus gives none."""
    at = question["at"]
    url = f"{at['url'].rstrip('/')}/api/v1/query"
    try:
        with session_at(at["url"], msgspec.convert(at.get("access"), Access | None)) as session:
            answer = session.get(url, params={"query": question["query"]}, timeout=_QUERY_S)
        found = answer.json()
        if found["status"] != "success":
            raise FaultError(f"{url}: '{question['query']}': {found.get('error', 'no success')}"[:400])
        return says_yes(found["data"])
    except requests.RequestException as error:
        raise FaultError(f"{url} gives no answer: {trouble(error)}; see url") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise FaultError(f"{url} answers {answer.status_code}, and not as Prometheus does; correct url") from None
    except (BadInput, msgspec.ValidationError) as error:
        raise FaultError(f"{url} cannot be asked: {error}") from None


def _answers(question: dict[str, Any], there: bool) -> bool:
    """Waits for an answer within the question's time; whether it came. Raises FaultError where none was to be had."""
    silent: list[FaultError] = []

    def looked() -> bool:
        silent.clear()
        try:
            return _holds(question) is there
        except FaultError as error:
            silent.append(error)
            return False

    if waiting.await_true(looked, question["within_s"], min(_QUERY_EVERY_S, question["within_s"] / 10)):
        return True
    if silent:
        raise silent[0]
    return False


_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "SSL_CERT_FILE")
_SHOWN = 1000
_MASK = "<secret>"


def _program(given: Any) -> Any:
    if isinstance(given, str):
        raise ValueError("is one text; write a list, one argument each (a shell line needs shell: true in an action)")
    if isinstance(given, list):
        bad = [item for item in given if not isinstance(item, str) or "\0" in item]
        if bad:
            raise ValueError(f"{bad[0]!r} is not a text; put it in quotes")
        if given and not given[0]:
            raise ValueError("the program's name is empty")
    return given


Program = Annotated[list[str], BeforeValidator(_program), Field(min_length=1)]
"""A program and its arguments, one text each; no shell."""


class ProgramSettings(Settings):
    """Settings that each kind of program has."""

    env: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]] = Field(default_factory=list)
    """Names of environment variables that are handed over; their values never show."""
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 15.0
    """Longest time for one program, in real seconds; what still runs then is ended, with its children."""


def forbidden(limits: Mapping[str, Any]) -> str:
    """Why the profile's limits forbid scenarios their programs; empty where they do not."""
    return (
        "the profile's limits.commands is false: its scenarios run no programs"
        if not limits.get("commands", True)
        else ""
    )


def resolved(argv: list[str]) -> list[str]:
    """The arguments with the program's full path; raises FaultError when there is no such program."""
    found = shutil.which(argv[0])
    if found is None:
        raise FaultError(f"there is no program '{argv[0]}' here that may be run")
    return [str(Path(found).absolute()), *argv[1:]]


def is_resolved(argv: list[str], found: list[str]) -> bool:
    """Whether `resolved` can have made the second list of arguments of the first."""
    return Path(found[0]).is_absolute() and Path(found[0]).name == Path(argv[0]).name and found[1:] == argv[1:]


def orders(target: Target, settings: ProgramSettings) -> dict[str, Any]:
    """The inputs of a program's run besides its arguments, as data: names, never values, of variables."""
    found = {
        "env": list(settings.env),
        "timeout_s": settings.timeout_s,
        "url": target.address.url,
        "folder": str(Path.cwd()),
    }
    return {**found, "umask": users_umask()}


def run_program(argv: list[str] | str, given: Mapping[str, Any], shell: bool = False) -> tuple[int, str]:
    """Exit code and the end of the output; raises FaultError when it cannot be started or takes too long."""
    what = argv if isinstance(argv, str) else argv[0]
    folder = given["folder"] if Path(given["folder"]).is_dir() else "/"
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                fresh(["/bin/sh", "-c", argv] if isinstance(argv, str) and shell else list(argv)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(given),
                cwd=folder,
                start_new_session=True,
                umask=given.get("umask", -1),
            )
        except OSError as error:
            raise FaultError(f"{what} cannot be started: {error.strerror}; see its mode") from None
        try:
            code = child.wait(timeout=given["timeout_s"])
        except subprocess.TimeoutExpired:
            over = f"{what} was not done within {given['timeout_s']:g} s, and was killed; mend it, or raise timeout_s"
            raise FaultError(f"{over}{_said(output, given)}") from None
        finally:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait(timeout=5)
        return code, _said(output, given)


def _environment(given: Mapping[str, Any]) -> dict[str, str]:
    names = (*_PASSED, *given["env"])
    found = {name: os.environ[name] for name in names if name in os.environ}
    return {**found, "TARGET_URL": given["url"]} if given["url"] else found


def _said(output: Any, given: Mapping[str, Any]) -> str:
    """The end of the output, on one line, after a colon; nothing where nothing was said."""
    size = output.seek(0, os.SEEK_END)
    # Masked before it is cut, so that no half of a secret is left at the edge.
    longest = max((len(os.environ.get(name, "").encode()) for name in given["env"]), default=0)
    output.seek(max(0, size - 4 * _SHOWN - longest))
    text = output.read().decode(errors="replace")
    for name in given["env"]:
        if os.environ.get(name, "").strip():
            text = text.replace(os.environ[name], _MASK).replace(os.environ[name].strip(), _MASK)
    text = " ".join(text.split())[-_SHOWN:]
    return f": {text}" if text else ""


_SEEN_S = 15.0
_AGAIN_S = 0.2
_LOOK_S = 1.0
_MISSES = 2


class CommandSettings(ProgramSettings):
    """Settings of command."""

    start: Program
    """Brings the effect about and ends with 0."""
    stop: Program
    """Takes the fault back and ends with 0, whether or not there is anything to take back."""
    seen: Program | Query | None = Field(default=None, validation_alias=AliasChoices("seen", "effect"))
    """A program that ends with 0 while the effect is there, else with something else; or a question to Prometheus,
    `{query: PROMQL, within: 30s}` (virtual), which has a result while the effect is there. Without it, exit codes are
    believed. `effect` is another word for this key."""


class Command(Fault[CommandSettings]):
    """Runs a program that breaks something, and one that mends it."""

    kind = "command"
    handles = ()

    def beyond(self, settings: CommandSettings, limits: Mapping[str, Any]) -> str:
        return forbidden(limits)

    def prepare(self, target: Target, settings: CommandSettings) -> Undo:
        """Finds the programs; raises FaultError for one that is not there."""
        self.refuse_beyond(settings, target)
        seen = settings.seen
        return {
            "start": resolved(settings.start),
            "stop": resolved(settings.stop),
            "seen": _asked(target, seen) if isinstance(seen, Query) else resolved(seen) if seen else None,
            **orders(target, settings),
        }

    def queries(self, settings: CommandSettings) -> tuple[str, ...]:
        return (settings.seen.query,) if isinstance(settings.seen, Query) else ()

    def longest_s(self, undo: Undo) -> float:
        """How long the programs may take to start or stop, by their settings, in real seconds."""
        seen = undo["seen"]
        asked_s = seen["within_s"] if isinstance(seen, dict) else 0.0 if seen is None else _SEEN_S + undo["timeout_s"]
        return float(undo["timeout_s"] + asked_s)

    def start(self, undo: Undo) -> Seen:
        """Runs `start` and waits until `seen` says yes."""
        begun = time.time()
        _work(undo, "start")
        if not _becomes(undo, there=True):
            raise FaultError(
                f"start ended well, but seen does not see an effect within {_seen_s(undo):g} s: see {_asks(undo)}"
            )
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
        if isinstance(undo["seen"], dict) and processes.orphaned(undo["seen"]["at"]):
            told = f"stop ({undo['stop'][0]}) ended with 0; the Prometheus that saw the effect has ended with its run"
            return Seen((begun, time.time()), told)
        if not _becomes(undo, there=False):
            raise FaultError(
                f"stop ended well, but seen still sees the effect after {_seen_s(undo):g} s: see {_asks(undo)}"
            )
        return Seen((begun, time.time()), _told(undo, "stop"))

    def vouch(self, undo: Undo, made: Made) -> str:
        """Accepts only tokens of the programs that the settings name."""
        settings = CommandSettings.model_validate(dict(made.settings))
        for name in ("start", "stop", "seen"):
            wanted, found = getattr(settings, name), undo[name]
            if isinstance(wanted, Query) and isinstance(found, dict):
                made.allow("prometheus", found["at"]["url"])
            elif (wanted is None) != (found is None) or (wanted and not is_resolved(wanted, found)):
                raise FaultError(f"the token's {name} is not the settings' program: {found}; undo it by hand")
        if undo["env"] != list(settings.env) or undo["timeout_s"] != settings.timeout_s:
            raise FaultError("the token's env or timeout_s are not those of the fault's settings; undo it by hand")
        made.allow("url", undo["url"])
        return f"runs {undo['stop']} in {undo['folder']}" + (f", then asks {undo['seen']}" if undo["seen"] else "")


def _work(undo: Undo, which: str) -> None:
    code, said = run_program(undo[which], undo)
    if code != 0:
        raise FaultError(f"{which} ({undo[which][0]}) ended with {code}{said}")


def _there(undo: Undo) -> bool:
    if isinstance(undo["seen"], dict):
        return _holds(undo["seen"])
    try:
        return undo["seen"] is None or run_program(undo["seen"], undo)[0] == 0
    except FaultError:
        return False


def _becomes(undo: Undo, *, there: bool) -> bool:
    if isinstance(undo["seen"], dict):
        return _answers(undo["seen"], there)
    return undo["seen"] is None or waiting.await_true(lambda: _there(undo) == there, _SEEN_S, _AGAIN_S)


def _seen_s(undo: Undo) -> float:
    return float(undo["seen"]["within_s"]) if isinstance(undo["seen"], dict) else _SEEN_S


def _asks(undo: Undo) -> str:
    return str(undo["seen"]["query"] if isinstance(undo["seen"], dict) else undo["seen"][0])


def _told(undo: dict[str, Any], which: str) -> str:
    return f"{which} ({undo[which][0]}) ended with 0" + ("" if undo["seen"] is None else ", and seen confirms it")


class CommandActionSettings(ProgramSettings):
    """Settings of the action command."""

    run: Program | str
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
        return forbidden(limits)

    def run(self, target: Target, settings: CommandActionSettings) -> tuple[Seen, dict[str, Any]]:
        """Runs the program to its end; raises FaultError when it ends otherwise than expected, or not in time."""
        self.refuse_beyond(settings, target)
        argv = settings.run if isinstance(settings.run, str) else resolved(settings.run)
        begun = time.time()
        code, said = run_program(argv, orders(target, settings), settings.shell)
        what = argv if isinstance(argv, str) else argv[0]
        if code != settings.exit:
            raise FaultError(f"{what} ended with {code}, expected was {settings.exit}{said}")
        result = {"exit": code, "output": said.removeprefix(": ")}
        return Seen((begun, time.time()), f"{what} ended with {code}"), result
