"""A locustfile of one's own is counted like a described load and given time-outs, or refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import BadInput
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadWindow
from tests.load_examples import Heard, Start, Target, a_spec, adds_up, start, target

__all__ = ["start", "target"]


OWN = """
from locust import FastHttpUser, HttpUser, User, constant, events, task

print("this must not reach the parent")

class Fast(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/fast")

    @task
    def checked(self):
        with self.client.post("/checked", data="x", name="checked", catch_response=True) as answer:
            answer.failure("not good enough")

class Slow(HttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/slow")

class Other(User):
    wait_time = constant(0.2)

    @task
    def speak(self):
        events.request.fire(request_type="x", name="told", response_time=3, response_length=0, exception=None)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_locustfile_of_ones_own_is_counted_the_same_way(start: Start, target: Target, own: Path) -> None:
    """From the start of each request for both of Locust's clients; the rest is said to be known from its end only."""
    load, heard = start(users=6, locustfile=str(own), network_timeout_s=30.0, drain_s=0.0)
    heard.wait(lambda windows: len(windows) >= 3 and windows[-1].untracked)
    target.freeze()
    heard.wait(lambda windows: windows[-1].in_flight == 4 and windows[-1].oldest_ms > 1000)
    totals = load.stop()
    adds_up(heard, totals)
    target.thaw()
    counts = target.counts()
    names = totals.by_name
    assert totals.in_flight == totals.cut == 4
    for name, path in (("GET /fast", "/fast"), ("GET /slow", "/slow"), ("POST checked", "/checked")):
        assert 0 < names[name].finished <= counts[path] <= names[name].started
    assert names["POST checked"].failed == names["POST checked"].finished
    assert totals.untracked == names["x told"].finished == names["x told"].started > 0


BURNING = """
import time
from locust import FastHttpUser, constant, task

class Burning(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def look(self):
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:
            pass
        self.client.get("/look")
"""


def test_a_generator_that_is_its_own_bottleneck_shows_it(start: Start, tmp_path: Path) -> None:
    """Its code takes the time in which it should look at the clock: that shows as late, and as CPU of its own."""
    path = tmp_path / "burning.py"
    path.write_text(BURNING)
    load, heard = start(users=3, locustfile=str(path))
    heard.wait(lambda windows: len(windows) >= 4)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.late > 0.3
    assert totals.lag_ms >= 100
    assert totals.busy > 0.2
    assert sum(w.cpu_s for w in heard.of(LoadWindow)) == pytest.approx(totals.cpu_s, abs=0.01)


def test_time_outs_are_given_to_clients_that_have_none(start: Start, target: Target, own: Path) -> None:
    """Both of Locust's clients outlast most faults by themselves: one waits a minute, the other for ever."""
    load, heard = start(users=6, locustfile=str(own), network_timeout_s=0.5)
    heard.wait(lambda windows: windows[-1].users == 6)
    target.freeze()
    heard.wait(
        lambda ws: all(any(w.by_name.get(n) and w.by_name[n].failed for w in ws) for n in ("GET /fast", "GET /slow"))
    )
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.failures["timeout"] >= 4


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
        (OWN + "\nfrom locust import LoadTestShape\nclass Mine(LoadTestShape):\n    tick = None\n", "LoadTestShape"),
    ],
)
def test_a_locustfile_that_cannot_run_is_refused_with_its_reason(
    target: Target, tmp_path: Path, source: str, said: str
) -> None:
    path = tmp_path / "own.py"
    path.write_text(source)
    heard = Heard()
    with pytest.raises(BadInput, match=said):
        LoadChild.start(a_spec(target, users=1, locustfile=str(path)), log=tmp_path / "log", on_event=heard)
    assert heard.states() == ["down"]


ENDING = """
from locust import FastHttpUser, constant, task
from locust.exception import StopUser

class Base(FastHttpUser):
    abstract = True
    wait_time = constant(0.05)
    @task
    def look(self):
        self.client.get("/look")

class Alive(Base):
    pass

class Breaks(Base):
    def on_start(self):
        self.environment.broken

class Ceases(Base):
    def on_start(self):
        raise StopUser

class Dies(Base):
    def __init__(self, environment):
        raise KeyError("account")
"""


def test_users_that_end_by_themselves_are_told_with_the_reason_and_the_line(start: Start, tmp_path: Path) -> None:
    """Locust starts no other in place of one that ended, or that could not even be made."""
    load, heard = start(users=4, own=ENDING)
    heard.wait(lambda windows: windows[-1].users == 1 and windows[-1].asked_users == 4)
    load.stop()
    told = {reason: count for window in heard.of(LoadWindow) for reason, count in window.ended.items()}
    assert told == {
        "AttributeError: 'Environment' object has no attribute 'broken' (own.py:17)": 1,
        "it stopped itself (StopUser)": 1,
        "KeyError: 'account' (own.py:25)": 1,
    }
