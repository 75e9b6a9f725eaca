"""Reading a mapping key by key: take a key, expect a type, report what is wrong and read on.

Every reader has the shape `(node, what, problems) -> value or None`; None means that a problem was reported.
So one pass over a file finds everything that is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import Node, nearest

T = TypeVar("T")
D = TypeVar("D")

VERSION = 1
"""The format that this chaoskit reads."""

_ELSEWHERE = ("as", "with", "target", "kind")
"""Keys that are right in other steps: whoever writes one has not misspelt another."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Problems:
    """What was found wrong with one file so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def say(self, place: Place, message: str, hint: str = "") -> None:
        """Note one problem; reading goes on."""
        self.found.append(Problem(place, message, hint))

    def raise_if_any(self) -> None:
        """Raise BadInput with everything found: the file's problems by line, then those of overrides."""
        if self.found:
            unique = dict.fromkeys(self.found)
            raise BadInput(sorted(unique, key=lambda p: (p.place is None or p.place.file != self.file, p.place)))


Reader = Callable[[Node, str, Problems], T | None]


class Fields:
    """One mapping of the format, its known keys, and its name in messages ("a profile", "an inject step")."""

    def __init__(self, node: Node, what: str, keys: Sequence[str], problems: Problems, *, hint: str = "") -> None:
        self.node = node
        self.what = what
        self.place = node.place
        self._problems = problems
        if node.kind != "mapping":
            problems.say(node.place, f"{what} is a mapping, found {node.described()}", hint or _known(keys))
        unknown = [key for key, _ in node.pairs if key.value not in keys]
        for count, key in enumerate(unknown):
            name = str(key.value)
            # Comparing costs: who has so many unknown keys needs the list of known ones.
            near = "" if name in _ELSEWHERE or count >= 20 else nearest(name, keys)
            problems.say(key.place, f"'{name}' is not a key of {what}", near or _known(keys))

    def has(self, key: str) -> bool:
        """Whether the key is written, whatever its value."""
        return self.node.get(key) is not None

    def get(self, key: str) -> Node | None:
        """The key's node, or None when absent or empty (which is reported)."""
        node = self.node.get(key)
        if node is not None and node.kind == "scalar" and node.value is None:
            self._problems.say(node.place, f"'{key}' of {self.what} is empty", "write its value, or remove the key")
            return None
        return node

    def take(self, key: str, read: Reader[T], default: D) -> T | D:
        """The key's value, or the default when it is absent or unusable."""
        node = self.get(key)
        value = None if node is None else read(node, f"'{key}'", self._problems)
        return default if value is None else value

    def need(self, key: str, read: Reader[T], hint: str = "") -> T | None:
        """The key's value; its absence is a problem."""
        if not self.has(key):
            if self.node.kind == "mapping":
                self._problems.say(self.place, f"{self.what} needs '{key}'", hint)
            return None
        return self.take(key, read, None)


def version_ok(root: Node, what: str, problems: Problems) -> bool:
    """Check that `chaoskit: 1` is the first key; False when the rest cannot be judged by this reader."""
    node = root.get("chaoskit")
    wanted = f"write 'chaoskit: {VERSION}' on the first line"
    if root.kind != "mapping":
        problems.say(root.place, f"{what} is a mapping, found {root.described()}", wanted)
        return False
    if node is None:
        problems.say(root.place, f"{what} says its format version first: 'chaoskit' is missing", wanted)
        return True
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        problems.say(node.place, f"'chaoskit' is the format version, found {node.described()}", wanted)
    elif node.value != VERSION:
        problems.say(
            node.place,
            f"format version {node.value} is not supported: this chaoskit reads version {VERSION}",
            "install a chaoskit that knows it" if node.value > VERSION else wanted,
        )
        return False
    elif root.keys[0] != "chaoskit":
        problems.say(node.place, "'chaoskit' is not the first key", "move the format version to the top")
    return True


