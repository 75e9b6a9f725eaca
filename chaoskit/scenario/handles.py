"""`handles` of a profile: what scenarios call the parts of a target, and what is behind each name.

Equipment (Prometheus, Alertmanager, the sinks) needs no handle: it has the same names in every local stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from chaoskit.scenario.fields import Fields, Problems, name, text
from chaoskit.scenario.model import Handles, LinkHandle, PlainHandle, QueueHandle, RoleHandle
from chaoskit.yaml_source import Node

HANDLE_KEYS = {
    "role": ("process", "label", "match"),
    "link": ("proxy",),
    "queue": ("admin",),
    "cache": ("admin",),
    "database": ("file",),
    "slice": ("mark",),
    "scrape": ("process",),
}
"""Kind of handle to the keys of one: the first is needed; a role may have `match` in its place."""

ROLE_INSTEAD = "match"

EQUIPMENT = "equipment"
"""The kind that a target may name without a handle."""

H = TypeVar("H")


def read_handles(node: Node, what: str, problems: Problems) -> Handles | None:
    """The handles of a profile, with everything that is wrong with them."""
    fields = Fields(node, what, tuple(HANDLE_KEYS), problems)
    return Handles(
        role=fields.take("role", _by_name("role", _role), {}),
        link=fields.take("link", _by_name("link", lambda one: LinkHandle(one.need("proxy", text) or "")), {}),
        queue=fields.take("queue", _by_name("queue", lambda one: QueueHandle(one.need("admin", text) or "")), {}),
        cache=fields.take("cache", _by_name("cache", _plain("admin")), {}),
        database=fields.take("database", _by_name("database", _plain("file")), {}),
        slice=fields.take("slice", _by_name("slice", _plain("mark")), {}),
        scrape=fields.take("scrape", _by_name("scrape", _plain("process")), {}),
        places={
            f"{kind.value}.{name.value}": name.place
            for kind, named in (node.pairs if node.kind == "mapping" else ())
            for name, _ in (named.pairs if named.kind == "mapping" else ())
        },
    )


def _role(fields: Fields) -> RoleHandle:
    match = fields.take(ROLE_INSTEAD, _pattern, "")
    process = fields.take("process", text, "") if fields.has(ROLE_INSTEAD) else fields.need("process", text) or ""
    return RoleHandle(process, fields.take("label", text, ""), match)


def _pattern(node: Node, what: str, problems: Problems) -> str | None:
    """A pattern for processes' titles, whose group `name` is each one's name."""
    value = text(node, what, problems)
    if value is None:
        return None
    hint = r"write 'crm worker (?P<name>\S+)'"
    try:
        named = "name" in re.compile(value).groupindex
    except re.error as error:
        problems.say(node.place, f"{what} is no regular expression: {error}", hint)
        return None
    if not named:
        problems.say(node.place, f"{what} has no group that is the process's name", hint)
        return None
    return value


def _plain(key: str) -> Callable[[Fields], PlainHandle]:
    return lambda fields: PlainHandle(fields.need(key, text) or "")


def _by_name(kind: str, make: Callable[[Fields], H]) -> Callable[[Node, str, Problems], dict[str, H] | None]:
    """A reader for the handles of one kind: a mapping from their names to what each needs."""

    def read_all(node: Node, what: str, problems: Problems) -> dict[str, H] | None:
        if node.kind != "mapping" or not node.pairs:
            example = f"write {{NAME: {{{HANDLE_KEYS[kind][0]}: ...}}}}"
            problems.say(node.place, f"{what} must be a mapping by name, found {node.described()}", example)
            return None
        found = {}
        for key, value in node.pairs:
            if name(key, f"a {kind}", problems):
                found[str(key.value)] = make(Fields(value, f"the {kind} '{key.value}'", HANDLE_KEYS[kind], problems))
        return found

    return read_all
