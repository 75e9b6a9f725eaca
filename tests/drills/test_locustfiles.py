"""Locustfiles in the manner of published ones, each in a whole run: what they ask for, what they do at their end, and
what the run says of it. The files note beside themselves what they did, and that is compared with the books."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chaoskit.events import LoadNames, LoadTotals
from chaoskit.history import read_history
from chaoskit.load.processes import MOST_BYTES
from tests.drills.conftest import Drill

pytestmark = [pytest.mark.drill, pytest.mark.stack, pytest.mark.long]

HEAD = """\
import json, os, time
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, constant, events, task
from locust.exception import StopUser

def note(text):
    with open(os.path.join(os.path.dirname(__file__), "noted"), "a") as file:
        file.write(text + "\\n")

class Base(FastHttpUser):
    abstract = True
    wait_time = constant(0.2)
    def ask(self, name):
        note(name)
        return self.client.get("/leads?limit=2", name=name)
"""
QUIET = "chaoskit: 1\ntitle: load and no fault\nsteps:\n  - wait: {}\nexpect: nothing\n"
Noted = Mapping[str, int]


def same(*names: str) -> Callable[[Noted], bool]:
    """Whether each was noted equally often, and at all."""
    return lambda noted: len({noted[name] for name in names}) == 1 and noted[names[0]] > 0


@dataclass(frozen=True)
class Kind:
    """A locustfile without its head, with what a run on it comes to."""

    text: str
    code: int
    said: tuple[str, ...] = ()
    """Sentences of the terminal, or of the verdict's rows."""
    load: Mapping[str, object] = field(default_factory=dict)
    noted: Callable[[Noted], bool] = lambda noted: True
    log: str = ""
    """What load.log has."""
    lasts: str = "4m"
    """The scenario, in virtual time."""


