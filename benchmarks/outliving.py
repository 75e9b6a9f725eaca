"""A target that outlives what breaks it: a reference CRM started by itself, and ways to see that nothing is wrong.

What it looks at is the target itself (processes, toxics, queue, database, folder), never the tool's own word.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.faults.slice import MARK
from chaoskit.handles.practice import VARIABLE
from chaoskit.safety.heal import find_holders
from chaoskit.safety.run_registry import FOLDER_VARIABLE

_ANSWER_S = 3.0
_READY_S = 30.0
_LOOK_S = 0.02
"""Between two looks at processes, files and locks, which announce nothing, in real seconds."""


@dataclass(frozen=True, slots=True)
class Outliving:
    """The running CRM, where runs of ours are kept, and the state folder that marks their processes."""

    folder: Path
    slice: str
    process: subprocess.Popen[bytes]
    hello: Mapping[str, Any]
    token: str

    @property
    def state(self) -> Path:
        """The state folder of every command that this benchmark starts; by it their processes are found."""
        return self.folder / "state"

    @property
    def out(self) -> Path:
        """Where their journals are."""
        return self.folder / "runs"

    def environment(self) -> dict[str, str]:
        """For a command of ours."""
        return {**os.environ, FOLDER_VARIABLE: str(self.state)}

    def url(self, port: str) -> str:
        """Where a door of the CRM is."""
        return f"http://127.0.0.1:{self.hello[port]}"

    def orders(self) -> dict[str, list[str]]:
        """For every kind of fault, the arguments of `chaoskit inject` that bring it about here."""
        crm = rf"crm\[{self.slice}\]"
        token = f"token_file={self.folder / 'token'}"
        data = self.folder / "data"
        worker = ["--target", "role:worker=worker-1", "--at", rf"pattern={crm} worker (?P<name>\S+)"]
        link = ["--target", "link:upstream=upstream", "--at", f"url={self.url('proxy_admin')}", "--at", token]
        queue = ["--target", "queue:agent-tasks=agent-tasks", "--at", f"url={self.url('admin')}", "--at", token]
        cache = ["--target", "cache:reports=reports", "--at", f"url={self.url('admin')}", "--at", token]
        database = ["--target", "database:crm=crm", "--at", f"file={data / 'crm.db'}"]
        piece = ["--target", "slice:crm=crm", "--at", f"folder={data}"]
        piece += ["--at", f'mark={{"name": "{VARIABLE}", "value": "{self.slice}"}}']
        metrics = ["--at", rf"pattern={crm} (?P<name>metrics)", "--at", f"url={self.url('metrics')}/metrics"]
        flag = str(self.folder / "flag")
        return {
            "process.kill": [*worker, "--with", "hold=true"],
            "process.pause": worker,
            "process.crash-loop": [*worker, "--with", "times=2", "--with", "every=1s"],
            "http.error": [*link, "--with", "status=503"],
            "http.slow": [*link, "--with", "by=2s"],
            "tcp.reset": link,
            "tcp.blackhole": link,
            "tcp.flaky": link,
            "queue.flood": [*queue, "--with", "level=50"],
            "queue.dead-letters": [*queue, "--with", "level=20"],
            "cache.thrash": [*cache, "--at", f"service={self.url('api')}", "--with", "path=/reports/{key}"],
            "db.error": [*database, "--with", "table=audit"],
            "db.slow": [*database, "--with", "locked=200ms", "--with", "every=300ms"],
            "cpu.burn": [*piece, "--with", "cores=0.1"],
            "memory.burn": [*piece, "--with", "size=16MiB"],
            "disk.fill": [*piece, "--with", "size=4MiB"],
            "scrape.drop": ["--target", "scrape:crm=metrics", *metrics],
            "command": ["--with", f'start=["touch", "{flag}"]', "--with", f'stop=["rm", "-f", "{flag}"]'],
        }

    def wrong(self) -> list[str]:
        """Everything that is not as it was before, by the target's own word; bounded."""
        return [*self._processes(), *self._doors(), *self._database(), *self._files(), *self._ours()]

    def _processes(self) -> Iterator[str]:
        found = processes.find(rf"crm\[{self.slice}\] worker (?P<name>\S+)")
        for name in self.hello["pids"]["workers"]:
            if name not in found:
                yield f"{name} is down"
            elif processes.stopped(found[name]):
                yield f"{name} stands still"
        for process in processes.marked(VARIABLE, self.slice):
            with suppress(psutil.Error):
                if MARK in process.environ():
                    yield f"a burner: process {process.pid}"

    def _doors(self) -> Iterator[str]:
        for name, port, path in (("toxics", "proxy_admin", "/toxics"), ("queue", "admin", "/queue")):
            try:
                answer = self._get(self.url(port) + path)
            except (OSError, ValueError) as error:
                yield f"{name}: {error}"
                continue
            if name == "toxics" and answer:
                yield f"toxics: {', '.join(answer)}"
            if name == "queue" and (answer["dead_letters"] or answer["depth"] > 20):
                yield f"queue: {answer}"
        try:
            with urllib.request.urlopen(f"{self.url('metrics')}/metrics", timeout=_ANSWER_S) as page:
                page.read()
        except OSError as error:
            yield f"metrics: {error}"

    def _database(self) -> Iterator[str]:
        database = sqlite3.connect(self.folder / "data" / "crm.db", timeout=1.0, isolation_level=None)
        try:
            triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            yield from (f"trigger {name}" for (name,) in triggers)
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        except sqlite3.Error as error:
            yield f"database: {error}"
        finally:
            database.close()

    def _files(self) -> Iterator[str]:
        yield from (f"{file.name} is left" for file in (self.folder / "data").glob("chaoskit-fill-*"))
        if (self.folder / "flag").exists():
            yield "the flag of a command is left"

    def _ours(self) -> Iterator[str]:
        for process in self.ours():
            yield f"a process of ours: {process.pid} {' '.join(processes.title(process).split()[-3:])}"

    def ours(self) -> list[psutil.Process]:
        """Processes that commands of this benchmark started, themselves included."""
        return marked(self.state)

    def _get(self, url: str) -> Any:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            return json.load(answer)


