"""The way to the mirror: it is started when Locust's pages are first asked for, and asked over a Unix socket.

It is a child of this process that the kernel ends with it; a pipe tells it so where the kernel does not.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse, Response

from chaoskit.host.process import tied

SOCKET = "locust.sock"
FOLLOWED = "followed.json"
"""In the scratch folder: what the mirror is to show."""
_UP_WITHIN_S = 20.0
_ANSWER_WITHIN_S = 20.0
_PAGES = re.compile(rb"<script(?=[\s>])")
_PASSED = ("content-type", "content-disposition")


class Mirror:
    """Locust's own web UI, as a child that is there once it was asked for."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._told: Mapping[str, Any] = {}
        self.tell({"folder": "", "alive": False, "starting": False, "scenarios": []})

    @property
    def child(self) -> subprocess.Popen[bytes] | None:
        """Its process, while there is one."""
        return self._child

    def tell(self, more: Mapping[str, Any]) -> None:
        """Lets the mirror know what to show: the run's `folder`, whether it is `alive` or `starting`, `scenarios`."""
        if self._told and self._told == {**self._told, **more}:
            return
        self._told = {**self._told, **more}
        fresh = self._scratch / f".{FOLLOWED}"
        fresh.write_text(json.dumps(self._told))
        fresh.replace(self._scratch / FOLLOWED)

    def start(self) -> None:
        """Starts it where it is not there; in the thread that outlives it."""
        if self._child is not None and self._child.poll() is None:
            return
        self._release()
        words = [sys.executable, "-m", "chaoskit.console.mirror", str(self._scratch)]
        with (self._scratch / "locust.log").open("ab") as log:
            self._child = subprocess.Popen(
                tied(words), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, close_fds=True
            )

    def answer(self, method: str, path: str, query: str, nonce: str, body: bytes = b"") -> Response:
        """Its answer to a request; says so where it does not come up or does not answer."""
        file = self._scratch / SOCKET
        end = time.monotonic() + _UP_WITHIN_S
        while True:
            try:
                return self._asked(file, method, path, query, nonce)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end or self._child is None or self._child.poll() is not None:
                    return PlainTextResponse("503: Locust's page does not come up; see locust.log\n", 503)
                time.sleep(0.05)  # a socket that is not there yet announces nothing
            except (OSError, http.client.HTTPException) as error:
                return PlainTextResponse(f"502: Locust's page does not answer: {error}\n", 502)

    def _asked(self, file: Path, method: str, path: str, query: str, nonce: str) -> Response:
        with contextlib.closing(_Unix(file)) as connection:
            connection.request(method, f"/locust/{path}" + (f"?{query}" if query else ""), headers={"Host": "mirror"})
            answer = connection.getresponse()
            content = answer.read()
            headers = {name: value for name in _PASSED if (value := answer.getheader(name))}
            if headers.get("content-type", "").startswith("text/html"):
                content = _with_nonce(content, nonce, bands=not path)
            return Response(content, answer.status, headers)

    def end(self) -> None:
        """Ends it, and waits for that."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait(5)
        self._child = child
        self._release()

    def _release(self) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
        self._child = None
        (self._scratch / SOCKET).unlink(missing_ok=True)


class _Unix(http.client.HTTPConnection):
    def __init__(self, file: Path) -> None:
        super().__init__("mirror", timeout=_ANSWER_WITHIN_S)
        self._file = file

    def connect(self) -> None:
        """Over the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._file))


def _with_nonce(content: bytes, nonce: str, *, bands: bool) -> bytes:
    """Locust's page with our leave for its own scripts: those that stand in its template, which come before and right
    behind the one element of its body. The run's own texts in it are JSON in which no `<` is left."""
    leave = b'<script nonce="' + nonce.encode() + b'"'
    found = _PAGES.sub(leave, content)
    own = (Path(__file__).with_name("templates") / "bands.js").read_bytes() if bands else b""
    return found.replace(b"</body>", leave + b">" + own + b"</script></body>") if bands else found