ASKING = """
@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--branch", env_var="BRANCH", required=True)

class Asks(Base):
    def on_start(self):
        note("branch " + self.environment.parsed_options.branch)
    @task
    def look(self): self.ask("look")
"""
SLOW_END = """
@events.test_stop.add_listener
def clean(environment, **_):
    note("begins")
    time.sleep(9)
    note("done")

class Plain(Base):
    @task
    def look(self): self.ask("look")
"""
KINDS = {
    "users that run out of work": Kind(
        """
class Ends(Base):
    left = 50  # some ten seconds: they are there in the steady state, and not much longer
    @task
    def look(self):
        self.ask("look")
        self.left -= 1
        if self.left < 0:
            raise StopUser
""",
        3,
        ("0 of 4 users were alive", "StopUser"),
        noted=lambda noted: noted["look"] == 204,
        lasts="14m",  # on a slow machine as well they end before it does
    ),
    "a client of its own without response times": Kind(
        """
class Publishes(Base):
    @task(3)
    def look(self): self.ask("look")
    @task
    def publish(self):
        self.environment.events.request.fire(request_type="MQTT", name="publish", response_time=None,
            response_length=0, exception=None, context={})
""",
        0,
    ),
    "sessions that are closed": Kind(
        """
class Session(HttpUser):
    wait_time = constant(0.2)
    def ask(self, name):
        if self.client.get("/leads?limit=1", name=name).status_code == 200:
            note(name)
    def on_start(self): self.ask("in")
    def on_stop(self): self.ask("out")
    @task
    def flow(self):
        self.ask("made")
        try:
            for _ in range(100):
                self.client.get("/leads?limit=1", name="list")
        finally:
            self.ask("removed")
""",
        0,
        noted=lambda noted: same("in", "out")(noted) and same("made", "removed")(noted),
    ),
    "an end that takes longer than its drain": Kind(
        SLOW_END,
        0,
        ("a listener to test_stopping or test_stop had not ended after the drain of", "own.py:19"),
        noted=lambda noted: (noted["begins"], noted["done"]) == (1, 0),
    ),
    "an end that has the drain it needs": Kind(
        SLOW_END, 0, load={"drain": "15s"}, noted=lambda noted: (noted["begins"], noted["done"]) == (1, 1)
    ),
    "tasks that raise": Kind(
        """
class Wrong(Base):
    @task
    def look(self):
        self.ask("look").json()["first"]["id"]
""",
        0,
        ("(own.py:19)", "times"),
    ),
    "a listener to test_start that raises": Kind(
        """
@events.test_start.add_listener
def seed(environment, **_):
    raise RuntimeError("no seed data")

class Plain(Base):
    @task
    def look(self): self.ask("look")
""",
        0,
        ("RuntimeError: no seed data (own.py:18)",),
    ),
    "a page for the web UI": Kind(
        """
@events.init.add_listener
def page(web_ui, **_):
    web_ui.app.add_url_rule("/more", "more", lambda: "hi")

class Plain(Base):
    @task
    def look(self): self.ask("look")
""",
        2,
        ("a listener to init raised", "own.py:18", "there is no web UI here"),
    ),
    "task sets within each other": Kind(
        """
class Flow(SequentialTaskSet):
    def on_start(self): self.user.ask("begin")
    @task
    def one(self): self.user.ask("one")
    @task
    class Inner(TaskSet):
        @task
        def deep(self):
            self.user.ask("deep")
            self.interrupt(reschedule=False)
    @task
    def two(self):
        self.user.ask("two")
        self.interrupt()

class Shops(Base):
    wait_time = constant(0.05)
    tasks = [Flow]
""",
        0,
        noted=lambda noted: all(noted[name] for name in ("begin", "one", "deep", "two")),
    ),
    "failures with words of their own": Kind(
        """
class OutOfStock(Exception):
    code = 4711

class Fails(Base):
    @task
    def fail(self):
        for text in ("the connection was refused by the bank", "reset mail is missing", OutOfStock("sold out")):
            with self.client.get("/leads?limit=1", name="order", catch_response=True) as answer:
                answer.failure(text)
    @task
    def missing(self):
        with self.client.get("/leads/0", name="missing", catch_response=True) as answer:
            answer.success()
""",
        0,
    ),
    "an argument that is missing": Kind(ASKING, 2, ("needs --branch", "BRANCH")),
    "an argument that is given": Kind(
        ASKING, 0, load={"options": {"branch": "east"}}, noted=lambda noted: noted["branch east"] == 4
    ),
    "accounts for as many users as there are": Kind(
        """
free = []

@events.test_start.add_listener
def make(environment, **_):
    options = environment.parsed_options
    note(f"{options.num_users} at {options.spawn_rate:g} on {environment.host == options.host}")
    free.extend(range(options.num_users))

class Owns(Base):
    def on_start(self): note(f"account {free.pop()}")
    @task
    def look(self): self.ask("look")
""",
        0,
        noted=lambda noted: noted["4 at 4 on True"] == 1 and [noted[f"account {n}"] for n in range(4)] == [1] * 4,
    ),
    "a threshold at the end": Kind(
        """
@events.quitting.add_listener
def judge(environment, **_):
    note("quitting")
    if environment.stats.total.fail_ratio > 0.1:
        environment.process_exit_code = 3

@events.quit.add_listener
def quits(exit_code, **_):
    note(f"quit {exit_code}")

class Half(Base):
    @task
    def look(self): self.ask("look")
    @task
    def missing(self): self.client.get("/leads/0", name="missing")
""",
        1,
        ("exit code 3",),
        noted=same("quitting", "quit 3"),
    ),
    "a warm-up that is forgotten, and a log of every request": Kind(
        """
@events.request.add_listener
def log(name, response_time, context, **_):
    note("told " + json.dumps({"name": name, **context}))

@events.spawning_complete.add_listener
def forget(user_count, **_):
    import gevent
    gevent.spawn_later(2, lambda: Named.at.stats.reset_all())

class Named(Base):
    at = None
    def on_start(self): Named.at = self.environment
    def context(self): return {"user": "a"}
    @task
    def look(self):
        note("asked")
        self.client.get("/leads?limit=1", name="look", context={"step": 1})
""",
        0,
        noted=same("asked", 'told {"name": "look", "user": "a", "step": 1}'),
    ),
    "answers that are never reported": Kind(
        """
class Forgets(Base):
    @task
    def look(self): self.ask("look")
    @task
    def forget(self):
        self.client.get("/leads?limit=1", name="forgotten", catch_response=True)
""",
        0,
        ("answered and never reported", "GET forgotten"),
    ),
    "a flood at its top level": Kind(
        """
for _ in range(1000):
    print("x" * 100_000)
print("the last line")

class Plain(Base):
    @task
    def look(self): self.ask("look")
""",
        0,
        log="the last line",
    ),
    "a task that ends it all, before anything else begins": Kind(
        """
class Leaves(Base):
    @task
    def look(self):
        self.ask("look")
        raise SystemExit(3)
""",
        3,
        ("steady state not reached", "the locustfile ended the load: SystemExit: 3 (own.py:"),
        noted=lambda noted: 1 <= noted["look"] <= 4,
    ),
    "a file that ends its process": Kind("os._exit(0)\n", 2, ("own.py", "ended the process that imported it with 0")),
    "accounts and limits over two processes": Kind(
        """
import csv
ACCOUNTS = [f"account {n}" for n in range(8)]
mine = []

@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--branch", required=True)

@events.test_start.add_listener
def share(environment, **_):
    note(f"{environment.parsed_options.num_users} of {environment.parsed_options.branch}")
    mine.extend(ACCOUNTS[getattr(environment.runner, "worker_index", 0)::2])

class Chief(Base):
    fixed_count = 1
    @task
    def look(self): self.ask("chief")
    def on_start(self): note("a chief")

class Clerk(Base):
    def on_start(self): note(mine.pop(0))
    @task
    def look(self): self.ask("look")
    @task
    def missing(self): self.client.get("/leads/0", name="missing")
""",
        1,
        ("limit", "missing"),
        load={
            "users": 5,
            "processes": 2,
            "options": {"branch": "east"},
            "fail_if": [
                {"name": "look", "failed": "50%", "p50": "10s"},
                {"name": "missing", "failed": "50%"},
            ],
        },
        noted=lambda noted: (
            noted["5 of east"] == 3
            and noted["a chief"] == 1
            and sorted(n for word, n in noted.items() if word.startswith("account")) == [1] * 4
        ),
    ),
}
TEXTS = {"the connection was refused by the bank", "reset mail is missing", "OutOfStock: sold out"}


