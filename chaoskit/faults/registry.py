"""Which kinds of fault and action there are: every module of this package that defines one, and other packages'."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.faults.base import Action, Fault, Kind, Settings
from chaoskit.faults.through import through_adapters
from chaoskit.handles import handle_kinds, ways
from chaoskit.kinds import kinds_of

K = TypeVar("K", bound=Kind[Any])
_PACKAGE = "chaoskit.faults"
GROUP = "chaoskit.faults"
ACTIONS = "chaoskit.actions"


@functools.cache
def known() -> Mapping[str, Fault[Any]]:
    """Every kind of fault by name; raises BadInput when a registered plugin is not a fault."""
    return _kinds(Fault, GROUP, "fault kind")  # type: ignore[type-abstract]  # it looks for what is not


@functools.cache
def known_actions() -> Mapping[str, Action[Any]]:
    """Every action by name; raises BadInput when a registered plugin is not an action."""
    return _kinds(Action, ACTIONS, "action")  # type: ignore[type-abstract]


def _kinds(base: type[K], group: str, what: str) -> Mapping[str, K]:
    """One object of each kind; raises BadInput also for those that act on handles of no known kind."""
    kinds = {name: kind() for name, kind in kinds_of(base, _PACKAGE, group, what).items()}
    through = [(via, one) for via, way in ways().items() for one in getattr(way, "faults", tuple)()]
    kinds = {
        name: through_adapters(kind, {via: one for via, one in through if one.kind == name})
        for name, kind in kinds.items()
    }
    problems = []
    for name, kind in kinds.items():
        if unknown := sorted({*kind.handles} - handle_kinds().keys()):
            what = f"{name} acts on handles of no known kind: {', '.join(unknown)}"
            problems.append(Problem(None, what, f"known: {', '.join(handle_kinds())}"))
    if problems:
        raise BadInput(problems)
    return kinds


def read_settings(fault: Kind[Any], given: Mapping[str, Any], place: Place) -> tuple[Settings | None, list[Problem]]:
    """The kind's typed settings from what the scenario says, or all that is wrong with them."""
    try:
        return fault.settings.model_validate(dict(given)), []
    except ValidationError as error:
        known_keys = ", ".join(fault.settings.model_fields) or "none"
        return None, [
            Problem(place, f"{fault.kind}: with.{said}", f"its settings are: {known_keys}")
            for said in _said(fault.settings, error)
        ]


def _said(settings: type[Settings], error: ValidationError) -> list[str]:
    """Each error as keys and message; of a key with several forms, what is wrong with the one that was meant."""
    fields = {name: field.annotation for name, field in settings.model_fields.items()}
    several = {
        name
        for name, wanted in fields.items()
        if get_origin(wanted) in (Union, UnionType) and len(set(get_args(wanted)) - {NoneType}) > 1
    }
    found = []
    for each in error.errors():
        keys = each["loc"]
        if keys and keys[0] in several:
            keys = (keys[0], *keys[2:])  # The second one names the form, in pydantic's own words.
        found.append((keys, each["msg"]))
    deepest = {name: max((len(keys) for keys, _ in found if keys[:1] == (name,)), default=0) for name in several}
    return [
        f"{'.'.join(map(str, keys))}: {said}"
        for keys, said in found
        if not keys or len(keys) >= deepest.get(str(keys[0]), 0)
    ]
