"""Running somebody else's program: arguments as a list, a small environment, bounded time and output.

A program gets PATH, HOME, LANG and the like, TARGET_URL, and the variables that the settings name. The values of
those that were named are masked in whatever is told of its output: they are how secrets are handed over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from chaoskit.faults.base import FaultError, Settings, Target
from chaoskit.files import users_umask
from chaoskit.fresh import fresh

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
    """What all programs are given."""

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
    """Whether `resolved` can have made the one of the other."""
    return Path(found[0]).is_absolute() and Path(found[0]).name == Path(argv[0]).name and found[1:] == argv[1:]


def orders(target: Target, settings: ProgramSettings) -> dict[str, Any]:
    """What a run of a program needs besides its arguments, as data: names, never values, of variables."""
    found = {
        "env": list(settings.env),
        "timeout_s": settings.timeout_s,
        "url": target.address.url,
        "folder": str(Path.cwd()),
    }
    return {**found, "umask": users_umask()}


def run(argv: list[str] | str, given: Mapping[str, Any], shell: bool = False) -> tuple[int, str]:
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
            raise FaultError(f"{what} cannot be started: {error.strerror}") from None
        try:
            code = child.wait(timeout=given["timeout_s"])
        except subprocess.TimeoutExpired:
            raise FaultError(f"{what} was not done within {given['timeout_s']:g} s{_said(output, given)}") from None
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