@contextmanager
def outliving(folder: Path, time_scale: float = 60.0) -> Iterator[Outliving]:
    """A CRM of its own for the block; raises RuntimeError when it does not come up."""
    token = secrets.token_urlsafe(24)
    (folder / "token").write_text(token + "\n", encoding="utf-8")
    slice_ = f"k{os.getpid()}-{secrets.token_hex(2)}"
    config = {
        "data_dir": str(folder / "data"),
        "time_scale": time_scale,
        "admin_token_file": str(folder / "token"),
    }
    (folder / "crm.json").write_text(json.dumps(config), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != FOLDER_VARIABLE} | {VARIABLE: slice_}
    process = subprocess.Popen(
        [sys.executable, "-m", "chaoskit.crm", "--config", str(folder / "crm.json")],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the CRM ended before it served")
        one = Outliving(folder, slice_, process, json.loads(line), token)
        if wrong := until_right(one, _READY_S)[1]:
            raise RuntimeError(f"the CRM is not well: {wrong}")
        yield one
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
        process.stdout.close()


def until_right(
    target: Outliving, within_s: float, wrong: Callable[[], list[str]] | None = None
) -> tuple[float, list[str]]:
    """After how many seconds nothing is wrong any more, and what still is when the time is over; `wrong` tells it."""
    begun, at, found = time.monotonic(), 0.0, list[str]()

    def right() -> bool:
        nonlocal at, found
        at, found = time.monotonic() - begun, (wrong or target.wrong)()
        return not found

    waiting.await_true(right, within_s, _LOOK_S)
    return at, found


def kill_holders(out: Path) -> None:
    """Ends the processes that hold a fault by hand, of the runs in this folder."""
    for folder in out.glob("*by-hand*"):
        for process in find_holders(folder):
            with suppress(psutil.Error):
                process.kill()


def heal_all(out: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`chaoskit heal --all`, as a user gives it."""
    command = [sys.executable, "-m", "chaoskit", "heal", "--all", "--out", str(out)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


def marked(state: Path) -> list[psutil.Process]:
    """Every living process that has this state folder in its environment, ourselves excepted."""
    return [process for process in processes.marked(FOLDER_VARIABLE, str(state)) if process.pid != os.getpid()]
