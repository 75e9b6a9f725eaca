"""Which kinds of fault there are: ours and those of other packages, by the entry point group `chaoskit.faults`.

A plugin is checked when it is read, and every problem is named together with the offending definition.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from pydantic import ValidationError

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.faults.base import Fault, Settings
from chaoskit.faults.process_kill import ProcessKill
from chaoskit.faults.process_pause import ProcessPause

GROUP = "chaoskit.faults"
_OURS: tuple[type[Fault], ...] = (ProcessKill, ProcessPause)


@functools.cache
def known() -> Mapping[str, type[Fault]]:
    """Every kind by name; raises BadInput when a registered plugin is not a fault."""
    kinds: dict[str, type[Fault]] = {fault.kind: fault for fault in _OURS}
    problems = []
    for entry in entry_points(group=GROUP):
        if entry.name in kinds:
            continue
        wrong = _load(entry, kinds)
        if wrong:
            problems.append(Problem(None, f"fault kind '{entry.name}' ({entry.value}): {wrong}", "mend the plugin"))
    if problems:
        raise BadInput(problems)
    return kinds


def _load(entry: EntryPoint, kinds: dict[str, type[Fault]]) -> str:
    try:
        found: Any = entry.load()
    except Exception as error:
        return f"cannot be imported: {error}"
    missing = [
        name for name in ("kind", "handles", "settings", "prepare", "start", "hold", "stop") if not hasattr(found, name)
    ]
    if missing:
        return f"lacks {', '.join(missing)}"
    if found.kind != entry.name:
        return f"calls itself '{found.kind}'"
    kinds[entry.name] = cast(type[Fault], found)
    return ""


def read_settings(fault: type[Fault], given: Mapping[str, Any], place: Place) -> tuple[Settings | None, list[Problem]]:
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
