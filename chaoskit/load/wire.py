"""Locust's own wire between a master and the workers of other machines, closed to all who do not know the token.

    token ──> two key pairs, the master's and the workers'     both ends make both, so no key travels
    ROUTER, DEALER of Locust's rpc, with CurveZMQ              libzmq proves who speaks, encrypts, refuses replays

The handshake comes before any message: a peer without the token fetches no locustfile, is no worker, counts nothing and
ends nothing; a worker obeys no master without it. All who know the token are trusted. The messages are Locust's: those
of its runners pass through to them, and one more kind, `LINE`, holds a line of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Any

import gevent
import zmq.green as zmq
from gevent.queue import Queue
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message
from zmq.utils import z85

from chaoskit.errors import BadInput

LINE = "chaoskit"
"""The type of Locust's message that holds a line of ours."""
FILE = "locustfile"
"""The type by which Locust's master answers a worker that asks for the locustfile."""
_DOMAIN = b"chaoskit"
_ZAP = "inproc://zeromq.zap.01"
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_MOST_BYTES = 64 * 2**20
_HANDSHAKE_MS = 5000
_LINGER_MS = 3000
_AGAIN_S = 0.05


def keys(token: str, whose: str) -> tuple[bytes, bytes]:
    """The public and the secret key of `master` or `worker`, as libzmq has them; raises BadInput where it has none."""
    if not zmq.has("curve"):
        raise BadInput("load: this libzmq was built without CURVE (install pyzmq from a wheel)")
    secret = z85.encode(hmac.new(token.encode(), f"chaoskit load {whose}".encode(), hashlib.sha256).digest())
    return zmq.curve_public(secret), secret


class _Wire(zmqrpc.BaseSocket):
    """One end. Its `mine` are lines of ours that came; what Locust's runner is to have is in `locusts`."""

    def __init__(self, kind: int, host: str, port: int, token: str, own: str) -> None:
        super().__init__(kind, self.ipv4_only(host, port))  # type: ignore[no-untyped-call]
        public, secret = keys(token, own)
        for option, value in (
            (zmq.CURVE_PUBLICKEY, public), (zmq.CURVE_SECRETKEY, secret), (zmq.MAXMSGSIZE, _MOST_BYTES),
            (zmq.HANDSHAKE_IVL, _HANDSHAKE_MS), (zmq.LINGER, _LINGER_MS),
        ):  # fmt: skip
            self.socket.setsockopt(option, value)
        self.locusts: Queue = Queue()

    def close(self, linger: int | None = None) -> None:
        """Nothing: the wire outlives Locust's runner."""


class Server(_Wire):
    """The master's end of the connection to its workers, in place of Locust's `rpc.Server`."""

    def __init__(self, bind: str, port: int, token: str) -> None:
        """Listens at the address; raises zmq.ZMQError where that cannot be."""
        super().__init__(zmq.ROUTER, bind, port, token, "master")
        self.refused = 0
        """Connections that were not let in."""
        self.socket.setsockopt(zmq.CURVE_SERVER, 1)
        self.socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._zap = self.socket.context.socket(zmq.REP)
        self._zap.bind(_ZAP)
        gevent.spawn(self._count, self.socket.get_monitor_socket(_FAILED))
        gevent.spawn(self._admit, z85.decode(keys(token, "worker")[0]))
        self.socket.bind(f"tcp://{_host(bind)}:{port}")

    def _admit(self, worker: bytes) -> None:
        """Answers libzmq's question (ZAP, RFC 27) whether a peer may come in: only with the workers' own key."""
        while True:
            version, number, _, _, _, mechanism, *keys_told = self._zap.recv_multipart()
            good = mechanism == b"CURVE" and len(keys_told) == 1 and hmac.compare_digest(keys_told[0], worker)
            status, text = (b"200", b"OK") if good else (b"400", b"unknown key")
            self._zap.send_multipart([version, number, status, text, b"", b""])

    def _count(self, monitor: Any) -> None:
        while monitor.recv_multipart():
            self.refused += 1

    def send_to_client(self, msg: Message) -> bool:
        """Sends a message to a worker; False where it is no longer connected. A worker that is blocked misses it."""
        try:
            self.socket.send_multipart([msg.node_id.encode(), msg.serialize()], zmq.NOBLOCK)  # type: ignore[no-untyped-call]
        except zmq.ZMQError as error:
            return bool(error.errno != zmq.EHOSTUNREACH)
        return True

    def recv_from_client(self) -> tuple[str, Message]:
        """The next message for Locust's master, with its sender; waits for one."""
        found: tuple[str, Message] = self.locusts.get()
        return found

    def listen(self, take: Callable[[str, Message], None]) -> None:
        """Gives each of Locust's messages with its sender to `take`, for ever; passes over anything else."""
        while True:
            try:
                sender, packet = self.socket.recv_multipart()
                message = Message.unserialize(packet)  # type: ignore[no-untyped-call]
                message.node_id = sender.decode()  # not what the message says of itself
                take(message.node_id, message)
            except Exception as error:  # of a peer that knows the token and speaks another language
                logging.warning("the master passed over a message of a worker: %r", error)
                gevent.sleep(_AGAIN_S)  # awaits nothing: a peer that goes on so does not fill the log


class Client(_Wire):
    """A worker's end of the connection to its master, in place of Locust's `rpc.Client`."""

    def __init__(self, host: str, port: int, token: str, identity: str) -> None:
        super().__init__(zmq.DEALER, host, port, token, "worker")
        self.identity = identity
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a master that is not there
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, keys(token, "master")[0])
        self.socket.connect(f"tcp://{_host(host)}:{port}")

    def send(self, msg: Message, within_s: float = 0.0) -> bool:
        """Sends the message; False where there is no master for so long."""
        packet = Message(msg.type, msg.data, self.identity).serialize()  # type: ignore[no-untyped-call]
        while True:
            try:
                self.socket.send(packet, zmq.NOBLOCK)
            except zmq.ZMQError:
                if within_s <= 0:
                    return False
                within_s -= _AGAIN_S
                gevent.sleep(_AGAIN_S)  # zmq.green says of itself that it may miss when a socket takes messages again
            else:
                return True

    def recv(self) -> Message:
        """The next message for Locust's worker; waits for one."""
        found: Message = self.locusts.get()
        return found

    def listen(self, take: Callable[[Message], None]) -> None:
        """From now on gives each message of the master to `take`; returns at once."""
        self._listening = gevent.spawn(self._hear, take)

    def _hear(self, take: Callable[[Message], None]) -> None:
        while True:
            take(Message.unserialize(self.socket.recv()))  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Sends what is still to be sent, for a few seconds."""
        self._listening.kill()
        context: Any = self.socket.context
        self.socket.close()
        context.term()


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
