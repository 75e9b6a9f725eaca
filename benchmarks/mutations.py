"""Ways to spoil a file: its bytes, its lines, its values, its tree. Every one is decided by the random source alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import yaml

ODD_VALUES = (
    "", "~", "null", "[]", "{}", "[[]]", "{a: b}", "0", "-1", "1e3", "1e308", "1e999", ".nan", ".inf", "9" * 30,
    "9" * 400, "0x1f", "1:30", "true", "on", "2024-01-31", "30", "30s", "-5s", "99999999999h", "1..3", "..", "95%",
    "nan%", "inf/s", "!!int x", "!!python/name:os.system", "&a [*a]", "*x", "<<", "'", '"', "|", ">", "\t", "%", "@",
    "`", "é", "\u0663s", "\u202eevil", "\ufeff", "\x1b[31m", "a\rb", "x" * 5000, "((((((((((", "up{", "rate(up[5m",
    "a=~\"(\"", "[" * 60, "{a: " * 60,
    "- " * 60, "{{ $labels.x }}", "{{ end }}", "../../../etc/passwd", "/dev/zero", "**/*", "\\",
)  # fmt: skip
ODD_PLAIN: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 1.5, 10**17, -(10**18), "", "x", "30s", "0s", "-5s", "1e9h", "all", "end", "never", [],
    {}, [[]], [None], {"a": "b"}, {"": ""}, ["x"] * 300, "\x1b[2J", "\u202e", "up >", "sum(", "x" * 3000, "*", ".*(",
    "a|b", [{"alert": "A"}], {"alert": "A"}, {"inject": "cpu.burn"}, "{{ .Nope }}", 0.1, 60, "50%", "10/s",
)  # fmt: skip
ODD_JSON = (
    "null", "true", "-1", "0", "1e308", "-1e308", "1e400", "NaN", "Infinity", "9" * 25, "9" * 400, '""', '"x"', "[]",
    "{}", "[1,2]", "[2,1]", "[null,null]", '{"a":1}', '"\\ud800"', '"\\u0000"', '"\\u001b[31m"', "0.0000001",
    "2000000000.5", "[" * 2000,
)  # fmt: skip
_LETTERS = "abz019:-{}[],&*!|>'\"#\n\t ?%@<~.\0\u2028é\x1b\r\x85\ud7ff"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
Mutation = Callable[[random.Random, bytes], bytes]


def flipped(chance: random.Random, data: bytes) -> bytes:
    """A few bytes are others."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if spoilt:
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


def cut(chance: random.Random, data: bytes) -> bytes:
    """The end is missing, or a piece out of the middle."""
    a, b = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return data[:a] if chance.random() < 0.6 else data[:a] + data[b:]


def lettered(chance: random.Random, data: bytes) -> bytes:
    """Letters that mean something to a parser, or nothing at all, stand where they should not."""
    at = chance.randint(0, len(data))
    odd = "".join(chance.choice(_LETTERS) for _ in range(chance.randint(1, 4)))
    return data[:at] + odd.encode() * chance.choice((1, 1, 1, 200)) + data[at + chance.randint(0, 3) :]


def shuffled(chance: random.Random, data: bytes) -> bytes:
    """Lines are dropped, doubled, swapped, indented otherwise, or come from elsewhere in the file."""
    lines = data.split(b"\n")
    for _ in range(chance.randint(1, 4)):
        a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                del lines[min(a, b) : min(a, b) + chance.randint(1, 5)]
                lines = lines or [b""]
            case 1:
                lines.insert(a, lines[a])
            case 2:
                lines[a], lines[b] = lines[b], lines[a]
            case 3:
                lines[a] = b" " * chance.randint(1, 3) + lines[a]
            case 4:
                lines[a] = lines[a].lstrip()
            case _:
                lines.insert(b, lines[a])
    return b"\n".join(lines)


def valued(chance: random.Random, data: bytes) -> bytes:
    """A key's value is another: of another type, endless, cut, or not written as YAML wants it."""
    lines = data.split(b"\n")
    keyed = [number for number, line in enumerate(lines) if b":" in line]
    for _ in range(chance.randint(1, 3) if keyed else 0):
        at = chance.choice(keyed)
        lines[at] = lines[at].partition(b":")[0] + b": " + chance.choice(ODD_VALUES).encode()
    return b"\n".join(lines)


