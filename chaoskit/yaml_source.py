"""YAML as people wrote it: a tree of frozen nodes that know their file and line, and nothing executable.

The idea is to read the parser's events ourselves, on a stack of our own: so every problem has a place,
several are reported at once, and depth and size are bounded before anything is built from them.

Of YAML 1.1's implicit types only `true`/`false`, `null`, decimal integers and decimal floats are kept.
`on`, `yes`, `1:30`, `010`, `0x1f`, `1_000`, `.inf` and dates stay the strings that they look like. Anchors
and aliases work, and so do merge keys (`<<`, of one mapping or a list of them: what is written beside them wins, and
of several the first). Tags other than those of plain types, keys that are not strings, duplicate keys and a second
document are refused.
"""

from __future__ import annotations

import difflib
import errno
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Never

import yaml

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import read_regular

__all__ = [
    "FALSE", "LOADER", "MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "TRUE", "Node", "nearest", "read", "read_text",
    "scalar", "second_document",
]  # fmt: skip

MAX_BYTES = 8 * 2**20
MAX_NODES = 100_000
"""Counted after aliases are expanded, keys included."""
MAX_DEPTH = 50
_KEPT = 16
"""Trees that are remembered: those of a configuration's files, and a few that changed."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's loader, in C where there is one: it is twenty times as fast and tells the same places."""
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
TRUE, FALSE = frozenset(("true", "yes", "on", "y")), frozenset(("false", "no", "off", "n"))
"""The words that Go's yaml.v2, which Prometheus and Alertmanager read with, takes for booleans."""
# Eighteen digits fit a 64-bit integer; what is longer stays text instead of costing quadratic time.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMERIC = frozenset("+-.0123456789")
_FLOAT = re.compile(r"[-+]?(?=\.?[0-9])(?:0|[1-9][0-9]{0,17})?(?:\.[0-9]{0,40})?(?:[eE][-+]?[0-9]{1,3})?")
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "map", "seq"))
_MERGE = "<<"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint `did you mean 'x'?` with the known name most like this one, or "" when none is near."""
    if len(name) > 100:  # comparing costs the product of both lengths
        return ""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f"did you mean '{by_folded[found[0]]}'?" if found else ""


def read_text(path: Path, *, any_bytes: bool = False) -> str:
    """The text of a file, without a byte order mark; raises BadInput unless UTF-8 of at most MAX_BYTES.

    With `any_bytes`, what is not UTF-8 becomes U+FFFD, as it does in notices: Alertmanager takes such templates.
    """
    place = Place(str(path))
    try:
        data = read_regular(path, MAX_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise BadInput(_too_long(place)) from None
        hint = "check the path and its permissions"
        raise BadInput(Problem(place, f"cannot be read: {error.strerror}", hint)) from None
    try:
        return data.decode("utf-8-sig", "replace" if any_bytes else "strict")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise BadInput(Problem(Place(str(path), line), found, "save the file as UTF-8")) from None


# The same text is asked about by many, and of configurations that differ in one file the others stay.
@lru_cache(maxsize=_KEPT)
def read(text: str, file: str, *, first: bool = False) -> Node:
    """The root node of a YAML text; `file` names it in places. Raises BadInput with every problem found.

    With `first`, further documents are left unread, as Prometheus and Alertmanager leave them; else they are refused.
    """
    _refuse_unreadable(text, file)
    composer = _Composer(file, first)
    try:
        for event in _events(text):
            composer.take(event)
    except _Enough:
        pass
    except yaml.YAMLError as error:
        composer.problems.append(_syntax_problem(error, text, file))
    if composer.problems:
        raise BadInput(sorted(composer.problems, key=lambda problem: problem.place or Place(file)))
    if composer.root is None:
        raise BadInput(Problem(Place(file), "the file is empty", "nothing but comments and blank lines was found"))
    return composer.root


@lru_cache(maxsize=_KEPT)
def second_document(text: str) -> int:
    """The line on which a second document begins; 0 where there is none."""
    begun = 0
    try:
        for event in _events(text):
            begun += isinstance(event, yaml.DocumentStartEvent)
            if begun > 1:
                return int(event.start_mark.line) + 1
    except yaml.YAMLError:
        pass
    return 0


def scalar(raw: str) -> Scalar:
    """The value of an unquoted scalar under the restricted types of this module."""
    if raw in _WORDS:
        return _WORDS[raw]
    if raw[0] not in _NUMERIC:
        return raw
    if _INT.fullmatch(raw):
        return int(raw)
    if _FLOAT.fullmatch(raw):
        number = float(raw)
        return number if math.isfinite(number) else raw
    return raw


def _too_long(place: Place) -> Problem:
    return Problem(place, f"is larger than {MAX_BYTES // 2**20} MiB", "split it, or check that it is the right file")


def _refuse_unreadable(text: str, file: str) -> None:
    if len(text) > MAX_BYTES:
        raise BadInput(_too_long(Place(file)))
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadInput(Problem(Place(file, line), "holds a NUL byte", "this is not a text file, or it was cut off"))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise BadInput(Problem(Place(file, line), "is not UTF-8", "save the file as UTF-8")) from None


def _events(text: str) -> Iterator[Any]:
    loader = LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:  # the reader's: a character that YAML does not allow at all
        position = getattr(error, "position", 0)
        # libyaml counts bytes where the Python reader counts characters: good enough for a line of ASCII
        line = text.encode()[:position].count(b"\n") + 1 if isinstance(position, int) else 0
        reason = getattr(error, "reason", None) or "a character that is not allowed"
        return Problem(Place(file, line), f"cannot be read as YAML: {reason}", "remove the control character")
    said = " ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    lines = text.split("\n")
    written = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        hint = "indent with spaces; YAML does not allow tabs there"
    elif "mapping values are not allowed" in said:
        hint = "put quotes around a value that contains ': ', and check the indentation"
    elif "undefined alias" in said:
        hint = "quote a value that begins with *"
    else:
        hint = "check indentation, quotes and brackets on this line and the one before"
    return Problem(Place(file, mark.line + 1), f"is not valid YAML: {said}", hint)


class _Enough(Exception):
    """Reading on would cost too much or make no sense."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been seen; size and height count what it holds, aliases expanded."""

    kind: Kind
    place: Place
    anchor: str | None
    start: int
    flow: bool
    values: list[Node] = field(default_factory=list)
    pairs: dict[str, tuple[Node, Node]] = field(default_factory=dict)
    key: Node | None = None
    size: int = 1
    height: int = 1


