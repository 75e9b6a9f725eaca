"""The gatekeeper checks host, origin and token of every request before anything else sees it.

The server listens on loopback alone, but so do others: pages of other sites and of other ports of this machine reach
it through the browser, names of their own can lead here, and the browser sends its cookies to every port of a host.
So a request needs our own name for us (Host), no other page behind it (Origin, Sec-Fetch-Site), and the token: as a
cookie, and for commands once more in a header, which no form can send.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENTER = "/enter"
LOCUST = "/locust"
COMMAND_HEADER = "x-chaoskit-token"
LONGEST_BODY = 64 * 1024
_BODY_WITHIN_S = 10.0
_OURS = ("none", "same-origin")
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_REPLACED = {name for name, _ in _HEADERS} | {b"content-security-policy", b"server"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request that is refused: its status and the reason."""

    status: HTTPStatus
    why: str


@dataclass(frozen=True, slots=True)
class Key:
    """The token, and what is made of it for the port that we listen on."""

    token: str
    port: int

    @property
    def cookie(self) -> str:
        """The cookie's name: cookies know no ports, so each console has its own."""
        return f"chaoskit-{self.port}"

    @property
    def command(self) -> str:
        """The secret that commands must carry: it stands in our pages, so it is not the token itself."""
        return hmac.new(self.token.encode(), b"commands", hashlib.sha256).hexdigest()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names under which a browser asks the console."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}", f"[::1]:{self.port}")

    def is_token(self, given: str) -> bool:
        """Whether this is the token; takes the same time however much of it is right."""
        return same(given, self.token)

    def entered(self) -> str:
        """The Set-Cookie header of who showed the token."""
        return f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def new_token() -> str:
    """A random token of 256 bits, for a URL."""
    return secrets.token_hex(32)


def same(given: str, wanted: str) -> bool:
    """Whether both texts are equal; takes the same time for any two."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def refusal(method: str, path: str, headers: Mapping[str, list[str]], key: Key) -> Refusal | None:
    """Why a request may not come in; None for one that may. `headers` have lower-case names."""

    def only(name: str) -> str:
        found = headers.get(name, [])
        return found[0] if len(found) == 1 else ", ".join(found)

    host, origin, site = only("host"), only("origin"), only("sec-fetch-site")
    if host not in key.hosts:
        return Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"the request is for another host; ask http://{key.hosts[0]}/")
    if method not in ("GET", "HEAD", "POST"):
        return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and POST are allowed")
    if origin and origin != f"http://{host}":
        return Refusal(HTTPStatus.FORBIDDEN, "another page sent it (Origin)")
    visit = method == "GET" and only("sec-fetch-mode") == "navigate" and only("sec-fetch-dest") == "document"
    if site and site not in _OURS and not visit:
        return Refusal(HTTPStatus.FORBIDDEN, "a page other than the console's sent the request (Sec-Fetch-Site)")
    if method == "POST" and not origin and site != "same-origin":
        return Refusal(HTTPStatus.FORBIDDEN, "the request has no Origin header: send it from the console's page")
    if path == ENTER:
        return None if method == "GET" else Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is allowed")
    if not key.is_token(_cookie(only("cookie"), key.cookie)):
        return Refusal(HTTPStatus.UNAUTHORIZED, "open the link that chaoskit printed: it carries the token")
    ours = method == "POST" and path != LOCUST and not path.startswith(LOCUST + "/")
    if ours and not same(only(COMMAND_HEADER), key.command):
        return Refusal(HTTPStatus.FORBIDDEN, f"the header {COMMAND_HEADER} lacks the page's token: reload the page")
    if int_or(only("content-length"), 0) > LONGEST_BODY:
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LONGEST_BODY} bytes")
    return None


def int_or(text: str, otherwise: int) -> int:
    """The text as a whole number; the other value where it is none."""
    return int(text) if text.isascii() and text.isdigit() else otherwise


def policy(nonce: str) -> str:
    """The Content-Security-Policy of our pages: nothing of other origins, no script but those with the nonce."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


class Gatekeeper:
    """The middleware; what it lets in finds the policy's nonce in its scope's state."""

    def __init__(self, app: ASGIApp, key: Key) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or answers it; websockets are not spoken."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        nonce = secrets.token_urlsafe(18)
        scope.setdefault("state", {})["nonce"] = nonce
        guarded = _guarding(send, nonce)
        found = refusal(scope["method"], scope["path"], headers, self._key)
        if found is None and scope["method"] == "POST":
            body = await _body(receive)
            if isinstance(body, Refusal):
                found = body
            else:
                receive = _replayed(body, receive)
        if found is not None:
            await _refuse(found, guarded)
        else:
            await self._app(scope, receive, guarded)


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


async def _body(receive: Receive) -> bytes | Refusal:
    """The whole body; it neither grows without end nor lets us wait without end."""
    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return Refusal(HTTPStatus.BAD_REQUEST, "it ended early")
                found += message.get("body", b"")
                if len(found) > LONGEST_BODY:
                    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LONGEST_BODY} bytes")
                if not message.get("more_body", False):
                    return bytes(found)
    except TimeoutError:
        return Refusal(HTTPStatus.REQUEST_TIMEOUT, f"its body did not arrive within {_BODY_WITHIN_S:g} s")


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _guarding(send: Send, nonce: str) -> Send:
    """Adds the security headers to every answer and drops those that would allow other origins more (CORS)."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if name.lower() not in _REPLACED and not name.lower().startswith(b"access-control-")
            ]
            own = (b"content-security-policy", policy(nonce).encode())
            message = {**message, "headers": [*kept, *_HEADERS, own]}
        await send(message)

    return guarded


async def _refuse(found: Refusal, send: Send) -> None:
    body = f"{found.status.value} {found.status.phrase}: {found.why}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if found.status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(found.status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
