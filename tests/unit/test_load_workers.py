"""Workers of load on other machines: exact shares, one sum, and no part for a process that does not know the token."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import msgpack
import pytest
import zmq
from test_load_profile import planned, read_load
from test_load_verdict import judged, seconds, some_load
from zmq.utils import z85

from chaoskit import __version__
from chaoskit.cli import run
from chaoskit.errors import BadInput, EquipmentError, ExitCode
from chaoskit.host.ports import reserve
from chaoskit.load.messages import Hello, LoadState, LoadWindow, encode
from chaoskit.load.processes import Processes
from chaoskit.load.tally import Skew, Tally
from chaoskit.report.load import load_line
from tests.load_examples import Target, adds_up, target
from tests.load_machines import Machines, machines

__all__ = ["machines", "target"]

WORKERS = "workers: {expect: 2, token_file: token}"


ANOTHER = "another-token" * 4


def key_pair(token: str, whose: str) -> tuple[bytes, bytes]:
    """The public and the secret key that a token makes."""
    secret = z85.encode(hmac.new(token.encode(), f"chaoskit load {whose}".encode(), hashlib.sha256).digest())
    return zmq.curve_public(secret), secret


def rogues_hear(port: int, token: str) -> list[bool]:
    """Whether rogues get an answer: one speaks as Locust does, one has another token, one knows the master's public
    key, and the last one knows the token and comes too late. Each says hello, counts a million, fetches the locustfile,
    ends the test and sends rubbish."""
    now, locust = time.time(), version("locust")
    window = encode(LoadWindow(second=(now, now + 1), started=10**6, finished=10**6))
    hello = encode(Hello(t=now, host="rogue", chaoskit=__version__, locust=locust))
    messages = [("client_ready", locust), ("locustfile", {"version": locust}), ("chaoskit", hello)]
    messages += [("chaoskit", window), ("stats", {}), ("quit", None)]
    packets = [*(msgpack.dumps((kind, data, "rogue")) for kind, data in messages), b"\xc1 no msgpack"]
    with contextlib.ExitStack() as opened:
        sockets, context = [], opened.enter_context(zmq.Context())
        for masters, workers in (("", ""), (ANOTHER, ANOTHER), (token, ANOTHER), (token, token)):
            sockets.append(one := opened.enter_context(context.socket(zmq.DEALER)))
            one.setsockopt(zmq.LINGER, 0)
            one.setsockopt(zmq.IDENTITY, f"rogue-{len(sockets)}".encode())
            if masters:
                public, secret = key_pair(workers, "worker")
                one.setsockopt(zmq.CURVE_SERVERKEY, key_pair(masters, "master")[0])
                one.setsockopt(zmq.CURVE_PUBLICKEY, public)
                one.setsockopt(zmq.CURVE_SECRETKEY, secret)
            one.connect(f"tcp://127.0.0.1:{port}")
            with contextlib.suppress(zmq.Again):  # refused before it could say all
                for packet in packets:
                    one.send(packet, zmq.DONTWAIT)
        answered = sockets[-1].poll(10_000)
        return [*(bool(one.poll(200)) for one in sockets[:-1]), bool(answered)]


def test_workers_bear_exact_shares_and_a_rogue_has_no_part(machines: Machines, target: Target) -> None:
    """One that knows it and comes when all are there is answered, and has no part either."""
    machines.worker()
    machines.worker(code="pass")
    load, heard = machines.begin(target, rate=100.0)
    assert rogues_hear(machines.port, machines.token) == [False, False, False, True]
    heard.wait(lambda windows: sum(window.started for window in windows) > 150)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.finished == sum(target.counts().values())
    whole = [window for window in heard.of(LoadWindow)[1:-1] if not window.still]
    assert {(round(window.asked_requests or 0, 2), window.dropped) for window in whole} == {(100.0, 0)}
    assert [one.wait(10) for one in machines.started] == [0, 0]
    assert totals.astray == []
    assert all("bears share" in machines.said(number) for number in (0, 1))


def test_missing_workers_are_told_with_what_to_start() -> None:
    processes = Processes(3, own=False, elsewhere=True)
    (port,) = reserve(1)
    with pytest.raises(EquipmentError) as missing:
        processes.gather("127.0.0.1", port, "t" * 64, 0.1)
    assert f"3 of 3 workers did not come to 127.0.0.1:{port} within 0.1 s; there are: none" in str(missing.value)
    assert f"chaoskit load-worker --master 127.0.0.1 --port {port}" in str(missing.value)
    assert not any(child.alive for child in processes.children)


@pytest.mark.long
def test_missing_workers_are_told_with_those_who_are_there_and_who_came_without_the_token(machines: Machines) -> None:
    machines.worker()
    processes = Processes(3, own=False, elsewhere=True)
    knocking = threading.Thread(target=rogues_hear, args=(machines.port, machines.token))
    knocking.start()
    with pytest.raises(EquipmentError) as missing:
        processes.gather("127.0.0.1", machines.port, machines.token, 8)
    knocking.join()
    there = f"within 8 s; there are: {socket.gethostname()};"
    assert f"2 of 3 workers did not come to 127.0.0.1:{machines.port} {there}" in str(missing.value)
    assert re.search(r"; [1-9]\d* connections had another token, or none, and were refused;", str(missing.value))


@pytest.mark.long
def test_a_port_that_is_taken_is_told(machines: Machines) -> None:
    with socket.create_server(("127.0.0.1", machines.port)), pytest.raises(EquipmentError) as refused:
        Processes(1, own=False, elsewhere=True).gather("127.0.0.1", machines.port, machines.token, 5)
    assert f"cannot listen on 127.0.0.1:{machines.port}: Address already in use" in str(refused.value)


@pytest.mark.long
@pytest.mark.parametrize("host", ["", "*", "a b", "tcp://10.0.0.5", "10.0.0.5:5557", "a" * 64, "a..b", "[::1]"])
def test_a_master_that_is_no_host_is_refused(host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some a worker could not be told to come to, and to the others it would wait in vain."""
    assert run(["load-worker", "--master", host, "--token-file", str(tmp_path / "none")]) == ExitCode.USAGE
    assert f"'{host}' is no host: write a name or an IP address; its port is --port" in capsys.readouterr().err


