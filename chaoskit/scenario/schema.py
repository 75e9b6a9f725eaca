"""JSON Schemas of scenarios and profiles, for editors: completion and a first check while typing.

They use the readers' own key lists. What needs more than one place of a file at a time (order, references, what
excludes what across steps) is left to the loader, which has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaoskit.handles import handle_kinds
from chaoskit.handles.base import Handle
from chaoskit.scenario import (
    attached,
    expectations,
    fields,
    limits,
    load,
    loader,
    notifies,
    profile,
    steps,
    targets,
    waits,
)
from chaoskit.scenario.handles import needed_keys, profile_kinds

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

# At least one part, in descending order, as parse_duration takes it.
_DURATION: Schema = {
    "type": "string",
    "pattern": r"^(?=.)([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    "description": "a number with its unit, such as 30s, 5m or 1h30m",
}
_ZERO_TOO: Schema = {"anyOf": [_DURATION, {"const": 0}, {"const": "0"}]}
_TEXT: Schema = {"type": "string", "pattern": r"\S"}
_NAME: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_SHARE: Schema = {
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ],
    "description": "above 0% and at most 100%, such as 75%",
}
_BOUNDS: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^([0-9]+|[0-9]+\.\.|\.\.[0-9]+|[0-9]+\.\.[0-9]+)$"},
    ],
    "description": "2 (exactly), 1..3, ..10 (at most) or 2.. (at least)",
}
_VALUE: Schema = {"type": ["string", "number", "boolean"]}
_SETTINGS: Schema = {"type": "object", "description": "the kind's own settings"}
_LABELS: Schema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}


def scenario_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a scenario file."""
    described = _object(
        loader.KEYS,
        {
            "chaoskit": {"const": fields.VERSION, "description": "the format's version; the first key"},
            "title": _TEXT,
            "runbook": _TEXT,
            "tags": _list(_TEXT, unique=True),
            "steps": _list({"oneOf": [_step(verb) for verb in steps.VERBS]}),
            "expect": {"anyOf": [{"const": "nothing"}, _list(_expectation())]},
            "allow": _list(_object(expectations.ALLOW_KEYS, dict.fromkeys(expectations.ALLOW_KEYS, _TEXT), "all")),
            "notices": {"type": "object", "minProperties": 1, "additionalProperties": _BOUNDS},
        },
        ("chaoskit", "title", "steps", "expect"),
    )
    return {"$schema": DRAFT, "title": "chaoskit scenario", **described}


