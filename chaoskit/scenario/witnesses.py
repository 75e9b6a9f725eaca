"""Where the notices of an attached target's integrations can be seen: its mailboxes and its chats, as profiles say it.

    mailboxes: {on-call/email: {imap: imaps://mail.example, username: drill, password_file: secret}}
    chats: {team-chat/slack: {channel: C123, token_file: secret}, on-call/pagerduty: {service: P1, token_file: secret}}

Secrets are named by their files. A key that an integration needs and does not have is a problem with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chaoskit.scenario import fields as form
from chaoskit.scenario.fields import Fields, Form, Problems, Record
from chaoskit.scenario.model import Chat, Mailbox, Secret
from chaoskit.yaml_source import Node

INTEGRATION = form.spelt(
    "[^/]+/[a-z0-9_]+(/[0-9]+)?",
    "names no integration: {}",
    "write RECEIVER/INTEGRATION, such as critical-alerts/email, or RECEIVER/INTEGRATION/INDEX",
)
_GROUPS = ("status", "time", "text")
_AN_EXAMPLE = r"such as (?P<time>\S+) (?P<status>FIRING|RESOLVED) (?P<text>.*)"


def _address(*schemes: str) -> Form[str]:
    """An address of one of these schemes, without a user or a password in it."""

    def read(node: Node, what: str, problems: Problems) -> str | None:
        value = form.text(node, what, problems)
        if value is None:
            return None
        parts = form.address_parts(value, schemes)
        if parts is None or "@" in parts.netloc:
            # It may hold a secret, so it is not repeated.
            hint = f"write {schemes[0]}://HOST[:PORT]; users and passwords have keys of their own"
            return problems.refuse(node.place, f"{what} is no address of {' or '.join(schemes)}", hint)
        return value.rstrip("/")

    return Form(read, {"type": "string", "pattern": rf"^({'|'.join(schemes)})://[^\s@]+$"})


_WEB = _address("https", "http")
_MAILBOX = Record(
    "",
    {
        "imap": _address("imaps", "imap"),
        "username": form.text,
        "password_file": form.text,
        "folder": form.text,
        "ca_file": form.text,
        "maildir": form.text,
        "delay": form.duration_or_zero,
    },
    hint="write {imap: imaps://HOST, username: USER, password_file: FILE} or {maildir: PATH}",
)
_HTTP = Record("", {"url": _WEB, "find": form.text}, {"url": "", "find": ""}, "write {url: URL, find: REGEX}")
_CHAT = Record(
    "",
    {
        "channel": form.text,
        "service": form.text,
        "http": form.as_node(_HTTP.schema),
        "api": _WEB,
        "token_file": form.text,
        "delay": form.duration_or_zero,
    },
    hint="write {channel: ID, token_file: FILE}, {service: ID, token_file: FILE} or {http: {url: URL, find: REGEX}}",
)


def _mailbox(node: Node, what: str, kind: str, problems: Problems) -> Mailbox:
    fields = Fields(node, _MAILBOX, problems, what)
    read = fields.all(delay="delay_s", password_file="password")
    if kind != "email":
        problems.say(
            fields.place, f"{fields.what} is not that of an email integration", "chats have a key of their own"
        )
    where = [key for key in ("imap", "maildir") if fields.has(key)]
    if len(where) != 1:
        problems.say(fields.place, f"{fields.what} needs 'imap' or 'maildir'", fields.record.hint)
    if where == ["imap"] and not {"username", "password"} <= read.keys():
        problems.say(fields.place, f"{fields.what} lacks 'username' or 'password_file'", fields.record.hint)
    return Mailbox(**{**read, "password": _secret(read.get("password"))}, place=fields.place)


def _chat(node: Node, what: str, kind: str, problems: Problems) -> Chat:
    fields = Fields(node, _CHAT, problems, what)
    read = fields.all(delay="delay_s", token_file="token")
    where = [key for key in ("channel", "service", "http") if fields.has(key)]
    wanted = {"slack": "channel", "pagerduty": "service"}.get(kind, "http")
    if len(where) != 1 or where[0] not in (wanted, "http"):
        either = "'http'" if wanted == "http" else f"'{wanted}' or 'http'"
        problems.say(fields.place, f"{fields.what} needs {either}", fields.record.hint)
    if where != ["http"] and "token" not in read:
        problems.say(fields.place, f"{fields.what} lacks 'token_file'", fields.record.hint)
    page: Node | None = read.pop("http", None)
    found = {} if page is None else Fields(page, _HTTP, problems, f"'http' of {fields.what}").all()
    if wrong := _wrong_search(found.get("find", "")):
        problems.say(fields.place, f"'find' of {fields.what} {wrong}", _AN_EXAMPLE)
    read |= {"token": _secret(read.get("token")), "http": found.get("url", ""), "find": found.get("find", "")}
    return Chat(**read, place=fields.place)


def _secret(file: str | None) -> Secret | None:
    return Secret(file=file) if file else None


def _wrong_search(find: str) -> str:
    """Why a search cannot be used; empty where it can, or where there is none."""
    if not find:
        return ""
    try:
        groups = re.compile(find).groupindex
    except re.error as error:
        return f"is no regular expression: {error}"
    lacking = [f"(?P<{name}>...)" for name in _GROUPS if name not in groups]
    return f"lacks {', '.join(lacking)}" if lacking else ""


def _by_integration(record: Record, make: Callable[[Node, str, str, Problems], Any], key: str) -> Form[dict[str, Any]]:
    def read(node: Node, what: str, problems: Problems) -> dict[str, Any] | None:
        if node.kind != "mapping" or not node.pairs:
            return problems.expected(node, what, "a mapping by integration", record.hint)
        found = {}
        for name, value in node.pairs:
            if INTEGRATION.read(name, f"an entry of {what}", problems):
                kind = str(name.value).split("/")[1]
                found[str(name.value)] = make(value, f"the {key} '{name.value}'", kind, problems)
        return found

    return Form(read, form.some(record.schema) | {"propertyNames": INTEGRATION.described})


MAILBOXES = _by_integration(_MAILBOX, _mailbox, "mailbox")
CHATS = _by_integration(_CHAT, _chat, "chat")
