"""`load` of a profile, and what a `change: load` step may say: how much traffic, of what, in which course.

Everything here is real: requests per real second, real seconds. Whether the target knows the requests of the mix,
and whether a locustfile can be used, is found out when the run is planned.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from chaoskit.errors import Place
from chaoskit.scenario import fields as form
from chaoskit.scenario.fields import Fields, Form, Problems, Record, Schema
from chaoskit.scenario.model import LONGEST_DRAIN_S, FailIf, LoadPlan, Workers
from chaoskit.scenario.shape import Shape
from chaoskit.yaml_source import Node, nearest

PERCENTS = (50, 90, 95, 99)
EXAMPLES = {
    "constant": "constant",
    "ramp": "{ramp: {from: 10%, over: 30s}}",
    "spike": "{spike: {to: 5, at: 20s, for: 5s}}",
    "step": "{step: {steps: 4, each: 15s}}",
    "soak": "{soak: {up: 20s, for: 10m}}",
    "stages": "{stages: [{for: 1m, to: 50%, over: 10s}, {for: 5m, to: 100%}]}",
}
MOST_USERS = 100_000
MOST_RATE = 100_000.0
"""Requests per real second, at the highest point of the shape."""
HIGHEST_PEAK = 1000.0
OWN_USERS = 10
"""How many users of a team's own locustfile there are unless `users` says so."""

USAGE = "write {rate: 40/s, mix: {leads: 3, reports: 1}}, {users: 20}, or {locustfile: PATH}"


@form.of(form.PART)
def _level(node: Node, what: str, problems: Problems) -> float | None:
    """A share of the level from 0, which may be more than the whole."""
    text_of = node.raw.strip()
    percent = text_of.endswith("%")
    try:
        value = float(text_of.rstrip("%")) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if node.kind != "scalar" or not 0 <= value <= HIGHEST_PEAK or (not percent and value > 1):
        return problems.expected(node, what, "a share of the level", "write 50% or 200%")
    return value


_SHAPES = {
    "ramp": Record("", {"from": form.share, "over": form.duration}, {"over": "how long it takes"}),
    "spike": Record(
        "",
        {"to": form.number(0, HIGHEST_PEAK), "at": form.duration_or_zero, "for": form.duration},
        {
            "to": "how many times the level: 5 is five times as much",
            "at": "when it begins, counted from the beginning of the load",
            "for": "how long it lasts",
        },
    ),
    "step": Record(
        "",
        {"steps": form.count(1000), "each": form.duration},
        {"steps": "how many stairs there are to the full level", "each": "how long each stair lasts"},
    ),
    "soak": Record("", {"up": form.duration_or_zero, "for": form.duration}, {"for": "how long the full level lasts"}),
}
"""Each shape that has settings; `constant` has none, and `stages` is a list."""
_CALLED = {
    "ramp": {"from": "low", "over": "length_s"},
    "spike": {"to": "peak", "at": "start_s", "for": "length_s"},
    "step": {"each": "length_s"},
    "soak": {"up": "start_s", "for": "length_s"},
}
"""By shape, the fields of `Shape` that its settings fill."""
_STAGE = Record(
    "a stage",
    {"for": form.duration, "to": _level, "over": form.duration_or_zero},
    {"for": "how long it lasts, with the way there", "to": "how much of the level: 50%, or 200% for twice as much"},
    "write {for: 1m, to: 50%, over: 10s}",
)


def _shape_schema() -> Schema:
    inner = {name: record.schema for name, record in _SHAPES.items()} | {"stages": form.several(_STAGE.schema)}
    one = Record("", {name: Form(_level.read, schema) for name, schema in inner.items()}).one_of
    return {"anyOf": [{"const": "constant"}, one]}


