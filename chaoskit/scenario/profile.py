"""A profile from its file: where and how hard. Everything in it is real: time, machine, requests per second.

An attached target's secrets are never written in a profile, for its text is part of every run's history: they are
named by the file or by the environment variable that holds them. Kinds of handles are those of `chaoskit.handles`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING
from dataclasses import fields as fields_of
from functools import cache
from pathlib import Path
from typing import Any, Literal

from chaoskit.errors import Place
from chaoskit.handles import handle_kinds, ways_of
from chaoskit.handles.base import Handle
from chaoskit.scenario import fields as form
from chaoskit.scenario.fields import Fields, Form, Problems, Record
from chaoskit.scenario.guards import ABORTS, PROTECTED, hours, with_defaults
from chaoskit.scenario.load import USAGE as LOAD_USAGE
from chaoskit.scenario.load import read_load
from chaoskit.scenario.model import (
    Abort,
    Access,
    Attached,
    Background,
    Handles,
    Header,
    Limits,
    LoadPlan,
    Profile,
    Secret,
)
from chaoskit.scenario.overrides import override
from chaoskit.scenario.witnesses import CHATS, INTEGRATION, MAILBOXES
from chaoskit.yaml_source import Node, nearest, read, read_text

ENDPOINTS = ("prometheus", "alertmanager", "metrics", "witness", "service")
LOCAL_TIME_SCALE = 60.0
LARGEST_TIME_SCALE = 1000.0

_USAGE = "write local, or attached: {prometheus: URL, alertmanager: URL, metrics: URL, environment: NAME}"
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|password", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WORD = "[A-Za-z_][A-Za-z0-9_]*"


def profile_kinds() -> dict[str, type[Handle]]:
    """The kinds of handle that a profile may define."""
    return {name: kind for name, kind in handle_kinds().items() if kind.in_profiles}


def _record(kind: type[Handle], *, named: bool) -> Record:
    """The keys of one way to reach a handle; `named` where a profile must say `via` for it to be this one."""
    keys = kind.key_names()
    needed = [one.name for one in fields_of(kind) if one.default is MISSING] + ["via"] * named
    either = {"anyOf": [{"required": [key]} for key in kind.either]} if kind.either else {}
    via = {"via": Form(form.text.read, {"const": kind.via})} if kind.via else {}
    return Record("", {**dict.fromkeys(keys, form.text), **via}, dict.fromkeys(needed, ""), more=either)


def _by_name(kind: type[Handle]) -> Form[dict[str, Handle]]:
    """The handles of one kind: a mapping from their names to what each needs, by the way that `via` says."""
    own, ways = _record(kind, named=False), ways_of(kind.kind)
    records = {via: own if way is kind else _record(way, named=True) for via, way in ways.items()}
    keys = kind.key_names()

    def way_of(value: Node, what: str, problems: Problems) -> type[Handle] | None:
        if not ways or value.kind != "mapping" or (said := value.get("via")) is None:
            return kind
        if isinstance(said.value, str) and said.value in ways:
            return ways[said.value]
        hint = nearest(str(said.value), ways) or f"there are: {', '.join(ways)}"
        return problems.refuse(said.place, f"'via' of {what} cannot be {said.described()}", hint)

    def read_all(node: Node, what: str, problems: Problems) -> dict[str, Handle] | None:
        if node.kind != "mapping" or not node.pairs:
            example = f"write {{NAME: {{{keys[0]}: ...}}}}"
            return problems.expected(node, what, "a mapping by name", example)
        found = {}
        for key, value in node.pairs:
            if form.name(key, f"a {kind.kind}", problems):
                called = f"the {kind.kind} '{key.value}'"
                if (way := way_of(value, called, problems)) is None:
                    continue
                fields = Fields(value, own if way is kind else records[way.via], problems, called)
                first = () if any(map(fields.has, way.either)) else way.either[:1]
                read = {each: fields.take(each, "", "" if each in first else None) for each in way.key_names()}
                read |= {each: _beside(read[each], value) for each in way.files if read.get(each)}
                needed = {each.name for each in fields_of(way) if each.default is MISSING}
                one = way(**{each: text for each, text in read.items() if text or each in needed})
                for wrong, why, hint in one.wrong():
                    written = value.get(wrong)
                    if written or wrong not in way.key_names():
                        problems.say((written or value).place, f"'{wrong}' {why}", hint)
                found[str(key.value)] = one
        return found

    each = [one.schema for one in dict.fromkeys((own, *records.values()))]
    return Form(
        read_all, form.some(each[0] if len(each) == 1 else {"anyOf": each}) | {"propertyNames": form.name.described}
    )


def _beside(file: str, value: Node) -> str:
    """A file that a profile names, from wherever it is read."""
    return str((Path(value.place.file).parent / Path(file).expanduser()).absolute())


@cache
def _handles() -> Record:
    return Record("'handles'", {name: _by_name(kind) for name, kind in profile_kinds().items()})


@form.of(lambda: _handles().schema)
def handles(node: Node, what: str, problems: Problems) -> Handles:
    """The handles of a profile, with everything that is wrong with them."""
    places = {
        f"{kind.value}:{name.value}": name.place
        for kind, named in (node.pairs if node.kind == "mapping" else ())
        for name, _ in (named.pairs if named.kind == "mapping" else ())
    }
    return Handles(Fields(node, _handles(), problems).all(), places)


def plural(handle: str) -> str:
    """How a handle's name is written for several: worker -> workers, proxy -> proxies, box -> boxes; payments stays."""
    if handle.endswith("s") and not handle.endswith("ss"):
        return handle
    if handle.endswith("y") and handle[-2:-1] not in "aeiou":
        return handle[:-1] + "ies"
    return handle + ("es" if handle.endswith(("ss", "x", "z", "ch", "sh")) else "s")


