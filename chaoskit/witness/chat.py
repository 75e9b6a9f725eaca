"""A chat or an incident service at the end of Alertmanager's messages, read by the service's own documented API.

    slack       conversations.history of the channel; a message is told at its `ts`, an edited one at its edit's
    pagerduty   incidents of the service, and the log entries of each: trigger_log_entry, resolve_log_entry
    http        a page of one's own, on which a regular expression finds time, status and text of each message

The services keep what was said, so a look that fails loses nothing; their clocks are measured at every answer.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from chaoskit import json_text
from chaoskit.access import session_bearing
from chaoskit.events import Event, Interval
from chaoskit.observe.payload import TEXT_LIMIT, instant, unread
from chaoskit.plan.witnesses import sink_key_of
from chaoskit.scenario.model import Chat
from chaoskit.witness.asking import Server
from chaoskit.witness.follower import Follower, Unseen

_EVERY_S = 2.0
_PAGES = 50
_STATUS = re.compile(r"\b(firing|resolved)\b", re.IGNORECASE)
_COLORS = {"danger": "firing", "a30200": "firing", "good": "resolved", "2eb886": "resolved"}
Status = Literal["firing", "resolved", "unknown"]


@dataclass(frozen=True, slots=True)
class Said:
    """One message: what tells it from others, when it was told on the service's clock, and its words."""

    key: str
    at: Interval
    status: Status
    text: str


@dataclass(slots=True)
class Service(Server, ABC):
    """A chat or paging service to ask."""

    @abstractmethod
    def messages(self, since: float) -> Iterator[Said]:
        """The messages since that instant of its clock; raises Unseen."""

    def get(self, path: str, **query: Any) -> Any:
        """An answer as JSON; raises Unseen."""
        response = self.ask(path, **query)
        try:
            return json_text.decode(response.content)
        except msgspec.DecodeError:
            raise Unseen(f"{self.url}{path} does not answer with JSON: see its address") from None


@dataclass(slots=True)
class Slack(Service):
    """One Slack channel that chaoskit reads for notices."""

    channel: str = ""

    def messages(self, since: float) -> Iterator[Said]:
        """The messages of the channel and its threads, each at its last edit."""
        for message in self._all("/conversations.history", oldest=f"{since:.6f}", limit=200):
            yield self._said(message)
            if message.get("reply_count"):
                replies = self._all("/conversations.replies", ts=message["ts"], oldest=f"{since:.6f}", limit=200)
                yield from (self._said(reply) for reply in replies if reply["ts"] != message["ts"])

    def _all(self, method: str, **query: Any) -> Iterator[dict[str, Any]]:
        for _ in range(_PAGES):
            answer = self.get(method, channel=self.channel, **query)
            if answer.get("ok") is not True:
                raise Unseen(f"Slack refuses {method[1:]}: {answer.get('error', 'it does not say why')}")
            yield from answer.get("messages", ())
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
            query["cursor"] = cursor
        raise Unseen(f"Slack has more than {_PAGES} pages of messages", lost=True)

    def _said(self, message: dict[str, Any]) -> Said:
        at = float((message.get("edited") or {}).get("ts") or message["ts"])
        parts, colors = [str(message.get("text", ""))], list[str]()
        for one in message.get("attachments") or ():
            fields = [str(each.get(key, "")) for each in one.get("fields") or () for key in ("title", "value")]
            own = [str(one.get(key, "")) for key in ("pretext", "title", "text", "fallback")]
            parts += own + fields
            colors.append(str(one.get("color", "")).lstrip("#").lower())
        text = "\n".join(filter(None, parts))
        status = next((_COLORS[color] for color in colors if color in _COLORS), "") or _status_in(text)
        return Said(f"{message['ts']} {at}", (at, at), status, text)  # type: ignore[arg-type]


