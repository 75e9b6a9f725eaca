"""Which alerts a message to Slack, PagerDuty and the like is about, told by Alertmanager itself.

A webhook lists its alerts and a mail carries a header for it; other services get texts that a template makes. So each
of their configurations gets a mark in a field that the service carries along, rendered by Alertmanager from the very
alerts of the notice, as the mails' header is. The sinks record notices with the mark taken out again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import yaml

from chaoskit.events import Notice
from chaoskit.localize.mail_header import HEADER_TEMPLATE, parse_header

_MARK = re.compile(r"\s*\(chaoskit (.*?)(?:\) ?|$)", re.DOTALL)
TEMPLATE = f"(chaoskit {HEADER_TEMPLATE})"
"""Nothing in it means anything to HTML or Markdown; what it holds is percent-encoded."""


def _default(name: str) -> str:
    return f'{{{{ template "{name}" . }}}}'


FIELDS: Mapping[str, tuple[str, str | None]] = {
    "slack_configs": ("callback_id", ""),
    "pagerduty_configs": ("details", None),
    "opsgenie_configs": ("source", _default("opsgenie.default.source")),
    "victorops_configs": ("custom_fields", None),
    "pushover_configs": ("message", _default("pushover.default.message")),
    "telegram_configs": ("message", _default("telegram.default.message")),
    "sns_configs": ("attributes", None),
    "wechat_configs": ("message", _default("wechat.default.message")),
    "webex_configs": ("message", _default("webex.default.message")),
    "discord_configs": ("message", _default("discord.default.message")),
    "msteams_configs": ("text", _default("msteams.default.text")),
    "msteamsv2_configs": ("text", _default("msteamsv2.default.text")),
    "rocketchat_configs": ("text", _default("rocketchat.default.text")),
    "mattermost_configs": ("text", _default("mattermost.default.text")),
}
"""By kind, where the mark goes: a field that is not shown where the service has one, else the text's beginning; and its
default, None where it is a map, in which the mark is an entry of its own."""


def mark(alertmanager: str) -> str:
    """The Alertmanager configuration, as text, with a mark in every integration that needs one."""
    document: dict[str, Any] = yaml.safe_load(alertmanager)
    for receiver in document.get("receivers") or []:
        for kind, (key, default) in FIELDS.items():
            for entry in receiver.get(kind) or []:
                if default is None:
                    entry[key] = {**(entry.get(key) or {}), "chaoskit": TEMPLATE}
                else:
                    entry[key] = f"{TEMPLATE} {entry.get(key) or default}"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def read(notice: Notice) -> Notice:
    """The notice with the alerts that its mark lists, and the payload without the mark; others as they are."""
    if notice.alerts or "chaoskit" not in notice.text:
        return notice
    strings, cleaned = _opened(notice.text)
    for text in strings:
        found = _MARK.search(_plain(text))
        if found is None:
            continue
        alerts, problems = parse_header(found[1])
        statuses = {alert.status for alert in alerts}
        status = "unknown" if not statuses else statuses.pop() if len(statuses) == 1 else "mixed"
        return msgspec.structs.replace(
            notice, alerts=alerts, status=status, text=cleaned, problems=[*notice.problems, *problems]
        )
    return notice


def _opened(text: str) -> tuple[list[str], str]:
    """The texts in a payload, JSON or a form, and the payload without marks."""
    try:
        payload = json.loads(text)
    except ValueError:
        pairs = parse_qsl(text, keep_blank_values=True)
        if not pairs:
            return [text], _without(text)
        return [value for _, value in pairs], "\n".join(f"{key}={_without(value)}" for key, value in pairs)
    strings: list[str] = []
    return strings, json.dumps(_walked(payload, strings), ensure_ascii=False)


def _walked(value: Any, strings: list[str]) -> Any:
    if isinstance(value, str):
        strings.append(value)
        return _without(value)
    if isinstance(value, dict):
        return {key: _walked(inner, strings) for key, inner in value.items()}
    return [_walked(inner, strings) for inner in value] if isinstance(value, list) else value


def _without(text: str) -> str:
    return _MARK.sub("", _plain(text)) if "chaoskit " in text else text


def _plain(text: str) -> str:
    """Only what an HTML template makes of a mark: reading every entity would turn `&region=` into a sign."""
    return text.replace("&amp;", "&")


_HEADLINES = ("summary", "entity_display_name", "title", "message", "Message", "text", "content", "state_message")


def headline(text: str) -> str:
    """The text of a payload that a person reads first; the payload itself where it has no known field."""
    try:
        payload = json.loads(text)
    except ValueError:
        form = dict(line.partition("=")[::2] for line in text.splitlines())
        return next((form[key] for key in _HEADLINES if form.get(key)), text)
    return _found(payload) or text


def _found(value: Any) -> str:
    if isinstance(value, list):
        return next(filter(None, map(_found, value)), "")
    if not isinstance(value, dict):
        return ""
    own = next((value[key] for key in _HEADLINES if isinstance(value.get(key), str) and value[key]), "")
    return own or next(filter(None, map(_found, value.values())), "")
