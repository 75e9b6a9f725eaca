"""Secrets taken out of configuration texts before they are kept in a history or shown to anyone.

A text keeps its lines and everything else that it says, so that it can be read again to the same
configuration, and places in it still hold. What counts as secret follows the Secret and SecretURL fields of
Prometheus and Alertmanager; a file that holds a secret (`password_file`) is no secret itself, nor are
labels, whatever their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

REDACTED = "<secret>"

# Both count characters, so the places agree; the one in C is twenty times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SECRET_KEY = re.compile(r"(?:.*_)?(?:password|secret|token|token_id|credentials|key)")
# Addresses that are their own password: whoever knows them may post there.
_SECRET_ADDRESS = {"slack_api_url", "webhook_url"}
_PUBLIC = {"route", "inhibit_rules", "time_intervals", "mute_time_intervals", "templates", "external_labels"}
_PUBLIC |= {"labels", "annotations", "relabel_configs", "metric_relabel_configs", "alert_relabel_configs"}
_HEADERS = {"headers", "http_headers"}
_SECRET_MAPS = {"proxy_connect_header", "endpoint_params"}
_SECRET_HEADER = re.compile(r"authorization|proxy-authorization|cookie|.*(?:key|token|secret).*", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)")
_QUERY = re.compile(r"(?<=\?).+")
_TOKEN_IN_PATH = re.compile(r"(?<=/)(?=[^/?]*\d)[A-Za-z0-9_-]{16,}(?=[/?]|$)")


def redact(text: str) -> str:
    """The YAML text with every secret replaced by `<secret>`; a text that is no YAML comes back unchanged."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError):
        return text
    cleaned = {
        (node.start_mark.index, node.end_mark.index): clean
        for path, node in _scalars(root)
        if (clean := _clean(path, node.value)) != node.value
    }
    for (begin, end), clean in sorted(cleaned.items(), reverse=True):
        # A block text ends on the line after it: the line breaks stay, and with them every place below.
        text = text[:begin] + json.dumps(clean) + "\n" * text.count("\n", begin, end) + text[end:]
    return text


def is_token_like(segment: str) -> bool:
    """Whether a path's segment may be a capability: long, of letters and digits."""
    return bool(_TOKEN_IN_PATH.fullmatch(f"/{segment}", 1))


def _scalars(root: yaml.Node | None) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    """Every scalar with the keys above it, each collection once however often it is referred to."""
    seen: set[int] = set()
    left: list[tuple[tuple[str, ...], yaml.Node | None]] = [((), root)]
    while left:
        path, node = left.pop()
        if isinstance(node, yaml.ScalarNode):
            yield path, node
        elif isinstance(node, yaml.CollectionNode) and id(node) not in seen:
            seen.add(id(node))
            for child in node.value:
                key, value = child if isinstance(child, tuple) else (None, child)
                left.append(((*path, str(key.value)) if key else path, value))


def _clean(path: tuple[str, ...], value: str) -> str:
    """What may be shown of a value that stands below these keys."""
    if not value or _PUBLIC.intersection(path) or not path:
        return value
    key = path[-1].lower()
    if _SECRET_MAPS.intersection(path[:-1]):
        return REDACTED
    if _HEADERS.intersection(path[:-1]):
        return REDACTED if any(map(_SECRET_HEADER.fullmatch, path)) else value
    if _SECRET_KEY.fullmatch(key) or key in _SECRET_ADDRESS or path[-2:] == ("slack_configs", "api_url"):
        return REDACTED
    if key.endswith("url") and "{{" not in value:
        value = _TOKEN_IN_PATH.sub(REDACTED, _QUERY.sub(REDACTED, value))
    return _PASSWORD_IN_URL.sub(REDACTED, value)
