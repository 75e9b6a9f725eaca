"""Real drills begun, edited, reset and stopped from Locust's page: verdict and books as of a terminal's run."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaoskit.events import LoadTotals
from chaoskit.history import read_history

pytestmark = [pytest.mark.drill, pytest.mark.long]
WITHIN_S = 120.0


class Console:
    """`chaoskit ui` as a process, and a browser's way to it."""

    def __init__(self, out: Path, log: Path) -> None:
        self.out = out
        with log.open("wb") as output:
            words = [sys.executable, "-m", "chaoskit", "ui", "--port", "0", "--out", str(out)]
            self.process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
        await_(lambda: "is in " in log.read_text(), "the address is said")
        link = Path(log.read_text().rpartition(" is in ")[2].strip().rstrip(")")).read_text().strip()
        self.port = int(link.split(":")[2].partition("/")[0])
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers = {"Cookie": f"chaoskit-{self.port}={link.rpartition('=')[2]}"}
        await_(lambda: self.ask("GET", "/new")[0] == 200, "the console answers")

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, {**self.headers, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def press(self, button: str, **form: str) -> Any:
        """One of Locust's buttons."""
        fields = "&".join(f"{key}={value}" for key, value in form.items())
        kind = {"Origin": self.url, "Content-Type": "application/x-www-form-urlencoded"}
        said = self.ask("POST", f"/locust/{button}", fields, **kind)[1]
        return json.loads(said) if said.startswith("{") else said

    def state(self) -> str:
        return str(json.loads(self.ask("GET", "/locust/stats/requests")[1])["state"])

    def shows(self, word: str) -> bool:
        return word in self.ask("GET", "/")[1]

    def last(self) -> Path:
        return sorted(self.out.glob("*-*"))[-1]


def await_(done: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        time.sleep(0.1)  # the page answers when it is asked, and announces nothing


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    found = Console(tmp_path / "out", tmp_path / "log")
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def verdict(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return found


def test_start_edit_reset_and_stop_of_locust_and_the_end_of_the_console(console: Console) -> None:
    """START plays a drill to its verdict, whatever EDIT and RESET say meanwhile, with books that add up; STOP ends the
    next one healed, with exit 4; the console's own end does the same with the third. None of ours is left."""
    assert console.state() == "ready"
    assert console.press("swarm", user_count="1", spawn_rate="1", scenario="worker-unhealthy")["success"] is True
    await_(lambda: console.shows('class="phase running"'), "the drill runs")
    assert console.press("swarm", user_count="50", spawn_rate="50")["success"] is False
    await_(lambda: console.state() == "running", "Locust's page says that it runs")
    assert console.press("stats/reset") == "ok"
    await_(lambda: console.shows('class="phase over"'), "the verdict is there")
    first = console.last()
    assert verdict(first)["result"] == "PASS", verdict(first)
    totals = next(read_history(first).of(LoadTotals))
    assert (totals.reconciled, totals.failed) == (True, 0)
    await_(lambda: console.state() == "stopped", "Locust's page says that it has ended")

    assert console.press("swarm", user_count="1", spawn_rate="1", scenario="worker-unhealthy")["success"] is True
    await_(lambda: console.shows("undone at the latest in"), "the fault is in force")
    assert console.press("stop")["success"] is True
    await_(lambda: console.shows('class="phase over"'), "the drill has ended")
    assert verdict(console.last())["exit_code"] == 4

    assert console.press("swarm", user_count="1", spawn_rate="1", scenario="worker-unhealthy")["success"] is True
    await_(lambda: console.shows("undone at the latest in"), "the fault is in force")
    ours = {one.pid for one in psutil.Process(console.process.pid).children(recursive=True)}
    console.process.send_signal(signal.SIGTERM)
    assert console.process.wait(60) == 0
    assert verdict(console.last())["exit_code"] == 4
    assert [pid for pid in ours if psutil.pid_exists(pid)] == []
    assert console.process.pid not in ours


def test_a_run_with_a_page_ends_as_ever_in_a_pipe_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page is there while it runs; exit code, verdict and history are the run's, and nothing of it stays."""
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    out = tmp_path / "out"
    words = [sys.executable, "-m", "chaoskit", "run", "worker-unhealthy", "--ui", "--ui-port", "0", "--out", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        first = run.stdout.readline()
        file = Path(first.rpartition(" is in ")[2].strip().rstrip(")"))
        link = file.read_text().strip()
        port = int(link.split(":")[2].partition("/")[0])
        seen: set[str] = set()

        def asked() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", "/", headers={"Cookie": f"chaoskit-{port}={link.rpartition('=')[2]}"})
                text = connection.getresponse().read().decode()
                seen.add(text.partition('class="phase ')[2].partition('"')[0])
            except OSError:
                assert run.poll() is None, f"its page was {seen or 'never there'}"
                return False
            finally:
                connection.close()
            return "running" in seen

        await_(asked, "the page shows that it runs")
        ours = {one.pid for one in psutil.Process(run.pid).children(recursive=True)}
        rest = run.stdout.read()
    assert run.returncode == verdict(sorted(out.glob("*-*"))[-1])["exit_code"], rest
    assert "stays until" not in rest
    assert link.rpartition("=")[2] not in first + rest
    assert not file.exists()
    await_(lambda: not [pid for pid in ours if psutil.pid_exists(pid)], "none of its processes is left", 5)
