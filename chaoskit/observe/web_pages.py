"""The possible senders of a request: a program that bears a token, or a web page that a browser on this machine shows.

A page from anywhere can post to a port on loopback, with any body, in one of three media types, without asking
first; by a name of its own that leads here it can read the answers too. It cannot hide its origin, nor post JSON.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

JSON = "application/json"
_LOOPBACK = re.compile(r"(?:127(?:\.\d+){3}|localhost|\[::1\])(?::\d+)?", re.IGNORECASE)
_SHOWN = 200


def carries_token(authorization: str, token: str, *schemes: str) -> bool:
    """Whether an Authorization header carries this token, by default as `Bearer`.

    It takes the same time however much of the token is right.
    """
    scheme, _, given = authorization.strip().partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return same and scheme.lower() in (schemes or ("bearer",))


def oddity(method: str, headers: Mapping[str, str], *, posts: str = JSON, host: str = "") -> str:
    """Why a web page may be behind a request, or a server with another task; empty where nothing speaks for it.

    `headers` have lower-case names; `posts` is the media type in which we are written to; `host` is a name for us
    besides those of loopback.
    """
    if "origin" in headers:
        return f"a web page sent the request (Origin: {headers['origin'][:_SHOWN]})"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return f"a web page of elsewhere sent the request (Sec-Fetch-Site: {headers['sec-fetch-site'][:_SHOWN]})"
    named = headers.get("host", "")
    if not _LOOPBACK.fullmatch(named) and not (host and host in (named, named.rpartition(":")[0])):
        return f"the request names another host (Host: {named[:_SHOWN]})"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if method not in ("GET", "HEAD") and kind != posts:
        return f"the request's Content-Type is {kind[:_SHOWN] or 'missing'}, not {posts}"
    return ""
