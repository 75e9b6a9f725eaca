"""The documentation of faults and actions, from the registry: `python -m chaoskit.faults.docs > docs/faults.md`.

A kind is described by the first sentence of its class, a setting by the text beneath it, so neither can be forgotten
here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from chaoskit.faults.base import Action, Changeable, Kind
from chaoskit.faults.quantities import Duration, Ratio
from chaoskit.faults.registry import known, known_actions
from chaoskit.marked import summary

_HEAD = """# Faults and actions

Every fault is data before it is an effect: its undo token is on disk first, a child process holds it for as long as
its standard input is open, and its effect counts from the instant at which it was *seen*. Durations are virtual.
`change:` gives another level to the kinds that have one. An action (`do:`) is done once and has nothing to take back.

Its strength is measured where it acts for as long as it is in force: cores, resident memory, blocks on disk, messages
in a queue, calls hit on a link and how long they are held, look-ups that push an entry out, time locked, deaths. Below
nine tenths of what was asked for it has lapsed ("the burners got 0.50 of 1.2 cores"), and what depends on it is
UNKNOWN. How the sinks answer under `receiver.answer`, and what a `command` without `seen` does, is believed. Of several
processes with one name none is hit: that is refused, with their pids.

`chaoskit list --faults` and `--handles` print what is known here. Kinds of your own: [extending.md](extending.md).

"""


def render() -> str:
    """The whole page docs/faults.md, from the registry."""
    faults = "".join(_section(name, kind) for name, kind in sorted(known().items()))
    actions = "".join(_section(name, kind) for name, kind in sorted(known_actions().items()))
    return f"{_HEAD}## Faults\n\n{faults}## Actions\n\n{actions}".rstrip() + "\n"


def fault_rows() -> Iterator[tuple[str, ...]]:
    """Every fault and action: its kind, which targets it needs, whether it has levels, what it does."""
    kinds: list[Kind[Any]] = [*known().values(), *known_actions().values()]
    for kind in kinds:
        levels = "yes" if isinstance(kind, Changeable) else "action" if isinstance(kind, Action) else ""
        yield kind.kind, " or ".join(kind.handles), levels, summary(kind)


def _section(name: str, kind: Any) -> str:
    about = inspect.getdoc(kind) or ""
    handles = " or ".join(f"`{handle}`" for handle in kind.handles) or "none"
    lines = [
        f"### {name}",
        "",
        about,
        "",
        f"Target: {handles}. {'Its level can be changed while in force.' if isinstance(kind, Changeable) else ''}",
    ]
    fields: dict[str, FieldInfo] = kind.settings.model_fields
    if fields:
        lines += ["", "| setting | default | meaning |", "|---|---|---|"]
        for key, field in fields.items():
            meaning = " ".join((field.description or "").split())
            lines.append(f"| `{key}` | {_default(kind, key, field)} | {meaning} |")
    return "\n".join(line.rstrip() for line in lines) + "\n\n"


def _default(kind: Any, key: str, field: FieldInfo) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "needed"
    value = field.get_default(call_default_factory=True)
    hint = inspect.get_annotations(kind.settings, eval_str=False).get(key, "")
    if isinstance(value, float) and ("Duration" in str(hint) or field.annotation is Duration):
        return f"{value:g}s"
    if isinstance(value, float) and ("Ratio" in str(hint) or field.annotation is Ratio):
        return f"{value:.0%}"
    return f"`{value}`" if value not in ("", None, [], {}) else "none"


if __name__ == "__main__":
    sys.stdout.write(render())
