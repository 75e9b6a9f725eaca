"""Which kinds of fault and action there are: ours and those of other packages, by entry points.

The groups are `chaoskit.faults` and `chaoskit.actions`.

A plugin is checked when it is read, and every problem is named together with the offending definition.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.faults.base import Action, Fault, Settings
from chaoskit.faults.cache_thrash import CacheThrash
from chaoskit.faults.command import Command
from chaoskit.faults.command_action import CommandAction
from chaoskit.faults.cpu_burn import CpuBurn
from chaoskit.faults.db_error import DbError
from chaoskit.faults.db_slow import DbSlow
from chaoskit.faults.disk_fill import DiskFill
from chaoskit.faults.http_error import HttpError
from chaoskit.faults.http_request import HttpRequest
from chaoskit.faults.http_slow import HttpSlow
from chaoskit.faults.memory_burn import MemoryBurn
from chaoskit.faults.monitoring_kill import MonitoringKill
from chaoskit.faults.process_crash_loop import ProcessCrashLoop
from chaoskit.faults.process_kill import ProcessKill
from chaoskit.faults.process_pause import ProcessPause
from chaoskit.faults.queue_dead_letters import QueueDeadLetters
from chaoskit.faults.queue_flood import QueueFlood
from chaoskit.faults.queue_replay import QueueReplay
from chaoskit.faults.receiver_answer import ReceiverAnswer
from chaoskit.faults.scrape_drop import ScrapeDrop
from chaoskit.faults.tcp_blackhole import TcpBlackhole
from chaoskit.faults.tcp_flaky import TcpFlaky
from chaoskit.faults.tcp_reset import TcpReset

GROUP = "chaoskit.faults"
ACTIONS = "chaoskit.actions"
_OURS: tuple[type[Fault], ...] = (
    CacheThrash,
    Command,
    CpuBurn,
    DbError,
    DbSlow,
    DiskFill,
    HttpError,
    HttpSlow,
    MemoryBurn,
    MonitoringKill,
    ProcessCrashLoop,
    ProcessKill,
    ProcessPause,
    QueueDeadLetters,
    QueueFlood,
    ReceiverAnswer,
    ScrapeDrop,
    TcpBlackhole,
    TcpFlaky,
    TcpReset,
)
_OUR_ACTIONS: tuple[type[Action], ...] = (CommandAction, HttpRequest, QueueReplay)
_FAULT_HAS = ("kind", "handles", "settings", "prepare", "start", "hold", "stop")
_ACTION_HAS = ("kind", "handles", "settings", "run")


@functools.cache
def known() -> Mapping[str, type[Fault]]:
    """Every kind of fault by name; raises BadInput when a registered plugin is not a fault."""
    return _with_plugins({fault.kind: fault for fault in _OURS}, GROUP, "fault kind", _FAULT_HAS)


@functools.cache
def known_actions() -> Mapping[str, type[Action]]:
    """Every action by name; raises BadInput when a registered plugin is not an action."""
    return _with_plugins({action.kind: action for action in _OUR_ACTIONS}, ACTIONS, "action", _ACTION_HAS)


def changeable(fault: type[Fault]) -> bool:
    """Whether this kind has levels that can be changed while it is in force."""
    return hasattr(fault, "alter") and hasattr(fault, "change")


def _with_plugins(ours: dict[str, Any], group: str, what: str, needed: tuple[str, ...]) -> Mapping[str, Any]:
    kinds = dict(ours)
    problems = []
    for entry in entry_points(group=group):
        if entry.name in kinds:
            continue
        found, wrong = _load(entry, needed)
        kinds[entry.name] = found
        if wrong:
            problems.append(Problem(None, f"{what} '{entry.name}' ({entry.value}): {wrong}", "mend the plugin"))
    if problems:
        raise BadInput(problems)
    return kinds


def _load(entry: EntryPoint, needed: tuple[str, ...]) -> tuple[Any, str]:
    try:
        found: Any = entry.load()
    except Exception as error:
        return None, f"cannot be imported: {error}"
    missing = [name for name in needed if not hasattr(found, name)]
    if missing:
        return None, f"lacks {', '.join(missing)}"
    if found.kind != entry.name:
        return None, f"calls itself '{found.kind}'"
    return found, ""


def read_settings(
    fault: type[Fault] | type[Action], given: Mapping[str, Any], place: Place
) -> tuple[Settings | None, list[Problem]]:
    """The kind's typed settings from what the scenario says, or all that is wrong with them."""
    try:
        return fault.settings.model_validate(dict(given)), []
    except ValidationError as error:
        known_keys = ", ".join(fault.settings.model_fields) or "none"
        return None, [
            Problem(
                place,
                f"{fault.kind}: with.{'.'.join(str(part) for part in item['loc'])}: {item['msg']}",
                f"its settings are: {known_keys}",
            )
            for item in error.errors()
        ]
