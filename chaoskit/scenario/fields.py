"""The field language of scenarios and profiles: in which form a value is written, and what is said of a wrong one.

A form is a reader and the JSON Schema by which an editor checks the same. Readers have the shape
`(node, what, problems) -> value or None`; None means that a problem was reported, so one pass over a file finds
everything that is wrong with it. Quantities carry their unit, in the grammar of `chaoskit.units`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.units import format_duration, parse_duration, parse_rate, parse_ratio, parse_size
from chaoskit.yaml_source import Node, nearest

T = TypeVar("T")
D = TypeVar("D")

VERSION = 1
"""The format that this chaoskit reads."""
DRAFT = "https://json-schema.org/draft/2020-12/schema"
LONGEST_S = 366 * 86_400.0

_ELSEWHERE = ("as", "with", "target", "kind")
"""Keys that are right in other steps: an author who writes one has not misspelt another."""
_LOOSE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_SPELLINGS = {
    0.001: ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"),
    1.0: ("s", "sec", "secs", "second", "seconds"),
    60.0: ("m", "min", "mins", "minute", "minutes"),
    3600.0: ("h", "hr", "hrs", "hour", "hours"),
    86_400.0: ("d", "day", "days"),
}
_SECONDS = {spelling: seconds for seconds, spellings in _SPELLINGS.items() for spelling in spellings}
_RANGE = re.compile(r"(?P<low>\d{1,9})?(?P<dots>\.\.)?(?P<high>\d{1,9})?", re.ASCII)

Schema = dict[str, Any]
Bounds = tuple[int, int | None]


class Problems:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def say(self, place: Place, message: str, hint: str = "") -> None:
        """Note one problem; reading goes on."""
        self.found.append(Problem(place, message, hint))

    def refuse(self, place: Place, message: str, hint: str = "") -> T | None:
        """Note one problem; gives the None that a reader has for an unusable value."""
        self.say(place, message, hint)
        return None

    def expected(self, node: Node, what: str, must: str, hint: str = "") -> T | None:
        """Refuse a value that is not what it must be, and say what was found."""
        return self.refuse(node.place, f"{what} must be {must}, found {node.described()}", hint)

    def raise_if_any(self) -> None:
        """Raise BadInput with everything found: the file's problems by line, then those of overrides."""
        if self.found:
            unique = dict.fromkeys(self.found)
            raise BadInput(sorted(unique, key=lambda p: (p.place is None or p.place.file != self.file, p.place)))


Reader = Callable[[Node, str, Problems], T | None]


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """One way of writing a value: its reader, and its JSON Schema, or what makes one."""

    read: Reader[T]
    schema: Schema | Callable[[], Schema]

    def __call__(self, node: Node, what: str, problems: Problems) -> T | None:
        return self.read(node, what, problems)

    @property
    def described(self) -> Schema:
        return self.schema() if callable(self.schema) else self.schema


def of(schema: Schema | Callable[[], Schema]) -> Callable[[Reader[T]], Form[T]]:
    """Makes a form of the reader below."""
    return lambda read: Form(read, schema)


def as_node(schema: Schema | Callable[[], Schema]) -> Form[Node]:
    """The form of a value of any kind, which its user reads."""
    return Form(lambda node, what, problems: node, schema)


def some(values: Schema) -> Schema:
    """The form of a mapping from any names, at least one, to values of the given form."""
    return {"type": "object", "minProperties": 1, "additionalProperties": values}


def several(items: Schema, *, unique: bool = False, least: int = 1) -> Schema:
    """The form of a list whose members have the given form."""
    return {"type": "array", "minItems": least, "items": items} | ({"uniqueItems": True} if unique else {})


class Record:
    """A mapping of the format: its name in messages, the form of each key, and the keys that it needs with their hints.

    `more` are the keywords of its JSON Schema beyond these.
    """

    def __init__(
        self,
        what: str,
        forms: Mapping[str, Form[Any]],
        needs: Mapping[str, str] | None = None,
        hint: str = "",
        more: Schema | None = None,
    ) -> None:
        self.what, self.forms, self.needs, self.hint = what, forms, needs or {}, hint
        self._more = more or {}

    @property
    def known(self) -> str:
        return f"known: {', '.join(self.forms)}"

    @property
    def schema(self) -> Schema:
        """The record's JSON Schema: these keys and no other."""
        made: Schema = {"type": "object", "properties": {key: form.described for key, form in self.forms.items()}}
        required = {"required": list(self.needs)} if self.needs else {}
        return {**made, "additionalProperties": False, **required, **self._more}

    @property
    def document(self) -> Schema:
        """The JSON Schema (draft 2020-12) of a file that holds one; the loader has the last word."""
        return {"$schema": DRAFT, "title": f"chaoskit {self.what.partition(' ')[2]}", **self.schema}

    @property
    def one_of(self) -> Schema:
        """This record's form, of which exactly one key may be written."""
        return {**self.schema, "oneOf": [{"required": [key]} for key in self.forms]}

    def made(self, make: Callable[..., T]) -> Form[T]:
        """The form of the object that `make` gives for its keys; None where one that it needs is missing."""

        def read(node: Node, what: str, problems: Problems) -> T | None:
            found = Fields(node, self, problems).all()
            return make(**found) if self.needs.keys() <= found.keys() else None

        return Form(read, self.schema)