LIMITS = Record(
    "'limits'",
    {
        "fault": form.duration,
        "run": form.duration,
        "memory": form.size,
        "cpu": form.number(0.01, 1024),
        "hosts": form.count(1000),
        "connections": form.share,
        "commands": form.switch,
    },
)
"""Beside them, the plural of any handle: the share of those that may be under a fault at once."""


def _limits(node: Node, names: Iterable[str], problems: Problems) -> Limits:
    """The most that a run may do to the machine and to the target, given the names of the profile's handles."""
    plurals = dict.fromkeys(map(plural, names), form.share)
    read = Fields(node, Record(LIMITS.what, {**plurals, **LIMITS.forms}), problems).all()
    called = {"fault": "fault_s", "run": "run_s", "memory": "memory_bytes"}
    own = {called.get(key, key): read[key] for key in LIMITS.forms if key in read}
    found = Limits(**own, share={key: read[key] for key in plurals if key in read})
    if found.fault_s > found.run_s:
        message = f"a fault may last {found.fault_s:g} s, longer than a run with {found.run_s:g} s"
        problems.say(node.place, message, "raise 'run' or lower 'fault'; both are real time")
    return found


@form.of({"type": "string", "pattern": r"^https?://[^\s@]+$"})
def read_url(node: Node, what: str, problems: Problems) -> str | None:
    """An address of HTTP without a user, a password, a query or a slash at its end."""
    value = form.text(node, what, problems)
    if value is None:
        return None
    if "@" in value:
        # It may be a secret, so it is not repeated in a message.
        hint = "write the URL without them, and access: {NAME: {username: USER, password_file: FILE}} beside it"
        return problems.refuse(node.place, f"{what} carries a user or a password", hint)
    parts = form.address_parts(value, ("http", "https"))
    if parts is None:
        return problems.expected(node, what, "a URL", "write http://HOST:PORT")
    if parts.query or parts.fragment:
        return problems.refuse(node.place, f"{what} has a query or a fragment", "write the address alone")
    return value.rstrip("/")


_PAIR = form.listed(read_url, "[http://a:9090, http://b:9090]", unique=True)


@form.of({"anyOf": [read_url.described, {**_PAIR.described, "minItems": 2}]})
def _urls(node: Node, what: str, problems: Problems) -> str | tuple[str, ...] | None:
    """One address, or those of several that stand for one."""
    if node.kind != "sequence":
        return read_url(node, what, problems)
    found = _PAIR(node, what, problems)
    if found is not None and len(node.items) < 2:
        problems.say(node.place, f"{what} is a list of one", "write it without brackets, or add the others")
    return found or None


_label = form.spelt(_WORD, "must be a label's name, found {}", "write environment")
# It may be the secret itself, so it is not repeated.
_variable = form.spelt(_WORD, "must be the name of an environment variable", "write STAGING_PASSWORD")
_SECRET = Record("", {"file": form.text, "env": _variable}, hint="write {file: FILE}")


@form.of(form.some({"anyOf": [form.text.described, _SECRET.one_of]}))
def _headers(node: Node, what: str, problems: Problems) -> tuple[Header, ...] | None:
    if node.kind != "mapping" or not node.pairs:
        hint = "write {X-Scope-OrgID: team}"
        return problems.expected(node, what, "a mapping by name", hint)
    found = (_header(key, value, problems) for key, value in node.pairs)
    return tuple(header for header in found if header is not None)


