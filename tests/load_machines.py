"""Workers of load as if each were on a machine of its own, for tests."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.host.ports import reserve
from chaoskit.load.engine import LoadChild
from chaoskit.load.processes import Processes
from tests.load_examples import Heard, Target, a_spec


class Machines:
    """Workers, each as if on a machine of its own, and what they print; all are ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.token, self.port = secrets.token_hex(32), reserve(1)[0]
        self.file = folder / "token"
        self.file.write_text(self.token + "\n")
        self.file.chmod(0o600)
        self.started: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._processes: list[Processes] = []

    def worker(
        self, *before: str, host: str = "127.0.0.1", code: str = "", again: bool = False, wait_s: int = 60
    ) -> subprocess.Popen[bytes]:
        """`chaoskit load-worker`, or the worker itself after some `code`; `before` are words before the command."""
        options = ["--master", host, "--port", str(self.port), "--token-file", str(self.file), "--wait", str(wait_s)]
        options += ["--again"] * again
        argv = [sys.executable, "-m", "chaoskit", "load-worker", *options]
        if code:
            code += "\nimport runpy, sys\nrunpy.run_module('chaoskit.load.worker', run_name='__main__', alter_sys=True)"
            argv = [sys.executable, "-c", code, host, str(self.port), str(self.file), "60"]
        with (self._folder / f"worker-{len(self.started)}.log").open("wb") as log:
            self.started.append(subprocess.Popen([*before, *argv], stdout=log, stderr=log, cwd=self._folder))
        return self.started[-1]

    def said(self, number: int) -> str:
        return (self._folder / f"worker-{number}.log").read_text()

    def begin(self, target: Target, *, bind: str = "127.0.0.1", **different: object) -> tuple[LoadChild, Heard]:
        """A load that these workers bear, once it flows."""
        heard, spec = Heard(), a_spec(target, processes=len(self.started), **different)
        processes = Processes(spec.processes, own=spec.locustfile is not None, elsewhere=True)
        self._processes.append(processes)
        processes.gather(bind, self.port, self.token, 60)
        load = LoadChild.start(spec, log=self._folder / "load.log", on_event=heard, processes=processes)
        assert load.flows(10)
        return load, heard

    def end(self) -> None:
        for processes in self._processes:
            processes.stop()
        for one in self.started:
            with contextlib.suppress(ProcessLookupError):
                one.send_signal(signal.SIGCONT)
            one.kill()
            one.wait(10)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    found = Machines(tmp_path)
    yield found
    found.end()
