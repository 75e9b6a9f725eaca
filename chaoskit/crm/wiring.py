"""What all processes of a CRM share: its configuration, its listening sockets, and two pipes.

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
    """`bell` wakes idle workers: whoever queues a message writes a byte."""

    config: Config
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


def open_wiring(config: Config, token: str) -> Wiring:
    """Bind every port and open the pipes; raises BadInput naming each port that is taken."""
    sockets: dict[str, socket.socket] = {}
    problems = []
    for name in config.ports.__struct_fields__:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port: int = getattr(config.ports, name)
        try:
            listener.bind((HOST, port))
            listener.listen(512)
        except OSError as error:
            hint = f"choose another 'ports.{name}', or 0 for a free one"
            problems.append(Problem(None, f"port {port} for {name}: {error.strerror}", hint))
        sockets[name] = listener
    if problems:
        raise BadInput(problems)
    return Wiring(config, token, sockets, Pipe.open(), Pipe.open(), metrics(config.worker_names, config.environment))