class Fields:
    """One mapping as written; what is no mapping, and keys that the record does not know, are problems."""

    def __init__(self, node: Node, record: Record, problems: Problems, what: str = "") -> None:
        self.node, self.record, self.place = node, record, node.place
        self.what = what or record.what
        self._problems = problems
        if node.kind != "mapping":
            problems.say(node.place, f"{self.what} is a mapping, found {node.described()}", record.hint or record.known)
        unknown = [key for key, _ in node.pairs if key.value not in record.forms]
        for count, key in enumerate(unknown):
            name = str(key.value)
            # Comparing costs: a mapping with so many unknown keys needs the list of known ones.
            near = "" if name in _ELSEWHERE or count >= 20 else nearest(name, record.forms)
            problems.say(key.place, f"'{name}' is not a key of {self.what}", near or record.known)

    def has(self, key: str) -> bool:
        """Whether the key is written, with any value or none."""
        return self.node.get(key) is not None

    def take(self, key: str, default: Any = None, needed: str | None = None, read: Reader[Any] | None = None) -> Any:
        """The key's value, or the default when it is absent, empty (which is reported) or unusable.

        The absence of a key that the record needs, or that is `needed` here for this reason, is a problem. `read` takes
        the place of the record's form.
        """
        node = self.node.get(key)
        if node is None:
            hint = self.record.needs.get(key) if needed is None else needed
            if hint is not None and self.node.kind == "mapping":
                self._problems.say(self.place, f"{self.what} needs '{key}'", hint)
            return default
        if node.kind == "scalar" and node.value is None:
            self._problems.say(node.place, f"'{key}' of {self.what} is empty", "write its value, or remove the key")
            return default
        value = (read or self.record.forms[key].read)(node, f"'{key}'", self._problems)
        return default if value is None else value

    def all(self, **called: str) -> dict[str, Any]:
        """Every key that has a usable value; `called` gives some another name."""
        read = {called.get(key, key): self.take(key) for key in self.record.forms}
        return {key: value for key, value in read.items() if value is not None}


VERSION_FORM = as_node({"const": VERSION, "description": "the format's version; the first key"})


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
        message = f"format version {node.value} is not supported: this chaoskit reads version {VERSION}"
        problems.say(node.place, message, "install a newer chaoskit" if node.value > VERSION else wanted)
        return False
    elif root.keys[0] != "chaoskit":
        problems.say(node.place, "'chaoskit' is not the first key", "move the format version to the top")
    return True


@of({"type": "string", "pattern": r"\S"})
def text(node: Node, what: str, problems: Problems) -> str | None:
    """Reads a text that is not empty, without the blanks around it."""
    if not isinstance(node.value, str):
        hint = f'write "{node.raw}" in quotes' if node.kind == "scalar" and node.value is not None else ""
        return problems.expected(node, what, "text", hint)
    if not node.value.strip():
        return problems.refuse(node.place, f"{what} is blank", "write its value, or remove the key")
    return node.value.strip()


def spelt(pattern: str, else_: str, hint: str) -> Form[str]:
    """Text that the whole pattern describes; `else_` is said of any other, with what was found in place of {}."""

    def read(node: Node, what: str, problems: Problems) -> str | None:
        value = text(node, what, problems)
        if value is not None and not re.fullmatch(pattern, value):
            return problems.refuse(node.place, f"{what} {else_.format(node.described())}", hint)
        return value

    return Form(read, {"type": "string", "pattern": f"^{pattern}$"})


name = spelt(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    "must be a name, found {}",
    "use at most 63 letters, digits, dots, dashes and underscores",
)