def test_a_worker_takes_the_next_share_where_it_is_to(machines: Machines, target: Target) -> None:
    machines.worker("env", "LOCUST_HEADLESS=1", again=True)
    for _ in range(2):
        load, heard = machines.begin(target, rate=40.0)
        load.change(replace(load.spec, rate=80.0))
        heard.wait(lambda windows: windows[-1].asked_requests == pytest.approx(80.0))
        totals = load.stop()
        adds_up(heard, totals)
    machines.started[0].send_signal(signal.SIGTERM)
    assert machines.started[0].wait(10) in (3, -signal.SIGTERM)
    assert machines.said(0).count("bears share 1 of 1") == 2


@pytest.mark.long
def test_a_worker_of_another_version_is_refused_and_told_why(machines: Machines) -> None:
    machines.worker(code="import chaoskit; chaoskit.__version__ = '0.0.1'")
    processes = Processes(1, own=False, elsewhere=True)
    with pytest.raises(EquipmentError, match=r"runs chaoskit 0\.0\.1"):
        processes.gather("127.0.0.1", machines.port, machines.token, 8)
    assert machines.started[0].wait(10) == 2
    assert "takes no worker of another version" in machines.said(0)


@pytest.mark.long
def test_a_worker_without_encryption_does_not_start(machines: Machines) -> None:
    worker = machines.worker(code="import locust, zmq.green as zmq; zmq.has = lambda what: False")
    assert worker.wait(20) == ExitCode.USAGE
    assert "was built without CURVE" in machines.said(0)


@pytest.mark.long
def test_a_worker_tells_nothing_to_a_master_without_the_token(machines: Machines) -> None:
    """Nor does it run anything of it: one that speaks as Locust does, then one that has another token."""
    for token in ("", ANOTHER):
        worker = machines.worker(wait_s=4)
        with zmq.Context() as context, context.socket(zmq.ROUTER) as master:
            if token:
                master.setsockopt(zmq.CURVE_SERVER, 1)
                master.setsockopt(zmq.CURVE_SECRETKEY, key_pair(token, "master")[1])
            master.bind(f"tcp://127.0.0.1:{machines.port}")
            assert not master.poll(8_000)
        assert worker.wait(10) == 3


LOOKING = """
import os
from locust import FastHttpUser, constant, events, task

@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--room", required=True)

class Plain(FastHttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        print("room", self.environment.parsed_options.room, "in", os.path.dirname(__file__), flush=True)

    @task
    def look(self):
        self.client.get("/plain")
"""


