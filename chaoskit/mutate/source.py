"""The texts of a configuration as they are written, and where each part of them stands, for edits that keep the layout.

The one idea: operators speak of nodes and of letters of a value; what that is in the file (quotes, indentation, commas,
whole lines) is worked out here once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from chaoskit.alerting.config import files_named, templates_named
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import AlertConfig, of_role
from chaoskit.alerting.promql_durations import CannotScale
from chaoskit.alerting.promql_syntax import Node as Tree
from chaoskit.alerting.promql_syntax import Token, words
from chaoskit.alerting.promql_syntax import read as read_promql
from chaoskit.alerting.rules import rule_texts
from chaoskit.diff.expressions import meaning
from chaoskit.errors import BadInput
from chaoskit.mutate.model import Edit, Find, Mutant, Role, applied
from chaoskit.units import format_duration, parse_duration
from chaoskit.yaml_source import Node, read, read_text

Change = tuple[int, int, str]
"""From which letter to which of a text, and what stands there instead."""
_DOCUMENT = re.compile(r" \(document \d+\)$")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_FOLD = re.compile(r"[ \t]*\n[ \t\n]*")
_ESCAPES = {"x": 4, "u": 6, "U": 10}


def file_of(key: str) -> str:
    """The file behind a text's `role:NAME`, of which it may be one document."""
    return _DOCUMENT.sub("", key.partition(":")[2])


def files_of(config: AlertConfig) -> dict[tuple[str, str], str]:
    """The configuration's files as they are on disk, secrets included, by role and name; raises BadInput."""
    keys = dict.fromkeys((key.partition(":")[0], file_of(key)) for key in config.sources)
    return {key: read_text(Path(key[1]), any_bytes=key[0] == "template") for key in keys if key[0] != "unread"}


