"""`targets.yml`: which service levels were promised, over which series, and which Prometheus tells.

Targets are exact fractions: 99.9 % is 999/1000, and a month that misses it by one event misses it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

from chaoskit.alerting.config_matchers import regex
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.scenario.catalog import find_profile
from chaoskit.scenario.fields import (
    Fields,
    Form,
    Problems,
    Reader,
    Record,
    as_node,
    choice,
    duration,
    listed,
    name,
    text,
    texts_by_key,
    version_ok,
)
from chaoskit.scenario.model import Access, Attached
from chaoskit.scenario.profile import load_profile_file, read_access, read_url
from chaoskit.sla.model import SLICE_S
from chaoskit.sla.windows import instant
from chaoskit.yaml_source import Node, read, read_text
from chaoskit.zones import zone_named

T = TypeVar("T")

TARGETS = Path("sla/targets.yml")
KEYS = (
    "chaoskit", "profile", "prometheus", "environment", "label", "zone", "in_service_since", "match", "levels",
    "outage_alerts", "planned_cap",
)  # fmt: skip
COMPARISONS: Mapping[str, Literal[">=", ">", "<"]] = {"at_least": ">=", "above": ">", "bad_below": "<"}
LEVEL_KEYS = {
    "uptime": ("up", "instances", "at_least", "above", "match"),
    "latency": ("histogram", "quantile", "below", "match"),
    "errors": ("total", "good", "critical", *COMPARISONS, "match"),
    "ratio": ("good", "bad", *COMPARISONS, "match"),
}
DEFAULT_ENVIRONMENT = "default"
USAGE = (
    "write {up: up, at_least: 99.9 %}, {histogram: …, quantile: 0.95, below: 5s}, "
    "{total: …, good: {…}, bad_below: 0.1 %} or {good: …, bad: …, above: 80 %}"
)
_PERCENT = re.compile(r"(?P<number>\d{1,3}(?:\.\d{1,12})?)\s*%", re.ASCII)
_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LEVEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SourceAt:
    """One Prometheus that `chaoskit sla record` asks."""

    url: str
    access: Access | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Level:
    """One promise: the series that tell of it, the share that is asked for, and how it is compared.

    `kind` says which fields count: `uptime` (up, instances), `latency` (histogram, quantile, below_s), `errors` (total,
    good_where, critical) and `ratio` (the counters good and bad). Selectors are label names and patterns that match a
    whole value, as `=~` does.
    """

    name: str
    kind: Literal["uptime", "latency", "errors", "ratio"]
    comparison: Literal[">=", ">", "<"]
    target: Fraction
    match: Mapping[str, str]
    place: Place | None = field(default=None, compare=False)
    up: str = ""
    instances: str = "mean"
    histogram: str = ""
    quantile: Fraction | None = None
    below_s: float = 0.0
    total: str = ""
    good: str = ""
    bad: str = ""
    good_where: Mapping[str, str] = field(default_factory=dict)
    critical: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> Fraction:
        """The share of bad that the target allows."""
        return self.target if self.comparison == "<" else 1 - self.target

    @property
    def is_time(self) -> bool:
        """Whether the level is judged by time, not by events."""
        return self.kind == "uptime"

    @property
    def by(self) -> str:
        """The label by whose values the level is also reported in parts; empty where it is not."""
        return next(iter(self.critical), "")

    @property
    def evidence(self) -> str:
        """The level's queries as JSON, without its target: levels with equal texts share their evidence."""
        parts = (self.kind, self.match, self.up, self.instances, self.histogram, self.below_s, self.total, self.good,
                 self.bad, self.good_where, self.critical)  # fmt: skip
        return json.dumps([dict(one) if isinstance(one, Mapping) else one for one in parts], sort_keys=True)