@pytest.mark.long
def test_a_locustfile_travels_to_its_workers(machines: Machines, target: Target, tmp_path: Path) -> None:
    """Under Locust's own master: users are shared out once, options are the same, and the file is gone at the end."""
    own = tmp_path / "own.py"
    own.write_text(LOOKING)
    for _ in range(2):
        machines.worker()
    load, heard = machines.begin(target, users=6, locustfile=str(own), options={"room": "blue"})
    heard.wait(lambda windows: (windows[-1].users, windows[-1].asked_users) == (6, 6))
    load.change(replace(load.spec, users=4))
    heard.wait(lambda windows: (windows[-1].users, windows[-1].asked_users) == (4, 4))
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.locust_requests == totals.finished == sum(target.counts().values())
    assert [one.wait(10) for one in machines.started] == [0, 0]
    places = [line.split(" in ")[1] for n in (0, 1) for line in machines.said(n).splitlines() if "room blue" in line]
    assert len(places) == 6
    assert not any(Path(place).exists() for place in places)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_ends_the_load_with_its_share(
    machines: Machines, target: Target, number: signal.Signals
) -> None:
    """Also one that goes in peace, with its totals: what it bore is missing from then on."""
    for _ in range(2):
        machines.worker()
    load, heard = machines.begin(target, rate=40.0)
    machines.started[1].send_signal(number)
    heard.wait(lambda states: states[-1].state == "down", LoadState, at_most_s=5)
    (*_, down) = heard.of(LoadState)
    how = {signal.SIGKILL: "ended: the worker's connection ended", signal.SIGTERM: "was ended on its machine"}[number]
    assert f"which bore 50% of the load, {how}" in down.detail
    totals = load.stop(0)
    assert (totals.reconciled, totals.detail) == (False, down.detail)


@pytest.mark.long
def test_a_worker_that_stands_still_is_told_with_its_share(machines: Machines, target: Target) -> None:
    """And one that is silent for too long counts as dead, though its connection stands."""
    for _ in range(2):
        machines.worker()
    load, heard = machines.begin(target, rate=40.0)
    machines.started[0].send_signal(signal.SIGSTOP)
    heard.wait(lambda states: states[-1].state == "silent", LoadState, at_most_s=10)
    machines.started[0].send_signal(signal.SIGCONT)
    heard.wait(lambda windows: any(window.still for window in windows) and not windows[-1].still)
    still = [share for window in heard.of(LoadWindow) for share in window.still.values()]
    assert set(still) == {0.5}
    machines.started[1].send_signal(signal.SIGSTOP)
    heard.wait(lambda states: states[-1].state == "down", LoadState, at_most_s=25)
    assert "which bore 50% of the load, has sent no report for 15 s" in heard.of(LoadState)[-1].detail
    assert not load.stop(0).reconciled


AHEAD = "import time\nnow = time.time\ntime.time = lambda: now() + 7.0"


@pytest.mark.long
def test_a_clock_that_is_off_is_told_with_its_share_and_its_counts_are_kept(machines: Machines, target: Target) -> None:
    machines.worker()
    machines.worker(code=AHEAD)
    load, heard = machines.begin(target, rate=40.0)
    heard.wait(lambda windows: sum(window.started for window in windows) > 120)
    totals = load.stop()
    adds_up(heard, totals)
    assert totals.finished == sum(target.counts().values())
    (said,) = totals.astray
    assert "which bore 50% of the load, is 7.0 s fast" in said


@pytest.mark.long
def test_workers_end_when_the_run_is_killed(machines: Machines, target: Target, tmp_path: Path) -> None:
    """The master tells them, where it can; else their lease ends."""
    machines.worker()
    load, _ = machines.begin(target, rate=40.0)
    os.kill(load.pids[0], signal.SIGKILL)
    assert machines.started[0].wait(40) in (0, 3)
    before = sum(target.counts().values())
    threading.Event().wait(1.0)  # a request that does not come is no event
    assert sum(target.counts().values()) == before


def _in_namespaces() -> str:
    """Why there can be no network namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program ip (iproute2)"
    name = f"ck{os.getpid() % 10000}-0"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return tried.stderr.strip()


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces as hosts, each with a cable to this one, whose end here is 10.213.N.1."""
    if why := _in_namespaces():
        pytest.skip(why)
    made = []
    run: Callable[[str], object] = lambda line: subprocess.run(line.split(), check=True, capture_output=True)  # noqa: E731
    try:
        for n in (1, 2):
            name = f"ck{os.getpid() % 10000}-{n}"
            run(f"ip netns add {name}")
            made.append(name)
            run(f"ip link add {name} type veth peer name eth0 netns {name}")
            run(f"ip addr add 10.213.{n}.1/24 dev {name}")
            run(f"ip link set {name} up")
            run(f"ip -n {name} addr add 10.213.{n}.2/24 dev eth0")
            run(f"ip -n {name} link set eth0 up")
            run(f"ip -n {name} route add default via 10.213.{n}.1")
        yield made
    finally:
        for name in made:
            for what in ("link", "netns"):  # a host may outlive its name for as long as a worker is on it
                subprocess.run(["ip", what, "del", name], check=False, capture_output=True)