@dataclass(slots=True)
class PagerDuty(Service):
    """One PagerDuty service that chaoskit reads for incidents."""

    service: str = ""

    def messages(self, since: float) -> Iterator[Said]:
        """The triggers and resolutions by its integration, also of incidents that were open before; raises Unseen."""
        begin, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (since, time.time() + 60))
        new: dict[str, Any] = {"since": begin, "until": end, "statuses[]": ["triggered", "acknowledged", "resolved"]}
        open_: dict[str, Any] = {"date_range": "all", "statuses[]": ["triggered", "acknowledged"]}
        asked = ({"service_ids[]": self.service, **query} for query in (new, open_))
        incidents = {one["id"]: one for query in asked for one in self._all("/incidents", "incidents", **query)}
        for incident in incidents.values():
            path = f"/incidents/{incident['id']}/log_entries"
            for entry in self._all(path, "log_entries", **{"include[]": "channels", "since": begin, "until": end}):
                status = {"trigger_log_entry": "firing", "resolve_log_entry": "resolved"}.get(entry["type"])
                by_a_person = str((entry.get("agent") or {}).get("type", "")).startswith("user")
                if status is None or by_a_person:
                    continue
                at = instant(entry["created_at"]) or 0.0
                channel = msgspec.json.encode(entry.get("channel") or {}).decode()
                text = f"{incident.get('title', '')}\n{entry.get('summary', '')}\n{channel}"
                # It is told in whole seconds.
                told = (at, at if "." in entry["created_at"] else at + 1.0)
                yield Said(entry["id"], told, status, text)  # type: ignore[arg-type]

    def _all(self, path: str, what: str, **query: Any) -> Iterator[dict[str, Any]]:
        offset = 0
        for _ in range(_PAGES):
            answer = self.get(path, limit=100, offset=offset, **query)
            yield from answer[what]
            offset += len(answer[what])
            if not answer.get("more"):
                return
        raise Unseen(f"PagerDuty has more than {_PAGES} pages of {what}", lost=True)


@dataclass(slots=True)
class Page(Service):
    """One web page of a team's own that chaoskit reads for notices."""

    find: str = ""

    def messages(self, since: float) -> Iterator[Said]:
        """The messages of the page whose time is later."""
        for match in re.finditer(self.find, self.ask("").text):
            at = _time(match["time"])
            if at >= since:
                text = match["text"]
                yield Said(f"{at} {match[0]}", (at, at), _status_in(match["status"]), text)


def _time(written: str) -> float:
    """Seconds since the epoch, of those or of a time in RFC 3339."""
    try:
        return float(written)
    except ValueError:
        return instant(written) or 0.0


def _status_in(text: str) -> Status:
    found = [word.lower() for word in _STATUS.findall(text)]
    return "firing" if "firing" in found else "resolved" if found else "unknown"


def open_chat(chat: Chat) -> Service:
    """The chat that a profile names; raises BadInput where its secret cannot be read."""
    if chat.channel:
        url = chat.api or "https://slack.com/api"
        return Slack(url, session_bearing(url, "Bearer ", chat.token, chat.place), channel=chat.channel)
    if chat.service:
        url = chat.api or "https://api.pagerduty.com"
        accept = "application/vnd.pagerduty+json;version=2"
        session = session_bearing(url, "Token token=", chat.token, chat.place, Accept=accept)
        return PagerDuty(url, session, service=chat.service)
    return Page(chat.http, session_bearing(chat.http, "Bearer ", chat.token, chat.place), find=chat.find)


class ChatFollower(Follower):
    """Tells what is said in a chat."""

    def __init__(self, by: str, service: Service, on_event: Callable[[Event], None], every_s: float = _EVERY_S) -> None:
        super().__init__(by, every_s, on_event)
        self._key = sink_key_of(by)
        self._service = service
        self._begun = 0.0
        self._known: set[str] | None = None

    def look(self, asked: float) -> Iterator[Event]:
        """The notices until now; raises Unseen. Messages that are there at the first look are not ours."""
        self._begun = self._begun or asked - 60.0
        try:
            said = sorted(self._service.messages(self._begun), key=lambda one: one.at)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unseen(f"{self._service.url} does not answer as documented: {type(error).__name__} {error}") from None
        fresh = [one for one in said if self._known is not None and one.key not in self._known]
        self._known = (self._known or set()) | {one.key for one in said}
        skew = self._service.clock.skew
        for one in fresh:
            blank = unread(self._key, (one.at[0] - skew[1], one.at[1] - skew[0]))
            yield replace(blank, status=one.status, text=one.text[:TEXT_LIMIT], by=self.by)
