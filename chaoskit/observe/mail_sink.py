"""The mailbox: an SMTP server for each mail door, in a process of its own (`python -m chaoskit.observe.mail_sink`).

Configuration: {"doors": [sink addresses], "extra_port": P}; port 0 takes a free one. A door with a word takes mails
from those only that give it as their password (AUTH PLAIN); others are strangers, refused and counted. A mail was sent
when its sender knocked: between the instant at which its connection was certainly not yet open and the one at which we
found it; a later mail on the same connection between our answer to the one before and the end of its DATA. It is
reported before it is accepted. A mail that is refused (too big) is reported too, with what was wrong and nothing else.
"""

from __future__ import annotations

import asyncio
import email
import email.header
import email.message
import email.policy
import hmac
import logging
import re
import time
import warnings
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec.structs import replace

from chaoskit import json_text
from chaoskit.events import Interval, Notice, NoticedAlert
from chaoskit.host.ports import LOOPBACK
from chaoskit.localize.mail_header import GROUP_NAME, HEADER_NAME, parse_group, parse_header
from chaoskit.localize.sink_addresses import SinkAddress
from chaoskit.observe.payload import Status, of_alerts, unread
from chaoskit.observe.sink_process import Emit, run_sink, sink_response
from chaoskit.observe.strangers import Places, Strangers
from chaoskit.observe.timed_loop import TimedLoop

PART_LIMIT = 1_000_000
"""Characters of a part, or of a subject, that are kept."""


def mail_notice(
    door: SinkAddress, *, sent: Interval, sender: str, recipients: Sequence[str], content: bytes, lists: bool = True
) -> Notice:
    """The notice that a mail is; `sender` and `recipients` are the envelope's.

    `lists`: whether a header of ours lists its alerts, as where its configuration was made for this door.
    """
    problems: list[str] = []
    try:
        # The older policy leaves headers as text: the newer one takes seconds to parse one of a megabyte.
        message = email.message_from_bytes(content, policy=email.policy.compat32)
    except RecursionError:  # parts within parts, hundreds deep
        problems.append("the mail's parts are nested too deeply to be read")
        message = email.message.Message()
    subject = _bounded("subject", _decoded(message.get("Subject", "")), problems)
    alerts, status = _alerts(message, subject, problems) if lists else ([], _status_in(subject))
    return replace(
        unread(door.sink_key, sent),
        status=status,
        alerts=alerts,
        group_labels=_group(message),
        recipients=list(recipients),
        sender=sender,
        subject=subject,
        html=_bounded("HTML part", _part(message, "text/html", problems), problems),
        text=_bounded("plain part", _part(message, "text/plain", problems), problems),
        problems=problems,
    )


def _alerts(message: email.message.Message, subject: str, problems: list[str]) -> tuple[list[NoticedAlert], Status]:
    values = message.get_all(HEADER_NAME, [])
    if len(values) == 1:
        alerts, wrong = parse_header(_decoded(values[0]))
        problems += wrong
        return alerts, "unknown" if wrong else of_alerts(alerts)
    if values:
        problems.append(f"the mail has {HEADER_NAME} {len(values)} times, so the sink believes none of them")
    else:
        problems.append(f"the mail has no {HEADER_NAME} header, so the sink cannot tell which alerts it lists")
    return [], _status_in(subject)


def _group(message: email.message.Message) -> dict[str, str] | None:
    """The labels of the mail's group; None where it does not tell them once, and readably."""
    values = message.get_all(GROUP_NAME, [])
    try:
        return parse_group(_decoded(values[0])) if len(values) == 1 else None
    except ValueError:
        return None


def _status_in(subject: str) -> Status:
    """Resolved where the subject says that alone; Alertmanager writes FIRING over resolved ones among them too."""
    words = set(re.findall(r"[a-z]+", subject.lower()))
    return "resolved" if "resolved" in words and "firing" not in words else "unknown"


def _decoded(header: object) -> str:
    """A header's text on one line, its encoded words decoded."""
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", str(header))
    if "=?" not in unfolded:
        return unfolded
    try:
        return str(email.header.make_header(email.header.decode_header(unfolded)))
    except (ValueError, LookupError):  # an unknown character set, or broken encoding: as it came
        return unfolded


def _part(message: email.message.Message, kind: str, problems: list[str]) -> str:
    """The first part of that kind, decoded."""
    for part in message.walk():
        if part.get_content_type() != kind or part.get_content_disposition() == "attachment":
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        charset = part.get_content_charset("utf-8")
        try:
            return payload.decode(charset)
        except (UnicodeDecodeError, LookupError):
            problems.append(f"the {kind} part is not in the character set it names ({charset})")
            return payload.decode("utf-8", errors="replace")
    return ""