@pytest.mark.long
def test_hosts_bear_a_load_until_a_cable_is_pulled(machines: Machines, hosts: list[str], tmp_path: Path) -> None:
    """Two network namespaces as machines: both bear half, and the one whose cable is pulled is named with its share."""
    server = Target("10.213.1.1")
    try:
        for name in hosts:
            machines.worker("ip", "netns", "exec", name, host="10.213.1.1")
        load, heard = machines.begin(server, rate=40.0, bind="10.213.1.1")
        heard.wait(lambda windows: sum(window.started for window in windows) > 120)
        adds = [window.asked_requests for window in heard.of(LoadWindow)[1:]]
        assert adds == pytest.approx([40.0] * len(adds), abs=0.01)
        subprocess.run(["ip", "link", "set", hosts[1], "down"], check=True)
        heard.wait(lambda states: states[-1].state == "down", LoadState, at_most_s=25)
        assert "which bore 50% of the load" in heard.of(LoadState)[-1].detail
        load.stop(0)
        begun = time.monotonic()
        assert [one.wait(40) for one in machines.started]
        assert time.monotonic() - begun < 40
    finally:
        server.close()


def test_a_clock_that_is_off_by_less_than_half_a_second_is_let_pass() -> None:
    tally = Tally(["load-0 on a", "load-1 on b"], 2)
    tally.skewed(0, 0.4)
    tally.skewed(1, -3.21)
    assert tally.without_totals("").astray == [
        "the clock of worker load-1 on b, which bore 50% of the load, is 3.2 s fast, so its seconds are not those of "
        "the run"
    ]


@pytest.mark.parametrize(
    ("samples", "off_s"),
    [
        ([0.02], 0.02),
        ([0.9, 0.02], 0.02),  # one was held up
        ([0.02] * 10 + [0.9] * 9 + [0.02] * 5, 0.02),  # nine were
        ([-6.9, -6.98, -6.95], -6.98),
        ([0.02] * 20 + [5.02] * 10, 5.02),  # its machine was paused for 5 s
        ([0.02] * 20 + [5.02] * 10 + [0.02] * 20, 5.02),
        ([0.02] * 20 + [-2.9], -2.9),  # it was set forward
    ],
)
def test_a_clock_is_told_from_a_network_that_holds_reports_up(samples: list[float], off_s: float) -> None:
    skew = Skew()
    for sample_s in samples:
        skew.take(sample_s)
    assert skew.s == off_s


def test_a_clock_that_is_off_makes_the_load_unknown() -> None:
    said = "the clock of worker load-1 on b, which bore 50% of the load, is 3.2 s fast"
    assert judged(some_load(seconds(20), astray=[said])) == [f"{said}; see load.log"]
    assert judged(some_load(seconds(20))) == []


def test_workers_are_read_with_what_is_usual_and_told_in_the_plan() -> None:
    load = read_load(f"rate: 40/s\n  {WORKERS}")
    assert load.workers is not None
    assert (load.workers.bind, load.workers.port, load.bearing) == ("127.0.0.1", 5557, 2)
    assert "2 workers, which come to 127.0.0.1:5557" in load_line(load)


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (None, "", "there is no token"),
        (0o644, "t" * 64, "every user of this machine can read the token (chmod o-r"),
        (0o622, "t" * 64, "other users may write to it"),
        (0o600, "t" * 31, "fewer than 32 characters"),
    ],
)
def test_a_token_that_is_no_secret_is_refused_before_anything_starts(
    tmp_path: Path, mode: int | None, text: str, said: str
) -> None:
    if mode is not None:
        (tmp_path / "token").write_text(text)
        (tmp_path / "token").chmod(mode)
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, f"rate: 40/s\n  {WORKERS}")
    assert said in str(refused.value)
    assert not text or text not in str(refused.value)


def test_a_service_on_loopback_is_no_target_for_workers_elsewhere(tmp_path: Path) -> None:
    """Each would load its own machine."""
    (tmp_path / "token").write_text("t" * 64)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(BadInput, match=r"the workers come to 10\.0\.0\.5, and the service listens on loopback"):
        planned(tmp_path, f"rate: 40/s\n  {WORKERS[:-1]}, bind: 10.0.0.5}}")
    assert planned(tmp_path, f"rate: 40/s\n  {WORKERS}").profile.load.bearing == 2