@dataclass(frozen=True, slots=True)
class Targets:
    """A file of targets; `spec_hash` names its text."""

    file: str
    text: str
    spec_hash: str
    zone: str
    in_service_since: int | None
    environment: str
    label: str
    """Series that carry this label belong to the environment it names, the others to `environment`."""
    sources: tuple[SourceAt, ...]
    match: Mapping[str, str]
    levels: tuple[Level, ...]
    outage_alerts: tuple[str, ...]
    planned_cap_s: int | None
    """The most planned time of a month that does not count; time beyond this cap counts."""
    place: Place

    def level(self, name: str) -> Level | None:
        """The level of this name; None where there is none."""
        return next((one for one in self.levels if one.name == name), None)


def load_targets(path: Path) -> Targets:
    """The service level targets in this file; raises BadInput with every problem, also when it cannot be read."""
    if not path.exists():
        raise BadInput(Problem(Place(str(path)), "there are no targets here", "write them with `chaoskit sla init`"))
    return parse_targets(read_text(path), str(path))


def parse_targets(text_: str, file: str, *, offline: bool = False) -> Targets:
    """The targets that a text holds; `file` names it in messages. Raises BadInput with every problem found.

    With `offline` no profile is read, so that an old text still means what it meant; there are no sources then.
    """
    root = read(text_, file)
    problems = Problems(file)
    if not version_ok(root, "a file of targets", problems):
        problems.raise_if_any()
    fields = Fields(root, _keys(KEYS), problems, "a file of targets")
    zone = fields.take("zone", "UTC", read=_zone)
    attached = None if offline else fields.take("profile", read=_profile)
    sources = fields.take("prometheus", (), read=_sources)
    if not offline and not sources and attached is not None:
        sources = (SourceAt(attached.prometheus, attached.access.get("prometheus"), attached.place),)
    elif sources and fields.has("profile"):
        problems.say(fields.place, "'profile' and 'prometheus' both say which Prometheus is asked", "keep one")
    elif not offline and not fields.has("profile") and not fields.has("prometheus"):
        problems.say(fields.place, "a file of targets needs 'profile' or 'prometheus'", "write prometheus: URL")
    match = fields.take("match", {}, read=selector)
    found = Targets(
        file=file,
        text=text_,
        spec_hash=hashlib.sha256(text_.encode()).hexdigest()[:12],
        zone=zone,
        in_service_since=fields.take("in_service_since", read=_instant(zone)),
        environment=fields.take("environment", attached.environment if attached else DEFAULT_ENVIRONMENT, read=name),
        label=fields.take("label", attached.label if attached else "environment", read=_label_name),
        sources=sources,
        match=match,
        levels=fields.take("levels", needed=USAGE, read=_levels(match)) or (),
        outage_alerts=fields.take("outage_alerts", (), read=listed(text, "[MetricsEndpointDown]")),
        planned_cap_s=fields.take("planned_cap", read=_cap),
        place=Place(file, root.place.line),
    )
    problems.raise_if_any()
    return found


def _keys(keys: Iterable[str], hint: str = "") -> Record:
    """A mapping with these keys, each read where it is used."""
    return Record("", dict.fromkeys(keys, as_node({})), hint=hint)


def selector(node: Node, what: str, problems: Problems) -> dict[str, str] | None:
    """Reads a `match`: label names with patterns of whole values, both of which must be usable."""
    found = texts_by_key(node, what, problems) or {}
    for key, value in node.pairs:
        if not _LABEL.fullmatch(str(key.value)):
            problems.say(key.place, f"'{key.value}' in {what} is no label's name", "write {job: NAME}")
        elif value.kind == "scalar":
            try:
                regex(value.raw)
            except ValueError as error:
                problems.say(value.place, f"'{key.value}' of {what}: {error}", "mend the pattern")
    return found or None