@form.of(_shape_schema)
def read_shape(node: Node, what: str, problems: Problems) -> Shape | None:
    """`constant`, or a mapping from the name of one other shape to its settings."""
    known = tuple(EXAMPLES)
    if node.value == "constant":
        return Shape()
    if node.value in known:
        return problems.refuse(node.place, f"{what} {node.value} needs settings", f"write {EXAMPLES[str(node.value)]}")
    if node.kind != "mapping" or len(node.pairs) != 1:
        near = nearest(node.value, known) if isinstance(node.value, str) else ""
        found = f"{len(node.pairs)} of them" if node.pairs else node.described()
        hint = near or f"write constant or, for instance, {EXAMPLES['ramp']}"
        return problems.refuse(node.place, f"{what} must be one of {', '.join(known)}, found {found}", hint)
    key, inner = node.pairs[0]
    name = str(key.value)
    if name == "stages":
        return _stages(inner, problems)
    if name not in _SHAPES:
        hint = "write shape: constant" if name == "constant" else nearest(name, known) or f"known: {', '.join(known)}"
        return problems.refuse(key.place, f"'{name}' is no shape with settings", hint)
    record = Record(f"the shape '{name}'", _SHAPES[name].forms, _SHAPES[name].needs, f"write {EXAMPLES[name]}")
    read = Fields(inner, record, problems).all(**_CALLED[name])
    if not {_CALLED[name].get(key, key) for key in record.needs} <= read.keys():
        return None
    return Shape(kind=name, **({"low": 0.1} if name == "ramp" else {}) | read)  # type: ignore[arg-type]


def _stages(node: Node, problems: Problems) -> Shape | None:
    stages = form.listed(Form(_stage, _STAGE.schema), f"shape: {EXAMPLES['stages']}")(node, "'stages'", problems)
    if not stages or len(stages) != len(node.items):
        return None
    if not any(to for _, to, _ in stages):
        return problems.refuse(node.place, "'stages' never rise above 0", "write to: 100% in one of them")
    return Shape(kind="stages", stages=stages)


def _stage(node: Node, what: str, problems: Problems) -> tuple[float, float, float] | None:
    fields = Fields(node, _STAGE, problems)
    length, to, over = fields.take("for"), fields.take("to"), fields.take("over", 0.0)
    if length is None or to is None:
        return None
    if over > length:
        hint = "the way there is a part of the stage"
        return problems.refuse(node.place, "'over' of a stage is longer than its 'for'", hint)
    return length, to, over


_LIMIT = Record(
    "",
    {"name": form.text, "failed": _level, **{f"p{percent}": form.duration for percent in PERCENTS}},
    hint="write {name: checkout, failed: 1%, p95: 800ms}",
    more={"anyOf": [{"required": [key]} for key in ("failed", *(f"p{percent}" for percent in PERCENTS))]},
)


@form.of(_LIMIT.schema)
def _limit(node: Node, what: str, problems: Problems) -> FailIf | None:
    fields = Fields(node, _LIMIT, problems, what)
    if node.kind != "mapping":
        return None
    if not set(node.keys) & (_LIMIT.forms.keys() - {"name"}):
        return problems.refuse(node.place, f"{what} limits nothing", "write failed: 1% or p95: 800ms")
    read = fields.all()
    if read.get("failed", 0) > 1:
        problems.say(node.place, f"'failed' of {what} is more than all", "write 1%")
    known = {percent: read[f"p{percent}"] for percent in PERCENTS if f"p{percent}" in read}
    return FailIf(read.get("name", ""), read.get("failed"), known)


_VALUE: Schema = {"type": ["string", "number", "boolean"]}


