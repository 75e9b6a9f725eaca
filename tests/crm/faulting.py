"""What the tests of faults on a real CRM share: targets, undoing elsewhere, a runner that is killed, traffic."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chaoskit import waiting
from chaoskit.faults.base import Fault, Target, Undo
from chaoskit.handles.address import Address
from chaoskit.run.held_fault import HeldFault
from tests.crm.conftest import TOKEN, RunningCrm

_RUNNER = (
    "import json, sys, pathlib; from chaoskit.run.held_fault import HeldFault; "
    "from chaoskit.faults.registry import known; "
    "h = HeldFault(known()[sys.argv[1]], json.loads(sys.argv[2]), 60, pathlib.Path(sys.argv[3]), print); "
    "h.await_armed(); h.start(); h.await_effect(); print('held', flush=True); sys.stdin.read()"
)
_ELSEWHERE = (
    "import json, sys; from chaoskit.faults.registry import known; "
    "print(known()[sys.argv[1]].stop(json.loads(sys.argv[2])).detail)"
)


def target(crm: RunningCrm, folder: Path, handle: str, port: str, **more: Any) -> Target:
    """A handle as a stack resolves it: the token in a file, the CRM's own process as its owner."""
    file = folder / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    url, owner = crm.url(port, ""), crm.process.pid
    address = Address(**{"time_scale": 60.0, "url": url, "token_file": str(file), "owner": owner, **more})
    return Target(handle, (handle.partition(":")[2],), address)


def prepared(kind: Fault[Any], where: Target, **settings: Any) -> Undo:
    """A token that has been through JSON, as every token is."""
    token: Undo = json.loads(json.dumps(kind.prepare(where, kind.settings.model_validate(settings))))
    assert TOKEN not in json.dumps(token), "no secret in a journal"
    return token


def stop_elsewhere(kind: Fault[Any], token: Undo) -> str:
    """Undoes it in a process that knows the token and nothing else; what was seen."""
    command = [sys.executable, "-c", _ELSEWHERE, kind.kind, json.dumps(token)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def hold_and_kill(kind: Fault[Any], token: Undo, folder: Path, in_force: Callable[[], bool]) -> None:
    """Starts the fault from a runner that is then killed by SIGKILL, while the effect is seen to be in force."""
    command = [sys.executable, "-c", _RUNNER, kind.kind, json.dumps(token), str(folder / "holder.log")]
    runner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert runner.stdin
    assert runner.stdout
    try:
        assert runner.stdout.readline() == "held\n"
        assert in_force()
    finally:
        runner.kill()
        runner.wait(timeout=10)
        runner.stdin.close()
        runner.stdout.close()


def held(kind: Fault[Any], token: Undo, folder: Path, lapses: list[str]) -> HeldFault:
    """The fault in force, held by a holder of its own; whoever asks for one takes it back."""
    one = HeldFault(kind, token, 60, folder / "holder.log", lapses.append)
    one.await_armed()
    one.start()
    one.await_effect()
    return one


@contextlib.contextmanager
def traffic(call: Callable[[], Any], every_s: float = 0.02) -> Iterator[list[Any]]:
    """Calls made again and again beside the test; their results so far."""
    results: list[Any] = []
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every_s):
            results.append(call())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        ended.set()
        thread.join(timeout=30)


def answers(crm: RunningCrm, agent: str, status: int) -> bool:
    """Whether the CRM answers an agent so; a deadline that a busy machine lets pass (504) is no answer."""
    said = [crm.agent(agent)]
    while said[-1] == 504 != status and len(said) < 100:
        said.append(crm.agent(agent))
    return said[-1] == status


def await_true(condition: Callable[[], bool], what: str, within_s: float = 15) -> None:
    """Waits for what must come; how long it takes is no part of a test."""
    assert waiting.await_true(condition, within_s, 0.02), f"did not see within {within_s:g} s: {what}"
