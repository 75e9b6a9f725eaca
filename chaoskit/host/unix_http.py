"""HTTP over a Unix socket, which the kernel's file permissions guard."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server that listens on a socket's file."""

    def __init__(self, file: str | Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._file = str(file)

    def connect(self) -> None:
        """Connects over the Unix socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._file)