def _header(key: Node, value: Node, problems: Problems) -> Header | None:
    header = str(key.value)
    what = f"the header '{header}'"
    if not _HEADER_NAME.fullmatch(header):
        return problems.refuse(key.place, f"'{header}' is no name of a header", "write letters, digits and dashes")
    if value.kind == "mapping":
        secret = Secret(**Fields(value, _SECRET, problems, what).all())
        if bool(secret.file) == bool(secret.env):
            problems.say(value.place, f"{what} needs 'file' or 'env'", "write one of them")
        return Header(header, "", secret)
    said = form.text(value, what, problems)
    if said is not None and _SECRET_HEADER.search(header):
        hint = f"write {header}: {{file: FILE}} or {{env: VARIABLE}}"
        return problems.refuse(value.place, f"{what} may be a secret, and a profile holds no secrets", hint)
    if said is not None and not (said.isascii() and said.isprintable()):
        return problems.refuse(value.place, f"{what} has characters that no header may have", "write plain text")
    return None if said is None else Header(header, said)


_ACCESS = Record(
    "",
    {
        "username": form.text,
        "password_file": form.text,
        "password_env": _variable,
        "bearer_file": form.text,
        "bearer_env": _variable,
        "headers": _headers,
        "ca_file": form.text,
    },
)


@form.of(_ACCESS.schema)
def read_access(node: Node, what: str, problems: Problems) -> Access:
    """How one endpoint is spoken to: who asks, with which secret, headers and authority."""
    fields = Fields(node, _ACCESS, problems, f"{what} of 'access'")
    password, bearer = (_secret_of(fields, each, problems) for each in ("password", "bearer"))
    username: str = fields.take("username", "")
    if bearer and username:
        problems.say(fields.place, f"{fields.what} has a user and a bearer token", "keep one")
    if (password is not None) != bool(username):
        lacking = "username" if password else "password_file or password_env"
        problems.say(fields.place, f"{fields.what} lacks '{lacking}'", "basic auth takes a user and a password")
    return Access(username, password, bearer, fields.take("headers", ()), fields.take("ca_file", ""), fields.place)


def _secret_of(fields: Fields, what: str, problems: Problems) -> Secret | None:
    file, env = fields.take(f"{what}_file", ""), fields.take(f"{what}_env", "")
    if file and env:
        problems.say(fields.place, f"{fields.what} has '{what}_file' and '{what}_env'", "keep one")
    return Secret(file, env) if file or env else None


# The service is asked by the load's own tasks.
_accesses: Form[dict[str, Access]] = Record(
    "'access'",
    dict.fromkeys(ENDPOINTS[:4], read_access),
    hint="write {prometheus: {bearer_file: FILE}}",
    more={"minProperties": 1},
).made(dict)
_series = Record(
    "'environment_from'", {"series": form.text}, {"series": ""}, "write {series: 'up{job=\"shop\"}'}"
).made(lambda series: str(series))
_BACKGROUND = Record(
    "'background'",
    {"query": form.text, "at_least": form.number(1e-9, 1e15)},
    {"query": "", "at_least": "the least result"},
    "write {query: PROMQL, at_least: 5}",
)


@form.of(_BACKGROUND.schema)
def _background(node: Node, what: str, problems: Problems) -> Background | None:
    fields = Fields(node, _BACKGROUND, problems)
    query, least = fields.take("query", ""), fields.take("at_least", 0.0)
    return Background(query, least, fields.place) if query and least else None


_REQUEST = Record(
    "",
    {
        "path": form.spelt(r"/\S*", "must be a path, found {}", "write /orders/{n%50}"),
        "method": form.choice("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"),
        "json": form.settings,
        "body": form.text,
    },
    {"path": "the path below service:"},
    "write {path: /orders}",
)


@form.of(form.some(_REQUEST.schema))
def _requests(node: Node, what: str, problems: Problems) -> dict[str, dict[str, Any]] | None:
    if node.kind != "mapping" or not node.pairs:
        return problems.expected(node, what, "a mapping by name", "write {orders: {path: /orders}}")
    named = [(key, value) for key, value in node.pairs if form.name(key, "a request", problems)]
    return {
        str(key.value): Fields(value, _REQUEST, problems, f"the request '{key.value}'").all() for key, value in named
    }


