"""From plans to a stack and tracks that can begin: every mistake in the input is found before a program starts."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import pwd
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaoskit import __version__, bundle, files
from chaoskit.access import session_for
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.events import SCHEMA, Event, Header, Origin
from chaoskit.examine.preflight import lingering, preflight, refuse_unconfirmed, running
from chaoskit.host.ports import reserve
from chaoskit.host.revisions import commit_here
from chaoskit.load.processes import Processes
from chaoskit.localize.configuration import Ports, localize
from chaoskit.localize.sink_addresses import SinkAddress, SinkAddresses
from chaoskit.plan.model import Plan
from chaoskit.plan.witnesses import seen_integrations
from chaoskit.run.planning import Asked, Planned, by_name, plan_for, queries_in
from chaoskit.run.track import Track
from chaoskit.run.traffic import own_load
from chaoskit.safety.stop_all import refuse_if_blocked
from chaoskit.scenario.catalog import is_shipped
from chaoskit.scenario.model import Attached
from chaoskit.stack.attached import AttachedStack
from chaoskit.stack.binaries import Binaries, require
from chaoskit.stack.interface import Stack
from chaoskit.stack.local import LocalStack
from chaoskit.stack.original import able, fitted
from chaoskit.witness.client import asks_for_no_token, await_answer

LATEST = "latest"
_LONGEST_PATH = 400
"""SQLite opens no file with a longer name than 512, and what a run makes lies deeper than its folder."""
_PATTERN = "*?[\\"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stack that can be started, and for each scenario what its track needs."""

    stack: Stack
    runs: tuple[PreparedRun, ...]
    load: Processes | None = None
    """The processes that will bear the load of a locustfile, which they have imported; else None."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """One scenario's run that can begin on the stack."""

    plan: Plan
    header: Header
    folder: Path

    def track(self, listen: Callable[[Event], None] = lambda event: None) -> Track:
        """Begins the run's journal; raises EquipmentError where that is not possible."""
        return Track(self.plan, self.header, self.folder, listen)


def prepare(
    asks: Sequence[Asked],
    folder: Callable[[Plan], Path],
    stack_folder: Callable[[Sequence[Path]], Path] | None = None,
    *,
    unseen: bool = False,
) -> Prepared:
    """Everything that runs on one stack need, computed, and checked with promtool and amtool.

    All of them share profile, bundle and time scale. The stack's folder is the first run's `stack` unless told. Where
    it is `unseen`, as with a dozen of them, its Prometheus has what rules and scenarios read and no more.
    Raises BadInput or Refused with every problem at once; Refused also while runs are stopped on this machine.
    """
    planned = [plan_for(one) for one in asks]
    refuse_if_blocked()
    plan, sources = planned[0][:2]
    if isinstance(plan.profile.target, Attached):
        return _attached(asks, planned, folder, stack_folder)
    answer = asks[0].answer_on(plan.config)
    binaries = able(require(), answer)
    with own_load(plan) as load:
        ports = Ports(*reserve(len(Ports.__dataclass_fields__)))
        plans = [each for each, *_ in planned]
        folders = [folder(each) for each in plans]
        where = stack_folder(folders) if stack_folder else folders[0] / "stack"
        scale, aside = plan.time_scale, plan.config.set_aside
        queries = [query for each in plans for query in queries_in(each)] if unseen and scale > 1 else None
        localized = fitted(
            lambda too_new: localize(
                sources, where, ports, scale, SinkAddresses(ports.webhook), aside, too_new, queries
            ),
            binaries.amtool,
        )
        stack = LocalStack(where, binaries, localized, ports, plan.time_scale, None)
        shared = {
            "doors": [described(door) for door in localized.doors],
            "notes": [*localized.notes, *answer.notes],
            "versions": versions(binaries),
        }
        return Prepared(stack, _runs(asks, planned, folders, [answer.rows] * len(asks), shared), load)


def _attached(
    asks: Sequence[Asked],
    planned: Sequence[Planned],
    folder: Callable[[Plan], Path],
    stack_folder: Callable[[Sequence[Path]], Path] | None,
) -> Prepared:
    """The same for a system that runs already: it is asked whether it is the one that was meant."""
    profile, config = planned[0][0].profile, planned[0][0].config
    assert isinstance(profile.target, Attached)
    refuse_unconfirmed([plan for plan, *_ in planned], asks[0].confirm)
    # The files are judged by programs of the versions that run there.
    asks = [replace(one, yours=running(profile.target)) for one in asks]
    planned = [plan_for(one) for one in asks]
    answer = asks[0].answer_on(config)
    looked = [preflight(plan, sources, answer.rows) for plan, sources, *_ in planned]
    notes = list(dict.fromkeys([*(note for found, _ in looked for note in found), *answer.notes]))
    if profile.target.witness:
        with session_for(profile.target, "witness") as session:
            await_answer(profile.target.witness, session)
        if asks_for_no_token(profile.target.witness):
            notes.append("the witness requires no token, so any process of its machine can post false notices to it")
    before = lingering(planned[0][0])
    with own_load(planned[0][0]) as load:
        folders = [folder(each[0]) for each in planned]
        where = stack_folder(folders) if stack_folder else folders[0] / "stack"
        stack = AttachedStack(where, profile.target, profile.handles, [job.name for job in config.jobs])
        doors = [
            {"receiver": one.name, "integration": door.kind, "index": door.index, "kind": "http", "send_resolved": True}
            for one in config.receivers.values()
            for door in seen_integrations(profile, one)
        ]
        shared = {"doors": doors, "notes": notes, "versions": versions(None), "lingering": before}
        doubts = [[*answer.rows, *found] for _, found in looked]
        return Prepared(stack, _runs(asks, planned, folders, doubts, shared), load)


