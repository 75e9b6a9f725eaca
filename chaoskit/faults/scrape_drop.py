"""scrape.drop: the page of metrics falls silent: its process is stopped, so scrapes connect and time out.

A failed scrape marks all series of the target stale at once, so rules on them see nothing: what fires, if anything,
is an alert on the scrape itself.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from chaoskit.faults.base import FaultError, Seen, Settings, Target, Undo
from chaoskit.faults.process_pause import ProcessPause

_SILENCE_S = 0.3


class ScrapeDrop(ProcessPause):
    """Stops the process that serves the metrics, and hears its silence."""

    kind = "scrape.drop"
    handles = ("scrape",)

    def prepare(self, target: Target, settings: Settings) -> Undo:
        """Finds the process behind the page; raises FaultError where there is none."""
        return {**super().prepare(target, settings), "url": target.address.url}

    def start(self, undo: Undo) -> Seen:
        """Stops it and asks for the page, which must not come."""
        seen = super().start(undo)
        if _answers(undo["url"]):
            raise FaultError(f"its process is stopped, and {undo['url']} still answers")
        return Seen(seen.between, f"{seen.detail}; {undo['url']} is silent")


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SILENCE_S) as line:
            line.sendall(f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
            return bool(line.recv(1))
    except OSError:
        return False
