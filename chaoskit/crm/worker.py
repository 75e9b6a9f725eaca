"""A worker process: takes tasks from the queue, one at a time, and tells its supervisor that it lives.

The heart beats on a thread of its own, so a long task is no silence; a stopped process stops all its threads. A
worker takes no task before its third heartbeat: a replacement that is stopped before its first holds neither a
lease nor a lock.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import sqlite3
import struct
import time
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from chaoskit.crm import physics
from chaoskit.crm.database import Database, Measured, add_lead, score_lead
from chaoskit.crm.health import heartbeat_s
from chaoskit.crm.queue import Message, Queue, why_poison
from chaoskit.crm.wiring import HOST, Wiring

BEAT = struct.Struct("d")
"""A heartbeat on the pipe: the sender's monotonic clock in seconds."""
_CALL_MARGIN_S = 5.0


class GivenUp(Exception):
    """A message failed for good: no other attempt is made unless the dead letter is replayed."""


class Worker:
    """Takes messages and settles them; calls to the upstream go through the API's gateway, on a kept connection.

    A payload that no attempt can digest is dead at once, and so is a call that the gateway's retries could not save;
    a locked database is tried again.
    """

    def __init__(self, wiring: Wiring) -> None:
        config = wiring.config
        self._clock = config.clock
        self._bell = wiring.bell.read
        self._poll_s = max(config.clock.real_s(physics.QUEUE_POLL_VS), physics.QUEUE_POLL_FLOOR_S)
        self._emitter = wiring.emitter()
        self._queue = Queue(config, wiring.bell.write)
        self._database = Database(config, self._emitter)
        longest_s = config.clock.real_s(max(physics.AGENTS.values())) + _CALL_MARGIN_S
        self._gateway = http.client.HTTPConnection(HOST, wiring.port("admin"), timeout=longest_s)
        self._headers = {"Authorization": f"Bearer {wiring.token}", "Content-Type": "application/json"}

    def work(self) -> None:
        """Take tasks for ever: at once when the bell rings, otherwise at every poll."""
        while True:
            try:
                while (message := self._queue.take()) is not None:
                    self._handle(message)
            except sqlite3.Error:
                pass  # the queue is locked for longer than we wait; leases and polls take care of the rest
            self._emitter.flush()
            self._rest()

    def _rest(self) -> None:
        """Until the bell rings for this worker, or the next poll: it wakes all of them, and one takes each stroke."""
        until_s = time.monotonic() + self._poll_s
        while select.select([self._bell], [], [], max(0.0, until_s - time.monotonic()))[0]:
            with suppress(BlockingIOError):
                os.read(self._bell, 1)
                return

    def _handle(self, message: Message) -> None:
        try:
            if message.attempts > message.max_attempts:
                raise GivenUp  # the workers that took it for its last attempts died
            self._run(message.kind, message.payload)
        except Exception as error:
            if message.attempts < message.max_attempts and not isinstance(error, GivenUp):
                self._queue.retry(message, physics.TASK_BACKOFF_VS * message.attempts)
            elif self._queue.bury(message) and message.replay:
                self._emitter.inc("insa_dlq_replays_total", "failure")
        else:
            if self._queue.finish(message) and message.replay:
                self._emitter.inc("insa_dlq_replays_total", "success")
        self._emitter.flush()

    def _run(self, kind: str, payload: dict[str, Any]) -> None:
        """Do a task; raises GivenUp, or anything else for what is worth another attempt."""
        if why_poison(kind, payload):
            raise GivenUp
        match kind:
            case "follow-up":
                lead_id = payload["lead_id"]
                with Measured(self._database, "update") as measured:
                    measured.run(score_lead(lead_id, float(lead_id * 37 % 100)))
            case "import-record":
                with Measured(self._database, "insert") as measured:
                    measured.run(add_lead(payload["record"]["name"], payload["record"]["email"]))
            case "campaign":
                Event().wait(self._clock.real_s(payload["recipients"] * physics.MAIL_PACE_VS))
            case "agent-task":
                self._call(payload)

    def _call(self, payload: dict[str, Any]) -> None:
        try:
            self._gateway.request("POST", "/upstream", json.dumps(payload), self._headers)
            response = self._gateway.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self._gateway.close()
            raise GivenUp from None
        if response.status >= 400:
            raise GivenUp


def _beat(fd: int, interval_s: float, warm: Event) -> None:
    """Beat for ever; the first time after one full interval. Set `warm` after the third."""
    beats, pause = 0, Event()
    while True:
        pause.wait(interval_s)
        with suppress(BlockingIOError):
            os.write(fd, BEAT.pack(time.monotonic()))
        beats += 1
        if beats == physics.HEALTHY_AFTER_BEATS:
            warm.set()


def run(wiring: Wiring, beats: int) -> None:
    """Take messages off the queue and handle them, until killed."""
    warm = Event()
    interval_s = heartbeat_s(wiring.config.clock)
    Thread(target=_beat, args=(beats, interval_s, warm), daemon=True, name="heart").start()
    warm.wait()
    Worker(wiring).work()
