"""Every command, killed at any instant: ten seconds later no process of it is left, and nothing needs to be healed.

The blow is SIGKILL or, every other time, SIGQUIT, of the command's own process alone; what it had started (stacks,
lanes of a rehearsal, promtool, the load, sinks, watchdog, holders) is found by the state folder in its environment.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.outliving import heal_all, marked
from benchmarks.shared import environment
from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.safety.run_registry import FOLDER_VARIABLE

GONE_S = 10.0
_RULES = """\
groups:
  - name: g
    rules:
      - {alert: QueueFull, expr: "queue_depth > 100", for: 1m, labels: {severity: warning}}
      - {alert: DiskFull, expr: "disk_used > 0.9", for: 1m, labels: {severity: critical}}
      - {alert: Errors, expr: "rate(errors_total[5m]) > 1", for: 2m, labels: {severity: critical}}
      - {alert: Down, expr: "up{job=\\"shop\\"} == 0", for: 1m, labels: {severity: critical}}
"""
_ROUTES = """\
route: {receiver: chat, group_wait: 10s}
receivers: [{name: chat, webhook_configs: [{url: "http://example.com/"}]}]
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What is started, for how long at most before the blow, and whether it ends by itself."""

    arguments: Callable[[Path], Sequence[str]]
    longest_s: float


def _rehearsed(at: Path) -> list[str]:
    return ["--alertmanager", str(at / "am.yml")]


def _injected(at: Path) -> list[str]:
    return ["--with", f'start=["touch", "{at}/flag"]', "--with", 'stop=["true"]', "--for", "5s", *_kept(at)]


def _kept(at: Path) -> list[str]:
    return ["--out", str(at / "runs")]


COMMANDS = {
    "run": Command(lambda at: ["run", "worker-unhealthy", *_kept(at)], 22.0),
    "gate": Command(lambda at: ["gate", "worker-unhealthy", "multiple-workers-down", *_kept(at)], 25.0),
    "rehearse": Command(lambda at: ["rehearse", str(at / "rules.yml"), *_rehearsed(at), *_kept(at)], 20.0),
    "inject": Command(lambda at: ["inject", "command", *_injected(at)], 5.0),
    "up": Command(lambda at: ["up", "--ports", "free"], 12.0),
    "check": Command(lambda at: ["check", "--rules", str(at / "rules.yml"), *_rehearsed(at)], 1.5),
    "doctor": Command(lambda at: ["doctor"], 1.5),
    "witness": Command(lambda at: ["witness", "serve", "--port", "0"], 2.0),
}


@dataclass(frozen=True, slots=True)
class Blow:
    """One command that was killed: how, when, after how long nothing of it was left, and what was."""

    command: str
    signal: str
    after_s: float
    struck: bool
    """Whether it still ran."""
    took_s: float
    left: list[str]


def blows(names: Sequence[str], count: int, chance: random.Random, folder: Path) -> Iterator[Blow]:
    """So many blows on each of these commands, at random instants."""
    for name in names:
        for number in range(count):
            at = folder / f"{name}-{number}"
            at.mkdir()
            how = signal.SIGQUIT if number % 2 else signal.SIGKILL
            yield blow(name, how, chance.uniform(0.2, COMMANDS[name].longest_s), at)


def blow(name: str, how: signal.Signals, after_s: float, at: Path) -> Blow:
    """Starts the command, kills it then, and looks until nothing of it is left."""
    (at / "rules.yml").write_text(_RULES, encoding="utf-8")
    (at / "am.yml").write_text(_ROUTES, encoding="utf-8")
    state = at / "state"
    mark = {**environment(), FOLDER_VARIABLE: str(state)}
    argv = [sys.executable, "-m", "chaoskit", *COMMANDS[name].arguments(at)]
    with (at / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            argv, env=mark, stdout=said, stderr=said, start_new_session=True, preexec_fn=_without_core
        )
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(how)
    struck = process.wait(GONE_S) == -how
    begun = time.monotonic()
    waiting.await_true(lambda: not marked(state), GONE_S, 0.02)
    took_s = time.monotonic() - begun
    left = [f"{one.pid} {processes.title(one)[:80]}" for one in marked(state)]
    healed = heal_all(at / "runs", mark)
    if healed.returncode:
        left.append(f"heal --all: {healed.returncode} {healed.stdout[-300:]}{healed.stderr[-300:]}")
    for one in marked(state):
        os.kill(one.pid, signal.SIGKILL)
    return Blow(name, how.name, after_s, struck, took_s, left)


def _without_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
