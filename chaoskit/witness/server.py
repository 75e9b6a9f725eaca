"""The witness's endpoint: takes Alertmanager's webhooks for any receiver, and hands them to clients that follow.

    POST /receiver/NAME    Alertmanager's webhook message, for the receiver of that (URL-encoded) name
    POST /recorder         an event of Alertmanager's event recorder, whose webhook output the witness is
    GET  /notices?after=N&wait_s=S&boot=ID&seen=T
                           notices after the N-th of that boot, waiting up to 30 s for one; the watch since T
    GET  /healthy          whether it answers, and its clock; the only one that needs no token

It listens with the sinks' own server and timed loop, so its stamps are as exact as theirs: `arrived` certainly holds
the instant of sending, and the watch ends where a sender is in the middle of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from chaoskit import __version__, json_text
from chaoskit.alerting.config_alertmanager import path_for
from chaoskit.errors import BadInput, EquipmentError, Problem, Refused
from chaoskit.events import Notice
from chaoskit.files import read_regular
from chaoskit.observe import http_server
from chaoskit.observe.http_server import Answer, Answered, Connection, Request
from chaoskit.observe.payload import NO_JSON, read_payload, unread
from chaoskit.observe.strangers import Places
from chaoskit.observe.timed_loop import TICK_S, TimedLoop
from chaoskit.observe.web_pages import carries_token, oddity
from chaoskit.plan.witnesses import WITNESS
from chaoskit.witness.config import RECORDER_PATH
from chaoskit.witness.recorder import read_event
from chaoskit.witness.store import KEEP, Store

PORT = 9765
LONGEST_WAIT_S = 30.0
_RECEIVER = path_for("")
_HANG_UP_S = 0.5
_JSON = "application/json"
_ROUTES = b"there are /receiver/NAME, /recorder, /notices and /healthy\n"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the witness listens, which token it demands, and how much it keeps."""

    host: str = "127.0.0.1"
    port: int = PORT
    """The TCP port to listen on; 0 takes a free one."""
    token: str = ""
    """The token that senders and followers must give; only on loopback may it be empty."""
    keep: int = KEEP
    certificate: Path | None = None
    key: Path | None = None


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone; raises BadInput for an unknown name."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise BadInput(Problem(None, f"--host {host} is no address: {error}", "such as 127.0.0.1")) from None
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


class Desk:
    """Answers requests; every notice is kept and told before its sender is answered."""

    def __init__(
        self, store: Store, timed_loop: TimedLoop, settings: Settings, on_notice: Callable[[Notice], None]
    ) -> None:
        self._store = store
        self._timed_loop = timed_loop
        self._token = settings.token
        self._host = settings.host
        self._on_notice = on_notice
        self._waiting: dict[asyncio.Future[Answer], Callable[[], Answer]] = {}
        """By the answer that a client awaits, since there was nothing new when it asked: the function that makes it."""

    def admit(self, request: Request) -> Answer | None:
        """None for a client that knows the token; a stranger learns nothing but that he is one."""
        path = urlsplit(request.path).path
        if path == "/healthy" and request.method in ("GET", "HEAD"):
            body = msgspec.json.encode({"witness": __version__, "now": time.time()})
            return Answer(HTTPStatus.OK, _JSON, body if request.method == "GET" else b"")
        if self._token and not carries_token(request.authorization, self._token):
            self._store.refuse("token")
            said = b"the token is missing or wrong: Authorization: Bearer TOKEN\n"
            return Answer(HTTPStatus.UNAUTHORIZED, body=said)
        # A web page in a browser here needs no network to reach us, and bears no token.
        odd = "" if self._token else oddity(request.method, request.headers, host=self._host)
        if odd:
            self._store.refuse("stranger")
            return Answer(HTTPStatus.FORBIDDEN, body=f"refused: {odd}\n".encode("utf-8", "replace"))
        if path != "/notices" and not path.removeprefix(_RECEIVER).strip("/"):
            return Answer(HTTPStatus.NOT_FOUND, body=_ROUTES)
        posted = path == RECORDER_PATH or path.startswith(_RECEIVER)
        wanted = "GET" if path == "/notices" else "POST" if posted else ""
        if request.method == wanted:
            return None
        if not wanted:
            return Answer(HTTPStatus.NOT_FOUND, body=_ROUTES)
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, body=f"{wanted} is spoken here\n".encode())

    def answer(self, request: Request) -> Answered:
        """The answer to an admitted request; for `/notices` it may be a future that is settled later."""
        parts = urlsplit(request.path)
        if request.refused:
            self._store.refuse("too big")
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, body=request.refused.encode() + b"\n")
        if parts.path == "/notices":
            return self._notices(parts.query)
        if parts.path == RECORDER_PATH:
            return self._record(request)
        return self._take(unquote(parts.path.removeprefix(_RECEIVER)), request)

    def _take(self, receiver: str, request: Request) -> Answer:
        notice = read_payload("webhook", request.path, request.body, unread((receiver, WITNESS, 0), request.sent))
        if notice.text or not request.body:  # it was not read
            return self._malformed("; ".join(notice.problems))
        try:
            return self._keep(notice, json_text.decode(request.body))
        except msgspec.DecodeError as error:
            return self._malformed(f"{NO_JSON}: {error}")

    def _record(self, request: Request) -> Answer:
        """An event of Alertmanager's recorder; only deliveries are kept."""
        try:
            notice = read_event(request.body)
        except ValueError as error:
            return self._malformed(str(error))
        if notice is None:
            return Answer(HTTPStatus.OK)
        heard = msgspec.structs.replace(notice, sent=request.sent)
        return self._keep(heard, json_text.decode(request.body), notice.integration)

    def _keep(self, notice: Notice, payload: object, recorded: str = "") -> Answer:
        self._store.add(notice.sent, notice.receiver, payload, recorded)
        self._on_notice(notice)
        self.give_all()
        return Answer(HTTPStatus.OK)

    def _malformed(self, reason: str) -> Answer:
        self._store.refuse("malformed")
        return Answer(HTTPStatus.BAD_REQUEST, body=f"{reason}\n".encode("utf-8", "replace"))

    def _notices(self, query: str) -> Answered:
        try:
            asked = {key: values[-1] for key, values in parse_qs(query, strict_parsing=bool(query)).items()}
            after, wait_s, seen = int(asked.get("after", 0)), float(asked.get("wait_s", 0)), float(asked.get("seen", 0))
            if not (after >= 0 and wait_s >= 0 and seen >= 0):
                raise ValueError("a number is negative, or none")
        except ValueError as error:
            return Answer(HTTPStatus.BAD_REQUEST, body=f"after, wait_s and seen are numbers: {error}\n".encode())
        boot = asked.get("boot", self._store.boot)
        news = self._store.last > after or boot != self._store.boot
        if news or wait_s == 0 or len(self._waiting) >= http_server.CONNECTIONS_AT_ONCE:
            return self._told(boot, after, seen, 0.0)
        loop = self._timed_loop.loop
        since, owed = loop.time(), loop.create_future()
        self._waiting[owed] = lambda: self._told(boot, after, seen, loop.time() - since)
        loop.call_later(min(wait_s, LONGEST_WAIT_S), self._give, owed)
        return owed

    def give_all(self) -> None:
        """Answers every client that still waits."""
        for owed in list(self._waiting):
            self._give(owed)

    def _give(self, owed: asyncio.Future[Answer]) -> None:
        """Settles what is still owed."""
        if tell := self._waiting.pop(owed, None):
            owed.set_result(tell())

    def _told(self, boot: str, after: int, seen: float, held_s: float) -> Answer:
        self._timed_loop.watch()
        told = self._store.tell(boot, after, seen, time.time(), held_s)
        return Answer(HTTPStatus.OK, _JSON, msgspec.json.encode(told))


