"""The things that all processes of a CRM share: its configuration, its listening sockets, and two pipes.

Everything is opened by the supervisor before the first fork and inherited, so a restarted process finds its port,
the metrics pipe and the workers' bell where its predecessor left them.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from chaoskit.crm.config import Config
from chaoskit.crm.contract import Metric, metrics
from chaoskit.crm.emit import Emitter
from chaoskit.errors import BadInput, Problem

HOST = "127.0.0.1"
_LISTENERS = ("api", "metrics", "admin", "proxy", "proxy_admin")


@dataclass(frozen=True, slots=True)
class Pipe:
    """Both ends of a pipe, as file descriptors."""

    read: int
    write: int

    @staticmethod
    def open() -> Pipe:
        """A new pipe whose ends do not block."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        return Pipe(read, write)


@dataclass(frozen=True, slots=True)
class Wiring:
    """`slice` marks the processes, `bell` wakes idle workers: a byte is written when a message is queued."""

    config: Config
    slice: str
    token: str
    sockets: dict[str, socket.socket]
    metrics_pipe: Pipe
    bell: Pipe
    contract: tuple[Metric, ...]

    def port(self, name: str) -> int:
        """The port that a listener got."""
        return int(self.sockets[name].getsockname()[1])

    def emitter(self) -> Emitter:
        """A new emitter for the calling process."""
        return Emitter(self.metrics_pipe.write, self.contract)


def open_wiring(config: Config, mark: str, token: str) -> Wiring:
    """Bind every port and open the pipes; raises BadInput when the port for the metrics is taken."""
    sockets = {}
    for name in _LISTENERS:
        port = config.metrics_port if name == "metrics" else 0
        try:
            sockets[name] = socket.create_server((HOST, port), backlog=512)
        except OSError as error:
            hint = "choose another 'metrics_port', or 0 for a free one"
            raise BadInput(Problem(None, f"port {port} for {name}: {error.strerror}", hint)) from None
    contract = metrics(config.worker_names, config.environment)
    return Wiring(config, mark, token, sockets, Pipe.open(), Pipe.open(), contract)
