"""`target: {attached: ...}` of a profile: a system that runs already, where it answers, and who may ask it.

Secrets are never written in a profile, for its text is part of every run's history: they are named by the file or
by the environment variable that holds them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from chaoskit.scenario.fields import Fields, Problems, listed, name, text
from chaoskit.scenario.model import Access, Attached, Header, Secret
from chaoskit.yaml_source import Node

NEEDED_URLS = ("prometheus", "alertmanager", "metrics")
OPTIONAL_URLS = ("witness", "service")
ENDPOINTS = (*NEEDED_URLS, *OPTIONAL_URLS)
ACCESSED = (*NEEDED_URLS, "witness")
"""Those that chaoskit itself asks. The service is asked by the load's own tasks."""
KEYS = (*ENDPOINTS, "environment", "label", "access", "waive")
ACCESS_KEYS = ("username", "password_file", "password_env", "bearer_file", "bearer_env", "headers", "ca_file")
SECRET_KEYS = ("file", "env")

USAGE = "write local, or attached: {prometheus: URL, alertmanager: URL, metrics: URL, environment: NAME}"

_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|password", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WAIVED = re.compile(r"[^/]+/[a-z0-9_]+(/[0-9]+)?")


def read_attached(node: Node, problems: Problems) -> Attached:
    """What a profile says of an attached target, with everything that is wrong with it."""
    fields = Fields(node, "an attached target", KEYS, problems, hint=USAGE)
    return Attached(
        prometheus=fields.need("prometheus", read_url) or "",
        alertmanager=fields.need("alertmanager", read_url) or "",
        metrics=fields.need("metrics", read_url) or "",
        environment=fields.need("environment", name, "the environment that the target says it is") or "",
        label=fields.take("label", _label, "environment"),
        witness=fields.take("witness", read_url, ""),
        service=fields.take("service", read_url, ""),
        access=fields.take("access", _accesses, {}),
        waive=fields.take("waive", listed(_waived, "[critical-alerts/email]"), ()),
        place=fields.place,
    )


def read_url(node: Node, what: str, problems: Problems) -> str | None:
    """An address of HTTP without a user, a password, a query or a slash at its end."""
    value = text(node, what, problems)
    if value is None:
        return None
    if "@" in value:
        # Whatever it is, it is not repeated in a message.
        hint = "write it without, and access: {NAME: {username: USER, password_file: FILE}} beside it"
        problems.say(node.place, f"{what} carries a user or a password", hint)
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in value):
        problems.say(node.place, f"{what} must be a URL, found {node.described()}", "write http://HOST:PORT")
        return None
    if parts.query or parts.fragment:
        problems.say(node.place, f"{what} has a query or a fragment", "write the address alone")
        return None
    return value.rstrip("/")


def _label(node: Node, what: str, problems: Problems) -> str | None:
    value = text(node, what, problems)
    if value is not None and not _LABEL.fullmatch(value):
        problems.say(node.place, f"{what} must be a label's name, found {node.described()}", "write environment")
        return None
    return value


def _waived(node: Node, what: str, problems: Problems) -> str | None:
    value = text(node, what, problems)
    if value is not None and not _WAIVED.fullmatch(value):
        hint = "write RECEIVER/INTEGRATION, such as critical-alerts/email, or RECEIVER/INTEGRATION/INDEX"
        problems.say(node.place, f"{what} names no integration: {node.described()}", hint)
        return None
    return value


def _accesses(node: Node, what: str, problems: Problems) -> dict[str, Access] | None:
    fields = Fields(node, what, ACCESSED, problems, hint="write {prometheus: {bearer_file: FILE}}")
    return {one: fields.take(one, read_access, Access()) for one in ACCESSED if fields.has(one)}


def read_access(node: Node, what: str, problems: Problems) -> Access | None:
    """How one endpoint is spoken to: who asks, with which secret, headers and authority."""
    fields = Fields(node, f"{what} of 'access'", ACCESS_KEYS, problems)
    password = _secret_of(fields, "password", problems)
    bearer = _secret_of(fields, "bearer", problems)
    username = fields.take("username", text, "")
    if bearer and username:
        problems.say(fields.place, f"{fields.what} has a user and a bearer token", "keep one")
    if (password is not None) != bool(username):
        lacking = "username" if password else "password_file or password_env"
        problems.say(fields.place, f"{fields.what} lacks '{lacking}'", "basic auth takes a user and a password")
    return Access(
        username=username,
        password=password,
        bearer=bearer,
        headers=fields.take("headers", _headers, ()),
        ca_file=fields.take("ca_file", text, ""),
        place=fields.place,
    )


def _secret_of(fields: Fields, what: str, problems: Problems) -> Secret | None:
    file, env = fields.take(f"{what}_file", text, ""), fields.take(f"{what}_env", _variable, "")
    if file and env:
        problems.say(fields.place, f"{fields.what} has '{what}_file' and '{what}_env'", "keep one")
    return Secret(file, env) if file or env else None


def _headers(node: Node, what: str, problems: Problems) -> tuple[Header, ...] | None:
    if node.kind != "mapping" or not node.pairs:
        hint = "write {X-Scope-OrgID: team}"
        problems.say(node.place, f"{what} must be a mapping by name, found {node.described()}", hint)
        return None
    found = (_header(key, value, problems) for key, value in node.pairs)
    return tuple(header for header in found if header is not None)


def _header(key: Node, value: Node, problems: Problems) -> Header | None:
    header = str(key.value)
    if not _HEADER_NAME.fullmatch(header):
        problems.say(key.place, f"'{header}' is no name of a header", "write letters, digits and dashes")
        return None
    if value.kind == "mapping":
        fields = Fields(value, f"the header '{header}'", SECRET_KEYS, problems, hint="write {file: FILE}")
        secret = Secret(fields.take("file", text, ""), fields.take("env", _variable, ""))
        if bool(secret.file) == bool(secret.env):
            problems.say(value.place, f"the header '{header}' needs 'file' or 'env'", "write one of them")
        return Header(header, "", secret)
    said = text(value, f"the header '{header}'", problems)
    if said is not None and _SECRET_HEADER.search(header):
        hint = f"write {header}: {{file: FILE}} or {{env: VARIABLE}}"
        problems.say(value.place, f"the header '{header}' may be a secret, and a profile holds none", hint)
        return None
    if said is not None and not (said.isascii() and said.isprintable()):
        problems.say(value.place, f"the header '{header}' has characters that no header may have", "write plain text")
        return None
    return None if said is None else Header(header, said)


def _variable(node: Node, what: str, problems: Problems) -> str | None:
    value = text(node, what, problems)
    if value is not None and not _VARIABLE.fullmatch(value):
        # It may be the secret itself, so it is not repeated.
        problems.say(node.place, f"{what} must be the name of an environment variable", "write STAGING_PASSWORD")
        return None
    return value
