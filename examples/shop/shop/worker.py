"""A worker of the queue, which says each second that it lives."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

import redis
import rq

from shop import settings


def main(name: str) -> None:
    """Works until a signal ends it."""
    connection = redis.Redis.from_url(settings.REDIS, socket_timeout=None)

    def live() -> None:
        while True:
            try:
                connection.hset(settings.WORKERS_KEY, name, str(time.time()))
            except redis.RedisError as error:
                logging.getLogger(__name__).warning("%s cannot say that it lives: %s", name, error)
            time.sleep(1)  # a sign of life each second is all that this thread is for

    threading.Thread(target=live, daemon=True).start()
    # One that was killed stays registered for a while, so each life has a name of its own.
    worker = rq.SimpleWorker([settings.QUEUE], name=f"{name}-{os.getpid()}", connection=connection)
    worker.work(logging_level="WARNING")


if __name__ == "__main__":
    main(sys.argv[1])
