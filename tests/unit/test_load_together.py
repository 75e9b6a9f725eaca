"""A locustfile in several processes is one load under Locust's own master: users are shared out once, over no port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from chaoskit.events import Event, LoadNames, Phase
from chaoskit.load.counters import Counters
from chaoskit.load.engine import LoadChild
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow, join_totals
from chaoskit.load.processes import Processes
from chaoskit.load.tally import Tally
from chaoskit.run.names import Names
from chaoskit.scenario.model import FailIf
from chaoskit.scenario.shape import Shape
from chaoskit.verify.requests import joined
from tests.load_examples import PLAIN, Heard, Start, Target, a_spec, adds_up, start, target
from tests.unit.test_load_names import judged, slices

__all__ = ["start", "target"]

OWN = """
from pathlib import Path
from locust import FastHttpUser, constant, events, task

def note(text):
    with Path({side!r}).open("a") as file:
        file.write(text + "\\n")

SEATS = [f"seat-{{n}}" for n in range(40)]
free = []
note("loaded")
print("comes-once", flush=True)

@events.test_start.add_listener
def deal(environment, **_):
    note("starts in a " + type(environment.runner).__name__)
    if hasattr(environment.runner, "worker_index"):
        free.extend(SEATS[environment.runner.worker_index :: 2])

@events.test_stop.add_listener
def stops(environment, **_):
    note("stops in a " + type(environment.runner).__name__)

class Chief(FastHttpUser):
    fixed_count = 1
    wait_time = constant(0.05)

    def on_start(self):
        note("chief")

    @task
    def look(self):
        self.client.get("/chief")

