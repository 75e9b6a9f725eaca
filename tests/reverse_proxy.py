"""A reverse proxy on loopback as people put before Prometheus: TLS with a CA of its own, basic auth, path prefixes.

It can also tell the time wrongly: then every instant in Prometheus's answers is shifted, as if its clock were off.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from chaoskit.access import plain_session
from tests.http_stub import Handler, serving

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass
class Proxy:
    """What the proxy does, and what it was asked."""

    backends: Mapping[str, str]
    """Path prefix to the URL behind it."""
    user: str = ""
    password: str = ""
    shift_s: float = 0.0
    elsewhere: str = ""
    """Where every request is redirected to, instead of being answered."""
    alter: Callable[[str, bytes], bytes] | None = None
    """What becomes of an answer on its way: of its path, and what the backend said."""
    port: int = 0
    scheme: str = "http"
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def admits(self, authorization: str) -> bool:
        if not self.user:
            return True
        wanted = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return authorization == f"Basic {wanted}"

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((path, {key.lower(): value for key, value in headers.items()}))
        if self.elsewhere:
            return 302, {"Location": self.elsewhere}, b""
        if not self.admits(headers.get("Authorization", "")):
            return 401, {"WWW-Authenticate": "Basic"}, b"who are you?"
        prefix = next((one for one in self.backends if path.startswith(f"{one}/") or path == one), None)
        if prefix is None:
            return 404, {}, b"nothing here"
        with plain_session() as session:
            try:
                found = session.get(self.backends[prefix] + path.removeprefix(prefix), timeout=5)
            except requests.RequestException:
                return 502, {}, b"nobody behind"
        body = found.content
        if self.shift_s and "json" in found.headers.get("Content-Type", ""):
            body = json.dumps(shifted(json.loads(body), self.shift_s)).encode()
        if self.alter is not None:
            body = self.alter(path, body)
        return found.status_code, {"Content-Type": found.headers.get("Content-Type", "text/plain")}, body


def shifted(answer: Any, by_s: float) -> Any:
    """An answer of Prometheus's API as it would be with its clock off by so much."""
    if isinstance(answer, dict):
        return {key: _shifted_value(key, value, by_s) for key, value in answer.items()}
    if isinstance(answer, list):
        return [shifted(one, by_s) for one in answer]
    return answer


def _shifted_value(key: str, value: Any, by_s: float) -> Any:
    if key == "values":
        return [[at + by_s, sample] for at, sample in value]
    if key == "result" and isinstance(value, list) and value and not isinstance(value[0], dict):
        return [value[0] + by_s, str(float(value[1]) + by_s)]  # time(), the only scalar that is asked for
    if key in ("lastEvaluation", "activeAt") and isinstance(value, str):
        return _INSTANT.sub(lambda match: _later(match[0], by_s), value)
    return shifted(value, by_s)


def _later(written: str, by_s: float) -> str:
    match = _INSTANT.fullmatch(written)
    assert match is not None
    if written.startswith("0001-"):
        return written
    base = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).astimezone(UTC)
    nanos = int((match[2] or ".0")[1:10].ljust(9, "0"))
    moved = base + timedelta(seconds=int(by_s))
    return f"{moved:%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, which is its own authority, and its key."""
    cert, key = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


@contextmanager
def proxied(proxy: Proxy, tls: tuple[Path, Path] | None = None) -> Iterator[Proxy]:
    """The proxy on a free port of loopback, with TLS where a certificate and a key are given."""

    class Answers(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = proxy.answer(self.path, dict(self.headers.items()))
            self.answer(body, status, "text/plain", headers)

    with serving(Answers, tls) as server:
        proxy.scheme, proxy.port = "https" if tls else "http", server.server_port
        yield proxy
