"""Could this kind of fault have made this token? Asked of every token that a journal holds, before it is obeyed.

A journal is data that names programs, files and addresses. Each kind knows what its own tokens look like, and what its
undo does with them; what a journal's own plan never had is not done either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import BadInput
from chaoskit.events import Header, Invoke
from chaoskit.faults.base import FaultError, Made, Settings
from chaoskit.faults.command import Command
from chaoskit.faults.registry import known, read_settings
from chaoskit.inputs import read_inputs
from chaoskit.scenario.model import Inject


@dataclass(frozen=True, slots=True)
class Journaled:
    """Where a fault's journal lies, and how it begins."""

    folder: Path
    header: Header | None


def vouched(fault: Invoke, journaled: Journaled) -> str:
    """The effect of undoing this fault, in words; raises FaultError where its kind cannot have made its token."""
    kind = known().get(fault.kind)
    if kind is None:
        raise FaultError(f"there is no fault kind {fault.kind} here; install the package that brings it")
    made = Made(journaled.folder, tuple(fault.targets), fault.settings, fault.address)
    try:
        said = kind.vouch(fault.undo, made)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise FaultError(f"this is no token of {fault.kind}: {type(error).__name__}: {error}") from None
    if isinstance(kind, Command):
        _planned(kind, fault, journaled.header)
    return said


def _planned(kind: Command, fault: Invoke, header: Header | None) -> None:
    """Raises FaultError unless the programs are those that the journal's own scenario has; by hand there is none."""
    if header is None:
        raise FaultError("its journal has lost its beginning, so what it planned to run is not known")
    if not header.scenario:
        return
    try:
        steps = read_inputs(header.sources, header.scenario, header.profile, header.settings).scenario.steps
    except BadInput as error:
        raise FaultError(f"the plan in its journal cannot be read: {error.problems[0]}") from None
    for step in steps:
        if isinstance(step, Inject) and step.name == fault.step:
            for spec in (one for one in step.faults if one.kind == fault.kind):
                settings, _ = read_settings(kind, spec.settings, spec.place)
                if isinstance(settings, Settings) and settings.model_dump(mode="json") == fault.settings:
                    return
    raise FaultError("the plan in its journal runs no such programs")
