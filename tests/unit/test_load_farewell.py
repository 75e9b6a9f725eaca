"""How users go: what a locustfile does at its end is sent and counted, nothing else is, and what does not end is cut
and named. In the middle of a request nobody is ended, at the end or at a lower level."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.load.messages import LoadState, LoadTotals
from chaoskit.load.theirs import cleans_up, place
from tests.load_examples import Start, Target, adds_up, start, target

__all__ = ["start", "target"]

LEAVING = """
import time
import gevent
from locust import FastHttpUser, HttpUser, TaskSet, constant, events, task

class Base(FastHttpUser):
    abstract = True
    wait_time = constant(0.1)
    def on_start(self):
        self.client.post("/login", data="x")
    def on_stop(self):
        try:
            self.client.get("/logout")
        finally:
            gevent.spawn(self.client.get, "/farewell").join()

class Long(Base):
    @task
    def steps(self):
        for _ in range(1000):
            self.client.post("/create", data="x")
            try:
                for _ in range(3):
                    try:
                        self.client.get("/list")
                    except Exception:
                        pass
                    time.sleep(0.02)
            finally:
                self.client.get("/delete")

class Waits(Base):
    @task
    def look(self):
        self.client.get("/look")

class Sleeps(Base):
    @task
    def doze(self):
        try:
            time.sleep(60)
        finally:
            self.client.get("/woken")

class Nested(HttpUser):
    wait_time = constant(0.1)
    @task
    class Inner(TaskSet):
        @task
        def both(self):
            gevent.joinall([gevent.spawn(self.client.get, "/inner") for _ in range(2)])
        def on_stop(self):
            self.client.get("/inner-left")

@events.test_stop.add_listener
def tidy(environment, **_):
    from locust.clients import HttpSession
    client = HttpSession(environment.host, environment.events.request, None)
    for _ in range(150):
        client.get("/tidy")
"""


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_what_a_locustfile_does_at_its_end_is_sent_and_nothing_else(
    start: Start, target: Target, tmp_path: Path, processes: int
) -> None:
    """`finally:`, on_stop of users and of task sets, and test_stop, in a master too; a thousand steps are not."""
    own = tmp_path / "own.py"
    own.write_text(LEAVING)
    load, heard = start(users=8, locustfile=str(own), drain_s=2.0, processes=processes)
    heard.wait(lambda windows: sum(window.finished for window in windows) > 150)
    before = target.counts()
    totals = load.stop()
    adds_up(heard, totals)
    counts = target.counts()
    assert sum(counts.values()) == totals.finished == totals.started
    assert counts["/create"] == counts["/delete"]
    assert counts["/login"] == counts["/logout"] == counts["/farewell"] == 6
    assert counts["/woken"] == counts["/inner-left"] == 2
    assert counts["/tidy"] == 150 * (1 if processes == 1 else 1 + processes)
    assert counts["/list"] - before["/list"] < 12
    assert totals.cut_short == []
    assert totals.span[1] - heard.events[-2].second[0] < 3


QUITS = """
import time
from locust import FastHttpUser, constant, events, task

class Quits(FastHttpUser):
    wait_time = constant(0.05)
    asked = 0
    def on_stop(self):
        time.sleep(1)
        self.client.get("/logout")
    @task
    def look(self):
        self.client.get("/look")
        Quits.asked += 1
        if Quits.asked == 30:
            self.environment.runner.quit()
"""


@pytest.mark.long
def test_a_locustfile_that_ends_the_load_itself_has_its_end_too(start: Start, target: Target, tmp_path: Path) -> None:
    """An on_stop that takes more than half of the drain before it asks is not disturbed.

    The other four users may each have a look under way when the thirtieth ends the load.
    """
    own = tmp_path / "own.py"
    own.write_text(QUITS)
    _, heard = start(users=5, locustfile=str(own), drain_s=3.0)
    heard.wait(lambda totals: totals, LoadTotals)
    (totals,) = heard.of(LoadTotals)
    adds_up(heard, totals)
    assert "the locustfile ended the load" in heard.of(LoadState)[-1].detail
    counts = target.counts()
    assert counts.pop("/look") in range(30, 35)
    assert counts == {"/logout": 5}
    assert totals.cut_short == []


SWALLOWS = """
import time
from locust import FastHttpUser, constant, events, task

