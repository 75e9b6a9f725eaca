"""Secrets taken out of configuration texts before they are kept in a history, and out of words about them.

A text keeps its lines and everything else that it says, so that it can be read again to the same
configuration, and places in it still hold. Of Alertmanager's file nothing below `receivers`, `global` and `route` is
shown but what is known to be no secret: names, addresses without what may be a capability, and the settings that make
up a notice's words. So a secret in a setting that does not exist, or where a mapping belongs, is hidden as well. Of
Prometheus's file what counts as secret follows its Secret fields. No label counts as a secret.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import yaml

from chaoskit.yaml_source import FALSE, LOADER, TRUE, second_document

REDACTED = "<secret>"
_MARKED = re.compile(r"<secret [0-9a-f]{12}>")
_SALT = os.urandom(16)

_CONTENTS = (
    "to from hello headers html text threading max_alerts timeout payload channel username color title title_link "
    "pretext message message_text fields short_fields footer footer_icon fallback callback_id icon_emoji icon_url "
    "image_url thumb_url link_names mrkdwn_in actions client client_url description details images links source "
    "severity class component group entity responders tags note priority update_alerts message_type state_message "
    "entity_display_name monitoring_tool custom_fields subject attributes disable_notifications parse_mode content "
    "avatar_url summary emoji author_name author_link author_icon attachments type props update_message "
    "post_updates_to_thread project labels issue_type reopen_transition resolve_transition wont_fix_resolution "
    "reopen_duration url_title device sound retry expire ttl monospace"
)
CONTENTS = frozenset(_CONTENTS.split())
"""Settings of integrations that people are shown in the notice; accounts and rooms of a service are none of them."""

_SECRET_KEY = re.compile(r"(?:.*_)?(?:password|secret|token|token_id|credentials|key)")
# Addresses that are their own password: a client that knows them may post there.
_SECRET_ADDRESS = {"slack_api_url", "webhook_url"}
_OPEN = {"inhibit_rules", "time_intervals", "mute_time_intervals", "templates"}
_ROUTE = {"receiver", "group_by", "continue", "match", "match_re", "matchers", "group_wait", "group_interval"}
_ROUTE |= {"repeat_interval", "mute_time_intervals", "active_time_intervals", "labels"}
_OPEN_GLOBALS = {"resolve_timeout", "smtp_from", "smtp_hello"}
_PUBLIC = _OPEN | {"route", "external_labels", "labels", "annotations"}
_PUBLIC |= {"relabel_configs", "metric_relabel_configs", "alert_relabel_configs"}
# In their place Prometheus wants a mapping: a text there is a secret that was meant to stand below.
_SECTIONS = {"authorization", "basic_auth", "oauth2", "tls_config", "http_config", "http_headers", "sigv4", "azuread"}
_TELLING = re.compile(r"password|bearer|secret|token|authorization|credential|\baccess\b|headers|_key\b", re.IGNORECASE)
_HEADERS = {"headers", "http_headers"}
_SECRET_MAPS = {"proxy_connect_header", "endpoint_params"}
_SECRET_HEADER = re.compile(r"authorization|proxy-authorization|cookie|.*(?:key|token|secret).*", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/\s@]*(?=@)")
_PLAIN_WORD = re.compile(r"v\d+|[a-z]{1,20}(?:[-_][a-z]{1,20}){0,4}")
_URL = re.compile(
    r"(?P<scheme>https?://)(?P<user>[^/\s?#]*@)?(?P<host>(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d+)?)"
    r"(?P<path>/[^\s?#]*)?(?P<rest>[?#]\S*)?"
)
_PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)+")
_HOST_PORT = re.compile(r"(?:[\w.-]*|\[[\da-fA-F:.]+\]):\d+")
_TOKEN_IN_PATH = re.compile(r"(?<=/)(?=[^/?]*\d)[A-Za-z0-9_-]{16,}(?=[/?]|$)")
_QUOTED = re.compile(r"([\"`'])(?P<inside>.+?)\1")
_LINE = re.compile(r"\s*(?:- +)*(?P<key>[^\s:#]+)\s*:(?P<value>.*)")
_SHOWN_LINES = {"name", "receiver", "matchers", "group_by", "alertname"}
_SHORTEST = 4
"""Characters from which on a secret is looked for outside of quotes: shorter ones would hide half of any sentence."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The values of configurations that may not be shown; `shown` are those that may, though they look alike."""

    hidden: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()

    def __or__(self, other: Secrets) -> Secrets:
        return Secrets(self.hidden | other.hidden, self.shown | other.shown)

    def mask(self, words: str) -> str:
        """The words (a program's, or a message's) without any of the secrets, whole, quoted or cut short."""
        folded = [each.casefold() for each in self.hidden]

        def quoted(match: re.Match[str]) -> str:
            core = match["inside"].strip().removesuffix("...").removesuffix("…").lstrip(":").casefold()
            if match["inside"] in self.shown or not core or not any(core in each for each in folded):
                return match[0]
            return f"{match[1]}{REDACTED}{match[1]}"

        for each in sorted(self.hidden, key=len, reverse=True):
            if len(each) >= _SHORTEST and each not in self.shown:
                for spelt in {
                    each,
                    json.dumps(each, ensure_ascii=False)[1:-1],
                    json.dumps(each)[1:-1],
                    repr(each)[1:-1],
                }:
                    words = words.replace(spelt, REDACTED)
        return _QUOTED.sub(quoted, words)


