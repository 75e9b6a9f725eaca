"""Speaking to an attached system: one session an endpoint, with its credentials, headers and authority.

    access: {prometheus: {username: drill, password_file: secret, ca_file: ca.pem}}    one entry of the profile
        |
        v
    session_for(target, "prometheus")      everything that asks Prometheus asks through this

Secrets are read when a session is made and are in no message. They are added to a request on its way out, only
where it goes to the endpoint itself: an answer that leads elsewhere is an error, for it would take them along.
Nothing of it is taken from the environment: no proxy, no .netrc.
"""

from __future__ import annotations

import os
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
import urllib3
from requests.auth import AuthBase

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import SMALL, read_regular
from chaoskit.scenario.model import Access, Attached, Secret
from chaoskit.trust import read_secret

_CERTIFICATES = 8 * SMALL
_CHUNK = 2**16
LARGEST = 64 * 2**20
"""An answer of a server with tens of thousands of rules or targets is smaller."""
SHORTEST = 16
"""The fewest characters that a token may have."""
ANSWER_S = 10.0
"""How long one answer may take."""


def plain_session() -> requests.Session:
    """A session for what listens on loopback and asks for nothing."""
    session = requests.Session()
    session.trust_env = False
    # Packing an answer that travels nowhere costs both ends more than it saves, ten times a second.
    session.headers["Accept-Encoding"] = "identity"
    return session


class _Near(requests.Session):
    """A session for our own programs on loopback: what it gets it asks urllib3 for itself.

    Cookies, redirects and proxies, looked for at every request, take half of the time of a look, of which there are
    two dozen a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._near = urllib3.PoolManager(retries=False, headers={"Accept-Encoding": "identity"})

    def get(  # type: ignore[override]
        self, url: str, *, params: Mapping[str, Any] | None = None, timeout: float = ANSWER_S
    ) -> requests.Response:
        """The answer, whole; raises ConnectionError or Timeout."""
        try:
            answer = self._near.request("GET", url, fields=params, timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # of some versions a TimeoutError
            timed_out = isinstance(error, urllib3.exceptions.TimeoutError) and not refused
            raise (requests.Timeout if timed_out else requests.ConnectionError)(error) from None
        response = requests.Response()
        response.url, response.status_code, response.encoding = url, answer.status, "utf-8"
        response._content, response._content_consumed = answer.data, True  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        """Ends its connections."""
        super().close()
        self._near.clear()


def near_session() -> requests.Session:
    """A session that gets what our own programs on loopback answer; it follows no redirect."""
    return _Near()


def session_for(target: Attached, endpoint: str) -> requests.Session:
    """A session that may ask this endpoint (prometheus, alertmanager, metrics, witness).

    Raises BadInput where a secret or an authority that the profile names cannot be read, naming where it looked.
    """
    return session_at(str(getattr(target, endpoint)), target.access.get(endpoint))


def at_member(target: Attached, endpoint: str, url: str) -> Attached:
    """The target with another member of a pair as its prometheus or alertmanager; the credentials are the same."""
    return replace(target, prometheus=url) if endpoint == "prometheus" else replace(target, alertmanager=url)


def access_data(target: Attached, endpoint: str) -> Any:
    """How an endpoint is spoken to as JSON data, for another process on this machine; of secrets, where they are."""
    access = target.access.get(endpoint)
    if access is None or access.place is None:
        return msgspec.to_builtins(access)
    place = replace(access.place, file=str(Path(access.place.file).resolve()))
    return msgspec.to_builtins(replace(access, place=place))


def session_at(url: str, access: Access | None) -> requests.Session:
    """A session for an address with these credentials; raises BadInput if they cannot be read."""
    session = _Loyal(url)
    if access is None:
        return session
    problems: list[Problem] = []
    headers, place = {}, access.place
    for header in access.headers:
        headers[header.name] = header.value if header.secret is None else _read(header.secret, place, problems)
    if access.bearer is not None:
        headers["Authorization"] = f"Bearer {_read(access.bearer, place, problems)}"
    if access.password is not None:
        pair = f"{access.username}:{_read(access.password, place, problems)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    if access.ca_file:
        _trust(session, file_of(access.ca_file, place), access, problems)
    if problems:
        raise BadInput(problems)
    session.auth = _Credentials(url, headers)
    return session


def session_bearing(
    url: str, scheme: str, secret: Secret | None, place: Place | None, **headers: str
) -> requests.Session:
    """A session that sends these headers and a secret after the name of its scheme to this address alone.

    Raises BadInput where the secret cannot be read.
    """
    session = _Loyal(url)
    if secret is not None:
        headers["Authorization"] = f"{scheme}{secret_in(secret, place)}"
    session.auth = _Credentials(url, headers)
    return session


def secret_in(secret: Secret, place: Place | None) -> str:
    """The secret in a file or variable that a profile names; raises BadInput, which never shows it."""
    problems: list[Problem] = []
    found = _read(secret, place, problems)
    if problems:
        raise BadInput(problems)
    return found


def read_token(file: Path, shortest: int = SHORTEST, *, private: bool = False) -> str:
    """The token in this file, without the space around it; raises BadInput, which never shows what is in the file.

    One that is `private` must not be readable by other users of the machine.
    """
    place, mend = Place(str(file)), f"make one: (umask 077; openssl rand -hex 32 > {quote(str(file))})"
    if not file.exists():
        raise BadInput(Problem(place, "there is no token", mend))
    try:
        token = read_secret(file).decode().strip()
        if private and readable_by_others(file):
            hint = f"chmod o-r {quote(str(file))}"
            raise BadInput(Problem(place, "every user of this machine can read the token", hint))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(Problem(place, f"the token cannot be read: {why}", "name a file of yours")) from None
    if len(token) < shortest:
        raise BadInput(Problem(place, f"the token has fewer than {shortest} characters", mend))
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(Problem(place, "a token is one line of ASCII characters without spaces", mend))
    return token


def readable_by_others(file: Path) -> bool:
    """Whether the file's mode lets other users of the machine read it."""
    return bool(file.stat().st_mode & 0o004)


