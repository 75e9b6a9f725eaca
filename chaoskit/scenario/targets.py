"""`target` of a fault or action: which of the profile's handles, and how many of what is behind it.

The keys are the format's own, so a misspelt one is caught here; the values stay as written for the plan, which
knows the inventory.
"""

from __future__ import annotations

from typing import Any

from chaoskit.handles import handle_kinds
from chaoskit.scenario.fields import Fields, Problems, text
from chaoskit.scenario.fields import positive_int as count
from chaoskit.scenario.quantities import share
from chaoskit.yaml_source import Node

AMOUNTS = ("count", "share", "all")
CHOICES = ("name", *AMOUNTS)

_EXAMPLE = "write for example {role: worker, count: 1} or {link: upstream}"


def target(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
    """The target as plain data: at most one handle, at most one amount, and a handle or a name."""
    if node.kind != "mapping" or not node.pairs:
        problems.say(node.place, f"{what} must be a mapping with a handle, found {node.described()}", _EXAMPLE)
        return None
    kinds = tuple(handle_kinds())
    fields = Fields(node, "a target", (*kinds, *CHOICES), problems)
    for key in (*kinds, "name"):
        fields.take(key, text, None)
    fields.take("count", count, None)
    fields.take("share", share, None)
    fields.take("all", _only_true, None)
    _at_most_one(fields, tuple(key for key in fields.node.keys if key in kinds), problems)
    _at_most_one(fields, AMOUNTS, problems)
    if not any(fields.has(key) for key in (*kinds, "name")):
        problems.say(node.place, f"{what} names no handle", _EXAMPLE)
    plain: dict[str, Any] = node.plain()
    return plain


def _at_most_one(fields: Fields, keys: tuple[str, ...], problems: Problems) -> None:
    given = [key for key in keys if fields.has(key)]
    if len(given) > 1:
        written = " and ".join(f"'{key}'" for key in given)
        problems.say(fields.place, f"a target has {written}", "keep one of them")


def _only_true(node: Node, what: str, problems: Problems) -> bool | None:
    if node.value is True:
        return True
    problems.say(node.place, f"{what} can only be true, found {node.described()}", "remove it, or write 'count'")
    return None