def count(most: int | None = None) -> Form[int]:
    """A whole number of 1 or more."""

    def read(node: Node, what: str, problems: Problems) -> int | None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return problems.expected(node, what, "a whole number of 1 or more")
        if most is not None and value > most:
            return problems.expected(node, what, f"at most {most}")
        return value

    return Form(read, {"type": "integer", "minimum": 1} | ({} if most is None else {"maximum": most}))


@of({"type": "boolean"})
def switch(node: Node, what: str, problems: Problems) -> bool | None:
    """The value of a field that is true or false; None after a problem was noted."""
    if not isinstance(node.value, bool):
        return problems.expected(node, what, "true or false")
    return node.value


def choice(*options: str) -> Form[str]:
    """The form of a value that is one of these words."""

    def read(node: Node, what: str, problems: Problems) -> str | None:
        value = node.value
        if isinstance(value, str) and value in options:
            return value
        near = nearest(value, options) if isinstance(value, str) else ""
        one = options[0] if len(options) == 1 else f"one of {', '.join(options)}"
        return problems.expected(node, what, one, near)

    return Form(read, {"enum": list(options)})


@of({"type": "object", "description": "the kind's own settings"})
def settings(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
    """A mapping kept as plain data; the kind of fault or action validates it."""
    if node.kind != "mapping":
        return problems.expected(node, what, "a mapping such as {ratio: 95%}")
    plain: dict[str, Any] = node.plain()
    return plain


def listed(one: Form[T], example: str, *, unique: bool = False, empty: bool = False) -> Form[tuple[T, ...]]:
    """A list of at least one, or of none too where `empty`; unusable elements are reported and left out."""

    def read(node: Node, what: str, problems: Problems) -> tuple[T, ...] | None:
        if node.kind != "sequence":
            return problems.expected(node, what, "a list", f"write {example}")
        if not node.items:
            if not empty:
                problems.say(node.place, f"{what} is an empty list", f"write {example}, or remove the key")
            return () if empty else None
        values = [one.read(item, f"an entry of {what}", problems) for item in node.items]
        seen: set[str] = set()
        for item in node.items if unique else ():
            written = str(item.value).strip()
            if written in seen:
                problems.say(item.place, f"{what} lists '{written}' twice", "keep one")
            seen.add(written)
        return tuple(value for value in values if value is not None)

    return Form(read, lambda: several(one.described, unique=unique, least=0 if empty else 1))


@of(some({"type": ["string", "number", "boolean"]}))
def texts_by_key(node: Node, what: str, problems: Problems) -> dict[str, str] | None:
    """A mapping whose values are text; numbers and truth values are taken as they were written."""
    if node.kind != "mapping" or not node.pairs:
        return problems.expected(node, what, "a mapping with at least one key")
    found: dict[str, str] = {}
    for key, value in node.pairs:
        if value.kind != "scalar" or value.value is None:
            problems.say(value.place, f"'{key.value}' of {what} must be text, found {value.described()}")
        else:
            found[str(key.value)] = value.raw
    return found


def duration_advice(written: str) -> str:
    """The correct spelling of a text that is no duration, or "" when that cannot be guessed."""
    match = _LOOSE.fullmatch(written.strip())
    if not match:
        return ""
    number, unit = match.groups()
    if not unit:
        return f"write {number}s for seconds or {number}m for minutes" if number.isdigit() else "write 30s or 5m"
    seconds = _SECONDS.get(unit.lower())
    return f"write {format_duration(float(number) * seconds)}" if seconds else ""


def _duration(zero: bool, most_s: float = LONGEST_S) -> Reader[float]:
    def read(node: Node, what: str, problems: Problems) -> float | None:
        written, message, hint = node.raw.strip(), "", "write a duration such as 30s or 5m"
        seconds = 0.0
        if node.kind != "scalar" or isinstance(node.value, bool) or node.value is None:
            message, hint = f"{what} must be a duration, found {node.described()}", "write 30s or 5m"
        elif written.startswith("-"):
            message = f"{what} is negative: {written}"
        elif not (zero and written == "0") and isinstance(node.value, int | float):
            message, hint = f"{what} has no unit: {written}", duration_advice(written)
        else:
            try:
                seconds = parse_duration(written)
            except (ValueError, OverflowError):
                message = f"{what} is not a duration: {node.described()}"
                hint = duration_advice(written) or "write a number with its unit, such as 30s, 5m or 1h30m"
            else:
                if seconds > LONGEST_S:
                    message = f"{what} is longer than a year: {written}"
                elif seconds > most_s:
                    message, hint = f"{what} is longer than {most_s:g} s: {node.raw}", "write 2s"
                elif not seconds and not zero:
                    message = f"{what} must be longer than 0"
        if message:
            return problems.refuse(node.place, message, hint)
        return seconds

    return read


# At least one part, in descending order, as parse_duration takes it.
_DURATION: Schema = {
    "type": "string",
    "pattern": r"^(?=.)([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    "description": "a number with its unit, such as 30s, 5m or 1h30m",
}


def duration_to(most_s: float, *, zero: bool = False) -> Form[float]:
    """Seconds of a duration with its unit, more than 0 or `zero` too, up to a most."""
    return Form(_duration(zero, most_s), {"anyOf": [_DURATION, {"const": 0}, {"const": "0"}]} if zero else _DURATION)


duration = duration_to(LONGEST_S)
duration_or_zero = duration_to(LONGEST_S, zero=True)

_PERCENTAGE: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$"}
PART: Schema = {"anyOf": [_PERCENTAGE, {"type": "number", "minimum": 0, "maximum": 1}]}
"""How a share is written that may be 0, or above 100%."""


@of(
    {
        "anyOf": [_PERCENTAGE, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}],
        "description": "above 0% and at most 100%, such as 75%",
    }
)
def share(node: Node, what: str, problems: Problems) -> float | None:
    """A share above 0 and at most 1, written `75%` (or 0.75)."""
    value = node.value
    bare = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        ratio = parse_ratio(value) if bare or isinstance(value, str) else math.nan  # type: ignore[arg-type]
    except ValueError:
        ratio = math.nan
    if 0 < ratio <= 1:
        return ratio
    hint = f"write {value}%" if bare and 1 < value <= 100 else "write a percentage such as 75%"  # type: ignore[operator]
    return problems.expected(node, what, "a share above 0% and at most 100%", hint)


