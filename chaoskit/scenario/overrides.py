"""`--set key=value`: change one value of a profile or scenario before it is read.

The change is made in the tree of nodes, so that the same reader judges it by the same rules; what it complains
about is placed at the option itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from chaoskit.alerting.config_secrets import shown_value
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import MAX_DEPTH, Node, nearest, read

Document = Literal["profile", "scenario"]

_USAGE = "write --set load.rate=20/s, or --set scenario.title=TEXT"


def parse_override(option: str) -> tuple[Document, tuple[str, ...], Node]:
    """The document, the key in it and its new value, which stands at the option, that `key=value` asks for.

    The value is YAML, and a bare key means the profile's. Raises BadInput when it is not of that form.
    """
    key, equals, value = option.partition("=")
    place = Place(f"--set {key}{equals}{shown_value(key, value)}")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path) or len(path) > MAX_DEPTH:
        raise BadInput(Problem(place, "is not of the form key=value", _USAGE))
    document: Document = "scenario" if path[0] == "scenario" else "profile"
    if path[0] in ("scenario", "profile"):
        path = path[1:]
    if not path:
        raise BadInput(Problem(place, f"'{key}' is a whole document, not a key of it", _USAGE))
    if not value.strip():
        raise BadInput(Problem(place, "has no value", _USAGE))
    try:
        node = read(value, place.file)
    except BadInput as error:
        raise BadInput([replace(problem, place=place) for problem in error.problems]) from None
    return document, path, _placed(node, place)


def override(root: Node, options: Iterable[str], document: Document) -> Node:
    """The tree with those `key=value` options applied, in order, that concern this document.

    Mappings on the way are made where they are missing; an element of a list is named by its `as`, `alert` or
    `kind`, or counted from 0. Raises BadInput with everything that has no place to go.
    """
    problems: list[Problem] = []
    for option in options:
        try:
            belongs_to, path, value = parse_override(option)
            if belongs_to == document:
                root = _put(root, path, value, ())
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)
    return root


def _placed(node: Node, place: Place) -> Node:
    """The same tree, every node of it standing at this place."""
    if node.kind == "mapping":
        pairs = tuple((_placed(key, place), _placed(value, place)) for key, value in node.pairs)
        return replace(node, value=pairs, place=place)
    if node.kind == "sequence":
        return replace(node, value=tuple(_placed(item, place) for item in node.items), place=place)
    return replace(node, place=place)


def _put(node: Node, path: tuple[str, ...], new: Node, above: tuple[str, ...]) -> Node:
    if not path:
        return new
    key, rest = path[0], path[1:]
    if node.kind == "sequence":
        index = _index(node, key, new, above)
        changed = _put(node.items[index], rest, new, (*above, key))
        return replace(node, value=(*node.items[:index], changed, *node.items[index + 1 :]))
    if node.kind == "scalar" and node.value is not None and above:
        raise BadInput(Problem(new.place, f"'{'.'.join(above)}' is {node.described()} and has no '{key}'", _USAGE))
    absent = Node("mapping", (), new.place)
    if node.kind == "mapping" and key in node.keys:
        pairs = tuple(
            (name, _put(value, rest, new, (*above, key)) if name.value == key else value) for name, value in node.pairs
        )
        return replace(node, value=pairs)
    name = Node("scalar", key, new.place, key)
    added = _put(absent, rest, new, (*above, key))
    return Node("mapping", (*node.pairs, (name, added)), node.place)


def _index(node: Node, key: str, new: Node, above: tuple[str, ...]) -> int:
    if key.isascii() and key.isdigit() and len(key) < 7 and int(key) < len(node.items):
        return int(key)
    names = [
        next((str(v.value) for word in ("as", "alert", "kind") if (v := item.get(word))), "") for item in node.items
    ]
    if names.count(key) == 1:
        return names.index(key)
    what = "names several elements" if key in names else "is no element"
    hint = nearest(key, filter(None, names)) or f"it has {len(node.items)} elements, counted from 0"
    raise BadInput(Problem(new.place, f"'{key}' {what} of '{'.'.join(above)}'", hint))
