"""A server of HTTP that a test plays, in the place of another program: its handler, and a free port of loopback."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

METRICS = "text/plain; version=0.0.4"
"""What Prometheus 3 insists on."""


class Handler(BaseHTTPRequestHandler):
    """Reads a body and answers in one call each, and logs nothing."""

    def read(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(
        self, body: Any = b"", status: int = 200, kind: str = "application/json", more: Mapping[str, str] | None = None
    ) -> None:
        """Bytes and a text are sent as they are, anything else as JSON; `more` are further headers."""
        text = body if isinstance(body, bytes | str) else json.dumps(body)
        content = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(more or {})}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    request_queue_size = 512  # with the usual 5 some of many that connect at once are heard a second later

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(handler: type[Handler], tls: tuple[Path, Path] | None = None) -> Iterator[Server]:
    """On a free port while the block runs; with TLS where a certificate and its key are given."""
    server = Server(("127.0.0.1", 0), handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # a refused handshake
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