def texts_of(files: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """The texts that these files are read as, by `role:NAME`."""
    return {key: text for file, whole in files.items() for key, text in parts_of(*file, whole).items()}


def parts_of(role: str, file: str, text: str) -> dict[str, str]:
    """The texts that a file is read as, by `role:NAME`: one for each manifest in a file of rules."""
    texts = rule_texts(text, file) if role == "rules" else (text,)
    return {
        f"{role}:{file}" + (f" (document {number})" if number > 1 else ""): each for number, each in enumerate(texts, 1)
    }


_NAMES: tuple[tuple[Role, str, str], ...] = (
    ("prometheus", "rule_files", "rules"), ("alertmanager", "templates", "template"),
)  # fmt: skip
"""Which key of which file names the files of which role."""


def mutated(files: Mapping[tuple[str, str], str], given: Collection[str], mutant: Mutant) -> dict[str, str]:
    """The texts with the mutant in them, without those that it no longer names; raises BadInput.

    Files of the `given` roles (rules, template) were named by hand: they stay, also where configurations name others.
    """
    mine, old = (mutant.role, mutant.file), files[mutant.role, mutant.file]
    new = applied(old, mutant.edits)
    texts = texts_of({file: new if file == mine else whole for file, whole in files.items()})
    for by, key, role in _NAMES:
        if mutant.role == by and role not in given:
            before, after = (Text(by, mutant.file, text).root.listed(key) for text in (old, new))
            if [each.raw for each in before] != [each.raw for each in after]:
                find = files_named if role == "rules" else templates_named
                named = set(map(str, find(Reading(), Path(mutant.file).parent, after, ())))
                texts = {k: t for k, t in texts.items() if not k.startswith(f"{role}:") or file_of(k) in named}
    return texts


@dataclass(frozen=True)
class Text:
    """One text of a configuration."""

    role: Role
    file: str
    text: str

    @cached_property
    def root(self) -> Node:
        """The YAML tree of the text; an empty one where the text is no YAML."""
        try:
            return read(self.text, self.file, first=True)
        except BadInput:
            return read("{}", self.file)

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.text.split("\n"))]

    def column(self, at: int) -> int:
        """How many letters stand in the same line before the letter at this offset."""
        return at - self._lines[bisect_right(self._lines, at) - 1]

    def edits(self, changes: Iterable[Change]) -> tuple[Edit, ...]:
        """The changes by line and column, in the order of the text."""
        return tuple(
            Edit(bisect_right(self._lines, start), self.column(start) + 1, self.text[start:end], new)
            for start, end, new in sorted(changes)
        )

    def end(self, node: Node) -> int:
        """Where a node's own text ends; a block's blank lines behind it are not its own."""
        return node.start + len(self.text[node.start : node.end].rstrip())

    def flow(self, node: Node) -> bool:
        """Whether a mapping or list is written in brackets."""
        return self.text[self._begin(node)] in "{[" if node.start < len(self.text) else True

    def _begin(self, node: Node) -> int:
        """Where it begins behind an anchor or a tag."""
        found = _PROPERTIES.match(self.text, node.start)
        return found.end() if found else node.start

    def value(self, node: Node, new: str) -> Change:
        """The change that gives this scalar another value, written in the same way."""
        whole = len(node.raw)
        return self.letters(node).change(0, whole, new) if whole else (node.start, self.end(node), new)

    def letters(self, node: Node) -> Letters:
        """Where the letters of a scalar's value are written."""
        return Letters(self, node)

    def without_pair(self, mapping: Node, name: str) -> tuple[Change, ...]:
        """The changes that take this key out of a mapping; none where the key comes from elsewhere."""
        own = [pair for pair in mapping.pairs if mapping.start <= pair[0].start < max(mapping.end, mapping.start + 1)]
        at = next((number for number, (key, _) in enumerate(own) if key.raw == name), None)
        if at is None:
            return ()
        spans = [(key.start, max(key.end, self.end(value))) for key, value in own]
        return self._without(spans, at, self.flow(mapping), r"\s*", "{}")

    def without_item(self, sequence: Node, at: int) -> tuple[Change, ...]:
        """The changes that take the nth member out of a list."""
        spans = [(item.start, self.end(item)) for item in sequence.items]
        return self._without(spans, at, self.flow(sequence), r"\s*-\s+", "[]")

    def _without(self, spans: list[tuple[int, int]], at: int, flow: bool, lead: str, empty: str) -> tuple[Change, ...]:
        start, end = spans[at]
        later, before = spans[at + 1 : at + 2], spans[at - 1 : at] if at else []
        if flow:
            if later:
                return ((start, later[0][0], ""),)
            return ((before[0][1] if before else start, end, ""),)
        line = start - self.column(start)
        if re.fullmatch(lead, self.text[line:start]):
            after = self.text.find("\n", end)
            return ((line, len(self.text) if after < 0 else after + 1, ""),)
        if lead != r"\s*":
            return ()  # a list within a list's line
        return ((start, later[0][0], ""),) if later else ((start, end, empty),)

    def with_pair(self, mapping: Node, name: str, value: str) -> tuple[Change, ...]:
        """The changes that put one more key in front of a mapping."""
        if not mapping.pairs:
            return ()
        at = mapping.pairs[0][0].start
        between = ", " if self.flow(mapping) else "\n" + " " * self.column(at)
        return ((at, at, f"{name}: {value}{between}"),)

    def with_item(self, sequence: Node, value: str) -> tuple[Change, ...]:
        """The changes that put one more member at a list's end."""
        if not sequence.items:
            begin = self._begin(sequence) + 1
            return ((begin, begin, value),) if self.flow(sequence) else ()
        last = sequence.items[-1]
        if self.flow(sequence):
            return ((last.end, last.end, f", {value}"),)
        line = last.start - self.column(last.start)
        dash = self.text.find("-", line, last.start)
        return ((self.end(last), self.end(last), f"\n{' ' * (dash - line)}- {value}"),) if dash >= 0 else ()

    def swapped(self, one: Node, other: Node) -> tuple[Change, ...]:
        """The changes that swap two members of a list."""
        spans = [(each.start, self.end(each)) for each in (one, other)]
        told = [self.text[start:end] for start, end in spans]
        return tuple((start, end, new) for (start, end), new in zip(spans, reversed(told), strict=True))


class Letters:
    """Where each letter of a scalar's value is written; blanks that YAML folds are near enough."""

    def __init__(self, text: Text, node: Node) -> None:
        self._text, self.value = text.text, node.raw
        at = text._begin(node)
        self._style = self._text[at] if self._text[at : at + 1] in ("'", '"', "|", ">") else ""
        at = self._text.find("\n", at) + 1 if self._style in ("|", ">") else at + bool(self._style)
        self._at: list[tuple[int, int]] = []
        folded = 0  # how many letters more the line ends stand for that were taken together
        for letter in node.raw:
            at = self._next(at, letter)
            size = 0 if folded else self._size(at, letter)
            self._at.append((at, at + size))
            folded = max(folded - 1, self._text.count("\n", at, at + size) - 2 if size > 1 else 0, 0)
            at += size

    def _next(self, at: int, letter: str) -> int:
        """Where the letter is written: past escaped line ends, and before one that is no blank past indentation."""
        while self._style == '"' and self._text.startswith("\\\n", at):
            at += 2
            while self._text[at : at + 1] in (" ", "\t"):
                at += 1
        while not letter.isspace() and self._text[at : at + 1].isspace():
            at += 1
        return at

    def _size(self, at: int, letter: str) -> int:
        """How many letters of the text it takes: all of the blanks around line ends that are read as one."""
        if self._style == '"' and self._text[at : at + 1] == "\\":
            return _ESCAPES.get(self._text[at + 1 : at + 2], 2)
        if self._style not in ("|", ">") and letter in " \n" and (fold := _FOLD.match(self._text, at)):
            return len(fold[0])
        if letter.isspace() and self._text[at : at + 1] != letter:
            return 0
        return 2 if self._style == "'" and self._text.startswith("''", at) else 1

    def change(self, start: int, end: int, new: str) -> Change:
        """Letters `start` to `end` of the value replaced, in the way the scalar is written."""
        if not new and self._style in ("|", ">") and self.value[:start].rpartition("\n")[2] == "":
            # What begins a block's line takes the blanks behind it along: they would read as indentation.
            end += len(self.value[end:]) - len(self.value[end:].lstrip(" "))
        if self._style == "'":
            new = new.replace("'", "''")
        elif self._style == '"':
            new = new.replace("\\", "\\\\").replace('"', '\\"')
        if start == end:
            at = self._at[start][0] if start < len(self._at) else self._at[-1][1]
            return at, at, new
        return self._at[start][0], self._at[end - 1][1], new


