"""Secrets taken out of an Alertmanager configuration before it is written to a journal.

By name rather than by kind of integration, so that what a newer Alertmanager adds is covered as well: a setting
named like a secret is one. Names of files that hold secrets stay, and so does the structure: the result can be
read and compared like the original.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

SECRET = "<secret>"

# Routing knows labels, which are no secrets whatever their names.
_PUBLIC = frozenset({"route", "inhibit_rules", "templates", "time_intervals", "mute_time_intervals"})
_SECRET_NAME = re.compile(r"(?:^|_)(?:password|secret|secrets|token|token_id|credentials|key)$")
# Addresses that are secrets as a whole, because whoever knows them may post there.
_SECRET_ADDRESS = re.compile(r"(?:^|\.)(?:slack_api_url|slack_configs\.api_url|webhook_url)$")
_SECRET_VALUES = re.compile(r"(?:^|\.)(?:proxy_connect_header|endpoint_params)\.[^.]+$")
_ADDRESS = re.compile(r"(?:^|[._])url$")
_USERINFO = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]*)@")
_TOKEN_LIKE = re.compile(r"(?=.*\d)[A-Za-z0-9_-]{16,}")


def redact(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with every secret replaced by `<secret>`, passwords, tokens and queries inside URLs too."""
    return {key: value if key in _PUBLIC else _redacted(key, value) for key, value in config.items()}


def without_secrets(url: str) -> str:
    """The URL with its password, its query's values and what looks like a token in its path replaced."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return SECRET
    path = "/".join(SECRET if is_token_like(part) else part for part in parts.path.split("/"))
    asked = "&".join(f"{quote(name)}={SECRET}" for name, _ in query)
    return _USERINFO.sub(rf"\1:{SECRET}@", urlunsplit((parts.scheme, parts.netloc, path, asked, "")))


def is_token_like(segment: str) -> bool:
    """Whether a path's segment may be a capability: long, of letters and digits."""
    return bool(_TOKEN_LIKE.fullmatch(segment))


def _redacted(path: str, value: Any) -> Any:
    """`path` names the setting from the top, such as `receivers.slack_configs.api_url`; lists add nothing."""
    if isinstance(value, Mapping):
        return {key: _redacted(f"{path}.{key}", child) for key, child in value.items()}
    name = path.rpartition(".")[2]
    secret = _SECRET_NAME.search(name) or _SECRET_ADDRESS.search(path) or _SECRET_VALUES.search(path)
    if isinstance(value, list):
        return [_redacted(path, child) for child in value]
    if value is None or value == "" or isinstance(value, bool):
        return value
    if secret:
        return SECRET
    if not isinstance(value, str):
        return value
    if _ADDRESS.search(path) and "{{" not in value:
        return without_secrets(value)
    return _USERINFO.sub(rf"\1:{SECRET}@", value)