class Stubborn(FastHttpUser):
    wait_time = constant(0)
    @task
    def on_and_on(self):
        while True:
            try:
                self.client.get("/again")
            except:
                pass

@events.test_stop.add_listener
def slow(**_):
    time.sleep(60)
"""


def test_code_that_swallows_its_end_is_bounded_cut_and_named(start: Start, target: Target, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(SWALLOWS)
    load, heard = start(users=2, locustfile=str(own), drain_s=1.0)
    before = time.monotonic()
    totals = load.stop()
    assert time.monotonic() - before < 10
    adds_up(heard, totals)
    refused, caught, listener = sorted(totals.cut_short, key=lambda text: "refused more than 100" not in text)
    assert "a user of Stubborn was refused more than 100 requests at its end in own.py:11 (2 times)" in refused
    assert "a user of Stubborn caught its own end (a bare except?) and still went on" in caught
    assert "was cut off in own.py:11 (2 times)" in caught
    assert "a listener to test_stopping or test_stop had not ended after the drain of 1 s" in listener
    assert "was cut off in own.py:17" in listener


PATIENT = """
from locust import HttpUser, constant, task

class Patient(HttpUser):
    wait_time = constant(0.01)
    @task
    def look(self):
        self.client.get("/drip", timeout=20)
        self.client.get("/after")
"""


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_reducing_users_lets_requests_finish(start: Start, target: Target, tmp_path: Path, processes: int) -> None:
    """Who must go counts no more, and is not cut off; up and down, and back."""
    own = tmp_path / "own.py"
    own.write_text(PATIENT.replace('"/drip", timeout=20', '"/look"').replace("0.01", "0.001"))
    load, heard = start(users=6, locustfile=str(own), processes=processes)
    heard.wait(lambda windows: windows[-1].users == 6)
    for users in (3, 5, 2):
        load.change(replace(load.spec, users=users))
        heard.wait(lambda windows, users=users: windows[-1].users == users)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.cut == totals.in_flight == 0
    assert sum(target.counts().values()) == totals.finished
    assert not {reason for window in heard.events if hasattr(window, "ended") for reason in window.ended}


@pytest.mark.long
@pytest.mark.parametrize("hurry", [False, True])
def test_the_drain_is_as_long_as_was_asked_for_and_the_usual_one_in_a_hurry(
    start: Start, target: Target, tmp_path: Path, hurry: bool
) -> None:
    own = tmp_path / "own.py"
    own.write_text(PATIENT.replace("/drip", "/look"))
    load, heard = start(users=2, locustfile=str(own), connect_timeout_s=0.2, network_timeout_s=0.2, drain_s=20.0)
    heard.wait(lambda windows: windows[-1].users == 2)
    target.freeze()
    heard.wait(lambda windows: windows[-1].in_flight == 2 and windows[-1].oldest_ms > 500)
    before = time.monotonic()
    looks = iter(range(100))

    def thaw_after_a_second() -> bool:
        if next(looks) == 15:
            target.thaw()
        return hurry

    totals = load.stop(hurry=thaw_after_a_second)
    assert isinstance(totals, LoadTotals)
    assert totals.cut == (2 if hurry else 0)
    assert len(totals.cut_short) == hurry
    assert all("a user of Patient still awaited an answer" in text and "own.py:8" in text for text in totals.cut_short)
    assert time.monotonic() - before < 10
    adds_up(heard, totals)


def test_where_code_cleans_up_is_seen_by_its_lines(tmp_path: Path) -> None:
    """In a `finally:` that nothing has ended, too."""
    import sys

    found = []

    def look() -> None:
        found.append((cleans_up(sys._getframe()), place(sys._getframe(1)).split(":")[0]))

    look()
    try:
        look()
    finally:
        look()
    assert found == [
        (False, "test_load_farewell.py"),
        (False, "test_load_farewell.py"),
        (True, "test_load_farewell.py"),
    ]
