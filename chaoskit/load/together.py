"""A locustfile in several processes: Locust's own master and workers, which share out the users and nothing else.

Their messages go through a socket in a folder of this load alone, so no port is opened. Counts, windows, ends and
deaths go through our pipes; so the master ends no worker, forgets none, and gives its users to no other, and nothing
of Locust's goes by the machine's clock.

Runs in the child only: it imports Locust.
"""

from __future__ import annotations

import math
import os
from typing import Any

import gevent
import zmq.green as zmq
from locust import runners
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message

from chaoskit.load.messages import Together
from chaoskit.load.own_users import OwnUsers
from chaoskit.load.traffic import Situation

_CONNECT_S = 600.0
"""How long a worker waits for a master that is still importing the file; the parent is less patient."""
_LAST_WORDS_S = 3.0
"""How much later than the drain a worker's last report may come."""
_LOOK_S = 0.02
_TIME_OUTS = ("HEARTBEAT_LIVENESS", "MASTER_HEARTBEAT_TIMEOUT", "CONNECT_TIMEOUT")


class MasterRunner(runners.MasterRunner):
    """Locust's, under its name. What it would say to end a worker is said by our pipes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.done: set[str] = set()
        """Workers whose last report has come."""
        super().__init__(*args, **kwargs)

    def handle_message(self, client_id: str, msg: Message) -> None:
        if msg.type == "quit":
            self.done.add(client_id)
        else:
            super().handle_message(client_id, msg)

    def stop(self, send_stop_to_client: bool = False) -> None:
        super().stop(send_stop_to_client=False)

    def quit(self) -> None:
        self.stop()


class WorkerRunner(runners.WorkerRunner):
    """Locust's, under its name. Jobs come in order, whatever time the master's clock said they were sent."""

    last_received_spawn_timestamp = property(lambda self: -math.inf, lambda self, sent_at: None)


class Worker(OwnUsers):
    """The users of one process, as many as the master says."""

    def __init__(self, at: Situation, together: Together) -> None:
        _meet_in(together.folder)
        super().__init__(at, WorkerRunner, processes=together.workers, worker=True)

    def begin(self) -> None:
        pass

    def settle(self) -> None:
        self._runner._send_stats()
        self._runner.client.send(Message("quit", None, self._runner.client_id))  # type: ignore[no-untyped-call]


class Master(OwnUsers):
    """No users of its own: says to the workers how many each has."""

    users = 0

    def __init__(self, at: Situation, together: Together) -> None:
        _meet_in(together.folder)
        self._workers = workers = together.workers
        super().__init__(at, MasterRunner, processes=workers, master=True, expect_workers=workers)
        while len(self._runner.clients) < workers:
            gevent.sleep(_LOOK_S)

    def _ask(self, users: int, spawn_rate: float) -> None:
        # A master's start returns when the last user is there; a level that changes meanwhile takes its place.
        if self._asking is not None:
            self._asking.kill()
        self._asking = gevent.spawn(self._runner.start, users, spawn_rate)

    def settle(self) -> None:
        while len(self._runner.done) < self._workers and self._at.left_s > -_LAST_WORDS_S:
            gevent.sleep(_LOOK_S)


def _meet_in(folder: str) -> None:
    """Puts Locust's messages on a socket there, and takes its time-outs away."""
    # A socket's name has 107 bytes at most; this one is short however deep the folder lies.
    address = f"ipc:///proc/self/fd/{os.open(folder, os.O_RDONLY)}/locust"

    class Server(zmqrpc.BaseSocket):
        def __init__(self, *_host_and_port: Any) -> None:
            super().__init__(zmq.ROUTER, True)  # type: ignore[no-untyped-call]
            self.socket.bind(address)

    class Client(zmqrpc.BaseSocket):
        def __init__(self, _host: str, _port: int, identity: str) -> None:
            super().__init__(zmq.DEALER, True)  # type: ignore[no-untyped-call]
            self.socket.setsockopt(zmq.IDENTITY, identity.encode())
            self.socket.connect(address)

    rpc: Any = zmqrpc
    rpc.Server, rpc.Client = Server, Client
    theirs: Any = runners
    if not all(hasattr(theirs, name) for name in _TIME_OUTS):
        raise RuntimeError("this Locust has time-outs that are not known here; install 2.47")
    theirs.HEARTBEAT_LIVENESS = theirs.MASTER_HEARTBEAT_TIMEOUT = math.inf
    theirs.CONNECT_TIMEOUT = _CONNECT_S