def profile_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a profile file."""
    kinds = profile_kinds()
    described = _object(
        profile.KEYS,
        {
            "chaoskit": {"const": fields.VERSION, "description": "the format's version; the first key"},
            "target": {"anyOf": [{"const": "local"}, _object(("attached",), {"attached": _attached()}, "all")]},
            "time_scale": {"type": "number", "minimum": 1, "maximum": profile.LARGEST_TIME_SCALE},
            "load": _load(),
            "standing": {"type": "array", "items": _TEXT, "uniqueItems": True},
            "handles": _object(tuple(kinds), {name: _handles(kind) for name, kind in kinds.items()}),
            "limits": {
                "type": "object",
                "properties": dict(
                    zip(
                        limits.KEYS,
                        (_DURATION, _DURATION, _size(), _number(0.01, limits.MOST_CPUS), _SHARE, {"type": "boolean"}),
                        strict=True,
                    )
                ),
                "additionalProperties": _SHARE,
            },
            "abort": _list({"oneOf": [_object((key,), {key: _TEXT}, "all") for key in profile.ABORT_KEYS]}),
        },
        ("chaoskit", "target"),
    )
    loaded = {"anyOf": [{"properties": {"target": {"type": "object"}}}, {"required": ["load"]}]}
    return {"$schema": DRAFT, "title": "chaoskit profile", **described, **loaded}


def _object(keys: Sequence[str], properties: Schema, required: Sequence[str] | str = ()) -> Schema:
    """A mapping with these keys and no other; every key must be described."""
    made: Schema = {
        "type": "object",
        "properties": {key: properties[key] for key in keys},
        "additionalProperties": False,
    }
    if required:
        made["required"] = list(keys if required == "all" else required)
    return made


def _list(items: Schema, *, unique: bool = False) -> Schema:
    made: Schema = {"type": "array", "minItems": 1, "items": items}
    return made | {"uniqueItems": True} if unique else made


def _number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _size() -> Schema:
    return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(B|kB|MB|GB|KiB|MiB|GiB)$"}


def _target() -> Schema:
    properties: Schema = dict.fromkeys((*handle_kinds(), "name"), _TEXT)
    properties |= {"count": _COUNT, "share": _SHARE, "all": {"const": True}}
    return _object((*handle_kinds(), *targets.CHOICES), properties) | {"minProperties": 1}


def _step(verb: str) -> Schema:
    fault = _object(steps.FAULT_KEYS, {"kind": _NAME, "target": _target(), "with": _SETTINGS}, ("kind",))
    verbs: Schema = {
        "inject": {"anyOf": [_NAME, _list(fault)]},
        "change": _TEXT,
        "undo": {"anyOf": [_TEXT, _list(_TEXT)]},
        "do": _NAME,
        "wait": {"anyOf": [{"const": "settled"}, _DURATION, *_conditions()]},
    }
    new_level = _SETTINGS | {"minProperties": 1}
    properties = {
        verb: verbs[verb],
        "as": _NAME | {"not": {"enum": list(steps.RESERVED)}},
        "target": _target(),
        "with": new_level if verb == "change" else _SETTINGS,
    }
    return _object(steps.KEYS[verb], properties, (verb, "with") if verb == "change" else (verb,))


def _conditions() -> tuple[Schema, Schema]:
    alert = {"alert": _TEXT, "state": {"enum": list(waits.STATES)}, "at_most": _DURATION}
    query = {"query": _TEXT, "at_most": _DURATION}
    return _object(tuple(alert), alert, ("alert", "state")), _object(tuple(query), query, "all")


def _expectation() -> Schema:
    bounded = _object(
        notifies.KEYS,
        {
            "within": _DURATION,
            "not_before": _ZERO_TOO,
            "notices": _BOUNDS,
            "contains": _object(notifies.CONTAINS, dict.fromkeys(notifies.CONTAINS, _TEXT)) | {"minProperties": 1},
        },
    ) | {"minProperties": 1}
    receivers = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [{"enum": list(notifies.MODES)}, bounded]},
    }
    properties: Schema = dict.fromkeys(("alert", "from", "until", "suppressed_by", "control"), _TEXT)
    properties |= {
        "instances": _COUNT,
        "labels": _LABELS,
        "notifies": {"anyOf": [_list(_TEXT, unique=True), receivers]},
        "resolves": {"enum": [True, "false_alarm"]},
        "then": {"enum": list(expectations.THEN)},
    }
    needs = {"suppressed_by": ["control"], "control": ["suppressed_by"], "then": ["suppressed_by"]}
    return _object(expectations.KEYS, properties, ("alert",)) | {"dependentRequired": needs}


def _attached() -> Schema:
    url: Schema = {"type": "string", "pattern": r"^https?://[^\s@]+$"}
    label: Schema = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
    waived: Schema = {"type": "string", "pattern": "^[^/]+/[a-z0-9_]+(/[0-9]+)?$"}
    access = _object(attached.ACCESSED, dict.fromkeys(attached.ACCESSED, _access())) | {"minProperties": 1}
    properties: Schema = dict.fromkeys(attached.ENDPOINTS, url)
    properties |= {"environment": _NAME, "label": label, "access": access, "waive": _list(waived)}
    return _object(attached.KEYS, properties, (*attached.NEEDED_URLS, "environment"))


def _access() -> Schema:
    variable: Schema = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
    secret = {"oneOf": [_object((key,), {key: _TEXT}, "all") for key in attached.SECRET_KEYS]}
    headers: Schema = {"type": "object", "minProperties": 1, "additionalProperties": {"anyOf": [_TEXT, secret]}}
    properties: Schema = dict.fromkeys(attached.ACCESS_KEYS, _TEXT)
    properties |= {"password_env": variable, "bearer_env": variable, "headers": headers}
    return _object(attached.ACCESS_KEYS, properties)


def _load() -> Schema:
    properties: Schema = {
        "rate": {"type": "string", "pattern": r"^[0-9.]+(e[0-9]+)?/s$"},
        "users": _COUNT | {"maximum": load.MOST_USERS},
        "locustfile": _TEXT,
        "mix": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer", "minimum": 0}},
        "shape": _shape(),
        "processes": _COUNT | {"maximum": load.MOST_PROCESSES},
        "timeout": _DURATION,
        "think": _ZERO_TOO,
        "in_flight": _COUNT,
        "drain": _ZERO_TOO,
        "options": {"type": "object", "additionalProperties": {"anyOf": [_VALUE, _list(_VALUE)]}},
        **dict.fromkeys(("tags", "exclude_tags", "classes"), _list(_TEXT, unique=True)),
        "fail_if": _list(_limit()),
        "spawn_rate": {"type": "string", "pattern": r"^[0-9.]+(e[0-9]+)?/s$"},
    }
    apart = (("rate", "users"), ("rate", "locustfile"), ("mix", "locustfile"), ("think", "locustfile"),
             ("think", "rate"), ("in_flight", "users"), ("in_flight", "locustfile"),
             ("spawn_rate", "rate"))  # fmt: skip
    return _object(load.KEYS, properties) | {
        "anyOf": [{"required": [key]} for key in ("rate", "users", "locustfile")],
        "dependentRequired": {key: ["locustfile"] for key in ("options", "tags", "exclude_tags", "classes")},
        "not": {"anyOf": [{"required": list(pair)} for pair in apart]},
    }


def _limit() -> Schema:
    share: Schema = {"anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$"}, _number(0, 1)]}
    measures = dict.fromkeys(load.LIMIT_KEYS, _DURATION) | {"failed": share}
    needed = [{"required": [key]} for key in load.LIMIT_KEYS if key != "name"]
    return _object(load.LIMIT_KEYS, {**measures, "name": _TEXT}) | {"anyOf": needed}


def _shape() -> Schema:
    properties: dict[str, Schema] = {
        "ramp": {"from": _SHARE, "over": _DURATION},
        "spike": {"to": _number(0, load.HIGHEST_PEAK), "at": _ZERO_TOO, "for": _DURATION},
        "step": {"steps": _COUNT | {"maximum": load.MOST_STEPS}, "each": _DURATION},
        "soak": {"up": _ZERO_TOO, "for": _DURATION},
    }
    needed = {"ramp": ("over",), "spike": ("to", "at", "for"), "step": ("steps", "each"), "soak": ("for",)}
    kinds = [
        _object((kind,), {kind: _object(keys, properties[kind], needed[kind])}, "all")
        for kind, keys in load.SHAPES.items()
    ]
    level = {"anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$"}, _number(0, 1)]}
    stage = _object(load.STAGE_KEYS, {"for": _DURATION, "to": level, "over": _ZERO_TOO}, ("for", "to"))
    kinds.append(_object(("stages",), {"stages": _list(stage)}, "all"))
    return {"anyOf": [{"const": "constant"}, *kinds]}


def _handles(kind: type[Handle]) -> Schema:
    one = _object(kind.key_names(), dict.fromkeys(kind.key_names(), _TEXT), needed_keys(kind))
    if kind.either:
        one |= {"anyOf": [{"required": [key]} for key in kind.either]}
    return {"type": "object", "minProperties": 1, "propertyNames": _NAME, "additionalProperties": one}
