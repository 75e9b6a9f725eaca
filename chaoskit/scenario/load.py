"""`load` of a profile, and what a `change: load` step may say: how much traffic, of what, in which course.

Everything here is real: requests per real second, real seconds. Whether the target knows the requests of the mix,
and whether a locustfile can be used, is found out by those who can look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chaoskit.errors import Place
from chaoskit.scenario.fields import Fields, Problems, listed, positive_int, settings, text, unique_texts
from chaoskit.scenario.model import LONGEST_DRAIN_S, THINK_S, TIMEOUT_S, FailIf, LoadPlan
from chaoskit.scenario.quantities import duration, duration_or_zero, number, rate, share
from chaoskit.scenario.shape import Shape
from chaoskit.yaml_node import Node
from chaoskit.yaml_source import nearest

KEYS = ("rate", "users", "locustfile", "mix", "shape", "processes", "timeout", "think", "in_flight", "drain",
        "options", "tags", "exclude_tags", "classes", "spawn_rate", "fail_if")  # fmt: skip
CHANGE_KEYS = ("rate", "users", "mix", "shape")
"""What may change while the load flows."""
SHAPES = {
    "ramp": ("from", "over"),
    "spike": ("to", "at", "for"),
    "step": ("steps", "each"),
    "soak": ("up", "for"),
}
"""Each shape that has settings, with their keys; `constant` has none, and `stages` is a list."""
STAGE_KEYS = ("for", "to", "over")
PERCENTS = (50, 90, 95, 99)
LIMIT_KEYS = ("name", "failed", *(f"p{percent}" for percent in PERCENTS))
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
MOST_PROCESSES = 64
MOST_STEPS = 1000
HIGHEST_PEAK = 1000.0
LONGEST_TIMEOUT_S = 600.0
OWN_USERS = 10
"""How many users of somebody's own locustfile there are unless `users` says so."""

USAGE = "write {rate: 40/s, mix: {leads: 3, reports: 1}}, {users: 20}, or {locustfile: PATH}"


def read_load(node: Node, what: str, problems: Problems) -> LoadPlan | None:
    """The load of a profile, with everything that is wrong with it."""
    fields = Fields(node, what, KEYS, problems, hint=USAGE)
    locustfile = fields.take("locustfile", text, None)
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
    for key in ("options", "tags", "exclude_tags", "classes"):
        _excluded(node, key, not own, "is for a locustfile, and this load has none", problems)
    _excluded(node, "spawn_rate", "rate" in given, "is how fast users come, and a rate has no users", problems)
    _excluded(node, "in_flight", "rate" not in given, "bounds an open load, and this one has no 'rate'", problems)
    plan = LoadPlan(
        rate_per_s=fields.take("rate", rate, None),
        users=fields.take("users", positive_int, OWN_USERS if own and not given else None),
        locustfile=locustfile,
        mix=fields.take("mix", _mix, {}),
        shape=fields.take("shape", read_shape, Shape()),
        processes=fields.take("processes", _at_most(MOST_PROCESSES), 1),
        timeout_s=fields.take("timeout", _timeout, TIMEOUT_S),
        think_s=fields.take("think", duration_or_zero, THINK_S),
        in_flight=fields.take("in_flight", positive_int, None),
        drain_s=fields.take("drain", _drain, None),
        options=fields.take("options", _options, {}),
        tags=fields.take("tags", unique_texts("tags: [read]"), ()),
        exclude_tags=fields.take("exclude_tags", unique_texts("exclude_tags: [slow]"), ()),
        classes=fields.take("classes", unique_texts("classes: [Reader]"), ()),
        spawn_rate=fields.take("spawn_rate", rate, None),
        fail_if=fields.take("fail_if", listed(_limit, "fail_if: [{name: checkout, failed: 1%, p95: 800ms}]"), ()),
        places={"load": node.place, **{key: value.place for key in KEYS if (value := node.get(key))}},
    )
    _bounded(plan, node, problems)
    return plan


def read_change(settings: Mapping[str, Any], place: Place, problems: Problems) -> dict[str, Any]:
    """What `change: load` asks for: `rate_per_s`, `users`, `mix` and `shape`, those of them that are written."""
    fields = Fields(_node(settings, place), "a change of load", CHANGE_KEYS, problems)
    read: dict[str, Any] = {
        "rate_per_s": fields.take("rate", rate, None),
        "users": fields.take("users", _at_most(MOST_USERS), None),
        "mix": fields.take("mix", _mix, None),
        "shape": fields.take("shape", read_shape, None),
    }
    return {key: value for key, value in read.items() if value is not None}