class _Composer:
    """Builds nodes from parser events; everything wrong goes to `problems`."""

    def __init__(self, file: str, first: bool = False) -> None:
        self.file = file
        self.first = first
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._place = Place(file)
        """That of the last event: most keys share theirs with their value."""
        self._stack: list[_Open] = []
        self._size = 0
        """Of all that is open, together."""
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        """Node, size and height; None while the anchored collection is still open."""

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if line != self._place.line:
            self._place = Place(self.file, line)
        place = self._place
        match event:
            case yaml.ScalarEvent():
                node = self._scalar(event, place)
                if event.anchor is not None:
                    self._anchor(event.anchor, (node, 1, 1))
                self._add(node, 1, 1)
            case yaml.DocumentStartEvent() if self.root is not None and self.first:
                raise _Enough
            case yaml.DocumentStartEvent() if self.root is not None:
                self._stop(place, "a second document begins", "keep one document in a file")
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open(event, place)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close(event)
            case yaml.AliasEvent():
                self._alias(event.anchor, place)

    def _say(self, place: Place, message: str, hint: str) -> None:
        self.problems.append(Problem(place, message, hint))

    def _stop(self, place: Place, message: str, hint: str) -> Never:
        self._say(place, message, hint)
        raise _Enough

    def _scalar(self, event: Any, place: Place) -> Node:
        raw, span = str(event.value), (event.start_mark.index, event.end_mark.index)
        if event.tag is None:
            return Node("scalar", scalar(raw) if event.implicit[0] else raw, place, raw, *span)
        if event.tag in _PLAIN_TAGS:
            return Node("scalar", scalar(raw), place, raw, *span)
        if event.tag not in _STRING_TAGS:
            self._say(place, f"the tag {event.tag} is not supported", "write the plain value, without a tag")
        return Node("scalar", raw, place, raw, *span)

    def _open(self, event: Any, place: Place) -> None:
        kind: Kind = "sequence" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
        if event.tag not in (None, "!", *_PLAIN_TAGS):
            self._say(place, f"the tag {event.tag} is not supported", "write the plain value, without a tag")
        if len(self._stack) >= MAX_DEPTH:
            self._stop(place, f"is nested more than {MAX_DEPTH} levels deep", "flatten it")
        self._anchor(event.anchor, None)
        self._stack.append(_Open(kind, place, event.anchor, event.start_mark.index, bool(event.flow_style)))
        self._size += 1

    def _close(self, event: Any) -> None:
        done, end = self._stack.pop(), event.end_mark.index
        self._size -= done.size
        if not done.flow:  # the parser ends a block where the next thing begins
            parts = itertools.chain(done.values, *done.pairs.values())
            end = max((each.end for each in parts if each.start >= done.start), default=end)
        inside = tuple(done.values) if done.kind == "sequence" else self._merged(done.pairs)
        node = Node(done.kind, inside, done.place, "", done.start, end)
        self._anchor(done.anchor, (node, done.size, done.height))
        self._add(node, done.size, done.height)

    def _merged(self, pairs: dict[str, tuple[Node, Node]]) -> tuple[tuple[Node, Node], ...]:
        """A mapping's pairs, those of its merge key last: its own win, and of several mappings the first."""
        _, merge = pairs.pop(_MERGE, (None, None))
        if merge is None:
            return tuple(pairs.values())
        for source in (merge,) if merge.kind == "mapping" else merge.items or (merge,):
            if source.kind != "mapping":
                self._say(
                    source.place, f"{source.described()} cannot be merged", "<< takes a mapping, or a list of them"
                )
            for key, value in source.pairs:
                pairs.setdefault(str(key.value), (key, value))
        return tuple(pairs.values())

    def _alias(self, name: str | None, place: Place) -> None:
        if name is None or name not in self._anchors:
            self._stop(place, f"the alias *{name} names no anchor", "quote a value that begins with *")
        known = self._anchors[name]
        if known is None:
            self._stop(place, f"the alias *{name} contains itself", "write the values out")
        self._add(*known, at=place)

    def _anchor(self, name: str | None, entry: tuple[Node, int, int] | None) -> None:
        if name is not None:
            self._anchors[name] = entry

    def _add(self, node: Node, size: int, height: int, at: Place | None = None) -> None:
        """Put a finished node into the open collection; `at` is an alias's place, the node keeps its own."""
        place = at or node.place
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        top.size += size
        if height >= top.height:
            top.height = height + 1
        self._size += size
        if self._size > MAX_NODES:
            self._stop(place, f"holds more than {MAX_NODES} values once aliases are expanded", "split the file")
        if len(self._stack) - 1 + top.height > MAX_DEPTH + 1:
            self._stop(place, f"is nested more than {MAX_DEPTH} levels deep", "flatten it")
        if top.kind == "sequence":
            top.values.append(node)
        elif top.key is None:
            top.key = self._usable_key(node, place)
        else:
            self._pair(top, top.key, node)

    def _usable_key(self, node: Node, place: Place) -> Node:
        if node.kind != "scalar":
            self._say(place, f"{node.described()} cannot be a key", "keys are names")
        elif not isinstance(node.value, str):
            self._say(place, f"{node.described()} cannot be a key", f'keys are text: write "{node.raw}" in quotes')
        return node

    def _pair(self, top: _Open, key: Node, value: Node) -> None:
        top.key = None
        name = key.value
        if not isinstance(name, str):
            return
        if name in top.pairs:
            first = top.pairs[name][0].place.line
            self._say(key.place, f"the key '{name}' appears twice", f"first on line {first}; keep one")
            return
        top.pairs[name] = (key, value)


