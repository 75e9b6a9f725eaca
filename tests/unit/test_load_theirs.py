"""Ours in theirs: a locustfile that empties Locust's statistics, passes its context on, or forgets what it asked for,
costs no run its evidence and finds nothing of ours in its hands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaoskit.load.counters import Counters
from chaoskit.load.messages import LoadState, join_totals
from tests.load_examples import Start, Target, adds_up, start, target

__all__ = ["start", "target"]

THEIRS = """
import json
from locust import FastHttpUser, HttpUser, constant, events, task

@events.request.add_listener
def keep(name, context, response, **_):
    with open("{side}", "a") as side:
        side.write(json.dumps({{"name": name, **context}}) + "\\n")

class Fast(FastHttpUser):
    wait_time = constant(0.05)

    def context(self):
        return {{"who": "fast"}}

    @task
    def look(self):
        self.client.get("/look", context={{"step": 1}})
        self.environment.stats.reset_all()

    @task
    def forget(self):
        self.client.get("/forgot", name="forgot", catch_response=True)

    @task
    def later(self):
        first = self.client.get("/later", name="later", catch_response=True)
        with self.client.get("/later", name="later", catch_response=True) as second, first:
            second.failure("no good")

class Slow(HttpUser):
    wait_time = constant(0.05)

    @task
    def forget(self):
        self.client.get("/forgot", name="forgot", catch_response=True)

    @task
    def look(self):
        self.client.get("/look")
        self.environment.runner.stats.clear_all()
"""


def test_what_a_locustfile_does_to_locust_costs_no_run_its_evidence(
    start: Start, target: Target, tmp_path: Path
) -> None:
    """Statistics emptied at every second request, listeners that take the whole context, answers thrown away
    unreported and others reported in another order: each request is counted once, with its own outcome."""
    own, side = tmp_path / "own.py", tmp_path / "side.jsonl"
    own.write_text(THEIRS.format(side=side))
    load, heard = start(users=6, locustfile=str(own))
    heard.wait(lambda windows: sum(window.finished for window in windows) > 200)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.in_flight == 0
    assert totals.finished == sum(target.counts().values())
    assert totals.unreported == {"GET forgot": totals.by_name["GET forgot"].finished}
    assert totals.locust_requests == totals.finished - totals.unreported["GET forgot"]
    assert totals.failed == totals.by_name["GET later"].failed == totals.by_name["GET later"].finished / 2 > 0
    told = [json.loads(line) for line in side.read_text().splitlines()]
    assert {frozenset(one.items()) for one in told if one["name"] == "/look"} == {
        frozenset({"name": "/look", "who": "fast", "step": 1}.items()),
        frozenset({"name": "/look"}.items()),
    }
    assert len(told) == totals.locust_requests


def test_an_answer_that_is_never_reported_is_finished_and_named_wherever_it_was_thrown_away() -> None:
    counters = Counters(1000.0)
    gone, kept, _ = (counters.begin(1000.1, name) for name in ("gone", "kept", "waiting"))
    for ticket in (gone, kept):
        ticket.answered, ticket.took_ms = True, 5.0
    counters.throw_away(1000.2, gone)
    (window,) = counters.roll(1001.0, level=lambda _: 1.0, cpu_s=0.0)
    assert (window.finished, window.in_flight) == (1, 2)
    counters.settle(1001.5)
    counters.roll(1001.5, level=lambda _: 1.0, cpu_s=0.0, end=True)
    totals = counters.totals(locust_requests=0, locust_failures=0)
    assert (totals.finished, totals.in_flight, totals.unreported) == (2, 1, {"gone": 1, "kept": 1})
    assert totals.p50_ms == pytest.approx(5.0, rel=0.02)
    assert totals.reconciled
    assert not counters.totals(locust_requests=1, locust_failures=0).reconciled


def test_totals_of_several_processes_name_all_that_was_never_reported() -> None:
    parts = []
    for name in ("a", "b"):
        counters = Counters(1000.0)
        ticket = counters.begin(1000.1, name)
        ticket.answered = True
        counters.settle(1000.2)
        counters.roll(1000.5, level=lambda _: 1.0, cpu_s=0.0, end=True)
        parts.append(counters.totals(locust_requests=0, locust_failures=0))
    joined = join_totals(parts)
    assert joined.unreported == {"a": 1, "b": 1}
    assert joined.event().unreported == joined.unreported


HARD = """
import subprocess, sys
import gevent
from locust import FastHttpUser, constant, events, task
from locust.exception import RescheduleTask

events.request.add_listener(lambda exception=None, **_: again() if exception else None)

def again():
    raise RescheduleTask

class Hard(FastHttpUser):
    wait_time = constant(0.1)
    @task
    def fails(self):
        subprocess.run(["cat"], check=True)
        assert sys.stdin.read() == ""
        self.environment.stats.log_request("CUSTOM", "own", 12, 0)
        self.environment.stats.log_error("CUSTOM", "own", "bad")
        self.environment.events.request.fire(
            request_type="WS", name="huge", response_time=10**400, response_length=0, exception=None, context={}
        )
        self.client.get("/fail")
        self.client.get("/never")
"""


def test_a_request_counts_whatever_their_listeners_make_of_it(start: Start, target: Target) -> None:
    """One that begins the task anew keeps Locust's and our own from no outcome; what is written into the statistics
    without an event costs nothing; and whatever reads standard input takes none of our commands."""
    load, heard = start(users=2, own=HARD)
    heard.wait(lambda windows: sum(window.failed for window in windows) > 4)
    totals = load.stop()
    assert totals.reconciled, totals.detail
    failed = totals.by_name["GET /fail"]
    assert failed.failed == failed.finished == target.counts()["/fail"] == totals.failed
    assert totals.by_name["WS huge"].finished >= failed.finished
    assert set(totals.by_name) == {"GET /fail", "WS huge"}
    assert totals.odd["CUSTOM own: log_request without an event, not counted here"] >= failed.finished


EXITS = """
import sys
from locust import FastHttpUser, constant, task
class Gives(FastHttpUser):
    wait_time = constant(0.05)
    @task
    def up(self):
        self.client.get("/look")
        sys.exit({code})
"""


@pytest.mark.parametrize(("code", "exit_code"), [("260", 4), ("True", 1)])
def test_an_exit_in_a_task_ends_the_load_with_its_place_and_code(
    start: Start, target: Target, code: str, exit_code: int
) -> None:
    """As it ends a Locust; but what was counted until then is told, and no process dies with a traceback."""
    load, heard = start(own=EXITS.format(code=code), users=2)
    heard.wait(lambda states: states[-1].state == "ended", LoadState)
    totals = load.stop()
    assert load.ended == f"the locustfile ended the load: SystemExit: {code} (own.py:9)"
    assert totals.reconciled, totals.detail
    assert totals.exit_code == exit_code
    assert totals.finished == target.counts()["/look"] > 0