@lru_cache(maxsize=16)
def redact(text: str, role: str = "alertmanager", marks: bool = False) -> str:
    """The YAML text of a role's file with every secret replaced by `<secret>`, or by `<secret MARK>` with marks.

    A text that is no YAML has no place in a history: it comes back as one comment. So does what stands behind the
    first document, which no program reads.
    """
    if line := second_document(text):
        first = "".join(text.splitlines(keepends=True)[: line - 1])
        return f"{redact(first, role, marks)}---\n# what follows the first document is not kept\n"
    try:
        root = yaml.compose(text, Loader=LOADER)
    except (yaml.YAMLError, RecursionError):
        return "# a text that is no YAML is not kept\n"
    cleaned = {
        (node.start_mark.index, node.end_mark.index): _mark(clean, node.value) if marks else clean
        for path, node in _scalars(root)
        if (clean := _clean(role, path, node.value)) != node.value
    }
    for (begin, end), clean in sorted(cleaned.items(), reverse=True):
        # A block text ends on the line after it: the line breaks stay, and with them every place below.
        text = text[:begin] + json.dumps(clean) + "\n" * text.count("\n", begin, end) + text[end:]
    return text


def secrets_of(text: str, role: str = "alertmanager") -> Secrets:
    """The values that `redact` removes from the text; of a text that is no YAML, every value that may be a secret."""
    try:
        root = yaml.compose(text, Loader=LOADER)
    except (yaml.YAMLError, RecursionError):
        return _of_lines(text)
    hidden: set[str] = set()
    shown: set[str] = set()
    for path, node in _scalars(root):
        clean = _clean(role, path, node.value)
        if clean == node.value:
            shown.add(node.value)
            continue
        hidden.add(node.value)
        if host := _URL.fullmatch(clean):
            shown.add(host["host"])
        if not node.tag.startswith("tag:yaml.org,"):
            hidden.add(node.tag.lstrip("!"))
    return Secrets(frozenset(hidden - {""}), frozenset(shown))


