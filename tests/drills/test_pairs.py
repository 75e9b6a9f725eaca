"""A drill on two Prometheus and two clustered Alertmanagers that watch one system: both up, one of each killed or ended
and started again, one that stands still, one that comes late, and a cluster that fell apart."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from chaoskit.events import FaultOk
from chaoskit.history import read_history
from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import require
from chaoskit.stack.monitoring import package_root
from chaoskit.waiting import await_true
from tests.attached_system import SCENARIO, System, running
from tests.drills.conftest import Ended
from tests.witness_examples import witness

pytestmark = [pytest.mark.drill, pytest.mark.stack, pytest.mark.long]
PEER_TIMEOUT_S = 2
UP_S = 40.0


@dataclass
class Program:
    """A Prometheus or an Alertmanager that can be killed and started again."""

    argv: Sequence[str]
    url: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it is ready."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdout=log, stderr=log, cwd=package_root(Path(self.argv[0])) or self.folder
            )
        assert await_true(self._ready, UP_S, 0.1), (self.folder / "log").read_text()

    def _ready(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"{self.url}/-/ready", timeout=1).ok
        return False

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """By this signal; returns once it is gone."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)


@dataclass
class Pairs:
    """Two of each, and the system that they watch."""

    system: System
    prometheus: list[Program] = field(default_factory=list)
    alertmanager: list[Program] = field(default_factory=list)

    def profile(self) -> Path:
        """A profile that names them all."""
        return self.system.profile(
            prometheus=[one.url for one in self.prometheus],
            alertmanager=[one.url for one in self.alertmanager],
            peer_timeout=f"{PEER_TIMEOUT_S}s",
        )


def _of(system: System, name: str) -> tuple[psutil.Process, Path]:
    """A program of the running system, and its configuration."""
    for one in psutil.Process(system.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            words = one.cmdline()
            if words and Path(words[0]).name.removeprefix("prometheus-") == name:
                return one, Path(next(word.partition("=")[2] for word in words if word.startswith("--config.file=")))
    raise AssertionError(f"no {name} runs")


@contextmanager
def pairs(folder: Path, *, clustered: bool = True) -> Iterator[Pairs]:
    """The system's own monitoring stands still meanwhile."""
    with witness() as ears, running(folder, ears.url) as system:
        binaries = require()
        theirs = {name: _of(system, name) for name in ("prometheus", "alertmanager")}
        for process, _ in theirs.values():
            process.suspend()
        found = Pairs(system)
        ports, talk = reserve(4), reserve(2)
        config = yaml.safe_load(theirs["prometheus"][1].read_text())
        targets = [f"127.0.0.1:{port}" for port in ports[2:]]
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": targets}]}]}
        config["rule_files"] = [str(theirs["prometheus"][1].parent / one) for one in config["rule_files"]]
        try:
            for number in (0, 1):
                at = folder / f"prometheus-{number}"
                at.mkdir()
                (at / "prometheus.yml").write_text(yaml.safe_dump(config))
                argv = [f"--config.file={at}/prometheus.yml", f"--storage.tsdb.path={at}/data"]
                argv += [f"--web.listen-address=127.0.0.1:{ports[number]}"]
                url = f"http://127.0.0.1:{ports[number]}"
                found.prometheus.append(Program([str(binaries.prometheus), *argv], url, at))
                at = folder / f"alertmanager-{number}"
                at.mkdir()
                argv = [f"--config.file={theirs['alertmanager'][1]}", f"--storage.path={at}/data"]
                argv += [f"--web.listen-address=127.0.0.1:{ports[2 + number]}"]
                own, other = talk[number], talk[1 - number]
                argv += (
                    [
                        f"--cluster.listen-address=127.0.0.1:{own}", f"--cluster.advertise-address=127.0.0.1:{own}",
                        f"--cluster.peer=127.0.0.1:{other}", f"--cluster.peer-timeout={PEER_TIMEOUT_S}s",
                        "--cluster.gossip-interval=50ms", "--cluster.reconnect-interval=1s",
                    ]
                    if clustered
                    else ["--cluster.listen-address="]
                )  # fmt: skip
                url = f"http://127.0.0.1:{ports[2 + number]}"
                found.alertmanager.append(Program([str(binaries.alertmanager), *argv], url, at))
            for one in (*found.alertmanager, *found.prometheus):
                one.start()
            yield found
        finally:
            for one in (*found.prometheus, *found.alertmanager):
                one.end()
            for process, _ in theirs.values():
                process.resume()


def run(found: Pairs, out: Path, meddle: Callable[[], None] = lambda: None, once: bytes = b'"effect') -> Ended:
    """A drill; `meddle` is done, from another thread, once its fault is in force, or that stands in the history."""
    (out / "drill.yml").write_text(SCENARIO)
    command = [sys.executable, "-m", "chaoskit", "run", str(out / "drill.yml"), "--bundle", str(found.system.bundle)]
    command += ["--out", str(out), "--profile", str(found.profile()), "--confirm", "staging"]
    ended = threading.Event()

    def meanwhile() -> None:
        journal = out / "latest" / "events.jsonl"
        while not ended.wait(0.05):
            if journal.exists() and once in journal.read_bytes():
                meddle()
                return

    thread = threading.Thread(target=meanwhile)
    thread.start()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=160, check=False)
    finally:
        ended.set()
        thread.join()
    folder = out / "latest"
    assert (folder / "verdict.json").exists(), done.stdout + done.stderr
    verdict = json.loads((folder / "verdict.json").read_text())
    return Ended(done.returncode, done.stdout + done.stderr, folder, verdict, read_history(folder))


