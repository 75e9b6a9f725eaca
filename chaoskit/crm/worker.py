"""A worker process: takes tasks from the queue, one at a time, and tells its supervisor that it lives.

The heart beats on a thread of its own, so a long task is no silence; a stopped process stops all its threads. A
worker takes no task before its third heartbeat: whoever stops a replacement before its first knows that it holds
neither a lease nor a lock.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import struct
import threading
import time
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from chaoskit.crm import physics
from chaoskit.crm.database import Database, Measured
from chaoskit.crm.emit import Emitter
from chaoskit.crm.health import heartbeat_s
from chaoskit.crm.queue import Message, Queue
from chaoskit.crm.tasks import GivenUp, Poison, Tasks
from chaoskit.crm.wiring import HOST, Wiring

BEAT = struct.Struct("d")
"""A heartbeat on the pipe: the sender's monotonic clock in seconds."""
_CALL_MARGIN_S = 5.0


class Worker:
    """Takes messages and settles them."""

    def __init__(self, wiring: Wiring, name: str) -> None:
        config = wiring.config
        self._name = name
        self._bell = wiring.bell.read
        self._poll_s = max(config.clock.real_s(physics.QUEUE_POLL_VS), physics.QUEUE_POLL_FLOOR_S)
        self._emitter: Emitter = wiring.emitter()
        self._queue = Queue(config, wiring.bell.write)
        database = Database(config, 1)
        call = UpstreamCalls(wiring).call
        self._tasks = Tasks(config.clock, database, lambda op: Measured(config, self._emitter, op), call)

    def work(self) -> None:
        """Take tasks for ever: at once when the bell rings, otherwise at every poll."""
        while True:
            try:
                while (message := self._queue.take(self._name)) is not None:
                    self._handle(message)
            except SQLAlchemyError:
                pass  # the queue is locked for longer than we wait; leases and polls take care of the rest
            self._emitter.flush()
            select.select([self._bell], [], [], self._poll_s)
            with suppress(BlockingIOError):
                os.read(self._bell, 1)

    def _handle(self, message: Message) -> None:
        if message.attempts > message.max_attempts:
            self._bury(message, f"given up after {message.max_attempts} attempts whose worker died", True)
            return
        try:
            self._tasks.run(message)
        except Poison as error:
            self._bury(message, str(error), replayable=False)
        except GivenUp as error:
            self._bury(message, str(error), replayable=True)
        except Exception as error:
            if message.attempts < message.max_attempts:
                self._queue.retry(message, str(error), physics.TASK_BACKOFF_VS * message.attempts)
            else:
                self._bury(message, str(error), replayable=True)
        else:
            if self._queue.finish(message) and message.replay:
                self._emitter.inc("insa_dlq_replays_total", "success")
        self._emitter.flush()

    def _bury(self, message: Message, reason: str, replayable: bool) -> None:
        if self._queue.bury(message, reason, replayable) and message.replay:
            self._emitter.inc("insa_dlq_replays_total", "failure")


class UpstreamCalls:
    """Calls through the API's gateway, on one connection that is kept."""

    def __init__(self, wiring: Wiring) -> None:
        longest_s = wiring.config.clock.real_s(max(physics.AGENTS.values())) + _CALL_MARGIN_S
        self._connection = http.client.HTTPConnection(HOST, wiring.port("admin"), timeout=longest_s)
        self._headers = {"Authorization": f"Bearer {wiring.token}", "Content-Type": "application/json"}

    def call(self, agent: str, lead_id: int) -> None:
        """Call an agent in the background; raises Poison for a 4xx and GivenUp for everything else."""
        body = json.dumps({"agent": agent, "lead_id": lead_id})
        try:
            self._connection.request("POST", "/upstream", body, self._headers)
            response = self._connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise GivenUp(f"the gateway did not answer: {error}") from None
        if 400 <= response.status < 500:
            raise Poison(text)
        if response.status >= 500:
            raise GivenUp(text)


def _beat(fd: int, interval_s: float, warm: threading.Event) -> None:
    """Beat for ever; the first time after one full interval. Set `warm` after the third."""
    beats, pause = 0, threading.Event()
    while True:
        pause.wait(interval_s)
        with suppress(BlockingIOError):
            os.write(fd, BEAT.pack(time.monotonic()))
        beats += 1
        if beats == physics.HEALTHY_AFTER_BEATS:
            warm.set()


def run(wiring: Wiring, name: str, beats: int) -> None:
    """Work until killed."""
    warm = threading.Event()
    interval_s = heartbeat_s(wiring.config.clock)
    threading.Thread(target=_beat, args=(beats, interval_s, warm), daemon=True, name="heart").start()
    warm.wait()
    Worker(wiring, name).work()
