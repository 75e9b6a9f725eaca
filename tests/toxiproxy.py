"""A Toxiproxy for tests: the part of its documented API (2.x) that is used, and connections that pass through it.

It refuses as the real one does: an unknown proxy or toxic (404), a name taken (409), an unknown type or stream (400), a
browser's User-Agent (403).
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.http_stub import Handler, serving

TYPES = {"latency": ("latency", "jitter"), "timeout": ("timeout",), "reset_peer": ("timeout",), "bandwidth": ("rate",)}


@dataclass
class Toxiproxy:
    """One proxy before one server, which answers each connection with `pong`."""

    url: str = ""
    listen: str = ""
    enabled: bool = True
    blunt: bool = False
    """Lists toxics and lets every connection pass them by."""
    toxics: dict[str, dict[str, Any]] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def address(self) -> tuple[str, int]:
        """Where connections go in."""
        host, _, port = self.listen.partition(":")
        return host, int(port)

    def answer(self, method: str, path: str, body: Any, agent: str) -> tuple[int, Any]:
        """Status and body, as documented."""
        if agent.startswith("Mozilla/"):
            return 403, {"error": "User agent not allowed", "status": 403}
        words = path.strip("/").split("/")
        if words[:2] != ["proxies", "db"]:
            return 404, {"error": "proxy not found", "status": 404}
        match method, words[2:]:
            case "GET", []:
                shown = {"name": "db", "listen": self.listen, "upstream": "x:1", "enabled": self.enabled}
                return 200, {**shown, "toxics": list(self.toxics.values())}
            case "POST", ["toxics"]:
                return self._add(body)
            case _, ["toxics", name] if name not in self.toxics:
                return 404, {"error": "toxic not found", "status": 404}
            case "GET", ["toxics", name]:
                return 200, self.toxics[name]
            case "POST", ["toxics", name]:
                self.toxics[name] |= {key: body[key] for key in ("attributes", "toxicity") if key in body}
                return 200, self.toxics[name]
            case "DELETE", ["toxics", name]:
                del self.toxics[name]
                return 204, None
        return 405, {"error": "method not allowed", "status": 405}

    def _add(self, body: dict[str, Any]) -> tuple[int, Any]:
        kind, stream = body.get("type", ""), body.get("stream", "downstream")
        name = body.get("name") or f"{kind}_{stream}"
        if kind not in TYPES:
            return 400, {"error": "invalid toxic type", "status": 400}
        if stream not in ("upstream", "downstream"):
            return 400, {"error": "stream was invalid, can be either upstream or downstream", "status": 400}
        if name in self.toxics:
            return 409, {"error": "toxic already exists", "status": 409}
        attributes = {key: body.get("attributes", {}).get(key, 0) for key in TYPES[kind]}
        self.toxics[name] = {
            "attributes": attributes,
            "name": name,
            "type": kind,
            "stream": stream,
            "toxicity": body.get("toxicity", 1.0),
        }
        return 200, self.toxics[name]

    def pass_through(self, line: socket.socket) -> None:
        """One connection, with the toxics that hit it."""
        hit = [one for one in self.toxics.values() if not self.blunt and self.chance.random() < one["toxicity"]]
        with line, suppress(OSError):
            if any(one["type"] == "reset_peer" for one in hit):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            line.recv(100)
            if any(one["type"] == "timeout" for one in hit):
                line.settimeout(5)
                line.recv(1)
                return
            for one in hit:
                time.sleep(one["attributes"].get("latency", 0) / 1000)  # the toxic itself
            line.sendall(b"pong\r\n")


@contextmanager
def running() -> Iterator[Toxiproxy]:
    """It, with its API and its proxy's port."""
    one = Toxiproxy()

    class Api(Handler):
        def _do(self) -> None:
            text = self.read()
            given = json.loads(text) if text else None
            status, found = one.answer(self.command, self.path, given, self.headers.get("User-Agent", ""))
            self.answer(b"" if found is None else found, status)

        do_GET = do_POST = do_DELETE = _do

    door = socket.create_server(("127.0.0.1", 0))
    one.listen = f"127.0.0.1:{door.getsockname()[1]}"

    def serve() -> None:
        with suppress(OSError):
            while True:
                line, _ = door.accept()
                threading.Thread(target=one.pass_through, args=(line,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with serving(Api) as api:
            one.url = api.url
            yield one
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(5)
