"""What a locustfile's own code raises is told, with how often and where: in tasks, hooks, listeners and greenlets."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import BadInput
from chaoskit.events import LoadWindow as Told
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadWindow
from chaoskit.verify.load import raised_in
from tests.load_examples import Heard, Start, Target, a_spec, start, target

__all__ = ["start", "target"]

RAISING = """
import gevent, logging; logging.disable(logging.CRITICAL)
from locust import FastHttpUser, TaskSet, constant, events, task

@events.test_start.add_listener
def seed(environment, **_):
    raise RuntimeError("no seed data")

@events.init.add_listener
def watch(environment, **_):
    gevent.spawn(lambda: {}["watched"])

@events.request.add_listener
def hear(name, **_):
    if name == "look":
        raise ValueError("heard")

class Shop(TaskSet):
    def on_stop(self):
        raise OSError("till")
    @task
    def buy(self):
        self.client.get("/buy", name="buy")
        self.interrupt()

class Alive(FastHttpUser):
    wait_time = constant(0.1)
    fixed_count = 1
    tasks = [Shop]
    @task
    def look(self):
        self.client.get("/look", name="look")
        raise TypeError(f"nothing in {{}}")

class Broken(FastHttpUser):
    fixed_count = 1
    def on_start(self):
        raise KeyError("token")
    @task
    def look(self):
        pass

class Late(Broken):
    def on_start(self):
        with gevent.Timeout(0.01):
            gevent.sleep(1)

class Odd(FastHttpUser):
    fixed_count = 1
    wait_time = 1
    @task
    def look(self):
        pass
"""


def test_every_exception_of_theirs_is_told_once_with_its_line(start: Start, target: Target, tmp_path: Path) -> None:
    load, heard = start(users=4, own=RAISING)
    for what in ("KeyError: 'token'", "Timeout", "class Odd"):
        heard.wait(lambda windows, what=what: any(what in reason for w in windows for reason in w.raised))
    heard.wait(lambda windows: {"GET look", "GET buy"} <= {name for w in windows for name in w.by_name})
    totals = load.stop()
    counts, raised = target.counts(), totals.raised
    assert totals.reconciled, totals.detail
    once = {
        "RuntimeError: no seed data (own.py:7)",
        "KeyError: 'watched' (own.py:11)",
        "KeyError: 'token' (own.py:38)",
        "Timeout: 0.01 seconds (own.py:46)",
    }
    assert {reason: raised[reason] for reason in once} == dict.fromkeys(once, 1)
    assert raised["ValueError: heard (own.py:16)"] == counts["/look"]
    assert raised["OSError: till (own.py:20)"] >= counts["/buy"] - 1
    assert raised["TypeError: nothing in {} (own.py:33)"] >= counts["/look"] - 1
    assert raised["TypeError: 'int' object is not callable (class Odd, own.py:48)"] >= 1
    assert len(raised) == 8
    assert raised == raised_in([w.event() for w in heard.of(LoadWindow)])
    assert isinstance(heard.of(LoadWindow)[0].event(), Told)


LOCKED_OUT = """
from locust import FastHttpUser, task
class Clerk(FastHttpUser):
    def on_start(self):
        self.token = self.client.get("/look").json()["token"]
    @task
    def look(self):
        pass
"""


def test_a_load_without_a_user_left_is_told_at_once(target: Target, tmp_path: Path) -> None:
    """No waiting for a first request: none will come. The reason is the one by which the first user ended."""
    own = tmp_path / "own.py"
    own.write_text(LOCKED_OUT)
    heard = Heard()
    spec = a_spec(target, users=4, locustfile=str(own))
    load = LoadChild.start(spec, log=tmp_path / "load.log", on_event=heard)
    try:
        heard.wait(lambda states: states[-1].state == "deserted", LoadState)
        assert load.flows(0) in (True, False)
        assert "of the 4 asked for, 4 ended with JSONDecodeError" in load.deserted
        assert "(own.py:5)" in load.deserted
        assert "see load.log" in load.deserted
    finally:
        load.stop()


@pytest.mark.parametrize(
    "ending",
    [
        "web_ui.app.add_url_rule('/', 'a', None)",
        pytest.param("raise SystemExit('not today')", marks=pytest.mark.long),
    ],
)
def test_an_init_that_raises_ends_the_load_before_it_begins(target: Target, tmp_path: Path, ending: str) -> None:
    """As in Locust; and it is the file's fault, not the generator's."""
    own = tmp_path / "own.py"
    head = "from locust import events\n@events.init.add_listener\ndef a(web_ui, **_):\n    "
    own.write_text(head + ending + "\n" + LOCKED_OUT)
    with pytest.raises(BadInput, match=r"listener to init raised .*\(own.py:4\)"):
        LoadChild.start(a_spec(target, users=1, locustfile=str(own)), log=tmp_path / "log", on_event=Heard())