def bombed(chance: random.Random, data: bytes) -> bytes:
    """Aliases that expand without end, depth without end, or a great many keys."""
    wide = ", ".join("x" * 10)
    lines = [f"b0: &b0 [{wide}]"]
    lines += [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, chance.randint(2, 12))]
    deep = chance.randint(10, 3000)
    many = chance.randint(10, 2000)
    bomb = chance.choice(
        ("\n".join(lines), "d: " + "[" * deep, "d: " + "{a: " * deep, "\n".join(f"k{n}: 1" for n in range(many)))
    )
    return b"\n".join((data, bomb.encode())) if chance.random() < 0.7 else bomb.encode() + b"\n" + data


def grafted(chance: random.Random, data: bytes) -> bytes:
    """The parsed tree is changed and written again: what no slip of the pen makes, and no syntax error hides."""
    try:
        tree = yaml.load(data, _LOADER)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return flipped(chance, data)
    places = list(_places(tree))
    for _ in range(chance.randint(1, 3) if places else 0):
        holder, key = chance.choice(places)
        _graft(chance, holder, key, places)
    try:
        return yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, allow_unicode=True).encode()
    except (yaml.YAMLError, RecursionError):
        return flipped(chance, data)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (collection, key) of a tree."""
    found, left = [], [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict | list):
            keys = list(one) if isinstance(one, dict) else list(range(len(one)))
            found += [(one, key) for key in keys]
            left += [one[key] for key in keys]
    return found


def _graft(chance: random.Random, holder: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    try:
        value = holder[key]
    except (KeyError, IndexError):
        return  # an earlier graft took it away
    other, other_key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            holder[key] = chance.choice(ODD_PLAIN)
        case 1 if isinstance(holder, dict):
            del holder[key]
            holder[chance.choice((f"{key}s", "x", "", "alert", other_key))] = value
        case 2:
            del holder[key]
        case 3 if isinstance(holder, list):
            holder.extend([value] * chance.choice((1, 2, 300)))
        case _:
            try:
                # A copy: a tree that holds itself could not be written down.
                holder[key] = json.loads(json.dumps(other[other_key]))
            except (KeyError, IndexError, TypeError):
                holder[key] = None


def retold(chance: random.Random, data: bytes) -> bytes:
    """One to three events of a history say something else, lack something, or stand elsewhere."""
    lines = data.split(b"\n")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        try:
            event = json.loads(lines[at])
        except (ValueError, RecursionError):
            continue
        if not isinstance(event, dict) or not event:
            continue  # an earlier round has made something else of it
        key = chance.choice(list(event))
        holder: Any = event
        while isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.7:
            holder = holder[key]
            key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match chance.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(event.get("t"), float):
                event["t"] += chance.choice((-1e9, -5.0, 5.0, 1e9, 1e17))
            case _:
                holder[key] = "\0odd"
        written = json.dumps(event).replace('"\\u0000odd"', chance.choice(ODD_JSON))
        lines[at] = written.encode()
    return b"\n".join(lines)


def renumbered(chance: random.Random, data: bytes) -> bytes:
    """Events are dropped, doubled, moved, or cut off, and counted anew: whole to the reader, nonsense to the judge."""
    lines = data.split(b"\n")[:-1] or [data]
    for _ in range(chance.randint(1, 4)):
        a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(4):
            case 0 if len(lines) > 6:
                del lines[a : a + chance.randint(1, 30)]
                lines = lines or [b"{}"]
            case 1:
                lines.insert(b, lines[a])
            case 2:
                lines[a], lines[b] = lines[b], lines[a]
            case _:
                lines = lines[: max(a, 1)]
    counted = []
    for number, line in enumerate(lines):
        try:
            counted.append(json.dumps({**json.loads(line), "n": number}).encode())
        except (ValueError, TypeError, RecursionError):
            counted.append(line)
    return b"\n".join(counted) + b"\n"


OF_YAML: tuple[Mutation, ...] = (flipped, cut, lettered, shuffled, valued, bombed, grafted, grafted, grafted, valued)
OF_HISTORIES: tuple[Mutation, ...] = (flipped, cut, lettered, shuffled, retold, retold, retold, renumbered, renumbered)


def mutated(chance: random.Random, data: bytes, ways: tuple[Mutation, ...]) -> bytes:
    """The file spoilt in one way, now and then in two."""
    spoilt = chance.choice(ways)(chance, data)
    if chance.random() < 0.8:
        return spoilt
    # A tree is changed only while it is small: a bomb would go off here instead of where it is aimed at.
    again = chance.choice(ways)
    return (flipped if again is grafted else again)(chance, spoilt)
