"""Locust's own count of requests, whole even where its statistics are emptied or cannot take a value.

A locustfile may call `stats.reset_all()` after its warm-up, Locust does it itself where it is told to, and forgets in
`test_start` what was asked for earlier. The counts that such a call throws away are added up here; so is an event with
a value at which Locust's own listener raises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from chaoskit.load.tracking import UNTOLD, failure_of
from chaoskit.printable import plain


class LocustCount:
    """Requests and failures that Locust counted since this was made."""

    def __init__(self, environment: Environment, note_odd: Callable[[str], None]) -> None:
        """`note_odd` hears what is wrong with an event that Locust does not take."""
        self._stats = environment.stats
        self._note_odd = note_odd
        self._log_request, self._log_error = self._stats.log_request, self._stats.log_error
        _take_off_listener(environment.events.request)
        self._emptied = (-self._stats.total.num_requests, -self._stats.total.num_failures)
        entry: Any = StatsEntry
        stats: Any = RequestStats
        reset, clear = entry.reset, stats.clear_all

        @functools.wraps(reset)
        def resetting(self_: Any) -> None:
            self._keep(self_)
            reset(self_)

        @functools.wraps(clear)
        def clearing(self_: Any) -> None:
            self._keep(self_.total)
            clear(self_)

        entry.reset, stats.clear_all = resetting, clearing
        self._leave_out("log_request", (1, 0))
        self._leave_out("log_error", (0, 1))
        self._sent = self._received = (0, 0)
        events: Any = environment.events
        events.report_to_master.add_listener(self._send)
        events.worker_report.add_listener(self._receive)

    @property
    def own(self) -> tuple[int, int]:
        """Requests that were made in this process, and those of them that failed."""
        return _minus(self._both, self._received)

    @property
    def told(self) -> tuple[int, int]:
        """This process's share of Locust's count, which the master adds up to the count of the whole load."""
        return _minus(self._both, self._sent)

    @property
    def _both(self) -> tuple[int, int]:
        """Requests, and those of them that failed."""
        total = self._stats.total
        return self._emptied[0] + total.num_requests, self._emptied[1] + total.num_failures

    def count(
        self, request_type: Any, name: Any, response_time: Any, response_length: Any, exception: Any = None
    ) -> None:
        """Does what the runner's listener does with an event; raises nothing."""
        total = self._stats.total
        requests, failures = total.num_requests, total.num_failures
        try:
            if response_length is UNTOLD or response_time is UNTOLD or name is UNTOLD or request_type is UNTOLD:
                raise TypeError("the request event lacks a required field")
            self._log_request(request_type, name, response_time, response_length)
            if exception:
                self._log_error(request_type, name, exception)
        except Exception as error:
            failed = failure_of(exception) is not None
            self._emptied = (
                self._emptied[0] + 1 - (total.num_requests - requests),
                self._emptied[1] + failed - (total.num_failures - failures),
            )
            said = f"Locust's own statistics raise {type(error).__name__}: {plain(error, 80)}"
            self._note_odd(f"{plain(request_type, 20)} {plain(name)}: {said}")

    def _leave_out(self, name: str, one: tuple[int, int]) -> None:
        """Names, and does not compare, entries that a locustfile itself writes into the statistics without an event."""
        log = getattr(self._stats, name)

        @functools.wraps(log)
        def logging(method: object, entry: object, *more: Any) -> None:
            log(method, entry, *more)
            self._emptied = _minus(self._emptied, one)
            self._note_odd(f"{plain(method, 20)} {plain(entry)}: {name} without an event, not counted here")

        setattr(self._stats, name, logging)

    def _keep(self, entry: StatsEntry) -> None:
        if entry is self._stats.total:
            self._emptied = self._both

    def _send(self, data: dict[str, Any], **_: Any) -> None:
        self._sent = _plus(self._sent, data)

    def _receive(self, data: dict[str, Any], **_: Any) -> None:
        self._received = _plus(self._received, data)


def _take_off_listener(event: Any) -> None:
    places = [n for n, one in enumerate(event._handlers) if one.__qualname__.startswith("Runner.__init__")]
    if not places:
        raise RuntimeError("this Locust counts its requests in a way that chaoskit does not know; install Locust 2.47")
    del event._handlers[places[0]]


def _minus(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] - other[0], one[1] - other[1]


def _plus(one: tuple[int, int], report: dict[str, Any]) -> tuple[int, int]:
    total = report["stats_total"]
    return one[0] + total["num_requests"], one[1] + total["num_failures"]
