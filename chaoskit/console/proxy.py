"""The way to the mirror: it is started when Locust's pages are first asked for, and asked over a Unix socket.

It is a child of this process that the kernel ends with it; a pipe tells it so where the kernel does not, and by its
first line it says that it listens.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse, Response

from chaoskit.host.process import Child, spawn
from chaoskit.host.unix_http import UnixConnection

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
        self.child: Child | None = None
        """The mirror's process; None while there is none."""
        self._greeted = threading.Event()
        """Set once the mirror listens, or has ended without."""
        self._told: Mapping[str, Any] = {}
        self.tell({"folder": "", "alive": False, "starting": False, "scenarios": []})

    def tell(self, more: Mapping[str, Any]) -> None:
        """Lets the mirror know what to show: the run's `folder`, whether it is `alive` or `starting`, `scenarios`."""
        if self._told and self._told == {**self._told, **more}:
            return
        self._told = {**self._told, **more}
        fresh = self._scratch / f".{FOLLOWED}"
        fresh.write_text(json.dumps(self._told))
        fresh.replace(self._scratch / FOLLOWED)

    def start(self) -> None:
        """Starts the mirror unless it runs; call this in a thread that lives longer than the mirror."""
        if self.child is not None and self.child.alive:
            return
        self.end()
        words = [sys.executable, "-m", "chaoskit.console.mirror", str(self._scratch)]
        log, greeted = self._scratch / "locust.log", threading.Event()
        child = spawn(words, name="mirror", log=log, talks=True, any_thread=True)
        self.child, self._greeted = child, greeted

        def greet() -> None:
            child.lines.hear()
            greeted.set()

        threading.Thread(target=greet, name="mirror", daemon=True).start()

    def answer(self, method: str, path: str, query: str, nonce: str) -> Response:
        """The mirror's answer to a request; a page that says so where it does not start or answer."""
        self._greeted.wait(_UP_WITHIN_S)
        try:
            return self._asked(method, path, query, nonce)
        except (FileNotFoundError, ConnectionRefusedError):
            return PlainTextResponse("503: Locust's page does not come up; see locust.log\n", 503)
        except (OSError, http.client.HTTPException) as error:
            return PlainTextResponse(f"502: Locust's page does not answer: {error}\n", 502)

    def _asked(self, method: str, path: str, query: str, nonce: str) -> Response:
        with contextlib.closing(UnixConnection(self._scratch / SOCKET, _ANSWER_WITHIN_S)) as connection:
            connection.request(method, f"/locust/{path}" + (f"?{query}" if query else ""), headers={"Host": "mirror"})
            answer = connection.getresponse()
            content = answer.read()
            headers = {name: value for name in _PASSED if (value := answer.getheader(name))}
            if headers.get("content-type", "").startswith("text/html"):
                content = _with_nonce(content, nonce, bands=not path)
            return Response(content, answer.status, headers)

    def end(self) -> None:
        """Ends the mirror, and waits for that; idempotent."""
        child, self.child = self.child, None
        if child is not None:
            child.stop()
        (self._scratch / SOCKET).unlink(missing_ok=True)


def _with_nonce(content: bytes, nonce: str, *, bands: bool) -> bytes:
    """Locust's page with our leave for its own scripts: those that stand in its template, which come before and right
    behind the one element of its body. The run's own texts in it are JSON in which no `<` is left."""
    leave = b'<script nonce="' + nonce.encode() + b'"'
    found = _PAGES.sub(leave, content)
    own = (Path(__file__).with_name("templates") / "bands.js").read_bytes() if bands else b""
    return found.replace(b"</body>", leave + b">" + own + b"</script></body>") if bands else found
