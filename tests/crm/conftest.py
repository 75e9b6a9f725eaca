"""A CRM of real processes for the tests, and what they ask it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from chaoskit import waiting
from chaoskit.handles.practice import VARIABLE

TOKEN = "only-for-tests"
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


class RunningCrm:
    """A started CRM: its supervisor process, its ports, and bounded waits on what outsiders can see."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.slice = f"t{os.getpid()}-{folder.name}"[:24]
        self.data_dir = folder / "data"
        token, path = folder / "token", folder / "crm.json"
        token.write_text(TOKEN, encoding="utf-8")
        config = {"data_dir": str(self.data_dir), "admin_token_file": str(token), **settings}
        path.write_text(json.dumps(config), encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaoskit.crm", "--config", str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, VARIABLE: self.slice},
        )
        self.http = requests.Session()
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the CRM ended before it was ready; its stderr says why"
        self.hello: dict[str, Any] = json.loads(line)

    def url(self, port: str, path: str) -> str:
        return f"http://127.0.0.1:{self.hello[port]}{path}"

    def ask(self, method: str, port: str, path: str, body: Any = None, token: str = TOKEN) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.request(method, self.url(port, path), json=body, headers=headers, timeout=20)

    def toxic(self, key: str, **settings: Any) -> dict[str, Any]:
        response = self.ask("PUT", "proxy_admin", f"/toxics/{key}", settings)
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json()
        return shown

    def agent(self, agent: str = "deal-forecaster", **more: Any) -> int:
        body = {"agent": agent, **more}
        return self.ask("POST", "api", "/agent-requests", body).status_code

    def samples(self) -> dict[str, float]:
        """Every sample of the page, keyed as it is written there."""
        text = self.http.get(self.url("metrics", "/metrics"), timeout=20).text
        found = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {series: float(value) for series, value in found}

    def value(self, series: str) -> float:
        return self.samples()[series]

    def health(self, worker: str) -> float:
        return self.value(f'insa_worker_health_status{{worker_name="{worker}"}}')

    def restarts(self, worker: str) -> float:
        return self.value(f'insa_worker_restarts_total{{worker_name="{worker}"}}')

    def titles(self) -> dict[str, int]:
        """Process title -> pid of the supervisor's living children."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                if child.status() != psutil.STATUS_ZOMBIE:
                    found[" ".join(child.cmdline()).strip()] = child.pid
            except psutil.NoSuchProcess:
                continue
        return found

    def worker_pid(self, worker: str) -> int | None:
        return self.titles().get(f"crm[{self.slice}] worker {worker}")

    def replacement(self, worker: str, old: int) -> int:
        """The pid of the process that took a dead worker's place."""
        new: list[int] = []

        def replaced() -> bool:
            pid = self.worker_pid(worker)
            new[:] = [pid] if pid and pid != old else []
            return bool(new)

        self.wait(replaced, f"a replacement of {worker}", pause_s=0.002)
        return new[0]

    def wait(self, condition: Callable[[], bool], what: str, limit_s: float = 15, pause_s: float = 0.02) -> None:
        """Wait for a condition that must come; how long it takes is no part of the test."""
        assert waiting.await_true(condition, limit_s, pause_s), f"did not see within {limit_s:g} s: {what}"

    def wait_healthy(self) -> None:
        workers = self.hello["pids"]["workers"]
        self.wait(lambda: all(self.health(name) == 1 for name in workers), "all workers healthy")

    def stop(self) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait(10)
            assert self.process.stdout
            self.process.stdout.close()


@pytest.fixture
def start_crm(tmp_path: Path) -> Iterator[Callable[..., RunningCrm]]:
    """Starts CRMs with settings of their own; all end with the test."""
    running: list[RunningCrm] = []

    def start(**settings: Any) -> RunningCrm:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(RunningCrm(folder, **settings))
        return running[-1]

    yield start
    for crm in running:
        crm.stop()


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCrm]:
    """One CRM at 60x for a module's tests; each leaves it as it found it, apart from counters."""
    one = RunningCrm(tmp_path_factory.mktemp("crm"), time_scale=60)
    yield one
    one.stop()
