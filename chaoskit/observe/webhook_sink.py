"""The HTTP doors, in a process of their own (`python -m chaoskit.observe.webhook_sink`).

Configuration: {"port": P, "doors": [sink addresses], "alertmanager": P, "catch_all": false, "response_file": FILE};
port 0 takes a free one. A door is known by the beginning of its path, `/door/<n>`, alone. A request without the door's
`word` is a stranger's, refused and counted, unless the process that listens on the port `alertmanager` sent it. With
`catch_all` any other path takes notices too, with receiver "", which nothing judges. Every notice is reported before it
is answered; the `response_file`, while it exists, makes the answers bad.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from http import HTTPStatus

import msgspec

from chaoskit import json_text
from chaoskit.host.ports import LOOPBACK
from chaoskit.localize.sink_addresses import SinkAddress, content_type, reply_to
from chaoskit.observe.http_server import CONNECTIONS_AT_ONCE, Answer, Connection, Request
from chaoskit.observe.payload import NO_JSON, read_payload, unread
from chaoskit.observe.sink_process import Emit, run_sink, sink_response
from chaoskit.observe.strangers import Places, Strangers, sent_by
from chaoskit.observe.timed_loop import TimedLoop
from chaoskit.observe.web_pages import carries_token, oddity

_DOOR = re.compile(r"/door/\d+(?=/|$)")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sink's configuration, one JSON line on standard input."""

    port: int
    doors: list[SinkAddress]
    alertmanager: int = 0
    """The port of the Alertmanager whose notices these are; 0 where it is known by its words alone."""
    catch_all: bool = False
    response_file: str = ""
    """The file that may tell this sink to answer badly."""


class Desk:
    """Finds the door of a request, reports what it says, and gives the answer that its sender hopes for."""

    def __init__(self, config: Config, emit: Emit) -> None:
        self._emit = emit
        self.strangers = Strangers("webhook-sink", emit)
        self._config = config
        self._response_file = config.response_file
        self._doors = {_stem(door.path): door for door in config.doors}
        self._catch_all = SinkAddress(receiver="", integration="webhook", speaks="webhook")

    def admit(self, request: Request) -> Answer | None:
        """None for a request that Alertmanager sent; any other is counted, told why, and its body is not taken."""
        door = self._door_of(request)
        reason = oddity(request.method, request.headers, posts=content_type(door.speaks))
        if door is self._catch_all:
            reason = reason or ("" if self._config.catch_all else "the sink has no such address")
        elif not (door.word and carries_token(request.authorization, door.word, "bearer", "geniekey")):
            reason = reason or ("the sender lacks this door's token" if door.word else "Alertmanager did not send it")
        if not reason:
            return None
        if door is not self._catch_all and sent_by(self._config.alertmanager, request.ports):
            if door.word:  # its setting did not arrive there, or not as we read it
                sys.stderr.write(f"{door}: Alertmanager itself sent this, but {reason}\n")
            return None
        self.strangers.turned_away(door.sink_key, reason)
        return Answer(HTTPStatus.FORBIDDEN, body=f"refused: {reason}\n".encode("utf-8", "replace"))

    def answer(self, request: Request) -> Answer:
        """Reports the request if it is a notice, and returns the answer to it."""
        door = self._door_of(request)
        if request.method not in ("POST", "PUT", "PATCH") and door.speaks != "wechat":
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, body=b"notifications are sent with POST\n")
        if request.refused:
            self._emit(unread(door.sink_key, request.sent, f"refused: {request.refused}"))
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, body=request.refused.encode() + b"\n")
        if not door.is_notice(request.method, request.path):
            return _reply(door)
        notice = read_payload(door.speaks, request.path, request.body, unread(door.sink_key, request.sent))
        now = sink_response(self._response_file)
        self._emit(msgspec.structs.replace(notice, refused=now.status if now.refuses else 0))
        if now.refuses:
            return Answer(now.status, body=b"told to refuse\n", delay_s=now.delay_s)
        if any(problem.startswith(NO_JSON) for problem in notice.problems):
            return Answer(HTTPStatus.BAD_REQUEST, body=b"this is not JSON\n")
        return dataclasses.replace(_reply(door), delay_s=now.delay_s)

    def _door_of(self, request: Request) -> SinkAddress:
        return self._doors.get(_stem(request.path), self._catch_all)


def _stem(path: str) -> str:
    """`/door/<n>` of a path that begins so, else the path without its query."""
    bare = path.partition("?")[0]
    match = _DOOR.match(bare)
    return match[0] if match else bare


def _reply(door: SinkAddress) -> Answer:
    return Answer(HTTPStatus.OK, *reply_to(door.speaks))


async def listen(line: bytes, timed_loop: TimedLoop, emit: Emit) -> list[int]:
    """Open the port of a configuration line; gives it."""
    config = json_text.decode(line, type=Config)
    desk = Desk(config, emit)
    timed_loop.before_watch = desk.strangers.tell
    places = Places(timed_loop, CONNECTIONS_AT_ONCE)
    _, port = await timed_loop.listen(
        lambda: Connection(timed_loop, desk.answer, places, desk.admit), LOOPBACK, config.port
    )
    return [port]


if __name__ == "__main__":
    raise SystemExit(run_sink("webhook-sink", listen))