def _measured(parse: Callable[[str], T], must: str, unit: str, hint: str, pattern: str) -> Form[T]:
    """A quantity above 0 with a unit; `unit` is the hint for a number that has none."""

    def read(node: Node, what: str, problems: Problems) -> T | None:
        value: Any = node.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return problems.refuse(node.place, f"{what} has no unit: {node.raw}", unit.format(node.raw))
        try:
            found: Any = parse(value) if isinstance(value, str) else 0
        except (ValueError, OverflowError):
            found = 0
        if 0 < found < math.inf:
            return found  # type: ignore[no-any-return]
        return problems.expected(node, what, f"a {must} above 0", hint)

    return Form(read, {"type": "string", "pattern": pattern})


rate = _measured(parse_rate, "rate", "write {}/s", "write it per second, such as 40/s", r"^[0-9.]+(e[0-9]+)?/s$")
"""Events per real second, more than 0, written `40/s`."""
_A_SIZE = "write a size such as 64MiB or 1GiB"
size = _measured(parse_size, "size", _A_SIZE, _A_SIZE, r"^[0-9]+(\.[0-9]+)?\s*(B|kB|MB|GB|KiB|MiB|GiB)$")
"""Bytes, more than 0, written `1GiB`."""


def number(low: float, high: float) -> Form[float]:
    """A number between these two, both included."""

    def read(node: Node, what: str, problems: Problems) -> float | None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return problems.expected(node, what, f"a number from {low:g} to {high:g}")
        return float(value)

    return Form(read, {"type": "number", "minimum": low, "maximum": high})


@of(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^([0-9]+|[0-9]+\.\.|\.\.[0-9]+|[0-9]+\.\.[0-9]+)$"},
        ],
        "description": "2 (exactly), 1..3, ..10 (at most) or 2.. (at least)",
    }
)
def bounds(node: Node, what: str, problems: Problems) -> Bounds | None:
    """The bounds of a count: `2` (exactly), `1..3`, `..10` (at most), `2..` (at least).

    The upper one None for no bound.
    """
    match = _RANGE.fullmatch(node.raw.strip()) if node.kind == "scalar" and not isinstance(node.value, bool) else None
    low, high = (match["low"], match["high"]) if match else (None, None)
    if match is None or (low is None and high is None) or (match["dots"] is None and high is not None):
        message = f"{what} must be a number or a range, found {node.described()}"
        return problems.refuse(node.place, message, "write 2, 1..3, ..10 or 2..")
    lower = int(low or 0)
    upper = lower if match["dots"] is None else (None if high is None else int(high))
    if upper is not None and upper < lower:
        return problems.refuse(node.place, f"{what} ends below its start: {node.raw}", f"write {upper}..{lower}")
    return lower, upper


def address_parts(url: str, schemes: Collection[str]) -> SplitResult | None:
    """The parts of an address of one of these schemes that names a host; None for any other text."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable and not any(map(str.isspace, url)) else None