def check_change(load: LoadPlan, settings: Mapping[str, Any], place: Place, problems: Problems) -> None:
    """Whether a `change: load` step fits the load of the profile; says what does not."""
    asked = read_change(settings, place, problems)
    if "rate_per_s" in asked and load.rate_per_s is None:
        problems.say(place, "the load has users, and a change gives it a rate", "change 'users', or give load a rate")
    if "users" in asked and load.users is None:
        problems.say(place, "the load has a rate, and a change gives it users", "change 'rate', or give load users")
    if "mix" in asked and load.locustfile is not None:
        problems.say(place, "the load has tasks of its own, and a change gives it a mix", "remove one")


def read_shape(node: Node, what: str, problems: Problems) -> Shape | None:
    """`constant`, or a mapping from the name of one other shape to its settings."""
    known = ("constant", *SHAPES, "stages")
    if node.value == "constant":
        return Shape()
    if node.value in known:
        problems.say(node.place, f"{what} {node.value} needs settings", f"write {EXAMPLES[str(node.value)]}")
        return None
    if node.kind != "mapping" or len(node.pairs) != 1:
        near = nearest(node.value, known) if isinstance(node.value, str) else ""
        found = f"{len(node.pairs)} of them" if node.pairs else node.described()
        hint = near or f"write constant or, for instance, {EXAMPLES['ramp']}"
        problems.say(node.place, f"{what} must be one of {', '.join(known)}, found {found}", hint)
        return None
    key, inner = node.pairs[0]
    name = str(key.value)
    if name == "stages":
        return _stages(inner, problems)
    if name not in SHAPES:
        hint = "write shape: constant" if name == "constant" else nearest(name, known) or f"known: {', '.join(known)}"
        problems.say(key.place, f"'{name}' is no shape with settings", hint)
        return None
    fields = Fields(inner, f"the shape '{name}'", SHAPES[name], problems, hint=f"write {EXAMPLES[name]}")
    if inner.kind != "mapping":
        return None
    return _SHAPES[name](fields)


def _stages(node: Node, problems: Problems) -> Shape | None:
    stages = listed(_stage, f"shape: {EXAMPLES['stages']}")(node, "'stages'", problems)
    if not stages or len(stages) != len(node.items):
        return None
    if not any(to for _, to, _ in stages):
        problems.say(node.place, "'stages' never rise above 0", "write to: 100% in one of them")
        return None
    return Shape(kind="stages", stages=stages)


def _stage(node: Node, what: str, problems: Problems) -> tuple[float, float, float] | None:
    fields = Fields(node, "a stage", STAGE_KEYS, problems, hint="write {for: 1m, to: 50%, over: 10s}")
    if node.kind != "mapping":
        return None
    length = fields.need("for", duration, "how long it lasts, with the way there")
    to = fields.need("to", _level, "how much of the level: 50%, or 200% for twice as much")
    over = fields.take("over", duration_or_zero, 0.0)
    if length is None or to is None:
        return None
    if over > length:
        problems.say(node.place, "'over' of a stage is longer than its 'for'", "the way there is a part of the stage")
        return None
    return length, to, over


def _level(node: Node, what: str, problems: Problems) -> float | None:
    """A share of the level from 0, which may be more than the whole."""
    text_of = node.raw.strip()
    percent = text_of.endswith("%")
    try:
        value = float(text_of.rstrip("%")) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if node.kind != "scalar" or not 0 <= value <= HIGHEST_PEAK or (not percent and value > 1):
        problems.say(node.place, f"{what} must be a share of the level, found {node.described()}", "write 50% or 200%")
        return None
    return value


def _limit(node: Node, what: str, problems: Problems) -> FailIf | None:
    fields = Fields(node, what, LIMIT_KEYS, problems, hint="write {name: checkout, failed: 1%, p95: 800ms}")
    if node.kind != "mapping":
        return None
    measures = [key for key in LIMIT_KEYS if key != "name" and fields.has(key)]
    if not measures:
        problems.say(node.place, f"{what} limits nothing", "write failed: 1% or p95: 800ms")
        return None
    taken = {percent: fields.take(f"p{percent}", duration, None) for percent in PERCENTS}
    failed = fields.take("failed", _level, None)
    if failed is not None and failed > 1:
        problems.say(node.place, f"'failed' of {what} is more than all", "write 1%")
    known = {percent: seconds for percent, seconds in taken.items() if seconds is not None}
    return FailIf(fields.take("name", text, ""), failed, known)