def _bounded(what: str, text: str, problems: list[str]) -> str:
    if len(text) <= PART_LIMIT:
        return text
    problems.append(f"the {what} has {len(text)} characters; the first {PART_LIMIT} are kept")
    return text[:PART_LIMIT]


DATA_LIMIT = 10 * 1024 * 1024
LINE_LIMIT = 1024 * 1024
SESSION_LIMIT_S = 60.0
"""A client gets this long for all it has to say."""
IDLE_LIMIT_S = 20.0
SESSIONS_AT_ONCE = 200


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sink's configuration, one JSON line on standard input."""

    doors: list[SinkAddress]
    extra_port: int | None = None
    response_file: str = ""
    """The file that may tell this sink to answer badly."""


class _Server(SMTP):
    """One connection at one door."""

    # Alertmanager writes a header on one line, however many alerts it lists.
    line_length_limit = LINE_LIMIT

    def __init__(
        self,
        door: SinkAddress,
        timed_loop: TimedLoop,
        emit: Emit,
        places: Places,
        response_file: str,
        strangers: Strangers,
    ) -> None:
        super().__init__(
            SimpleNamespace(handle_DATA=self._take),
            data_size_limit=DATA_LIMIT,
            enable_SMTPUTF8=True,
            hostname="localhost",  # the default asks the resolver
            timeout=IDLE_LIMIT_S,
            loop=timed_loop.loop,
            auth_required=bool(door.word),
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN"],
            authenticator=self._password,
        )
        self._door = door
        self._response_file = response_file
        self._strangers = strangers
        self._timed_loop = timed_loop
        self._emit = emit
        self._places = places
        self._since = timed_loop.before_connection()
        self._knocked: float | None = None
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._knocked = time.time()
        self._timed_loop.begin(self, self._since)
        self._limit = self.loop.call_later(SESSION_LIMIT_S, transport.close)
        super().connection_made(transport)
        if not self._places.enter(self):
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._places.leave(self)
        self._timed_loop.end(self)
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(error)

    def send_away(self) -> None:
        """End it at once, for want of a place."""
        self._timed_loop.end(self)
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    async def _take(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """The mail is here, whole: aiosmtpd asks for the answer to it."""
        arrived, now = time.time(), sink_response(self._response_file)
        # The talk that follows the knock waits for our own turns on a busy machine: no delay of the alert.
        known = arrived if self._knocked is None else self._knocked
        self._knocked = None
        self._places.prove(self)
        notice = mail_notice(
            self._door,
            sent=(min(self._since, known), known),
            sender=envelope.mail_from or "",
            recipients=[str(recipient) for recipient in envelope.rcpt_tos],
            content=envelope.original_content or b"",
        )
        self._report(replace(notice, refused=now.status if now.refuses else 0), arrived)
        if now.delay_s > 0:
            await asyncio.sleep(now.delay_s)  # as long as the order says
        return f"{now.status} told to refuse" if now.refuses else "250 OK"

    def _password(self, _: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and hmac.compare_digest(given.password, self._door.word.encode())
        if right:
            self._places.prove(self)
        return AuthResult(success=right, handled=False)

    async def push(self, status: Any) -> None:
        """Answer the client; a refusal of the data itself, or of who brings it, is reported first."""
        said = status if isinstance(status, str) else ""
        if said.startswith(("530 ", "535 ")):
            reason = "the sender lacks this door's password"
            self._strangers.turned_away(self._door.sink_key, reason)
            await super().push(status)
            if self.transport is not None:
                self.transport.close()
            return
        if said.startswith(("552 ", "500 Line too long")):
            arrived = time.time()
            sent = (min(self._since, arrived), arrived)
            self._report(unread(self._door.sink_key, sent, f"a mail was refused: {status}"), arrived)
        await super().push(status)

    def _report(self, notice: Notice, arrived: float) -> None:
        self._emit(notice)
        self._since = arrived
        self._timed_loop.begin(self, arrived)


async def listen(line: bytes, timed_loop: TimedLoop, emit: Emit) -> list[int]:
    """Open all doors of a configuration line; gives their ports in order, the catch-all's last."""
    config = json_text.decode(line, type=Config)
    doors = list(config.doors)
    if config.extra_port is not None:
        doors.append(SinkAddress(receiver="", integration="email", speaks="email", port=config.extra_port))
    places = Places(timed_loop, SESSIONS_AT_ONCE)
    strangers = Strangers("mail-sink", emit)
    timed_loop.before_watch = strangers.tell
    ports = []
    for door in doors:
        client = partial(_Server, door, timed_loop, emit, places, config.response_file, strangers)
        _, port = await timed_loop.listen(client, LOOPBACK, door.port)
        ports.append(port)
    return ports


if __name__ == "__main__":
    # A password without TLS is what both warn of: here it never leaves loopback, and is worth nothing elsewhere.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")
    raise SystemExit(run_sink("mail-sink", listen))
