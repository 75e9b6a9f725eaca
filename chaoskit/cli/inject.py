"""`inject`: one fault by hand, on something that runs already."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from chaoskit.cli.console import say
from chaoskit.cli.numbers import seconds_of
from chaoskit.cli.outputs import CONFIRM, OUT
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.events import Event, FaultFail, FaultOk, Interruption, StepEnd, UndoFail, UndoOk
from chaoskit.run.inject import inject, order
from chaoskit.run.prepare import make_folder
from chaoskit.safety.stop_all import refuse_if_blocked
from chaoskit.yaml_source import scalar


@click.command("inject")
@click.argument("kind")
@click.option("--target", default="", metavar="HANDLE=NAME,…", help="The handles, as role:worker=worker-1.")
@click.option("--at", "at", multiple=True, metavar="KEY=VALUE", help="Where the target is: pattern, url, token_file, …")
@click.option("--with", "given", multiple=True, metavar="KEY=VALUE", help="A setting of the fault.")
@click.option("--for", "duration", required=True, metavar="TIME", help="Undo the fault after this real time, as 30s.")
@CONFIRM
@OUT
def inject_command(
    kind: str, target: str, at: tuple[str, ...], given: tuple[str, ...], duration: str, confirm: str, out: Path
) -> ExitCode:
    """Break one thing by hand for a while, with the same journal, holder and watchdog as a run has."""
    handle, _, names = target.partition("=")
    for_s = seconds_of("--for", duration)
    address = _pairs("--at", at)
    settings = _pairs("--with", given)
    asked = order(kind, handle, tuple(filter(None, names.split(","))), address, settings, for_s, confirm)
    refuse_if_blocked()

    def folder() -> Path:
        made = make_folder(out, f"by-hand-{kind}", latest=False)
        say(f"journal: {made}/events.jsonl")
        return made

    return inject(asked, folder, _hear, os._exit)


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    problems = []
    for one in given:
        key, sign, value = one.partition("=")
        if not sign or not key:
            problems.append(Problem(Place(option), f"'{one}' is no KEY=VALUE", "write it as key=value"))
        if key in found:
            problems.append(Problem(Place(option), f"'{key}' is given twice", "leave one out"))
        try:
            found[key] = json.loads(value) if value[:1] in ("{", "[") else scalar(value)
        except ValueError as error:
            problems.append(
                Problem(Place(option), f"'{one}' looks like JSON and is none: {error}", "mend the brackets")
            )
    if problems:
        raise BadInput(problems)
    return found


def _hear(event: Event) -> None:
    match event:
        case FaultOk():
            line = f"in force: {event.detail}"
        case StepEnd(outcome="failed", detail=reason) | FaultFail(lapsed=True, reason=reason):
            line = f"not in force: {reason}"
        case UndoOk():
            line = f"undone: {event.detail}"
        case UndoFail():
            line = f"NOT UNDONE: {event.reason}; run: chaoskit heal"
        case Interruption():
            line = event.reason
        case _:
            return
    say(line)