class Clerk(FastHttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        note(free.pop(0))

    @task
    def look(self):
        self.client.get("/clerk")
"""


def test_users_are_shared_out_once_by_the_processes_that_looked_at_the_file(target: Target, tmp_path: Path) -> None:
    """They are asked before there is a target and told it afterwards, so the file's top level runs once in each.
    Every request is in Locust's books as well, and no port is open."""
    own, side, log = tmp_path / "own.py", tmp_path / "side.txt", tmp_path / "logs" / "load.log"
    own.write_text(OWN.format(side=str(side)))
    spec, heard = a_spec(target, users=7, processes=2, locustfile=str(own)), Heard()
    processes = Processes(2, own=True)
    try:
        assert processes.look_at(replace(spec, host="http://127.0.0.1")) == []
        load = LoadChild.start(spec, log=log, on_event=heard, processes=processes)
        assert load.pids == [child.pid for child in processes.children]
        assert load.flows(10)
        heard.wait(lambda windows: windows[-1].users == windows[-1].asked_users == 7 and windows[-1].finished > 50)
        connections = [one for pid in load.pids for one in psutil.Process(pid).net_connections("inet")]
        totals = load.stop()
    finally:
        processes.stop()
    assert [one for one in connections if one.status == psutil.CONN_LISTEN] == []
    adds_up(heard, totals)
    assert totals.locust_requests == totals.finished == sum(target.counts().values())
    noted = Counter(side.read_text().split("\n"))
    assert noted["loaded"] == len(processes.children) == 3
    assert noted["chief"] == 1
    assert sorted(count for word, count in noted.items() if word.startswith("seat-")) == [1] * 6
    for what in ("starts", "stops"):
        assert (noted[f"{what} in a WorkerRunner"], noted[f"{what} in a MasterRunner"]) == (2, 1)
    assert log.read_text().count("comes-once") == 3
    assert [path.name for path in log.parent.iterdir()] == ["load.log"]


ASKING = """
import json, os
from locust import FastHttpUser, constant, events, tag, task

@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--room", required=True)

@events.test_start.add_listener
def begin(environment, **_):
    named = {name: getattr(environment.parsed_options, name) for name in ("num_users", "room", "tags", "user_classes")}
    with open(os.path.join(os.path.dirname(__file__), "said"), "a") as file:
        file.write(json.dumps(named) + "\\n")

class Reader(FastHttpUser):
    wait_time = constant(0.02)
    @task
    @tag("read")
    def look(self):
        self.client.get("/look", name="look")
    @task
    @tag("read")
    def fail(self):
        self.client.get("/fail", name="fail")
    @task
    @tag("write")
    def write(self):
        self.client.post("/write", name="write")

class Writer(Reader):
    pass
"""


def test_options_hold_in_each_process_and_limits_over_all_of_them(start: Start, target: Target, tmp_path: Path) -> None:
    """What a limit is judged by is the sum: counts of a name, and its percentiles from merged histograms."""
    own = tmp_path / "own.py"
    own.write_text(ASKING)
    more = {"options": {"room": "blue"}, "tags": ("read",), "classes": ("Reader",)}
    load, heard = start(users=4, processes=2, locustfile=str(own), **more)
    heard.wait(lambda windows: sum(window.finished for window in windows) > 150)
    totals = load.stop()
    adds_up(heard, totals)
    said = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert said == [{"num_users": 4, "room": "blue", "tags": ["read"], "user_classes": ["Reader"]}] * 3
    counts, told = target.counts(), list[Event]()
    book = Names(told.append)
    book.feed(Phase(name="steady", t=0.0))
    for window in heard.of(LoadWindow):
        book.take(window)
    book.close()
    parts = [one.names for one in told if isinstance(one, LoadNames)]
    known = dict.fromkeys(name for one in parts for name in one)
    names = {name: joined(one[name] for one in parts if name in one) for name in known}
    assert {name: one.finished for name, one in names.items()} == {
        "GET look": counts["/look"], "GET fail": counts["/fail"]
    }  # fmt: skip
    assert sum(names["GET fail"].buckets.values()) == names["GET fail"].failed == counts["/fail"]
    limits = FailIf("look", 0.05, {95: 30.0}), FailIf("fail", 0.05, {}), FailIf("look", None, {50: 1e-6})
    assert [result for result, _ in judged(slices(steady=names), *limits)] == ["PASS", "FAIL", "FAIL"]


CHANGING = """
import time
from locust import FastHttpUser, constant, events, task

now, calls = time.time, iter(range(10**9))
time.time = lambda: now() - 100 * next(calls)

@events.test_start.add_listener
def warm(environment, **_):
    environment.seen = 0

@events.request.add_listener
def reset(**_):
    Chief.seen += 1
    if Chief.seen % 10 == 0 and Chief.environment:
        Chief.environment.stats.reset_all()

class Chief(FastHttpUser):
    fixed_count = 1
    seen = 0
    environment = None
    wait_time = constant(0.05)

    def on_start(self):
        Chief.environment = self.environment

    @task
    def look(self):
        self.client.get("/chief")

class Clerk(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/clerk")
"""


@pytest.mark.long
def test_users_follow_the_level_however_the_clock_is_set(start: Start, target: Target, tmp_path: Path) -> None:
    """And where a locustfile empties a worker's statistics before the master hears of them, no request is lost."""
    load, heard = start(users=8, processes=2, own=CHANGING)
    for users in (8, 3, 5):
        load.change(replace(load.spec, users=users))
        heard.wait(lambda windows: (windows[-1].users, windows[-1].asked_users) == (users, users))  # noqa: B023
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.finished == sum(target.counts().values())


def test_a_worker_that_dies_is_told_at_once_with_its_share(start: Start, tmp_path: Path) -> None:
    load, heard = start(users=8, processes=2, own=PLAIN)
    heard.wait(lambda windows: windows[-1].users == 8)
    os.kill(load.pids[1], signal.SIGKILL)
    heard.wait(lambda states: states[-1].state == "down", LoadState, at_most_s=3)
    (*_, down) = heard.of(LoadState)
    assert f"load-1 (pid {load.pids[1]}), which bore 4 of 8 users, ended with -9" in down.detail
    assert not load.stop(0).reconciled


@pytest.mark.long
def test_a_worker_that_stood_still_is_told_with_its_share_of_every_second(start: Start, tmp_path: Path) -> None:
    load, heard = start(users=8, processes=2, own=PLAIN)
    heard.wait(lambda windows: windows[-1].users == 8)
    os.kill(load.pids[0], signal.SIGSTOP)
    threading.Event().wait(2.2)
    os.kill(load.pids[0], signal.SIGCONT)
    heard.wait(lambda windows: windows[-1].users == 8 and any(window.still for window in windows))
    still = [window for window in heard.of(LoadWindow) if window.still]
    assert [(window.still, window.users) for window in still] == [({"load-0": 0.5}, 4)] * len(still)
    totals = load.stop()
    adds_up(heard, totals)


DEALING = """
import time
from pathlib import Path
from locust import FastHttpUser, constant, events, task
from locust.runners import MasterRunner, WorkerRunner

seats = []

@events.init.add_listener
def listen(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        assert environment.parsed_options.worker and not environment.parsed_options.master
        time.sleep(0.3)  # its master begins meanwhile
        environment.runner.register_message("seats", lambda msg, **_: seats.extend(msg.data))
    else:
        assert environment.parsed_options.expect_workers == environment.parsed_options.processes == 2
        environment.runner.register_message("taken", lambda msg, **_: taken.append(msg.data))

taken = []

@events.test_start.add_listener
def deal(environment, **_):
    if isinstance(environment.runner, MasterRunner):
        for number, client in enumerate(environment.runner.clients):
            environment.runner.send_message("seats", [f"seat-{{number}}-{{n}}" for n in range(3)], client)

@events.quitting.add_listener
def tell(environment, **_):
    if isinstance(environment.runner, MasterRunner):
        Path({side!r}).write_text(f"{{sorted(taken)}} {{environment.stats.total.num_requests}}")

class Clerk(FastHttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        self.environment.runner.send_message("taken", seats.pop(0))

    @task
    def look(self):
        self.client.get("/clerk")
"""


@pytest.mark.long
def test_masters_and_workers_send_each_other_what_they_like(start: Start, tmp_path: Path) -> None:
    """As a locustfile deals out its data; when it quits, its master has heard of every request."""
    own, side = tmp_path / "own.py", tmp_path / "side.txt"
    own.write_text(DEALING.format(side=str(side)))
    load, heard = start(users=6, processes=2, locustfile=str(own))
    heard.wait(lambda windows: windows[-1].users == 6)
    totals = load.stop()
    adds_up(heard, totals)
    assert side.read_text() == f"{[f'seat-{number}-{n}' for number in (0, 1) for n in (0, 1, 2)]} {totals.finished}"


LATE = """
import gevent
from locust import events

@events.init.add_listener
def hold_up(environment, **_):
    client = getattr(environment.runner, "client", None)
    if client is not None:
        send = client.send
        client.send = lambda message: gevent.spawn_later(0.3, send, message)
"""


@pytest.mark.long
def test_a_worker_goes_once_its_last_report_was_heard_however_late_it_leaves(start: Start) -> None:
    """On a busy machine the thread that sends comes late, and what it has not sent ends with its process."""
    load, heard = start(users=4, processes=2, own=LATE + PLAIN)
    heard.wait(lambda windows: windows[-1].users == 4)
    adds_up(heard, load.stop())


WAITING = """
import time
from gevent.event import Event
from locust import FastHttpUser, events, task

got, said = Event(), []

@events.init.add_listener
def wait(environment, runner, **_):
    time.sleep(0.05)  # what it is sent meanwhile waits for its listener
    runner.register_message("seats", lambda msg, **_: said.append(msg.data) or msg.data == "asked" and got.set())
    runner.send_message("ask")
    assert got.wait(20)

@events.spawning_complete.add_listener
def complete(user_count, **_):
    said.append(user_count)

class Plain(FastHttpUser):
    @task
    def look(self):
        self.client.get("/plain")
"""
WORKER = """
import gevent, json, sys
from gevent.queue import Queue
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message
from chaoskit.load import own_users, traffic
from chaoskit.load.counters import Counters
from chaoskit.load.messages import Together
from chaoskit.load.model import LoadSpec
from chaoskit.load.tracking import Gate

box, sent = Queue(), []

class Client:
    def __init__(self, *_): pass
    def send(self, message):
        sent.append(message.type)
        for kind, data in {"client_ready": [("ack", {"index": 0}), ("seats", "early")],
                           "ask": [("spawning_complete", {"user_count": 7}), ("seats", "asked")]}.get(message.type, []):
            box.put(Message(kind, data, None))
    def recv(self): return box.get()

zmqrpc.Client = Client
spec = LoadSpec(host="http://127.0.0.1:9", users=1, locustfile=sys.argv[1])
at = traffic.Situation(spec, Counters(0.0), Gate(None), None, 0.0, whole_users=1)
worker = own_users.Worker(at, Together(folder="", workers=2, is_master=False))
gevent.sleep(0.05)
said = own_users.user_classes(sys.argv[1])["Plain"].look.__globals__["said"]
told = {"in init": list(said)}
worker.begin()
gevent.sleep(0.05)
told["begun"] = list(said)
worker.environment.runner.greenlet.kill()
at.begin_drain()
for name, so in {"acknowledged": lambda: box.put(Message("ack", None, None)),
                 "hurried": lambda: setattr(at, "drain_s", -own_users._LAST_WORDS_S)}.items():
    at.drain_s = 1e6
    settling = gevent.spawn(worker.settle)
    gevent.sleep(0.1)
    told["waits until " + name] = not settling.ready()
    so()
    settling.join(timeout=20)
    told[name] = settling.successful()
print(json.dumps(told))
"""


def test_a_worker_hears_what_init_waits_for_and_ends_with_the_answer_or_the_hurried_drain(tmp_path: Path) -> None:
    """Messages are put to it as its master sends them; all but the file's own wait until it has begun."""
    own = tmp_path / "own.py"
    own.write_text(WAITING)
    done = subprocess.run([sys.executable, "-c", WORKER, str(own)], capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "in init": ["early", "asked"], "begun": ["early", "asked", 7], "waits until acknowledged": True,
        "acknowledged": True, "waits until hurried": True, "hurried": True,
    }  # fmt: skip


LEAVING = """
from locust import FastHttpUser, constant, task

class Leaving(FastHttpUser):
    wait_time = constant(0.05)
    asked = 0

    @task
    def look(self):
        self.client.get("/leaving")
        Leaving.asked += 1
        if Leaving.asked > 30:
            self.environment.runner.quit()
"""


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_users_that_end_the_test_together_end_the_load(
    start: Start, target: Target, tmp_path: Path, processes: int
) -> None:
    """Each asks for the end while the other does: they do not wait for each other until they are cut."""
    load, heard = start(users=4, processes=processes, own=LEAVING)
    heard.wait(lambda totals: totals, LoadTotals)
    assert "the locustfile ended the load" in [state.detail for state in heard.of(LoadState)]
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.cut_short == []
    assert totals.finished == sum(target.counts().values())


def test_of_a_worker_that_stands_still_to_the_end_every_second_is_told_all_the_same() -> None:
    """Its requests stay in flight, so the sums of the windows come out."""
    tally = Tally(["load-0", "load-1", "load-master"], 2)
    for second in (1000.0, 1001.0, 1002.0, 1003.0):
        span = (second, second + 1)
        if second < 1001:
            assert tally.window(1, LoadWindow(second=span, started=2, in_flight=2, users=6, beats=20)) == []
        tally.window(0, LoadWindow(second=span, started=5, finished=5, users=2, beats=20))
        tally.window(2, LoadWindow(second=span, asked_users=8.0, beats=20))
    told = [(one.second[0], one.users, one.asked_users, one.in_flight, one.still) for one in tally.rest()]
    assert told == [(second, 2, 8.0, 2, {"load-1": 0.75}) for second in (1001.0, 1002.0, 1003.0)]
    tally.total(0, some_totals())
    tally.total(2, some_totals())
    assert tally.silent() == "none from load-1, which bore 6 of 8 users"


def some_totals() -> LoadTotals:
    counters = Counters(1000.0)
    counters.roll(1000.5, level=lambda _: 1.0, cpu_s=0.0, end=True)
    return counters.totals(locust_requests=0, locust_failures=0)


def test_what_never_reached_the_master_is_told() -> None:
    parts = []
    for locust_requests in (0, 1):
        counters = Counters(1000.0)
        counters.unannounced(1000.1, "look", 5.0, None)
        counters.roll(1000.5, level=lambda _: 1.0, cpu_s=0.0, end=True)
        own = counters.totals(locust_requests=1, locust_failures=0)
        parts.append(msgspec.structs.replace(own, locust_requests=locust_requests))
    joined = join_totals(parts)
    assert not joined.reconciled
    assert joined.detail == "finished and reported 2 (failed 0), but Locust's master says 1 (0)"
    assert join_totals([parts[0], msgspec.structs.replace(parts[1], locust_requests=2)]).reconciled


ENDING = """
from locust import events
from locust.runners import MasterRunner
import gevent

def end_soon(environment):
    while environment.runner.stats.total.num_requests < 20:
        gevent.sleep(0.1)
    environment.runner.quit()

@events.test_start.add_listener
def watch(environment, **_):
    if isinstance(environment.runner, MasterRunner):
        gevent.spawn(end_soon, environment)
"""


@pytest.mark.long
def test_a_master_that_the_locustfile_ends_ends_the_load(start: Start, target: Target, tmp_path: Path) -> None:
    """It sees what all workers did, as its statistics do in Locust."""
    load, heard = start(users=4, processes=2, own=ENDING + PLAIN)
    heard.wait(lambda totals: totals, LoadTotals)
    assert "the locustfile ended the load" in [state.detail for state in heard.of(LoadState)]
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.finished == sum(target.counts().values()) >= 20


SLOW_START = """
from pathlib import Path
import gevent
from locust import events

def note(text):
    with Path({side!r}).open("a") as file:
        file.write(text + "\\n")

@events.test_start.add_listener
def prepare(environment, **_):
    note("begun")
    gevent.sleep(0.8)
    note("ended")
"""


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_a_test_start_that_takes_its_time_is_neither_broken_off_nor_repeated_by_a_level_that_rises(
    start: Start, tmp_path: Path, processes: int
) -> None:
    own, side = tmp_path / "own.py", tmp_path / "side.txt"
    own.write_text(SLOW_START.format(side=str(side)) + PLAIN)
    ramp = Shape(kind="ramp", low=0.25, length_s=2.0)
    load, heard = start(users=8, processes=processes, locustfile=str(own), shape=ramp)
    heard.wait(lambda windows: windows[-1].users == 8)
    adds_up(heard, load.stop())
    ran_in = processes + (processes > 1)
    assert Counter(side.read_text().split()) == {"begun": ran_in, "ended": ran_in}
