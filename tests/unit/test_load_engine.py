"""Load against a small real server that counts for itself: what the load says is what the server received."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit.errors import BadInput, EquipmentError
from chaoskit.load.engine import LoadChild
from chaoskit.load.histogram import value_ms
from chaoskit.load.messages import LoadState, LoadTotals, LoadWindow, Report
from chaoskit.load.model import LoadSpec, RequestSpec
from chaoskit.scenario.shape import Shape

SERVER = """
import asyncio, collections, json, sys

counts = collections.Counter()

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
            path = head.split()[1]
            length = int(head.partition("content-length:")[2].split()[0]) if "content-length:" in head else 0
            sent = await reader.readexactly(length)
            if path == "/counts":
                body = json.dumps(counts).encode()
            else:
                counts[path] += 1
                body = sent
            if path == "/close":
                return
            if path == "/drip":
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 100\\r\\n\\r\\n")
                for _ in range(100):
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.1)
                continue
            status = b"503 No" if path == "/fail" else b"200 OK"
            writer.write(b"HTTP/1.1 %s\\r\\ncontent-length: %d\\r\\n\\r\\n%s" % (status, len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


class Target:
    """A server in a process of its own, so that it can be frozen; it ends with its standard input."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.host = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(self.host + "/counts", timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.thaw()
        self.process.kill()
        self.process.wait(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Heard:
    """Everything a load told, and a bounded wait for something that it will tell."""

    def __init__(self) -> None:
        self.events: list[Report] = []
        self._news = threading.Condition()

    def __call__(self, event: Report) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[str]:
        return [event.state for event in self.of(LoadState)]

    def wait(self, condition: Callable[[list[Any]], Any], kind: type[Any] = LoadWindow, at_most_s: float = 20) -> None:
        with self._news:
            assert self._news.wait_for(lambda: condition(self.of(kind)), at_most_s), self.events[-3:]


@pytest.fixture
def target() -> Iterator[Target]:
    server = Target()
    yield server
    server.close()


Start = Callable[..., tuple[LoadChild, Heard]]


@pytest.fixture
def start(target: Target, tmp_path: Path) -> Iterator[Start]:
    """Start load on the target; whatever a test leaves running is stopped."""
    running: list[LoadChild] = []

    def begin(**different: Any) -> tuple[LoadChild, Heard]:
        heard = Heard()
        load = LoadChild.start(a_spec(target, **different), log=tmp_path / "load.log", on_event=heard)
        running.append(load)
        assert load.flows(10)
        return load, heard

    yield begin
    for load in running:
        load.stop(0)


def a_spec(target: Target, **different: Any) -> LoadSpec:
    settings: dict[str, Any] = {
        "host": target.host,
        "mix": {"look": 3, "write": 1},
        "requests": {
            "look": RequestSpec(path="/look/{n%2}"),
            "write": RequestSpec(method="POST", path="/write", json={"id": "{n}"}),
        },
    }
    if "locustfile" in different:
        settings = {"host": target.host}
    return LoadSpec(**{**settings, **different})


def adds_up(heard: Heard, totals: LoadTotals) -> None:
    """In every window and in the totals: started = finished + in flight + dropped, second after second."""
    sums = dict.fromkeys(("started", "finished", "failed", "dropped"), 0)
    windows = heard.of(LoadWindow)
    for window in windows:
        for name in sums:
            sums[name] += getattr(window, name)
        assert sums["started"] == sums["finished"] + window.in_flight + sums["dropped"], window
        assert sum(window.latency.values()) == window.finished
    assert sums == {name: getattr(totals, name) for name in sums}
    assert totals.in_flight == windows[-1].in_flight
    assert [w.second[0] for w in windows[1:]] == [w.second[1] for w in windows[:-1]]
    assert totals.reconciled, totals.detail


def test_an_open_load_is_what_the_server_and_locust_counted(start: Start, target: Target) -> None:
    """Exactly, the mix too, and through changes of rate and mix, which leave no gap. Locust stays out of here."""
    load, heard = start(rate=80.0)
    heard.wait(lambda windows: len(windows) >= 3)
    load.change(replace(load.spec, rate=160.0, mix={"write": 1}))
    heard.wait(lambda windows: windows[-1].started > 150)
    load.change(replace(load.spec, rate=20.0))
    heard.wait(lambda windows: windows[-1].started < 25)
    totals = load.stop()
    adds_up(heard, totals)
    counts = target.counts()
    assert sum(counts.values()) == totals.finished == totals.started == totals.locust_requests
    assert totals.by_name["look"].finished == counts["/look/0"] + counts["/look/1"]
    assert counts["/look/0"] - counts["/look/1"] in (0, 1)
    assert (totals.failed, totals.in_flight, totals.dropped) == (0, 0, 0)
    whole = [w for w in heard.of(LoadWindow) if w.second[1] - w.second[0] == 1]
    assert [whole[0].started, whole[0].by_name["look"].started, whole[0].by_name["write"].started] == pytest.approx(
        [80, 60, 20], abs=3
    )
    assert min(w.started for w in whole) >= 15
    assert all(w.cpu_s > 0 for w in whole)
    assert heard.states() == ["ready", "changed", "changed"]
    assert heard.of(LoadTotals) == [totals]
    assert load.stop() == totals
    assert not load.alive
    assert not {"locust", "gevent"} & set(sys.modules)


def test_a_closed_load_is_what_the_server_and_locust_counted(start: Start, target: Target) -> None:
    """Its users follow the shape and a change, and only real ones are told; who has to go finishes first."""
    load, heard = start(users=8, think_s=0.1, shape=Shape(kind="step", length_s=1.5, steps=2))
    with pytest.raises(BadInput, match="cannot change while the load flows"):
        load.change(replace(load.spec, processes=2))
    heard.wait(lambda windows: windows[-1].users == 8)
    told = [w.users for w in heard.of(LoadWindow)]
    assert told == sorted(told)
    assert told[0] == 4
    load.change(replace(load.spec, users=3, shape=Shape()))
    heard.wait(lambda windows: windows[-1].users == 3)
    totals = load.stop()
    adds_up(heard, totals)
    assert sum(target.counts().values()) == totals.finished == totals.locust_requests
    assert abs(totals.by_name["look"].started - 3 * totals.by_name["write"].started) <= 3
    assert totals.cut == 0


def test_several_processes_are_one_load(start: Start, target: Target) -> None:
    load, heard = start(rate=60.0, processes=2)
    assert len(set(load.pids)) == 2
    heard.wait(lambda windows: len(windows) >= 3)
    load.change(replace(load.spec, rate=20.0))
    totals = load.stop()
    adds_up(heard, totals)
    assert sum(target.counts().values()) == totals.finished == totals.locust_requests
    assert max(w.started for w in heard.of(LoadWindow)) == pytest.approx(60, abs=6)
    assert heard.states() == ["ready", "changed"]


def frozen_for(start: Start, target: Target, *, before: int, frozen_s: int, run_s: int) -> tuple[LoadTotals, Heard]:
    load, heard = start(rate=100.0, network_timeout_s=10.0)
    heard.wait(lambda windows: len(windows) >= before)
    target.freeze()
    seen = len(heard.of(LoadWindow))
    heard.wait(lambda windows: len(windows) >= seen + frozen_s)
    target.thaw()
    heard.wait(lambda windows: len(windows) >= run_s)
    totals = load.stop()
    adds_up(heard, totals)
    return totals, heard


def slow(totals: LoadTotals) -> int:
    """Requests that took more than 380 ms."""
    return sum(count for index, count in totals.latency.items() if index > 300)


def test_five_frozen_seconds_show_in_the_percentiles(start: Start, target: Target) -> None:
    """Every request that was due while the target stood still waited for it: seconds at P99, hundreds of requests.
    Users who wait for their answers meet the same freeze once each."""
    waiting, also_heard = start(users=10, think_s=0.1, network_timeout_s=10.0)
    totals, heard = frozen_for(start, target, before=1, frozen_s=5, run_s=9)
    closed = waiting.stop()
    adds_up(also_heard, closed)
    assert totals.p99_ms is not None
    assert 4000 < totals.p99_ms < 7000  # the hundredth of 9 s at 100/s that waited longest: 5 s - 0.09 s
    assert slow(totals) > 250
    assert 10 <= slow(closed) <= 30
    assert closed.finished > 200
    quiet = [w for w in heard.of(LoadWindow) if w.finished == 0 and w.in_flight]
    assert len(quiet) >= 3
    assert all(w.started >= 80 and w.in_flight >= 80 and w.p99_ms is None for w in quiet)
    assert max(w.oldest_ms for w in quiet) > 3000
    assert sum(target.counts().values()) == totals.finished + closed.finished
    assert totals.finished == totals.locust_requests
    assert (totals.failed, totals.dropped) == (0, 0)


@pytest.mark.long
def test_five_frozen_seconds_of_thirty_show_in_the_percentiles(start: Start, target: Target) -> None:
    """3000 requests, of which those due in the first 0.3 s of the freeze waited longest: P99 is 5 s - 0.3 s."""
    totals, _ = frozen_for(start, target, before=10, frozen_s=5, run_s=30)
    assert totals.p99_ms is not None
    assert 4000 < totals.p99_ms < 7000
    assert slow(totals) > 300


def test_a_target_frozen_to_the_end_is_told_as_time_outs(start: Start, target: Target) -> None:
    """The end awaits every answer or time-out; nothing is passed over in silence."""
    load, heard = start(rate=50.0, connect_timeout_s=0.5, network_timeout_s=0.7)
    target.freeze()
    heard.wait(lambda windows: any("timeout" in w.failures for w in windows))
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.failures["timeout"] == totals.failed == totals.locust_failures > 20
    assert totals.in_flight == 0
    assert totals.p99_ms is not None
    assert totals.p99_ms > 650


def test_what_is_still_open_at_the_end_is_in_flight(start: Start, target: Target) -> None:
    """In both models, where the end does not wait; and what found the pool full is told as dropped."""
    patient: dict[str, Any] = {"network_timeout_s": 30.0, "drain_s": 0.0}
    arriving, heard = start(rate=50.0, max_in_flight=10, **patient)
    waiting, also_heard = start(users=9, think_s=0.05, **patient)
    target.freeze()
    heard.wait(lambda windows: windows[-1].dropped >= 40)
    also_heard.wait(lambda windows: windows[-1].in_flight == 9)
    totals, also_totals = arriving.stop(), waiting.stop()
    adds_up(heard, totals)
    adds_up(also_heard, also_totals)
    assert totals.in_flight == totals.cut == 10
    assert totals.dropped == sum(one.dropped for one in totals.by_name.values()) >= 40
    assert also_totals.in_flight == also_totals.cut == 9
    assert also_totals.started == also_totals.finished + 9


def test_failures_are_counted_by_what_they_were(start: Start, target: Target) -> None:
    """A closed connection is reported, not sent again behind our back: the server counts what we counted. An answer
    that trickles is ended, though its socket is never silent for long enough to time out."""
    names = ("fail", "close", "drip")
    load, heard = start(
        users=6,
        think_s=0.05,
        connect_timeout_s=0.3,
        network_timeout_s=0.5,
        mix=dict.fromkeys(names, 1),
        requests={name: RequestSpec(path=f"/{name}") for name in names},
    )
    heard.wait(lambda windows: {"HTTP 503", "closed", "timeout"} <= set().union(*(w.failures for w in windows)))
    load.change(replace(load.spec, mix={"fail": 1}))
    heard.wait(lambda windows: windows[-1].failures.keys() == {"HTTP 503"})
    counts = target.counts()
    target.close()
    heard.wait(lambda windows: "refused" in windows[-1].failures)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.failed == totals.finished == totals.locust_failures
    assert [totals.by_name[name].finished for name in ("close", "drip")] == [counts["/close"], counts["/drip"]]
    assert totals.failures["timeout"] == counts["/drip"]
    assert max(value_ms(index) for index in totals.latency) < 3000


@pytest.mark.parametrize("bounded", [{"rate": 50.0, "limit_requests": 30}, {"users": 5, "limit_s": 1.2}])
def test_load_is_bounded_in_time_and_count(start: Start, bounded: dict[str, Any]) -> None:
    load, heard = start(**bounded, think_s=0.02)
    heard.wait(lambda totals: totals, LoadTotals)
    (totals,) = heard.of(LoadTotals)
    adds_up(heard, totals)
    assert heard.states() == ["ready", "ended"]
    assert "limit of" in heard.of(LoadState)[-1].detail
    if "limit_requests" in bounded:
        assert totals.started == 30
    else:
        assert 1.0 < totals.second[1] - totals.second[0] < 6
    assert load.stop() == totals


def test_a_death_is_told_once_with_what_is_known(start: Start) -> None:
    load, heard = start(rate=50.0)
    os.kill(load.pid, signal.SIGKILL)
    heard.wait(lambda states: states[-1].state == "down", LoadState)
    totals = load.stop()
    assert heard.states() == ["ready", "down"]
    assert "ended with -9" in heard.of(LoadState)[-1].detail
    assert not totals.reconciled
    assert "ended with -9" in totals.detail
    assert totals.started > 0
    assert not load.alive


def test_a_killed_parent_leaves_no_load_behind(target: Target, tmp_path: Path) -> None:
    """SIGKILL: no handler of the parent runs."""
    parent_code = """
        import sys, threading
        from pathlib import Path
        from chaoskit.load.engine import LoadChild
        from chaoskit.load.model import LoadSpec
        load = LoadChild.start(LoadSpec.from_json(sys.argv[1]), log=Path(sys.argv[2]), on_event=lambda event: None)
        assert load.first_window.wait(10)
        sys.stdout.write(" ".join(map(str, load.pids)) + "\\n")
        sys.stdout.flush()
        threading.Event().wait(60)
    """
    spec = a_spec(target, rate=50.0).to_json()
    argv = [sys.executable, "-c", textwrap.dedent(parent_code), spec, str(tmp_path / "load.log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 1
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_a_closed_pipe_ends_the_load_by_itself(start: Start) -> None:
    """Where the kernel cannot tie a child's life to its parent's, the pipe does."""
    load, heard = start(rate=50.0)
    stdin = load._children[0].stdin
    assert stdin is not None
    stdin.close()
    heard.wait(lambda states: states[-1].state == "down", LoadState)
    assert "ended with 3" in heard.of(LoadState)[-1].detail


def test_a_listener_that_fails_is_told_instead_of_unheard_load(target: Target, tmp_path: Path) -> None:
    def listener(event: Report) -> None:
        if isinstance(event, LoadWindow):
            raise RuntimeError("disk full")

    load = LoadChild.start(a_spec(target, rate=50.0), log=tmp_path / "load.log", on_event=listener)
    load.flows(10)
    totals = load.stop()
    assert "disk full" in totals.detail
    assert not totals.reconciled


def test_a_load_that_hangs_is_killed(start: Start) -> None:
    """Stopping is bounded even where the child obeys nothing; what its windows told remains."""
    load, _ = start(rate=50.0)
    os.kill(load.pid, signal.SIGSTOP)
    totals = load.stop(0.2)
    assert not load.alive
    assert totals.started > 0


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
    for name, path in (("/fast", "/fast"), ("/slow", "/slow"), ("checked", "/checked")):
        assert 0 < names[name].finished <= counts[path] <= names[name].started
    assert names["checked"].failed == names["checked"].finished
    assert totals.untracked == names["told"].finished == names["told"].started > 0


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
    heard.wait(lambda ws: all(any(w.by_name.get(n) and w.by_name[n].failed for w in ws) for n in ("/fast", "/slow")))
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
    with pytest.raises(EquipmentError, match=said):
        LoadChild.start(a_spec(target, users=1, locustfile=str(path)), log=tmp_path / "log", on_event=heard)
    assert heard.states() == ["down"]
