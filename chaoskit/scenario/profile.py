"""A profile from its file: where and how hard. Everything in it is real: time, machine, requests per second."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from chaoskit.errors import Place
from chaoskit.scenario.attached import USAGE as _ATTACHED
from chaoskit.scenario.attached import read_attached
from chaoskit.scenario.fields import Fields, Problems, listed, text, version_ok
from chaoskit.scenario.handles import read_handles
from chaoskit.scenario.limits import read_limits
from chaoskit.scenario.load import USAGE as LOAD_USAGE
from chaoskit.scenario.load import read_load
from chaoskit.scenario.model import (
    Abort,
    Attached,
    Handles,
    Limits,
    LoadPlan,
    Profile,
)
from chaoskit.scenario.overrides import override
from chaoskit.scenario.quantities import number
from chaoskit.yaml_source import Node, nearest, read, read_text

KEYS = ("chaoskit", "target", "time_scale", "load", "standing", "handles", "limits", "abort")
ABORT_KEYS = ("query", "alert")

LOCAL_TIME_SCALE = 60.0
LARGEST_TIME_SCALE = 1000.0

H = TypeVar("H")


def load_profile_file(path: Path, overrides: Iterable[str] = ()) -> Profile:
    """The profile in this file; raises BadInput, also when the file cannot be read."""
    return load_profile(read_text(path), str(path), overrides)


def load_profile(text_: str, file: str, overrides: Iterable[str] = ()) -> Profile:
    """The profile that a text holds, defaults filled in; its durations are real seconds.

    `file` names it in messages, and its stem is the profile's name. `overrides` are `key=value` options; those
    that begin with `scenario.` do not apply here. Raises BadInput with every problem found.
    """
    root = override(read(text_, file), overrides, "profile")
    problems = Problems(file)
    profile = _profile(root, file, problems)
    problems.raise_if_any()
    return profile


def _profile(root: Node, file: str, problems: Problems) -> Profile:
    if not version_ok(root, "a profile", problems):
        problems.raise_if_any()
    fields = Fields(root, "a profile", KEYS, problems)
    target: Literal["local"] | Attached = fields.need("target", _target, _ATTACHED) or "local"
    attached = isinstance(target, Attached)
    time_scale = fields.take("time_scale", number(1, LARGEST_TIME_SCALE), 1.0 if attached else LOCAL_TIME_SCALE)
    if attached and time_scale != 1 and (node := root.get("time_scale")):
        problems.say(node.place, "an attached target runs in real time", "write time_scale: 1, or remove it")
    handles = fields.take("handles", read_handles, Handles())
    names = [handle.partition(":")[2] for handle, _ in handles.each()]
    return Profile(
        name=Path(file).stem,
        target=target,
        time_scale=time_scale,
        load=_load(fields, attached),
        standing=fields.take("standing", _standing, ()),
        handles=handles,
        limits=fields.take("limits", read_limits(names), Limits()),
        abort=fields.take("abort", listed(_abort, "[{query: PROMQL}]"), ()),
        place=Place(file, root.place.line),
    )


def _load(fields: Fields, attached: bool) -> LoadPlan:
    """The load; a target that runs already may have its own, so there it can be left out."""
    nothing = LoadPlan(None, None, None, {})
    if attached:
        return fields.take("load", read_load, nothing)
    return fields.need("load", read_load, LOAD_USAGE) or nothing


def _target(node: Node, what: str, problems: Problems) -> Literal["local"] | Attached | None:
    if node.value == "local":
        return "local"
    if node.kind != "mapping":
        near = nearest(node.value, ("local",)) if isinstance(node.value, str) else ""
        problems.say(node.place, f"{what} cannot be {node.described()}", near or _ATTACHED)
        return None
    outer = Fields(node, "a target", ("attached",), problems)
    inner = outer.need("attached", lambda found, _what, _problems: found, _ATTACHED)
    if inner is None:
        return None
    return read_attached(inner, problems)


def _standing(node: Node, what: str, problems: Problems) -> tuple[str, ...] | None:
    """A list of alerts; unlike elsewhere, an empty one says something: nothing is firing in health."""
    if node.kind == "sequence" and not node.items:
        return ()
    return listed(text, "[Watchdog]")(node, what, problems)


def _abort(node: Node, what: str, problems: Problems) -> Abort | None:
    fields = Fields(node, "an abort condition", ABORT_KEYS, problems, hint="write {query: PROMQL} or {alert: NAME}")
    given = [key for key in ABORT_KEYS if fields.has(key)]
    if len(given) != 1 and node.kind == "mapping":
        found = "has 'query' and 'alert'" if given else "needs 'query' or 'alert'"
        problems.say(node.place, f"an abort condition {found}", "write one condition per entry")
    return Abort(fields.take("query", text, None), fields.take("alert", text, None), fields.place)
