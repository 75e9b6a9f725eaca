"""via rq: a queue of rq in Redis. Messages are jobs; dead letters are what stands in its registry of failed jobs.

The jobs call `function`, without arguments, or `time.sleep(0.1)` where none is named: any worker can import that. They
carry the fault's id in theirs, a ttl and a failure_ttl. An id whose job has expired still stands in the queue's list
until a worker comes to it, or the undo.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.adapters.base import client
from chaoskit.adapters.queues import QueueAdapter, RedisBroker, message_ids
from chaoskit.faults.queue_batch import Broker, What

_WORK_S = 0.3
"""A job that a worker had in hand when it was deleted may leave something behind for so long."""


@dataclass(frozen=True, kw_only=True)
class Rq(QueueAdapter):
    """A queue of rq."""

    kind: ClassVar[str] = "queue"
    via: ClassVar[str] = "rq"
    needs_extra: ClassVar[tuple[str, ...]] = ("rq", "redis")
    fails_on_demand: ClassVar[bool] = True
    seen_by: ClassVar[str] = "the length of the queue's list; the number of failed jobs"
    ends: ClassVar[str] = "ttl and failure_ttl of the jobs"
    example: ClassVar[str] = "queue: {agent-tasks: {via: rq, url: 'redis://127.0.0.1:6379/0', queue: default}}"

    function: str = ""
    """The function that a job calls, as `shop.jobs.nothing`; it takes no arguments and is done in no time."""

    @classmethod
    def broker(cls, at: Mapping[str, str], lives_s: float) -> Broker:
        return _Rq(at, lives_s)


class _Rq(RedisBroker):
    def __init__(self, at: Mapping[str, str], lives_s: float) -> None:
        super().__init__(at, "rq")
        self._module, self._lives_s = client("rq", "rq"), int(lives_s)
        with self._asking():
            self._queue = self._module.Queue(at["queue"], connection=self._redis)
        self._failed = self._queue.failed_job_registry.key
        self._started = self._queue.started_job_registry.key
        self._replayed: set[str] = set()

    def _waiting(self) -> list[str]:
        return [one.decode() for one in self._redis.lrange(self._queue.key, 0, -1)]

    def _at_work(self) -> set[str]:
        """Of executions, which are called like their job and a number of their own, the jobs."""
        return {one.decode().partition(":")[0] for one in self._redis.zrange(self._started, 0, -1)}

    def _dead(self) -> list[str]:
        return [one.decode() for one in self._redis.zrange(self._failed, 0, -1)]

    def _of(self, batch: str) -> tuple[set[str], set[str]]:
        """The ids of a batch that may still be worked on, and those that are dead letters."""
        keys = self._redis.scan_iter(match=self._module.job.Job.key_for(f"{batch}-*"), count=1000)
        jobs = {key.decode().rpartition(":")[2] for key in keys}
        mine = {one for one in (*self._waiting(), *self._at_work()) if one.startswith(f"{batch}-")}
        dead = {one for one in self._dead() if one.startswith(f"{batch}-")}
        return (jobs | mine) - dead, dead

    def census(self, batch: str | None = None) -> Mapping[str, int]:
        with self._asking():
            if batch is not None:
                alive, dead = self._of(batch)
                return {"depth": len(alive), "dead_letters": len(dead), "replaying": 0}
            replaying = len(self._replayed & {*self._waiting(), *self._at_work()}) if self._replayed else 0
            depth, letters = self._redis.llen(self._queue.key), self._redis.zcard(self._failed)
            return {"depth": depth, "dead_letters": letters, "replaying": replaying}

    def put(self, batch: str, what: What, count: int, *, replayable: bool = True) -> None:
        function, arguments = (self._at.get("function") or "time.sleep"), () if self._at.get("function") else (0.1,)
        if not replayable:
            function, arguments = "builtins.divmod", (1, 0)  # type: ignore[assignment]
        ids = message_ids(batch, count)
        lives = {"ttl": self._lives_s, "failure_ttl": self._lives_s, "result_ttl": 0}
        with self._asking():
            if what == "depth":
                prepare = self._queue.prepare_data
                self._queue.enqueue_many([prepare(function, args=arguments, job_id=one, **lives) for one in ids])
                return
            with self._redis.pipeline() as pipe:
                for one in ids:
                    job = self._module.job.Job.create(
                        function, args=arguments, id=one, connection=self._redis, origin=self._queue.name, **lives
                    )
                    job.save(pipeline=pipe)
                    job.set_status(self._module.job.JobStatus.FAILED, pipeline=pipe)
                    self._queue.failed_job_registry.add(job, ttl=self._lives_s, exc_string="a drill", pipeline=pipe)
                    pipe.expire(job.key, self._lives_s)
                pipe.execute()

    def remove(self, batch: str, count: int | None = None) -> int:
        with self._asking():
            alive, dead = self._of(batch)
            chosen = sorted(alive | dead)[:count]
            at_work = self._at_work() & {*chosen}
            with self._redis.pipeline() as pipe:
                for one in chosen:
                    pipe.lrem(self._queue.key, 0, one)
                    pipe.zrem(self._failed, one)
                    pipe.delete(self._module.job.Job.key_for(one))
                for each in self._redis.zrange(self._started, 0, -1):
                    if each.decode().partition(":")[0] in at_work:
                        pipe.zrem(self._started, each)
                pipe.execute()
        if at_work:
            time.sleep(_WORK_S)  # when its worker is done nothing tells: the job that would is what was deleted
        return len(chosen)

    def replay(self, count: int) -> int:
        with self._asking():
            chosen = self._dead()[:count]
            self._replayed |= {*chosen}
            for one in chosen:
                self._queue.failed_job_registry.requeue(one)
        return len(chosen)