_URL_WITH_PASSWORD = re.compile(r"(?<=://)[^/\s@]*@\S*")

Scalar = str | int | float | bool | None
Kind = Literal["scalar", "sequence", "mapping"]


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a YAML file and where it stands.

    `value` is the scalar, or a tuple of nodes (sequence), or a tuple of (key node, value node) pairs
    in the order written (mapping); `raw` is a scalar's text before its type was decided.
    """

    kind: Kind
    value: Scalar | tuple[Node, ...] | tuple[tuple[Node, Node], ...]
    place: Place
    raw: str = ""
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)
    """From which letter of the text to which it is written, an anchor, tag, quotes and brackets included."""

    @property
    def items(self) -> tuple[Node, ...]:
        """The elements of a sequence; empty for any other kind."""
        return self.value if self.kind == "sequence" else ()  # type: ignore[return-value]

    @property
    def pairs(self) -> tuple[tuple[Node, Node], ...]:
        """A mapping's (key, value) nodes in the order written; empty for any other kind."""
        return self.value if self.kind == "mapping" else ()  # type: ignore[return-value]

    @property
    def keys(self) -> tuple[str, ...]:
        """A mapping's keys in the order written; empty for any other kind."""
        return tuple(str(key.value) for key, _ in self.pairs)

    def get(self, key: str) -> Node | None:
        """The value under this key, or None when it is absent or this is not a mapping."""
        for name, value in self.pairs:
            if name.value == key:
                return value
        return None

    def at(self, *keys: str) -> Node | None:
        """The value to which these keys lead, from mapping to mapping; None where one is absent."""
        found: Node | None = self
        for key in keys:
            found = found.get(key) if found is not None else None
        return found

    def listed(self, *keys: str) -> tuple[Node, ...]:
        """The elements of the sequence to which these keys lead; empty when it is absent or none."""
        found = self.at(*keys)
        return found.items if found is not None else ()

    def walk(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node, Node]]:
        """Every key below with its value, and the names that lead there; a list's members have none, so they are told
        as both."""
        for key, value in self.pairs:
            yield (*path, key.raw), key, value
            yield from value.walk((*path, key.raw))
        for item in self.items:
            yield path, item, item
            yield from item.walk(path)

    def plain(self) -> Any:
        """The node's value as ordinary Python objects: dict, list, str, int, float, bool, None."""
        if self.kind == "mapping":
            return {key.value: value.plain() for key, value in self.pairs}
        if self.kind == "sequence":
            return [item.plain() for item in self.items]
        return self.value

    def described(self) -> str:
        """The value found, for a message: `a list`, `a mapping`, `nothing`, `the text '30'`, `true`."""
        if self.kind != "scalar":
            return "a list" if self.kind == "sequence" else "a mapping"
        if self.value is None:
            return "nothing"
        shown = _URL_WITH_PASSWORD.sub("<secret>", self.raw)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        if isinstance(self.value, str):
            return f"the text {shown!r}"
        return shown if isinstance(self.value, bool) else f"the number {shown}"