@dataclass(frozen=True)
class Spot:
    """One change that an operator found."""

    text: Text
    site: str
    changes: tuple[Change, ...]
    about: str = ""


@dataclass(frozen=True)
class Part:
    """A mapping of a text; `among` is the list that it stands in, if any, and `at` its place there from 0."""

    text: Text
    site: str
    node: Node
    among: Node | None = None
    at: int = 0
    about: str = ""

    def spot(self, part: str, *changes: Change) -> Spot:
        """The changes as one of this part of it, or of all of it for ""."""
        return Spot(self.text, ".".join(filter(None, (self.site, part))), changes, self.about)

    def below(self, key: str) -> Iterator[Part]:
        """The part under the key; nothing where the key is not there."""
        if (node := self.node.get(key)) is not None:
            yield Part(self.text, ".".join(filter(None, (self.site, key))), node, about=self.about)

    def removed(self) -> Iterator[Spot]:
        """The spot at which this part is taken out of its list."""
        if self.among is not None:
            yield self.spot("", *self.text.without_item(self.among, self.at))

    def without(self, key: str) -> Iterator[Spot]:
        """The spot at which this key of the part is taken out, if it is there."""
        if self.node.get(key) is not None:
            yield self.spot(key, *self.text.without_pair(self.node, key))

    def without_each(self, key: str) -> Iterator[Spot]:
        """A spot for each member of the list under the key, at which that member is taken out."""
        if (node := self.node.get(key)) is not None:
            for number, member in enumerate(node.items):
                yield self.spot(f"{key}.{member.raw}", *self.text.without_item(node, number))

    def scaled(self, key: str, factor: float) -> Iterator[Spot]:
        """The duration under the key so many times as long, if there is one and it is not 0."""
        if (node := self.node.get(key)) is not None and (written_s := seconds_of(node)):
            yield self.spot(key, self.text.value(node, format_duration(written_s * factor)))

    def saying(self, key: str, new: str) -> tuple[Change, ...]:
        """The changes after which the part's key has this value."""
        node = self.node.get(key)
        return (self.text.value(node, new),) if node is not None else self.text.with_pair(self.node, key, new)

    def listing(self, key: str, new: str) -> tuple[Change, ...]:
        """The changes after which the list under the key has this member too."""
        node = self.node.get(key)
        return self.text.with_item(node, new) if node is not None else self.text.with_pair(self.node, key, f"[{new}]")


P = TypeVar("P")


def of_each(parts: Callable[[Bundle], Iterable[P]], change: Callable[[P], Iterable[Spot]]) -> Find:
    """A way to find all that the change makes of each of these parts."""
    return lambda bundle: (spot for part in parts(bundle) for spot in change(part))


@dataclass(frozen=True, kw_only=True)
class RuleSite(Part):
    """One rule of a file, and its expression where it can be read."""

    is_alert: bool
    interval_s: float

    @cached_property
    def expr(self) -> str:
        found = self.node.get("expr")
        return found.raw if found else ""

    @cached_property
    def tree(self) -> Tree | None:
        """The expression's tree, None where it is no PromQL that is known here."""
        try:
            return read_promql(self.expr)
        except (CannotScale, RecursionError):
            return None

    @cached_property
    def words(self) -> list[Token]:
        return words(self.expr) if self.tree else []

    @cached_property
    def _letters(self) -> Letters:
        found = self.node.get("expr")
        assert found is not None  # only an expression that was read is changed
        return Letters(self.text, found)

    def changed(self, *changes: Change) -> Spot:
        """The rule with these letters of its expression replaced; without a change where it means what it meant."""
        new = self.expr
        for start, end, letters in sorted(changes, reverse=True):
            new = new[:start] + letters + new[end:]
        same = meaning(new) == meaning(self.expr)
        return self.spot("expr", *(self._letters.change(*each) for each in changes if not same))

    def nodes(self) -> Iterator[Tree]:
        """Every construct of the expression, in the order written."""
        left = [self.tree] if self.tree else []
        while left:
            node = left.pop()
            yield node
            left += reversed(node.children)