def _options(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
    """Names and values of a command line: texts, numbers, truth values, and lists of them."""
    values = settings(node, what, problems)
    for key, value in node.pairs if values else ():
        if any(one.kind != "scalar" or one.value is None for one in value.items or (value,)):
            problems.say(value.place, f"'{key.value}' of {what} must be a value or a list, found {value.described()}")
    return values


def _ramp(fields: Fields) -> Shape | None:
    over = fields.need("over", duration, "how long it takes")
    return None if over is None else Shape(kind="ramp", low=fields.take("from", share, 0.1), length_s=over)


def _spike(fields: Fields) -> Shape | None:
    peak = fields.need("to", number(0, HIGHEST_PEAK), "how many times the level: 5 is five times as much")
    at = fields.need("at", duration_or_zero, "when it begins, counted from the beginning of the load")
    length = fields.need("for", duration, "how long it lasts")
    if peak is None or at is None or length is None:
        return None
    return Shape(kind="spike", peak=peak, start_s=at, length_s=length)


def _step(fields: Fields) -> Shape | None:
    steps = fields.need("steps", _at_most(MOST_STEPS), "how many stairs there are to the full level")
    each = fields.need("each", duration, "how long each stair lasts")
    return None if steps is None or each is None else Shape(kind="step", steps=steps, length_s=each)


def _soak(fields: Fields) -> Shape | None:
    length = fields.need("for", duration, "how long the full level lasts")
    up = fields.take("up", duration_or_zero, 0.0)
    return None if length is None else Shape(kind="soak", start_s=up, length_s=length)


_SHAPES: dict[str, Callable[[Fields], Shape | None]] = {"ramp": _ramp, "spike": _spike, "step": _step, "soak": _soak}


def _bounded(plan: LoadPlan, node: Node, problems: Problems) -> None:
    """What no machine can do, and what contradicts itself."""
    highest = plan.shape.highest
    if plan.rate_per_s is not None and plan.rate_per_s * highest > MOST_RATE:
        message = f"'rate' is more than {MOST_RATE:g}/s at its highest: {plan.rate_per_s * highest:g}/s"
        problems.say(plan.place_of("rate") or node.place, message, "lower it, or the peak of its shape")
    if plan.users is not None and plan.users * highest > MOST_USERS:
        message = f"'users' is more than {MOST_USERS}: {plan.users * highest:g}"
        problems.say(plan.place_of("users") or node.place, message, "one machine cannot play so many")
    if plan.users is not None and plan.users < plan.processes:
        problems.say(
            plan.place_of("processes") or node.place,
            f"{plan.users} users cannot be shared by {plan.processes} processes",
            "give each process at least one user",
        )


def _excluded(node: Node, key: str, wrong: bool, why: str, problems: Problems) -> None:
    if wrong and (found := node.get(key)):
        problems.say(found.place, f"'{key}' {why}", "remove one")


def _at_most(most: int) -> Callable[[Node, str, Problems], int | None]:
    def read(node: Node, what: str, problems: Problems) -> int | None:
        value = positive_int(node, what, problems)
        if value is not None and value > most:
            problems.say(node.place, f"{what} must be at most {most}, found {node.described()}")
            return None
        return value

    return read


def _timeout(node: Node, what: str, problems: Problems) -> float | None:
    return _no_longer(LONGEST_TIMEOUT_S, duration(node, what, problems), node, what, problems)


def _drain(node: Node, what: str, problems: Problems) -> float | None:
    return _no_longer(LONGEST_DRAIN_S, duration_or_zero(node, what, problems), node, what, problems)


def _no_longer(most_s: float, seconds: float | None, node: Node, what: str, problems: Problems) -> float | None:
    if seconds is not None and seconds > most_s:
        problems.say(node.place, f"{what} is longer than {most_s:g} s: {node.raw}", "write 2s")
        return None
    return seconds


def _mix(node: Node, what: str, problems: Problems) -> dict[str, int] | None:
    if node.kind != "mapping" or not node.pairs:
        problems.say(node.place, f"{what} must be a mapping of weights, found {node.described()}", "write {leads: 3}")
        return None
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


def _node(value: Any, place: Place) -> Node:
    """Plain data as a node that stands at this place: a step keeps its settings as data."""
    if isinstance(value, Mapping):
        pairs = tuple((Node("scalar", str(k), place, str(k)), _node(v, place)) for k, v in value.items())
        return Node("mapping", pairs, place)
    if isinstance(value, list | tuple):
        return Node("sequence", tuple(_node(item, place) for item in value), place)
    return Node("scalar", value, place, str(value).lower() if isinstance(value, bool) else str(value))