ATTACHED = Record(
    "an attached target",
    {
        **dict.fromkeys(ENDPOINTS, read_url),
        **dict.fromkeys(ENDPOINTS[:2], _urls),
        "peer_timeout": form.duration,
        "background": _background,
        "requests": _requests,
        "environment": form.name,
        "environment_from": _series,
        "label": _label,
        "access": _accesses,
        "quiet_receivers": form.listed(form.text, "[on-call]", unique=True),
        "waive": form.listed(INTEGRATION, "[critical-alerts/email]"),
        "recorder": form.text,
        "mailboxes": MAILBOXES,
        "chats": CHATS,
    },
    {**dict.fromkeys(ENDPOINTS[:3], ""), "environment": "the environment's name, as the target's own labels tell it"},
    _USAGE,
)
_TARGET = Record("a target", {"attached": form.as_node(ATTACHED.schema)}, {"attached": _USAGE})


@form.of({"anyOf": [{"const": "local"}, _TARGET.schema]})
def _target(node: Node, what: str, problems: Problems) -> Literal["local"] | Attached | None:
    if node.value == "local":
        return "local"
    if node.kind != "mapping":
        near = nearest(node.value, ("local",)) if isinstance(node.value, str) else ""
        return problems.refuse(node.place, f"{what} cannot be {node.described()}", near or _USAGE)
    inner: Node | None = Fields(node, _TARGET, problems).take("attached")
    if inner is None:
        return None
    read = {**dict.fromkeys(ATTACHED.needs, ""), **Fields(inner, ATTACHED, problems).all()}
    for key, several in (("prometheus", "replicas"), ("alertmanager", "peers")):
        if isinstance(read[key], tuple):
            read[several], read[key] = read[key], read[key][0]
    if "peer_timeout" in read:
        read["peer_timeout_s"] = read.pop("peer_timeout")
    read["environment_series"] = read.pop("environment_from", "")
    if read.get("recorder") == "witness" and not read.get("witness"):
        problems.say(inner.place, "recorder: witness needs a witness, and attached: names none", "add witness: URL")
    return Attached(**read, place=inner.place)


PROFILE = Record(
    "a profile",
    {
        "chaoskit": form.VERSION_FORM,
        "target": _target,
        "time_scale": form.number(1, LARGEST_TIME_SCALE),
        "load": read_load,
        "standing": form.listed(
            form.text, "[Watchdog]", empty=True
        ),  # an empty one says something: nothing fires in health
        "handles": handles,
        "limits": form.as_node(LIMITS.schema | {"additionalProperties": form.share.described}),
        "abort": ABORTS,
        "protected": PROTECTED,
        "hours": hours,
    },
    {"target": _USAGE},
    more={
        "required": ["chaoskit", "target"],
        "anyOf": [{"properties": {"target": {"type": "object"}}}, {"required": ["load"]}],
    },
)


def load_profile_file(path: Path, overrides: Iterable[str] = ()) -> Profile:
    """The profile in this file; raises BadInput, also when the file cannot be read."""
    return load_profile(read_text(path), str(path), overrides)


def load_profile(text_: str, file: str, overrides: Iterable[str] = ()) -> Profile:
    """The profile that a text holds, defaults filled in; its durations are real seconds.

    `file` names it in messages, and its stem is the profile's name. `overrides` are `key=value` options; those
    that begin with `scenario.` do not apply here. Raises BadInput with every problem found.
    """
    root = override(read(text_, file), overrides, "profile")
    problems = Problems(file)
    if not form.version_ok(root, "a profile", problems):
        problems.raise_if_any()
    fields = Fields(root, PROFILE, problems)
    target: Literal["local"] | Attached = fields.take("target", "local")
    attached = isinstance(target, Attached)
    time_scale: float = fields.take("time_scale", 1.0 if attached else LOCAL_TIME_SCALE)
    if attached and time_scale != 1 and (node := root.get("time_scale")):
        problems.say(node.place, "an attached target runs in real time", "write time_scale: 1, or remove it")
    named: Handles = fields.take("handles", Handles())
    limits: Node | None = fields.take("limits")
    abort: tuple[Abort, ...] = fields.take("abort", ())
    names = [handle.partition(":")[2] for handle, _ in named.each()]
    profile = Profile(
        name=Path(file).stem,
        target=target,
        time_scale=time_scale,
        # A target that runs already may have a load of its own.
        load=fields.take("load", LoadPlan(None, None, None, {}), None if attached else LOAD_USAGE),
        standing=fields.take("standing", ()),
        handles=named,
        limits=Limits() if limits is None else _limits(limits, names, problems),
        abort=with_defaults(abort, Place(file, root.place.line)) if attached else abort,
        place=Place(file, root.place.line),
        protected=fields.take("protected", ()),
        hours=fields.take("hours", ()),
    )
    problems.raise_if_any()
    return profile