def text(node: Node, what: str, problems: Problems) -> str | None:
    """Text with something in it, without the blanks around it."""
    if not isinstance(node.value, str):
        hint = f'write "{node.raw}" in quotes' if node.kind == "scalar" and node.value is not None else ""
        problems.say(node.place, f"{what} must be text, found {node.described()}", hint)
        return None
    if not node.value.strip():
        problems.say(node.place, f"{what} is blank", "write its value, or remove the key")
        return None
    return node.value.strip()


def name(node: Node, what: str, problems: Problems) -> str | None:
    """Text made of letters, digits, dot, dash and underscore, at most 63 characters."""
    value = text(node, what, problems)
    if value is not None and not _NAME.fullmatch(value):
        problems.say(
            node.place,
            f"{what} must be a name, found {node.described()}",
            "use at most 63 letters, digits, dots, dashes and underscores",
        )
        return None
    return value


def positive_int(node: Node, what: str, problems: Problems) -> int | None:
    """A whole number of 1 or more."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        problems.say(node.place, f"{what} must be a whole number of 1 or more, found {node.described()}")
        return None
    return value


def switch(node: Node, what: str, problems: Problems) -> bool | None:
    """true or false."""
    if not isinstance(node.value, bool):
        problems.say(node.place, f"{what} must be true or false, found {node.described()}")
        return None
    return node.value


def choice(*options: str) -> Reader[str]:
    """A reader for one word of these."""

    def read(node: Node, what: str, problems: Problems) -> str | None:
        value = node.value
        if isinstance(value, str) and value in options:
            return value
        near = nearest(value, options) if isinstance(value, str) else ""
        one = options[0] if len(options) == 1 else f"one of {', '.join(options)}"
        problems.say(node.place, f"{what} must be {one}, found {node.described()}", near)
        return None

    return read


def settings(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
    """A mapping kept as plain data, to be judged by whoever understands it."""
    if node.kind != "mapping":
        problems.say(node.place, f"{what} must be a mapping such as {{ratio: 95%}}, found {node.described()}")
        return None
    plain: dict[str, Any] = node.plain()
    return plain


def listed(read: Reader[T], example: str) -> Reader[tuple[T, ...]]:
    """A reader for a list of at least one; elements that are unusable are reported and left out."""

    def read_all(node: Node, what: str, problems: Problems) -> tuple[T, ...] | None:
        if node.kind != "sequence":
            problems.say(node.place, f"{what} must be a list, found {node.described()}", f"write {example}")
            return None
        if not node.items:
            problems.say(node.place, f"{what} is an empty list", f"write {example}, or remove the key")
            return None
        values = [read(item, f"an entry of {what}", problems) for item in node.items]
        return tuple(value for value in values if value is not None)

    return read_all


def unique_texts(example: str) -> Reader[tuple[str, ...]]:
    """A reader for a list of different texts."""
    read_all = listed(text, example)

    def read(node: Node, what: str, problems: Problems) -> tuple[str, ...] | None:
        values = read_all(node, what, problems)
        seen: set[str] = set()
        for item in node.items if values else ():
            written = str(item.value).strip()
            if written in seen:
                problems.say(item.place, f"{what} lists '{written}' twice", "keep one")
            seen.add(written)
        return values

    return read


def texts_by_key(node: Node, what: str, problems: Problems) -> dict[str, str] | None:
    """A mapping whose values are text; numbers and truth values are taken as they were written."""
    if node.kind != "mapping" or not node.pairs:
        problems.say(node.place, f"{what} must be a mapping with at least one key, found {node.described()}")
        return None
    found: dict[str, str] = {}
    for key, value in node.pairs:
        if value.kind != "scalar" or value.value is None:
            problems.say(value.place, f"'{key.value}' of {what} must be text, found {value.described()}")
        else:
            found[str(key.value)] = value.raw
    return found


def _known(keys: Sequence[str]) -> str:
    return f"known: {', '.join(keys)}"