def marked(sources: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A configuration's texts by their role:FILE, without secrets, which marks tell apart within this process only."""
    roles = ("prometheus", "alertmanager")
    return {
        k: redact(text, role, marks=True) if (role := k.partition(":")[0]) in roles else text for k, text in sources
    }


def unmarked(text: str) -> str:
    """The text with one word in place of each mark of `marked`, as it may be kept and shown."""
    return _MARKED.sub(REDACTED, text)


def becoming(was: str, is_: str) -> tuple[str, str]:
    """Two different texts with marks as they may be shown: where only a secret differs, the second one says so."""
    shown = unmarked(was), unmarked(is_)
    return shown if shown[0] != shown[1] else (shown[0], f"{shown[1]}, another one")


def _mark(clean: str, value: str) -> str:
    mark = hashlib.blake2b(value.encode(errors="surrogatepass"), key=_SALT, digest_size=6).hexdigest()
    return clean.replace(REDACTED, f"<secret {mark}>")


def is_token_like(segment: str) -> bool:
    """Whether a path's segment may be a capability: long, of letters and digits."""
    return bool(_TOKEN_IN_PATH.fullmatch(f"/{segment}", 1))


def shown_url(value: str) -> str:
    """The part that may be shown of an address: where it leads, and the plain words of its path."""
    match = _URL.fullmatch(value.strip())
    if match is None:
        return REDACTED
    path = "/".join(
        each if not each or _PLAIN_WORD.fullmatch(each) else REDACTED for each in (match["path"] or "").split("/")
    )
    user = f"{REDACTED}@" if match["user"] else ""
    rest = f"{match['rest'][0]}{REDACTED}" if match["rest"] else ""
    return f"{match['scheme']}{user}{match['host']}{path}{rest}"


def shown_address(value: str) -> str:
    """The part that may be shown of the address of an integration: `HOST:PORT`, or of an URL what `shown_url` shows."""
    stripped = value.strip()
    return stripped if _HOST_PORT.fullmatch(stripped) else shown_url(stripped)


def shown_value(key: str, value: str) -> str:
    """The part that may be shown of a value that was given for a key, as on a command line."""
    if _TELLING.search(f"{key}: {value}"):
        return REDACTED
    return _PASSWORD_IN_URL.sub(REDACTED, value)


def _of_lines(text: str) -> Secrets:
    hidden: set[str] = set()
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or match["key"].strip("\"'") not in _SHOWN_LINES:
            value = (match["value"] if match else line).strip()
            hidden |= {value.strip("\"'"), *re.findall(r"[^\s\"'\[\]{},&*!|>]{3,}", value)}
    return Secrets(frozenset(hidden - {""}))


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


def _clean(role: str, path: tuple[str, ...], value: str) -> str:
    """The value below these keys, with its secret parts replaced by REDACTED."""
    if not value:
        return value
    if not path:
        return REDACTED
    return _clean_prometheus(path, value) if role == "prometheus" else _clean_alertmanager(path, value)


def _clean_alertmanager(path: tuple[str, ...], value: str) -> str:
    section, *below = path
    if section == "route":
        key = next((each for each in below if each != "routes"), "")
        return value if key in _ROUTE else REDACTED
    if section in _OPEN:
        return value
    if section == "global" and below:
        if below[0] in _OPEN_GLOBALS:
            return _PASSWORD_IN_URL.sub(REDACTED, value)
        return _setting(below, value)
    if section == "receivers" and below:
        if below in (["name"], ["labels", below[-1]]):
            return value
        if below[0].endswith("_configs") and len(below) > 1:
            if below[1] not in CONTENTS:
                return REDACTED if below[:2] == ["slack_configs", "api_url"] else _setting(below[1:], value)
            return _content(below[1:], value)
    return REDACTED


def _setting(path: list[str], value: str) -> str:
    """A setting that no notice shows: an address or a yes or no of the integration itself is open, all else is not."""
    key = path[0]
    if path[-1].endswith("_file") and _PATH.fullmatch(value):
        return value
    if path[-1] == "insecure_skip_verify" and value.lower() in TRUE | FALSE:
        return value  # whether a certificate counts is a yes or no, wherever it stands
    if len(path) > 1 or _SECRET_KEY.fullmatch(key) or key in _SECRET_ADDRESS:
        return REDACTED
    if value.lower() in TRUE | FALSE:
        return value
    if key.endswith("url"):
        return shown_url(value)
    return value if key.endswith("smarthost") and _HOST_PORT.fullmatch(value) else REDACTED


def _content(path: list[str], value: str) -> str:
    if any(map(_SECRET_KEY.fullmatch, path)) or (path[0] == "headers" and any(map(_SECRET_HEADER.fullmatch, path[1:]))):
        return REDACTED
    if _URL.fullmatch(value) and "{{" not in value:
        return shown_url(value)
    return _PASSWORD_IN_URL.sub(REDACTED, value)


def _clean_prometheus(path: tuple[str, ...], value: str) -> str:
    if _PUBLIC.intersection(path):
        return value
    key = path[-1].lower()
    if key in _SECTIONS or _SECRET_MAPS.intersection(path[:-1]):
        return REDACTED
    if _HEADERS.intersection(path[:-1]):
        return REDACTED if any(map(_SECRET_HEADER.fullmatch, path)) else value
    if _SECRET_KEY.fullmatch(key):
        return REDACTED
    if key.endswith("url") and "{{" not in value:
        return shown_url(value)
    return _PASSWORD_IN_URL.sub(REDACTED, value)