def percentage(node: Node, what: str, problems: Problems) -> Fraction | None:
    """An exact share of 0 to 100 %, written `99.9 %`."""
    match = _PERCENT.fullmatch(node.raw.strip()) if node.kind == "scalar" else None
    if match is None:
        hint = f"write {node.raw} %" if isinstance(node.value, int | float) else "write a percentage such as 99.9 %"
        problems.say(node.place, f"{what} must be a percentage, found {node.described()}", hint)
        return None
    found = Fraction(match["number"]) / 100
    if found > 1:
        problems.say(node.place, f"{what} is beyond 100 %: {node.raw}", "write a percentage such as 99.9 %")
        return None
    return found


def matches(labels: Mapping[str, str], where: Mapping[str, str]) -> bool:
    """Whether a series has these labels, each pattern matching a whole value; a missing label is an empty one."""
    return all(regex(pattern).match(labels.get(key, "")) for key, pattern in where.items())


def _levels(match: Mapping[str, str]) -> Reader[tuple[Level, ...]]:
    def read_levels(node: Node, what: str, problems: Problems) -> tuple[Level, ...] | None:
        if node.kind != "mapping" or not node.pairs:
            problems.say(node.place, f"{what} must be a mapping of levels, found {node.described()}", USAGE)
            return None
        found = []
        for key, value in node.pairs:
            if not _LEVEL.fullmatch(str(key.value)):
                problems.say(key.place, f"'{key.value}' cannot name a level", "use letters, digits, dots, dashes")
            one = _level(str(key.value), value, match, problems)
            if one is not None:
                found.append(one)
        return tuple(found)

    return read_levels


def _level(called: str, node: Node, match: Mapping[str, str], problems: Problems) -> Level | None:
    kind: Literal["uptime", "latency", "errors", "ratio"] | None = None
    for key, one in (("up", "uptime"), ("histogram", "latency"), ("total", "errors"), ("good", "ratio")):
        if kind is None and node.get(key) is not None:
            kind = one  # type: ignore[assignment]
    if kind is None:
        known = tuple(dict.fromkeys(key for keys in LEVEL_KEYS.values() for key in keys))
        Fields(node, _keys(known, USAGE), problems, f"the level '{called}'")
        if node.kind == "mapping":
            problems.say(node.place, f"the level '{called}' names no series", USAGE)
        return None
    fields = Fields(node, _keys(LEVEL_KEYS[kind]), problems, f"the level '{called}'")
    quantile = fields.take("quantile", needed="write quantile: 0.95", read=_quantile) if kind == "latency" else None
    comparison, target = (">=", quantile) if kind == "latency" else _target(fields, kind, problems)
    return Level(
        name=called,
        kind=kind,
        comparison=comparison,  # type: ignore[arg-type]
        target=target or Fraction(1),
        match=fields.take("match", match, read=selector),
        place=node.place,
        up=fields.take("up", needed="", read=_metric) or "" if kind == "uptime" else "",
        instances=fields.take("instances", "mean", read=choice("mean", "any", "all")) if kind == "uptime" else "mean",
        histogram=fields.take("histogram", needed="", read=_metric) or "" if kind == "latency" else "",
        quantile=quantile,
        below_s=fields.take("below", needed="write below: 5s", read=duration) or 0.0 if kind == "latency" else 0.0,
        total=fields.take("total", needed="", read=_metric) or "" if kind == "errors" else "",
        good_where=fields.take("good", needed="write good: {status: success}", read=selector) or {}
        if kind == "errors"
        else {},
        critical=fields.take("critical", {}, read=selector) if kind == "errors" else {},
        good=fields.take("good", needed="", read=_metric) or "" if kind == "ratio" else "",
        bad=fields.take("bad", needed="", read=_metric) or "" if kind == "ratio" else "",
    )


