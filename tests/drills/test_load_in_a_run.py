"""A load as a profile or an option asks for it, in a whole run: it flows in that way, its books balance, and where the
generator was in its own way the run says that nobody knows."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from chaoskit.events import LoadNames, LoadTotals, LoadWindow
from chaoskit.load.processes import MOST_BYTES
from tests.drills.conftest import Drill, Ended, signalled
from tests.load_machines import Machines, machines

__all__ = ["machines"]

pytestmark = [pytest.mark.drill, pytest.mark.stack]

OWN = """
from locust import FastHttpUser, constant, task

class Clerk(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        self.client.get("/leads?limit=10", name="leads")
"""
BURNING = """
import time

class Burning(FastHttpUser):
    wait_time = constant(0.1)
    fixed_count = 1

    @task
    def burn(self):
        end = time.perf_counter() + 0.1
        while time.perf_counter() < end:
            pass
        self.client.get("/leads?limit=10", name="burnt")
"""


EIGHT_MINUTES = "  - wait: 8m\n"
TIDY = """
from locust import HttpUser, constant, task

class Tidy(HttpUser):
    wait_time = constant(0.1)

    def on_start(self):
        self.client.get("/leads?limit=1", name="login")

    def on_stop(self):
        self.client.get("/leads?limit=1", name="logout")

    @task
    def flow(self):
        self.client.post("/leads", json={"name": "drill", "email": "d@example.com"}, name="create")
        try:
            for _ in range(1000):
                answer = self.client.get("/leads?limit=50", name="list")
                print(answer.text * 3)
        finally:
            self.client.get("/leads?limit=1", name="delete", catch_response=True)
"""


def windows_of(ended: Ended) -> list[LoadWindow]:
    windows = list(ended.history.of(LoadWindow))
    (totals,) = ended.history.of(LoadTotals)
    started = sum(window.started for window in windows)
    assert started == totals.started == totals.finished + totals.in_flight + totals.dropped
    assert totals.finished == totals.locust_requests
    assert totals.reconciled
    assert totals.cpu_s > 0
    return windows


@pytest.mark.long
def test_a_closed_load_with_a_spike_of_several_processes(drill: Drill) -> None:
    ended = drill.run("--set", "load={users: 6, think: 200ms, processes: 2, shape: {spike: {to: 3, at: 6s, for: 4s}}}")
    assert ended.results("load") == {"PASS"}, ended.said
    users = [window.users for window in windows_of(ended) if window.users]
    assert set(users) >= {6, 18}
    assert users[-1] == 6


def test_a_locustfile_of_ones_own(drill: Drill, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    profile = tmp_path / "own.yml"
    profile.write_text(
        "chaoskit: 1\ntarget: local\nload:\n  locustfile: own.py\n  users: 4\n"
        "handles: {role: {worker: {process: worker, label: worker_name}}}\n"
    )
    ended = drill.run("--profile", str(profile))
    assert ended.results("load") == {"PASS"}, ended.said
    windows = windows_of(ended)
    assert max(window.users for window in windows) == 4
    assert sum(window.finished for window in windows) > 100


@pytest.mark.long
def test_a_generator_in_its_own_way_is_unknown_and_the_alerts_are_judged(drill: Drill, tmp_path: Path) -> None:
    """Its tasks burn the time in which it should look at the clock."""
    path = tmp_path / "burning.py"
    path.write_text(OWN + BURNING)
    ended = drill.run("--set", f"load={{locustfile: {path}, users: 4}}")
    assert ended.results("load") == {"UNKNOWN"}, ended.said
    assert "more about the generator than about the service" in ended.reason("load")
    assert ended.results("hold")
    assert max(window.late for window in windows_of(ended)) > 0.05


@pytest.mark.long
def test_a_locustfile_has_its_end_and_its_output_a_bound(drill: Drill, tmp_path: Path) -> None:
    """It prints each answer and throws away what it asks for last; nothing of it is in flight, all is counted."""
    path = tmp_path / "tidy.py"
    path.write_text(TIDY)
    ended = drill.play(EIGHT_MINUTES, "  nothing\n").run("--set", f"load={{locustfile: {path}, users: 4, drain: 3s}}")
    assert ended.results("load") == {"PASS"}, ended.said
    (totals,) = ended.history.of(LoadTotals)
    assert (totals.in_flight, totals.cut_short) == (0, [])
    assert totals.unreported["GET delete"] >= 4
    log = ended.folder / "stack" / "logs" / "load.log"
    assert 100_000 < log.stat().st_size <= MOST_BYTES
    assert "answered and never reported" in ended.said


@pytest.mark.long
def test_a_generator_that_stands_still_is_told_while_the_run_goes_on(drill: Drill) -> None:
    ended = drill.play(EIGHT_MINUTES, "  nothing\n").run(
        "--set", "load.rate=40/s", when="running the steps", do=signalled("chaoskit.load.child", signal.SIGSTOP)
    )
    assert ended.results("load") == {"UNKNOWN"}, ended.said
    assert "load is SILENT: load (pid " in ended.said
    assert "a signal stopped it; see load.log" in ended.said
    assert ended.said.index("load is SILENT") < ended.said.index("step wait done")


@pytest.mark.long
def test_workers_of_other_machines_bear_the_load_and_one_that_goes_is_missed(drill: Drill, machines: Machines) -> None:
    """Both bear half. A pod that is moved ends its worker in peace: the load is UNKNOWN with its share, never less."""
    there = f"workers: {{expect: 2, port: {machines.port}, token_file: {machines.file}}}"
    load = ("--set", f"load={{rate: 40/s, {there}}}")
    machines.worker(again=True)
    machines.worker(again=True)
    ended = drill.run(*load)
    assert ended.results("load") == {"PASS"}, ended.said
    whole = [window.asked_requests for window in windows_of(ended) if window.second[1] - window.second[0] == 1]
    assert whole == pytest.approx([40.0] * len(whole), abs=0.01)
    ended = drill.run(*load, when="running the steps", do=lambda _: machines.started[1].terminate())
    assert (ended.code, ended.results("load")) == (3, {"UNKNOWN"}), ended.said
    assert f"on {socket.gethostname()}, which bore 50% of the load, was ended on its machine" in ended.reason("load")


@pytest.mark.long
def test_an_open_load_in_steps(drill: Drill) -> None:
    """The rate that was asked for, whatever the target does; it begins with a quarter of it."""
    ended = drill.run("--set", "load.rate=80/s", "--set", "load.shape={step: {steps: 4, each: 3s}}")
    assert ended.results("load") == {"PASS"}, ended.said
    whole = [w.started for w in windows_of(ended) if w.second[1] - w.second[0] == 1]
    assert whole[0] == pytest.approx(20, abs=5)
    assert max(whole) == pytest.approx(80, abs=5)


JUDGING = (
    OWN
    + """
from locust import events

@events.quitting.add_listener
def judge(environment, **_):
    environment.process_exit_code = 5

class Careless(Clerk):
    fixed_count = 1

    @task
    def careless(self):
        with self.client.get("/leads?limit=1", catch_response=True, name="careless") as answer:
            answer.failure("the basket is empty")
        raise KeyError("basket")
"""
)
QUIET = "  - wait: 2m\n", "  nothing\n"


@pytest.mark.long
def test_names_limits_exceptions_and_an_exit_code_in_a_whole_run(drill: Drill, tmp_path: Path) -> None:
    """Each of them in the verdict, on the terminal, and in the folder; only what was limited or set makes it FAIL."""
    path = tmp_path / "judging.py"
    path.write_text(JUDGING)
    limits = "fail_if: [{name: leads, failed: 20%, p95: 10s}, {name: careless, failed: 5%}, {name: nowhere, p50: 1s}]"
    ended = drill.play(QUIET[0], QUIET[1]).run("--set", f"load={{locustfile: {path}, users: 6, {limits}}}")
    assert ended.code == 1, ended.said
    assert [row["result"] for row in ended.rows("limit")] == ["PASS", "FAIL", "UNKNOWN"], ended.said
    assert "the basket is empty" in ended.reason("limit")
    assert "exit code 5" in ended.reason("exit-code")
    assert ended.results("load") == {"PASS"}
    assert "KeyError: 'basket' (judging.py:" in ended.said
    names = {(one["name"], one["phase"]) for one in ended.verdict["requests"]}
    assert {("leads", "steady"), ("leads", "tail"), ("careless", "all")} <= names
    assert "the basket is empty" in (ended.folder / "load_failures.csv").read_text()
    assert "careless" in (ended.folder / "load_stats.csv").read_text()
    assert "judging.py" in (ended.folder / "load_exceptions.csv").read_text()
    (totals,) = ended.history.of(LoadTotals)
    assert sum(one.finished for each in ended.history.of(LoadNames) for one in each.names.values()) == totals.finished


def test_users_that_cannot_log_in_end_the_run_before_its_first_step(drill: Drill, tmp_path: Path) -> None:
    path = tmp_path / "locked.py"
    path.write_text(
        OWN + "\n    def on_start(self):\n        self.token = self.client.get('/leads/0').json()['token']\n"
    )
    ended = drill.play(QUIET[0], QUIET[1]).run("--set", f"load={{locustfile: {path}, users: 4}}")
    assert ended.code == 3, ended.said
    assert "the load has no users: of the 4 asked for, 4 ended with" in ended.reason("steady")
    assert "(locked.py:" in ended.reason("steady")
    assert "load.log" in ended.reason("steady")