class WitnessServer:
    """A witness that `run` keeps running until `end`, which may be called from any thread.

    Raises Refused for an address beyond loopback without a token, BadInput for TLS files that cannot be used.
    """

    def __init__(self, settings: Settings, on_notice: Callable[[Notice], None] = lambda _: None) -> None:
        if not settings.token and not is_loopback(settings.host):
            hint = "give --token-file FILE, or leave --host at 127.0.0.1"
            raise Refused(Problem(None, f"{settings.host} can be reached by others, so a token is needed", hint))
        self.settings = settings
        self.port = settings.port
        """The port that it listens on, once it does."""
        self.store = Store(settings.keep)
        self._tls = _tls(settings)
        self._timed_loop = TimedLoop("webhook-sink", self.store.watched)
        self._desk = Desk(self.store, self._timed_loop, settings, on_notice)
        self._over = asyncio.Event()

    @property
    def url(self) -> str:
        """The URL at which the witness is reached from this machine."""
        host, scheme = self.settings.host, "https" if self.settings.certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listens, calls `ready`, and serves until `end`; raises EquipmentError where it cannot listen."""
        with asyncio.Runner(loop_factory=lambda: self._timed_loop.loop) as runner:
            runner.run(self._serve(ready))

    def end(self) -> None:
        """Asks the witness's server to end; returns at once. Idempotent."""
        with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended already
            self._timed_loop.loop.call_soon_threadsafe(self._over.set)

    async def _serve(self, ready: Callable[[], None]) -> None:
        loop = self._timed_loop.loop
        places = Places(self._timed_loop, http_server.CONNECTIONS_AT_ONCE, lambda: self.store.refuse("places"))
        try:
            server, self.port = await self._timed_loop.listen(
                lambda: Connection(self._timed_loop, self._desk.answer, places, self._desk.admit),
                self.settings.host,
                self.settings.port,
                ssl=self._tls,
                ssl_handshake_timeout=http_server.REQUEST_LIMIT_S if self._tls else None,
            )
        except (OSError, OverflowError) as error:
            where = f"{self.settings.host}:{self.settings.port}"
            raise EquipmentError("witness", f"cannot listen on {where}: {error}", "choose another --port") from None
        self._timed_loop.start()
        ready()
        await self._over.wait()
        self._desk.give_all()
        server.close()
        await asyncio.sleep(0)  # in this turn of the loop those answers are written
        for at_once in (False, True):
            for connection in places.guests:
                assert isinstance(connection, Connection)
                connection.hang_up(at_once=at_once)
            await _emptied(places, loop.time() + _HANG_UP_S)


async def _emptied(places: Places, end: float) -> None:
    """Waits until all of them have ended, or for the end (on the loop's clock)."""
    while places.guests and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(TICK_S)  # each connection is told of its own end alone


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        for file in filter(None, (settings.certificate, settings.key)):
            read_regular(file)
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        files = f"{settings.certificate}" + (f" and {settings.key}" if settings.key else "")
        raise BadInput(
            Problem(None, f"{files} cannot be used for TLS: {error}", "PEM files, the key without a passphrase")
        ) from None
    return context
