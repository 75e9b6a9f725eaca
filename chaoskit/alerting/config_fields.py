"""Typed access to the mappings of a configuration file; what is wrong is collected, never raised at once.

The one idea: a getter always returns something usable, so that reading goes on and one pass names every
problem. The caller that created the Reading calls `finish`, which raises BadInput.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chaoskit.alerting.config_secrets import Secrets, secrets_of
from chaoskit.alerting.model import NotUnderstood, of_role
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.units import parse_duration
from chaoskit.yaml_source import FALSE, TRUE, Node, nearest, read

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Label names as every version of Prometheus accepts them."""


def root_of(sources: Mapping[str, str], role: str) -> Node:
    """The first document of a role's only file; an empty one without a file."""
    file, text = next(iter(of_role(sources, role)), ("", ""))
    return read(text, file, first=True) if file else Node("mapping", (), Place(""))


def is_false(node: Node | None) -> bool:
    """Whether a setting is written, and as false."""
    return node is not None and node.kind == "scalar" and node.raw.lower() in FALSE


@dataclass(slots=True)
class Reading:
    """The problems found so far, and getters that add to them.

    `not_understood` is beside them: what Prometheus or Alertmanager may take, for it may be newer than this reader.
    """

    problems: list[Problem] = field(default_factory=list)
    not_understood: list[NotUnderstood] = field(default_factory=list)
    _secret: list[tuple[str, str]] = field(default_factory=list)

    def say(self, place: Place, message: str, hint: str = "") -> None:
        self.problems.append(Problem(place, message, hint))

    def puzzle(
        self, place: Place, message: str, hint: str = "", of: Iterable[str] = (), newer: bool = False, expr: str = ""
    ) -> None:
        """Note what is not understood; `of` names the alerts or receivers that it concerns, empty for all of them."""
        self.not_understood.append(NotUnderstood(Problem(place, message, hint), tuple(of), newer, expr))

    @contextmanager
    def left_out(self, of: Iterable[str] = ()) -> Iterator[None]:
        """Problems found inside the block concern these names alone: they are left out, and the others are read."""
        before = len(self.problems)
        yield
        for each in self.problems[before:]:
            self.not_understood.append(NotUnderstood(each, tuple(of), newer=True, broken=True))
        del self.problems[before:]

    def root(self, text: str, file: str, secrets: str = "") -> Node:
        """The root mapping of a file; an empty one when the text cannot be read as such.

        With the role of a file that holds `secrets`, no problem that is told in the end shows one.
        """
        if secrets:
            self._secret.append((text, secrets))
        try:
            node = read(text, file, first=True)
        except BadInput as bad:
            self.problems.extend(bad.problems)
            return _nothing(Place(file, 1))
        return self.as_mapping(node, "the file")

    def as_mapping(self, node: Node, what: str) -> Node:
        """The YAML node if it is a mapping; else an empty mapping, and a problem."""
        if node.kind == "mapping":
            return node
        if node.kind != "scalar" or node.value is not None:
            self.say(node.place, f"{what} is {node.described()}, expected keys and values")
        return _nothing(node.place)

    def known_keys(self, node: Node, known: Iterable[str], what: str, of: Iterable[str] | None = None) -> None:
        """Every key outside `known` is a problem that names the nearest known one.

        With `of` it is of a program's file, and only not understood; it concerns those.
        """
        names = tuple(known)
        for key, _ in node.pairs:
            if key.raw not in names:
                hint = nearest(key.raw, names) or f"known keys: {', '.join(names)}"
                message = f"unknown key '{key.raw}' in {what}"
                if of is None:
                    self.say(key.place, message, hint)
                else:
                    self.puzzle(key.place, message, hint, of)

    def get(self, node: Node, key: str) -> Node | None:
        """The value under the key; None when it is absent or null."""
        value = node.get(key)
        return None if value is None or (value.kind == "scalar" and value.value is None) else value

    def _of_kind(self, node: Node, key: str, kind: str, expected: str) -> Node | None:
        """The value under the key; None when it is absent, or of another kind, which is a problem."""
        value = self.get(node, key)
        if value is not None and value.kind != kind:
            self.say(value.place, f"'{key}' is {value.described()}, expected {expected}")
            return None
        return value

    def text(self, node: Node, key: str, default: str = "") -> str:
        """A scalar as written: Go reads a number into a string field as its text, and so do we."""
        value = self._of_kind(node, key, "scalar", "a text")
        return default if value is None else value.raw

    def required(self, node: Node, key: str, what: str) -> str:
        """A text that must be there and not be empty."""
        found = self.text(node, key)
        value = self.get(node, key)
        if not found and (value is None or value.kind == "scalar"):
            self.say(node.place, f"{what} has no '{key}'", f"add {key}: ...")
        return found

    def duration(self, node: Node, key: str, default: float) -> float:
        """Seconds of a duration in the grammar of Prometheus; a number without unit is a problem."""
        found = self.optional_duration(node, key)
        return default if found is None else found

    def optional_duration(self, node: Node, key: str) -> float | None:
        value = self._of_kind(node, key, "scalar", "a duration such as 30s")
        if value is None:
            return None
        try:
            return parse_duration(value.raw)
        except ValueError as error:
            self.say(value.place, f"{key}: {error}")
            return None

    def boolean(self, node: Node, key: str, default: bool) -> bool:
        value = self.get(node, key)
        if value is None:
            return default
        word = value.raw.lower() if value.kind == "scalar" else ""
        if word not in TRUE | FALSE:
            self.say(value.place, f"'{key}' is {value.described()}, expected true or false")
            return default
        return word in TRUE

    def sequence(self, node: Node, key: str) -> tuple[Node, ...]:
        """The elements of a list; empty when absent."""
        value = self._of_kind(node, key, "sequence", "a list")
        return () if value is None else value.items

    def texts(self, node: Node, key: str) -> tuple[Node, ...]:
        """The elements of a list of texts, as nodes, so that each keeps its place."""
        good = []
        for item in self.sequence(node, key):
            if item.kind == "scalar" and item.value is not None:
                good.append(item)
            else:
                self.say(item.place, f"'{key}' holds {item.described()}, expected texts")
        return tuple(good)

    def mappings(self, node: Node, key: str, what: str) -> tuple[Node, ...]:
        """The elements of a list of mappings."""
        return tuple(self.as_mapping(item, what) for item in self.sequence(node, key))

    def mapping(self, node: Node, key: str) -> Node:
        """The mapping under the key; an empty one when absent."""
        value = self.get(node, key)
        return _nothing(node.place) if value is None else self.as_mapping(value, f"'{key}'")

    def string_map(self, node: Node, key: str) -> dict[str, str]:
        """A mapping of label names to texts, as of `labels`."""
        found = {}
        for name, value in self.mapping(node, key).pairs:
            if not LABEL_NAME.fullmatch(name.raw):
                self.say(name.place, f"'{name.raw}' in '{key}' is not a label name")
            elif value.kind != "scalar":
                self.say(value.place, f"'{name.raw}' in '{key}' is {value.described()}, expected a text")
            else:
                found[name.raw] = "" if value.value is None else value.raw
        return found

    def undefined(self, place: Place, what: str, name: str, defined: Iterable[str], where: str) -> None:
        """Report a name that is not defined, with the place that should define it."""
        names = tuple(defined)
        hint = nearest(name, names) or (f"defined there: {', '.join(names)}" if names else "none is defined there")
        self.say(place, f"{what} '{name}' is not defined in {where}", hint)

    def add(self, other: Reading) -> None:
        """Take over what another one found."""
        self.problems += other.problems
        self.not_understood += other.not_understood
        self._secret += other._secret

    def finish(self) -> None:
        """Raise BadInput with all problems, by file and line; do nothing when there is none.

        Parts that are not understood are listed with the problems; alone they raise nothing.
        """
        if self.problems:
            secrets = self.secrets()
            unsure = [each.problem for each in self.not_understood if each.broken or not each.newer]
            masked = (
                replace(each, message=secrets.mask(each.message), hint=secrets.mask(each.hint))
                for each in [*self.problems, *unsure]
            )
            raise BadInput(sorted(masked, key=lambda problem: problem.place or Place("")))

    def secrets(self) -> Secrets:
        """The secrets of all files that were read, to be masked in messages."""
        found = Secrets()
        for text, role in self._secret:
            found |= secrets_of(text, role)
        return found


def _nothing(place: Place) -> Node:
    return Node("mapping", (), place)
