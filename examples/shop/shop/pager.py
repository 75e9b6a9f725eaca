"""The pager: takes Alertmanager's webhook, and shows on a page what it told the person on call, and when."""

from __future__ import annotations

import json
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shop import settings

_told: deque[str] = deque(maxlen=500)


class Pager(BaseHTTPRequestHandler):
    """POST takes a notification, GET shows the pages sent, one a line."""

    def do_POST(self) -> None:
        """One page for each notification, with its alerts and their labels."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in told["alerts"]:
            labels = " ".join(f"{key}={value}" for key, value in sorted(alert["labels"].items()))
            _told.append(f"{time.time():.3f} {alert['status'].upper()} {labels}\n")
        self._answer("")

    def do_GET(self) -> None:
        """The pages sent, the oldest first."""
        self._answer("".join(_told))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer((settings.HOST, settings.PAGER_PORT), Pager).serve_forever()
