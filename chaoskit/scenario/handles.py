"""`handles` of a profile: what scenarios call the parts of a target, and what is behind each name.

Kinds and their keys are those of `chaoskit.handles`.
"""

from __future__ import annotations

from dataclasses import MISSING
from dataclasses import fields as fields_of

from chaoskit.handles import handle_kinds
from chaoskit.handles.base import Handle
from chaoskit.scenario.fields import Fields, Problems, Reader, name, text
from chaoskit.scenario.model import Handles
from chaoskit.yaml_source import Node


def profile_kinds() -> dict[str, type[Handle]]:
    """The kinds of handle that a profile may define."""
    return {name: kind for name, kind in handle_kinds().items() if kind.in_profiles}


def needed_keys(kind: type[Handle]) -> tuple[str, ...]:
    """The keys without which none of this kind can be."""
    return tuple(one.name for one in fields_of(kind) if one.default is MISSING)


def read_handles(node: Node, what: str, problems: Problems) -> Handles | None:
    """The handles of a profile, with everything that is wrong with them."""
    kinds = profile_kinds()
    fields = Fields(node, what, tuple(kinds), problems)
    return Handles(
        {name: fields.take(name, _by_name(kind), {}) for name, kind in kinds.items() if fields.has(name)},
        places={
            f"{kind.value}:{name.value}": name.place
            for kind, named in (node.pairs if node.kind == "mapping" else ())
            for name, _ in (named.pairs if named.kind == "mapping" else ())
        },
    )


def _by_name(kind: type[Handle]) -> Reader[dict[str, Handle]]:
    """A reader for the handles of one kind: a mapping from their names to what each needs."""

    def read_all(node: Node, what: str, problems: Problems) -> dict[str, Handle] | None:
        if node.kind != "mapping" or not node.pairs:
            example = f"write {{NAME: {{{kind.key_names()[0]}: ...}}}}"
            problems.say(node.place, f"{what} must be a mapping by name, found {node.described()}", example)
            return None
        found = {}
        for key, value in node.pairs:
            if name(key, f"a {kind.kind}", problems):
                fields = Fields(value, f"the {kind.kind} '{key.value}'", kind.key_names(), problems)
                found[str(key.value)] = _one(kind, fields, problems)
        return found

    return read_all


def _one(kind: type[Handle], fields: Fields, problems: Problems) -> Handle:
    needed = {*needed_keys(kind), *(kind.either[:1] if not any(map(fields.has, kind.either)) else ())}
    read = {key: (fields.need if key in needed else fields.take)(key, text, "") or "" for key in kind.key_names()}
    one = kind(**read)
    for key, why, hint in one.wrong():
        if node := fields.node.get(key):
            problems.say(node.place, f"'{key}' {why}", hint)
    return one