def down(ended: Ended) -> set[str]:
    """The members of pairs of which a row says that they were down."""
    return {row["about"] for row in ended.rows("configuration")}


def proven(ended: Ended) -> None:
    for hop in ("detect", "hold", "notify", "clear", "all-clear"):
        assert ended.results(hop) == {"PASS"}, ended.said


def test_two_of_each_are_one_to_the_verdict(tmp_path: Path) -> None:
    with pairs(tmp_path) as found:
        ended = run(found, tmp_path)
    assert ended.code == 0, ended.said
    proven(ended)


@pytest.mark.parametrize(("member", "by"), [(0, signal.SIGKILL), (1, signal.SIGTERM)], ids=["killed", "ended"])
def test_one_of_each_that_goes_and_is_started_again_hides_nothing_and_is_a_row(
    tmp_path: Path, member: int, by: int
) -> None:
    """The first of each, at which everything would have been asked, is killed; the second is ended in order."""
    with pairs(tmp_path) as found:
        both = (found.prometheus[member], found.alertmanager[member])

        def at_fault() -> None:
            for one in both:
                one.end(by)
            time.sleep(6)  # for so long it is down
            for one in both:
                one.start()

        ended = run(found, tmp_path, at_fault)
    assert ended.code == 3, ended.said
    proven(ended)
    assert down(ended) == {f"prometheus {both[0].url}", f"alertmanager {both[1].url}"}


def test_nothing_is_broken_until_both_of_each_answer(tmp_path: Path) -> None:
    """One that is started late is waited for, and then there is nothing to say of it."""
    with pairs(tmp_path) as found:
        started: list[float] = []
        for one in (found.prometheus[1], found.alertmanager[1]):
            one.end()

        def late() -> None:
            time.sleep(5)  # for so long the run waits
            for one in (found.prometheus[1], found.alertmanager[1]):
                one.start()
            started.append(time.time())

        ended = run(found, tmp_path, late, once=b'"type":"header"')
    assert ended.code == 0, ended.said
    proven(ended)
    assert down(ended) == set()
    [effect] = [one.effect for one in ended.history.of(FaultOk)]
    assert started[0] < effect[0]


def test_one_of_each_that_stands_still_hides_nothing_and_is_a_row(tmp_path: Path) -> None:
    with pairs(tmp_path) as found:

        def at_fault() -> None:
            for one in (found.prometheus[1], found.alertmanager[1]):
                one.send(signal.SIGSTOP)

        ended = run(found, tmp_path, at_fault)
    assert ended.code == 3, ended.said
    assert ended.results("detect") == ended.results("notify") == {"PASS"}, ended.said
    assert down(ended) == {f"prometheus {found.prometheus[1].url}", f"alertmanager {found.alertmanager[1].url}"}


def test_a_cluster_that_fell_apart_tells_twice_and_that_is_a_failure(tmp_path: Path) -> None:
    with pairs(tmp_path, clustered=False) as found:
        ended = run(found, tmp_path)
    assert ended.code == 1, ended.said
    assert [row["reason"] for row in ended.verdict["rows"] if row["result"] == "FAIL"], ended.said