@pytest.mark.parametrize("name", KINDS)
def test_a_run_on_a_locustfile_says_what_it_did_and_counts_all_of_it(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    (tmp_path / "own.py").write_text(HEAD + kind.text)
    (tmp_path / "quiet.yml").write_text(QUIET.format(kind.lasts))
    load = json.dumps({"locustfile": "own.py", "users": 4, **kind.load})
    command = [sys.executable, "-m", "chaoskit", "run", "quiet.yml", "--set", f"load={load}", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == kind.code, said
    assert "Traceback" not in said
    noted = Counter((tmp_path / "noted").read_text().splitlines() if (tmp_path / "noted").exists() else ())
    if kind.code == 2:
        assert ("starting the stack" in said) == ("a listener to init raised" in said)  # the rest costs nothing
        assert not [part for part in kind.said if part not in said], said
        return
    folder = tmp_path / "out" / "latest"
    rows = json.loads((folder / "verdict.json").read_bytes())["rows"]
    said += "\n".join(row["reason"] for row in rows)
    assert not [part for part in kind.said if part not in said], said
    assert kind.noted(noted), noted
    history = read_history(folder)
    (totals,) = history.of(LoadTotals)
    assert totals.reconciled, totals.detail
    assert totals.in_flight == 0
    names = [counts for each in history.of(LoadNames) for counts in each.names.items()]
    for label in dict(names):
        if asked := noted[label.removeprefix("GET ")]:  # what the file noted of its requests is what was counted
            assert sum(one.finished for name_, one in names if name_ == label) == asked, label
    if name == "failures with words of their own":
        assert {text for _, one in names for text in one.failures} == TEXTS
    log = folder / "stack" / "logs" / "load.log"
    assert kind.log in log.read_text()
    assert log.stat().st_size <= MOST_BYTES


TIRELESS = """
class Tireless(Base):
    @task
    def look(self): self.ask("look")
    def on_stop(self):
        note("cleans up")
        time.sleep(60)
        note("cleaned up")
"""


def test_ctrl_c_during_a_long_end_of_the_load_shortens_it_to_the_usual_one(drill: Drill, tmp_path: Path) -> None:
    """The end may take 30 s, and users take a minute: with Ctrl-C it is over after twice the time-out, all healed."""
    own = tmp_path / "own.py"
    own.write_text(HEAD + TIRELESS)
    begun: list[float] = []

    def interrupt(run: object) -> None:
        end_s = time.monotonic() + 60
        noted = tmp_path / "noted"
        while not noted.exists() or "cleans up" not in noted.read_text():
            assert time.monotonic() < end_s
            time.sleep(0.1)  # the load notes it in a file, of which nothing tells
        begun.append(time.monotonic())
        run.send_signal(signal.SIGINT)  # type: ignore[attr-defined]

    load = json.dumps({"locustfile": str(own), "users": 2, "timeout": "1s", "drain": "30s"})
    ended = drill.play("  - wait: 1m\n", "  nothing\n").run("--set", f"load={load}", when="wait", do=interrupt)
    assert time.monotonic() - begun[0] < 15
    assert "cleaned up" not in (tmp_path / "noted").read_text()
    assert ended.code == 4, ended.said
