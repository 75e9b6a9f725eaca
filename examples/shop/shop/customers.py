"""The traffic that a staging system has of its own: two orders a second, whether or not the last one was answered."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from shop import settings

_EVERY_S = 0.5


def order() -> None:
    """One order; a customer who gets no answer goes away."""
    with contextlib.suppress(requests.RequestException):
        requests.post(f"http://{settings.HOST}:{settings.API_PORT}/orders", timeout=8)


def main() -> None:
    """Orders until a signal ends it."""
    due = time.monotonic()
    with ThreadPoolExecutor(40) as customers:
        while True:
            customers.submit(order)
            due = max(due + _EVERY_S, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))  # orders come at a fixed rate


if __name__ == "__main__":
    main()
