"""The metrics that a service is known to export: a list of names, or a metrics page as it was saved.

    # a name a line, its type behind it where that is known
    http_requests_total counter
    http_request_duration_seconds histogram
    process_*

`# TYPE` lines and samples of a metrics page are understood as well. A histogram or summary brings the series that
it is made of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from chaoskit.errors import BadInput, Place, Problem

TYPES = ("counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram")
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum", "")}
_TYPE = re.compile(r"#\s*TYPE\s+(\S+)\s+(\S+)\s*")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})?\s+[-+]?(?:[0-9.]+(?:e[-+]?\d+)?|Inf|NaN)(?:\s+-?\d+)?")
_BUCKET = re.compile(r"(\w+)_bucket\{.*\ble=\"([^\"]+)\".*\}\s.*")
_NAME = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*\*?)(?:\s+([a-z]+))?\s*(?:#.*)?")
# Prometheus makes these itself.
_OWN = re.compile(r"up|scrape_\w+|ALERTS|ALERTS_FOR_STATE")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Known names, each with its type or ""; `patterns` end in a star."""

    types: Mapping[str, str]
    patterns: tuple[str, ...] = ()
    source: str = ""
    buckets: Mapping[str, frozenset[float]] = field(default_factory=dict)
    """Upper bounds by histogram, where samples of its buckets are listed."""
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By metric, the labels that its series carry, where a live Prometheus was asked."""
    jobs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By metric, the jobs that its series come from, likewise."""

    def knows(self, name: str) -> bool:
        if name in self.types or _OWN.fullmatch(name):
            return True
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


def read_metrics(text: str, file: str) -> Metrics:
    """The metrics that a text lists; raises BadInput with every line that is not understood."""
    types: dict[str, str] = {}
    patterns: list[str] = []
    buckets: dict[str, set[float]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if typed := _TYPE.fullmatch(line):
            _add(types, typed[1], typed[2])
        elif not line or line.startswith("#"):
            continue
        elif sample := _SAMPLE.fullmatch(line):
            types.setdefault(sample[1], "")
            if bucket := _BUCKET.fullmatch(line):
                buckets.setdefault(bucket[1], set()).add(_bound(bucket[2]))
        elif (named := _NAME.fullmatch(line)) and (named[2] or "") in ("", *TYPES):
            if named[1].endswith("*"):
                patterns.append(named[1])
            else:
                _add(types, named[1], named[2] or "")
        else:
            hint = f"write the metric's name, and its type behind the name: {', '.join(TYPES[:4])}"
            problems.append(Problem(Place(file, number), f"'{_first(line)}' names no metric", hint))
    if not problems and not types and not patterns:
        problems.append(Problem(Place(file), "lists no metric", "write one name a line"))
    if problems:
        raise BadInput(problems)
    return Metrics(types, tuple(patterns), file, {name: frozenset(some) for name, some in buckets.items()})


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _first(line: str) -> str:
    """The word that is no name; what follows may be a secret, where this is no file of metrics at all."""
    return re.split(r"[\s:={]", line.strip(), maxsplit=1)[0][:60]


def _add(types: dict[str, str], name: str, type_: str) -> None:
    for part in _PARTS.get(type_, ("",)):
        types[name + part] = "counter" if part else ("gauge" if type_ == "summary" else type_)
    if type_ == "counter" and not name.endswith("_total"):
        types.setdefault(f"{name}_total", "counter")  # OpenMetrics leaves the suffix out of its TYPE line