def file_of(name: str, place: Place | None) -> Path:
    """Where a file that a profile names is: beside the profile, or from here where an option named it."""
    beside = Path(place.file).parent if place is not None and place.line else Path()
    return beside / Path(name).expanduser()


def trouble(error: Exception) -> str:
    """Why an endpoint gave no answer, in a few words that do not differ from one failure to the next."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"the server's certificate is not trusted: {_why_untrusted(error)}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"{error}"[:500]


def _why_untrusted(error: Exception) -> str:
    cause: Any = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "reason", None) or next(iter(getattr(cause, "args", ())), None)
        cause = reason if isinstance(reason, Exception) else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message)
    return str(cause.reason) if isinstance(cause, ssl.SSLError) and cause.reason else "its answer is no valid TLS"


class _Credentials(AuthBase):
    """Adds what the endpoint asks for, to requests to the endpoint alone."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._origin, self._headers = _origin(url), headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin(request.url or "") == self._origin:
            request.headers.update(self._headers)
        return request


class _Loyal(requests.Session):
    """A session that follows no answer to another host, port or scheme, and reads none without an end."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.trust_env = False
        self._origin = _origin(url)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where the answer, which is read, leads; raises TooManyRedirects where that is not the endpoint."""
        _read_whole(resp)
        target = super().get_redirect_target(resp)
        if target is not None and _origin(urljoin(resp.url, target)) != self._origin:
            elsewhere = urlsplit(urljoin(resp.url, target))
            raise requests.TooManyRedirects(
                f"it answers with status {resp.status_code} and leads to {elsewhere.scheme}://{elsewhere.hostname}, "
                "which is another address: name that one in the profile"
            )
        return target


def _read_whole(response: requests.Response) -> None:
    """Reads an answer before anything else does; raises RequestException beyond its size or its time."""
    until, found, left = time.monotonic() + ANSWER_S, [], LARGEST
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            found.append(chunk)
            left -= len(chunk)
            if left < 0:
                raise requests.exceptions.ContentDecodingError(f"the answer is larger than {LARGEST // 2**20} MiB")
            if time.monotonic() > until:
                raise requests.ReadTimeout("no answer in time")
    except requests.RequestException:  # some of which are urllib3's as well
        response.close()
        raise
    except urllib3.exceptions.HTTPError as error:
        response.close()
        timed_out = isinstance(error, urllib3.exceptions.TimeoutError)
        raise (requests.ReadTimeout if timed_out else requests.ConnectionError)(error) from None
    response._content, response._content_consumed = b"".join(found), True  # type: ignore[attr-defined]


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _trust(session: requests.Session, file: Path, access: Access, problems: list[Problem]) -> None:
    try:
        read_regular(file, _CERTIFICATES)
        ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError) as error:
        why = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        problems.append(Problem(access.place, f"ca_file: {file}: {why}", "name a file with certificates in PEM"))
    else:
        session.verify = str(file)


def _read(secret: Secret, place: Place | None, problems: list[Problem]) -> str:
    if secret.env:
        value = os.environ.get(secret.env, "")
        if not value:
            problems.append(Problem(place, f"the environment variable {secret.env} is not set", "export it"))
        return value
    file = file_of(secret.file, place)
    try:
        value = read_secret(file).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        problems.append(Problem(place, f"the secret in {file} cannot be read: {why}", "write it there"))
        return ""
    if not value or not value.isprintable():
        found = "no secret" if not value else "more than one line, or characters that no secret has"
        problems.append(Problem(place, f"{file} holds {found}", "write the secret there, and nothing else"))
        return ""
    return value