@form.of({"type": "object", "additionalProperties": {"anyOf": [_VALUE, form.several(_VALUE)]}})
def _options(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
    """Names and values of a command line: texts, numbers, truth values, and lists of them."""
    values = form.settings(node, what, problems)
    for key, value in node.pairs if values else ():
        if any(one.kind != "scalar" or one.value is None for one in value.items or (value,)):
            problems.say(value.place, f"'{key.value}' of {what} must be a value or a list, found {value.described()}")
    return values


@form.of(form.some({"type": "integer", "minimum": 0}))
def _mix(node: Node, what: str, problems: Problems) -> dict[str, int] | None:
    if node.kind != "mapping" or not node.pairs:
        return problems.expected(node, what, "a mapping of weights", "write {leads: 3}")
    weights = {}
    for key, value in node.pairs:
        weight = value.value
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
            problems.say(value.place, f"the weight of '{key.value}' must be a whole number, found {value.described()}")
        else:
            weights[str(key.value)] = weight
    if len(weights) == len(node.pairs) and not any(weights.values()):
        problems.say(node.place, f"{what} has only weights of 0", "give one request a weight")
    return weights


@form.of({"type": "string", "pattern": r"^(?!0\.0\.0\.0$|::$)[0-9A-Fa-f:.]+$"})
def _bind(node: Node, what: str, problems: Problems) -> str | None:
    """One address of this machine; none that stands for all of them."""
    try:
        found = ipaddress.ip_address(node.raw.strip())
    except ValueError:
        found = None
    if node.kind == "scalar" and found is not None and not found.is_unspecified:
        return str(found)
    what_found = "every address of the machine" if found or node.raw.strip() == "*" else node.described()
    hint = "write the address that the workers reach, such as 10.0.0.5"
    return problems.refuse(node.place, f"{what} must be one IP address of this machine, found {what_found}", hint)


_TOKEN_HINT = "token_file: load-token, made by (umask 077; openssl rand -hex 32 > load-token)"
_workers = Record(
    "'workers' of load",
    {"expect": form.count(1000), "bind": _bind, "port": form.count(65535), "token_file": form.text},
    {"expect": "how many there are: expect: 8", "token_file": _TOKEN_HINT},
    hint="write {expect: 8, bind: 10.0.0.5, token_file: load-token}",
).made(Workers)
_APART = (
    ("rate", "users"), ("rate", "locustfile"), ("mix", "locustfile"), ("think", "locustfile"), ("think", "rate"),
    ("in_flight", "users"), ("in_flight", "locustfile"), ("spawn_rate", "rate"), ("processes", "workers"),
)  # fmt: skip
_OWN = ("options", "tags", "exclude_tags", "classes")
LOAD = Record(
    "",
    {
        "rate": form.rate,
        "users": form.count(),
        "locustfile": form.text,
        "mix": _mix,
        "shape": read_shape,
        "processes": form.count(64),
        "workers": _workers,
        "timeout": form.duration_to(600.0),
        "think": form.duration_or_zero,
        "in_flight": form.count(),
        "drain": form.duration_to(LONGEST_DRAIN_S, zero=True),
        "options": _options,
        "tags": form.listed(form.text, "tags: [read]", unique=True),
        "exclude_tags": form.listed(form.text, "exclude_tags: [slow]", unique=True),
        "classes": form.listed(form.text, "classes: [Reader]", unique=True),
        "spawn_rate": form.rate,
        "fail_if": form.listed(_limit, "fail_if: [{name: checkout, failed: 1%, p95: 800ms}]"),
    },
    hint=USAGE,
    more={
        "anyOf": [{"required": [key]} for key in ("rate", "users", "locustfile")],
        "dependentRequired": {key: ["locustfile"] for key in _OWN},
        "not": {"anyOf": [{"required": list(pair)} for pair in _APART]},
    },
)
CHANGE = Record(
    "a change of load", {"rate": form.rate, "users": form.count(MOST_USERS), "mix": _mix, "shape": read_shape}
)
"""The keys of `change: load`: settings that may change while the load flows."""


@form.of(LOAD.schema)
def read_load(node: Node, what: str, problems: Problems) -> LoadPlan | None:
    """The load of a profile, with everything that is wrong with it."""
    fields = Fields(node, LOAD, problems, what)
    own = fields.has("locustfile")
    given = [key for key in ("rate", "users") if fields.has(key)]
    if len(given) == 2:
        problems.say(node.place, f"{what} has 'rate' and 'users'", "keep one: the open model or the closed one")
    elif not given and not own and node.kind == "mapping":
        problems.say(node.place, f"{what} says neither 'rate' nor 'users' nor 'locustfile'", USAGE)
    if own and given == ["rate"] and (found := node.get("rate")):
        hint = "write users: 20; its users decide themselves how often they ask"
        problems.say(found.place, "'rate' stands beside 'locustfile', whose users take no rate", hint)
    _excluded(node, "mix", own, "stands beside 'locustfile', which has tasks of its own", problems)
    _excluded(node, "think", own, "stands beside 'locustfile', whose users have a wait_time", problems)
    _excluded(node, "think", "rate" in given, "is a user's wait, and a rate has no users", problems)
    for key in _OWN:
        _excluded(node, key, not own, "is for a locustfile, and this load has none", problems)
    _excluded(node, "spawn_rate", "rate" in given, "is how fast users come, and a rate has no users", problems)
    _excluded(node, "in_flight", "rate" not in given, "bounds an open load, and this one has no 'rate'", problems)
    _excluded(node, "processes", fields.has("workers"), "stands beside 'workers', each of which is one", problems)
    called = {"rate": "rate_per_s", "timeout": "timeout_s", "think": "think_s", "drain": "drain_s"}
    users = OWN_USERS if own and not given else None
    read = {"rate_per_s": None, "users": users, "locustfile": None, "mix": {}, **fields.all(**called)}
    places = {"load": node.place, **{key: value.place for key in LOAD.forms if (value := node.get(key))}}
    plan = LoadPlan(**read, places=places)
    _bounded(plan, node, problems)
    return plan


def read_change(settings: Mapping[str, Any], place: Place, problems: Problems) -> dict[str, Any]:
    """The settings of a `change: load` step: those of `rate_per_s`, `users`, `mix` and `shape` that are written."""
    return Fields(_node(settings, place), CHANGE, problems).all(rate="rate_per_s")


def check_change(load: LoadPlan, settings: Mapping[str, Any], place: Place, problems: Problems) -> None:
    """Whether a `change: load` step fits the load of the profile; says what does not."""
    asked = read_change(settings, place, problems)
    if "rate_per_s" in asked and load.rate_per_s is None:
        problems.say(place, "the load has users, and a change gives it a rate", "change 'users', or give load a rate")
    if "users" in asked and load.users is None:
        problems.say(place, "the load has a rate, and a change gives it users", "change 'rate', or give load users")
    if "mix" in asked and load.locustfile is not None:
        problems.say(place, "the load has tasks of its own, and a change gives it a mix", "remove one")


def _bounded(plan: LoadPlan, node: Node, problems: Problems) -> None:
    """Says which figures of the load are beyond one machine, and which contradict each other."""
    highest, machines = plan.shape.highest, 1 if plan.workers is None else plan.workers.expect
    if plan.rate_per_s is not None and plan.rate_per_s * highest > MOST_RATE * machines:
        message = f"'rate' is more than {MOST_RATE * machines:g}/s at its highest: {plan.rate_per_s * highest:g}/s"
        problems.say(plan.place_of("rate") or node.place, message, "lower 'rate', or the peak of the load's shape")
    if plan.users is not None and plan.users * highest > MOST_USERS * machines:
        message = f"'users' is more than {MOST_USERS * machines}: {plan.users * highest:g}"
        problems.say(plan.place_of("users") or node.place, message, "one machine cannot play so many")
    if plan.users is not None and plan.users < plan.bearing:
        each, by = ("process", "processes") if plan.workers is None else ("worker", "workers")
        message = f"{plan.users} users cannot be shared by {plan.bearing} {by}"
        problems.say(plan.place_of(by) or node.place, message, f"give each {each} at least one user")


def _excluded(node: Node, key: str, wrong: bool, why: str, problems: Problems) -> None:
    if wrong and (found := node.get(key)):
        problems.say(found.place, f"'{key}' {why}", "remove one")


def _node(value: Any, place: Place) -> Node:
    """Plain data as a node that stands at this place: a step keeps its settings as data."""
    if isinstance(value, Mapping):
        pairs = tuple((Node("scalar", str(k), place, str(k)), _node(v, place)) for k, v in value.items())
        return Node("mapping", pairs, place)
    if isinstance(value, list | tuple):
        return Node("sequence", tuple(_node(item, place) for item in value), place)
    return Node("scalar", value, place, str(value).lower() if isinstance(value, bool) else str(value))