def _target(fields: Fields, kind: str, problems: Problems) -> tuple[str, Fraction | None]:
    """How a level is compared, and with what; exactly one of the keys says so."""
    known = [key for key in COMPARISONS if key in LEVEL_KEYS[kind]]
    given = [key for key in known if fields.has(key)]
    if len(given) != 1:
        said = f"{fields.what} has {' and '.join(given)}" if given else f"{fields.what} has no target"
        problems.say(fields.place, said, f"write one of {', '.join(known)}")
        return ">=", None
    target = fields.take(given[0], read=percentage)
    if target is not None and ((given[0] == "above" and target == 1) or (given[0] == "bad_below" and not target)):
        node = fields.node.get(given[0])
        problems.say(
            node.place if node else fields.place, f"'{given[0]}' of {fields.what} can never be kept", "mend it"
        )
    return COMPARISONS[given[0]], target


def _quantile(node: Node, what: str, problems: Problems) -> Fraction | None:
    if isinstance(node.value, bool) or not isinstance(node.value, float) or not 0 < node.value < 1:
        hint = "write quantile: 0.95"
        problems.say(node.place, f"{what} must be a number between 0 and 1, found {node.described()}", hint)
        return None
    return Fraction(node.raw)


def _named(pattern: re.Pattern[str], thing: str, example: str) -> Reader[str]:
    def read_name(node: Node, what: str, problems: Problems) -> str | None:
        value = text(node, what, problems)
        if value is not None and not pattern.fullmatch(value):
            problems.say(node.place, f"{what} must be {thing}, found {node.described()}", f"write {example}")
            return None
        return value

    return read_name


_metric = _named(_METRIC, "a metric's name", "http_requests_total; labels go into match")
_label_name = _named(_LABEL, "a label's name", "environment")


def _zone(node: Node, what: str, problems: Problems) -> str | None:
    value = text(node, what, problems)
    return None if value is None else _tried(lambda: zone_named(value).key, node, what, problems)


def _instant(zone: str) -> Reader[int]:
    def read_instant(node: Node, what: str, problems: Problems) -> int | None:
        at = _tried(lambda: instant(node.raw.strip(), zone), node, what, problems)
        if at is not None and at % SLICE_S:
            problems.say(node.place, f"{what} lies within 5 minutes of evidence: {node.raw}", "write 10:00 or 10:05")
        return at

    return read_instant


def _cap(node: Node, what: str, problems: Problems) -> int | None:
    found = duration(node, what, problems)
    return None if found is None else int(found)


def _profile(node: Node, what: str, problems: Problems) -> Attached | None:
    value = text(node, what, problems)
    profile = None if value is None else _tried(lambda: load_profile_file(find_profile(value)), node, what, problems)
    if profile is None or isinstance(profile.target, Attached):
        return profile.target if profile is not None and isinstance(profile.target, Attached) else None
    hint = "name one with target: {attached: …}, or write prometheus: URL"
    problems.say(node.place, f"{what}: the profile '{value}' has no Prometheus that runs by itself", hint)
    return None


def _sources(node: Node, what: str, problems: Problems) -> tuple[SourceAt, ...] | None:
    if node.kind != "sequence":
        one = _source(node, what, problems)
        return None if one is None else (one,)
    found = listed(Form(_source, {}), "[http://HOST:9090]")(node, what, problems) or ()
    for number, each in enumerate(found):
        if each.url in (other.url for other in found[:number]):
            problems.say(each.place or node.place, f"{what} lists {each.url} twice", "keep one")
    return found or None


def _source(node: Node, what: str, problems: Problems) -> SourceAt | None:
    if node.kind != "mapping":
        url = read_url(node, what, problems)
        return None if url is None else SourceAt(url, None, node.place)
    fields = Fields(node, _keys(("url", "access")), problems, what)
    url = fields.take("url", needed="", read=read_url)
    access = fields.take("access", read=read_access)
    return None if url is None else SourceAt(url, access, node.place)


def _tried(read_: Callable[[], T], node: Node, what: str, problems: Problems) -> T | None:
    """The result of `read_`; where it raises BadInput, notes its problems at this node's place and gives None."""
    try:
        return read_()
    except BadInput as error:
        for each in error.problems:
            problems.say(each.place or node.place, f"{what}: {each.message}", each.hint)
        return None
