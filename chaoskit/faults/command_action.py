"""The action `command`: a program is run once, and must end as expected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from chaoskit.faults import programs
from chaoskit.faults.base import Action, FaultError, Seen, Settings, Target


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


class CommandAction(Action):
    """Runs a program once."""

    kind: ClassVar[str] = "command"
    handles: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[type[Settings]] = CommandActionSettings

    @classmethod
    def beyond(cls, settings: Settings, limits: Mapping[str, Any]) -> str:
        """Why the profile's limits forbid it; empty where they do not."""
        return programs.forbidden(limits)

    @classmethod
    def run(cls, target: Target, settings: Settings) -> tuple[Seen, dict[str, Any]]:
        """Runs it to its end; raises FaultError when it ends otherwise than expected, or not in time."""
        assert isinstance(settings, CommandActionSettings)
        cls.refuse_beyond(settings, target)
        argv = settings.run if isinstance(settings.run, str) else programs.resolved(settings.run)
        begun = time.time()
        code, said = programs.run(argv, programs.orders(target, settings), settings.shell)
        what = argv if isinstance(argv, str) else argv[0]
        if code != settings.exit:
            raise FaultError(f"{what} ended with {code}, expected was {settings.exit}{said}")
        return Seen((begun, time.time()), f"{what} ended with {code}"), {
            "exit": code,
            "output": said.removeprefix(": "),
        }