@dataclass(frozen=True, kw_only=True)
class RouteSite(Part):
    """One route; `path` counts from 1, () for the root."""

    path: tuple[int, ...]
    group_by: tuple[str, ...]
    """The route's group_by: its own, or the inherited one."""


class Bundle:
    """All texts of one configuration, by what they hold."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = [
            Text(role, file_of(key), text)
            for role in ("rules", "alertmanager", "template", "prometheus")
            for key, text in ((f"{role}:{name}", text) for name, text in of_role(texts, role))
        ]

    def of(self, role: Role) -> list[Text]:
        return [each for each in self.texts if each.role == role]

    @cached_property
    def interval_s(self) -> float:
        """The evaluation interval that groups have of themselves."""
        for text in self.of("prometheus"):
            found = (text.root.get("global") or text.root).get("evaluation_interval")
            return seconds_of(found) or 60.0
        return 15.0

    def roots(self, role: Role) -> list[Part]:
        """The top of each text of this role."""
        return [Part(text, "", text.root) for text in self.of(role)]

    def _members(self, role: Role, key: str, called: str, name: str = "") -> list[Part]:
        """The members of a list at the top, by their names under a key, or numbers from 1."""
        return [
            Part(text, f"{called} {found.raw if (found := node.get(name)) else number + 1}", node, among, number)
            for text in self.of(role)
            for among in (text.root.get(key),)
            for number, node in enumerate(items(among))
        ]

    @cached_property
    def groups(self) -> list[Part]:
        """The rule groups of all rule files."""
        return self._members("rules", "groups", "group", "name")

    @cached_property
    def jobs(self) -> list[Part]:
        """The scrape jobs of the Prometheus configuration."""
        return self._members("prometheus", "scrape_configs", "job", "job_name")

    @cached_property
    def inhibitions(self) -> list[Part]:
        """The inhibitions of the Alertmanager configuration."""
        return self._members("alertmanager", "inhibit_rules", "inhibition")

    @cached_property
    def rules(self) -> list[RuleSite]:
        """Every rule that has a name."""
        found = []
        for group in self.groups:
            every_s = seconds_of(group.node.get("interval")) or self.interval_s
            among = group.node.get("rules")
            for at, node in enumerate(items(among)):
                alert = node.get("alert")
                called = alert or node.get("record")
                if called is not None and called.raw:
                    name, is_alert = called.raw, alert is not None
                    found.append(
                        RuleSite(group.text, name, node, among, at, name, is_alert=is_alert, interval_s=every_s)
                    )
        return found

    @property
    def alerts(self) -> list[RuleSite]:
        return [each for each in self.rules if each.is_alert]

    @cached_property
    def routes(self) -> list[RouteSite]:
        """The routing tree, each before its children."""
        found: list[RouteSite] = []

        def walk(text: Text, node: Node, path: tuple[int, ...], among: Node | None, above: tuple[str, ...]) -> None:
            own = node.get("group_by")
            group_by = tuple(each.raw for each in items(own)) if own is not None else above
            site = f"route {'.'.join(map(str, path))}" if path else "root route"
            found.append(RouteSite(text, site, node, among, path[-1] - 1 if path else 0, path=path, group_by=group_by))
            children = node.get("routes")
            for number, child in enumerate(items(children), 1):
                walk(text, child, (*path, number), children, group_by)

        for text in self.of("alertmanager"):
            if (root := text.root.get("route")) is not None:
                walk(text, root, (), None, ())
        return found

    @cached_property
    def receivers(self) -> list[str]:
        """The names of the configuration's receivers."""
        found = (each.get("name") for text in self.of("alertmanager") for each in text.root.listed("receivers"))
        return [name.raw for name in found if name is not None]

    @cached_property
    def integrations(self) -> list[Part]:
        """Every integration of every receiver."""
        return [
            Part(text, f"{name.raw if name else 'receiver'}.{key.raw.removesuffix('_configs')}", node, members, number)
            for text in self.of("alertmanager")
            for receiver in text.root.listed("receivers")
            for name in (receiver.get("name"),)
            for key, members in receiver.pairs
            if key.raw.endswith("_configs")
            for number, node in enumerate(members.items)
        ]


def items(node: Node | None) -> tuple[Node, ...]:
    """The members of a list that may be missing."""
    return node.items if node is not None else ()


def seconds_of(node: Node | None) -> float:
    """Seconds of a duration; 0.0 where it is missing or none."""
    try:
        return parse_duration(node.raw) if node is not None and node.raw else 0.0
    except ValueError:
        return 0.0
