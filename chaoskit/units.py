"""Durations, ratios, rates, sizes and counts as people write them (`1h30m`, `95%`, `40/s`, `1GiB`, `1 alert`).

Durations follow the grammar that Prometheus and Alertmanager share (model.ParseDuration in
prometheus/common): descending units y w d h m s ms, each at most once, or a bare 0. Plain numbers are
refused, since a reader would have to guess whether 5 means seconds or minutes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_DURATION = re.compile(
    r"(?:(?P<y>\d+)y)?(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?"
    r"(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?"
)
_MILLIS = {"y": 365 * 86_400_000, "w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_SIZE = re.compile(r"(?P<n>\d+(?:\.\d+)?)\s*(?P<u>B|kB|MB|GB|KiB|MiB|GiB)")
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> float:
    """Seconds of a duration such as `1h30m` or `1500ms`; raises ValueError with what was expected."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or not match:
        raise ValueError(f"'{text}' is not a duration; write a number with its unit, such as 30s, 5m or 1h30m")
    return sum(int(n) * _MILLIS[unit] for unit, n in match.groupdict().items() if n) / 1000


@lru_cache(maxsize=4096)
def format_duration(seconds: float) -> str:
    """The duration as Prometheus writes it, exact to the millisecond: 90 -> 1m30s; negative ones get a minus."""
    millis = round(abs(seconds) * 1000)
    if not millis:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, millis = divmod(millis, _MILLIS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + "".join(parts)


def seconds(value: float) -> str:
    """Seconds for people, to a tenth: `12.3 s`."""
    return f"{value:.1f} s"


def amount(count: int, things: str) -> str:
    """A number with its noun, for a sentence: `1 alert`, `2 alerts`; `things` is a plural in s."""
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def listed(names: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first names of a list, and how many more there are, for a sentence."""
    return between.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def parse_ratio(text: str | int | float) -> float:
    """A share between 0 and 1 from `95%`, `0.95` or 1; raises ValueError."""
    try:
        value = float(text[:-1]) / 100 if isinstance(text, str) and text.endswith("%") else float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a ratio; write a percentage such as 95%") from None
    if not 0 <= value <= 1:
        raise ValueError(f"'{text}' is not between 0% and 100%; write such a share")
    return value


def parse_rate(text: str) -> float:
    """Events per real second from `40/s`; raises ValueError."""
    number, _, unit = text.partition("/")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if unit != "s" or value < 0:
        raise ValueError(f"'{text}' is not a rate; write it per second, such as 40/s")
    return value


def parse_size(text: str) -> int:
    """Bytes from `64MiB` or `1GB`; raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is not a size; write a number with its unit, such as 64MiB or 1GiB")
    return round(float(match["n"]) * _BYTES[match["u"]])