def _runs(
    asks: Sequence[Asked],
    planned: Sequence[Planned],
    folders: Sequence[Path],
    doubts: Sequence[Sequence[str]],
    shared: Mapping[str, Any],
) -> tuple[PreparedRun, ...]:
    """The prepared run of each track; `shared` are the fields that all their headers have in common."""
    return tuple(
        PreparedRun(
            plan,
            Header(
                schema=SCHEMA,
                run_id=folder.name,
                scenario=Path(scenario).name,
                profile=Path(profile).name,
                sources=by_name(sources),
                settings=list(asked.settings),
                time_scale=plan.time_scale,
                seed=plan.seed,
                targets={handle: list(names) for handle, names in plan.inventory.items()},
                set_aside=dict(plan.config.set_aside),
                doubts=list(said),
                beside=list(asked.beside),
                origin=_origin(asked, scenario, plan),
                **shared,
            ),
            folder,
        )
        for asked, (plan, sources, scenario, profile), folder, said in zip(asks, planned, folders, doubts, strict=True)
    )


def _origin(asked: Asked, scenario: str, plan: Plan) -> Origin:
    """The user who asked for the run, and the command that repeats it."""
    shipped = is_shipped(Path(scenario), "scenarios")
    words = ["chaoskit", "run", Path(scenario).stem if shipped else asked.scenario, "--profile", asked.profile]
    words += ["--time-scale", f"{plan.time_scale:g}", "--seed", str(plan.seed)]
    words += [] if asked.files == ConfigFiles(bundle.folder()) else asked.files.words
    words += [word for setting in asked.settings for word in ("--set", setting)]
    words += ["--confirm", asked.confirm] if asked.confirm else []
    by = str(os.getuid())
    with contextlib.suppress(KeyError):  # a user without an entry, as in a container
        by = pwd.getpwuid(os.getuid()).pw_name
    away_s = time.localtime().tm_gmtoff
    return Origin(by=by, host=platform.node(), commit=commit_here(), utc_offset_s=away_s, command=shlex.join(words))


def make_folder(out: Path | None, name: str, *, latest: bool = True) -> Path:
    """The run's own new folder, and `latest` beside it pointing there; raises BadInput when it cannot be made.

    Nothing is left behind then. From here on all that is written is for this user alone.
    """
    files.keep_private()
    parent = out or Path("chaoskit-runs")
    try:
        wrong = _unusable(parent, name)
        if not wrong:
            parent.mkdir(parents=True, exist_ok=True)
            folder = _new_folder(parent, name)
            if latest:
                _point_latest(parent, folder)
            return folder.resolve()
    except OSError as error:
        wrong = f"no folder for the run can be made here: {error.strerror}"
    raise BadInput(Problem(Place(str(parent)), wrong, "choose another --out"))


def _new_folder(parent: Path, name: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = parent / (f"{stamp}-{name}" + (f"-{number}" if number > 1 else ""))
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


def _unusable(parent: Path, name: str) -> str:
    """Why no run can be kept below a folder; empty where it can."""
    whole = str(parent.resolve())
    if len(whole) + len(name) > _LONGEST_PATH:
        return f"the path is {len(whole)} characters long; databases and logs of a run need fewer than {_LONGEST_PATH}"
    if found := [letter for letter in _PATTERN if letter in whole]:
        return f"Prometheus and Alertmanager take {' and '.join(found)} in a path for a pattern"
    if parent.is_symlink() and not parent.exists():
        return f"is a link to {parent.readlink()}, which does not exist"
    latest = parent / LATEST
    if latest.exists() and not latest.is_symlink():
        return f"{LATEST} in it is no symbolic link; chaoskit links the last run under that name: rename or remove it"
    return ""


def versions(binaries: Binaries | None) -> dict[str, str]:
    """Versions of what takes part, for the history's header."""
    found = {"chaoskit": __version__, "python": platform.python_version(), "system": platform.platform()}
    if binaries is not None:
        found |= {name: str(version) for name, version in binaries.versions.items()}
    return found


def described(door: SinkAddress) -> dict[str, Any]:
    """A sink's address as a history's header has it."""
    return {name: getattr(door, name) for name in ("receiver", "integration", "index", "kind", "send_resolved")}


def _point_latest(parent: Path, folder: Path) -> None:
    fresh = parent / f".{LATEST}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    try:
        fresh.symlink_to(folder.name)
        fresh.replace(parent / LATEST)
    except OSError:
        fresh.unlink(missing_ok=True)
        folder.rmdir()
        raise
