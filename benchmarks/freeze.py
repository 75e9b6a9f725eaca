"""Every part of a run, frozen, filled or killed in turn while a fault is in force: never a FAIL, seldom a PASS.

A drill that passes undisturbed is played again and again. Once its alert is pending, one part is stopped for good
(SIGSTOP), killed, or its ports are filled with connections that never say an end of anything. What must come out is
UNKNOWN with a reason (3), or an early end, healed (4). PASS is right only where the part bore no evidence, as the table
says. Afterwards no process of the run may be left, and nothing may need to be healed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from benchmarks.outliving import heal_all, marked
from benchmarks.shared import Unusable, environment, show
from chaoskit import waiting
from chaoskit.faults import processes
from chaoskit.safety.heal import FORK_SERVER, find_holders
from chaoskit.safety.run_registry import FOLDER_VARIABLE

_SCALE = 30
"""Slow enough that the fault is still in force when the blow falls."""
_PENDING_S = 60.0
_LONGEST_S = 150.0
_GONE_S = 10.0
_LEASE_S = 6.0
"""Longer than a run's lease, in real seconds: the run does not know when it goes on, and must keep its hands off."""
_STRANGERS = 210
_UNFINISHED = b"EHLO x\r\nMAIL FROM:<a@x>\r\n", b"POST /door/0 HTTP/1.1\r\nX"
Find = Callable[[list[psutil.Process], Path], list[psutil.Process]]


def _word(*words: str) -> Find:
    """The processes of a run whose command line has one of these."""
    return lambda ours, _: [one for one in ours if any(word in processes.title(one) for word in words)]


def _program(name: str) -> Find:
    return lambda ours, _: [one for one in ours if Path(processes.title(one).partition(" ")[0]).name == name]


def _holders(_: list[psutil.Process], folder: Path) -> list[psutil.Process]:
    return find_holders(folder)


@dataclass(frozen=True, slots=True)
class Part:
    """Some processes of a run, and with which codes it may end when they are stopped, and when they are killed."""

    find: Find
    stopped: frozenset[int]
    killed: frozenset[int]


_BLIND, _ENDED, _HARMLESS = frozenset({3}), frozenset({4}), frozenset({0, 3})
PARTS = {
    "load": Part(_word("chaoskit.load.child"), _BLIND, _BLIND),
    "mail sink": Part(_word("observe.mail_sink"), _BLIND, _BLIND),
    "webhook sink": Part(_word("observe.webhook_sink"), _BLIND, _BLIND),
    "prometheus": Part(_program("prometheus"), frozenset({3, 4}), frozenset({3, 4})),
    "alertmanager": Part(_program("prometheus-alertmanager"), _BLIND, _BLIND),
    "watchdog": Part(_word("safety.watchdog"), _ENDED, _ENDED),
    "holder": Part(_holders, _HARMLESS, _BLIND),
    "fork-server": Part(_word(FORK_SERVER), _HARMLESS, _HARMLESS),
    "target": Part(_word("crm["), _BLIND, _BLIND),
    "target's metrics": Part(_word("] metrics"), _BLIND, _HARMLESS),
    "target's api": Part(_word("] api"), _HARMLESS, _HARMLESS),
    "target's supervisor": Part(_word("] supervisor"), _HARMLESS, _BLIND),
    "run": Part(lambda _ours, _folder: [], _ENDED, frozenset({-9})),
}
FILLED = ("mail sink", "webhook sink")


@dataclass(frozen=True, slots=True)
class Trial:
    """What was done to which part, how the run ended, and what is wrong with that."""

    part: str
    deed: str
    code: int
    reason: str
    wrong: list[str]


def trial(part: str, deed: str, at: Path) -> Trial:
    """One drill with one blow; raises Unusable where the blow could not be dealt."""
    state, out = at / "state", at / "runs"
    mark = {**environment(), FOLDER_VARIABLE: str(state)}
    argv = [sys.executable, "-m", "chaoskit", "run", "worker-unhealthy", "--time-scale", str(_SCALE), "--out", str(out)]
    with (at / "said.txt").open("wb") as said, contextlib.ExitStack() as strangers:
        run = subprocess.Popen(argv, env=mark, stdout=said, stderr=said, start_new_session=True)
        try:
            if not waiting.await_true(lambda: _pending(out), _PENDING_S, 0.05):
                raise Unusable(f"nothing was pending within {_PENDING_S:g} s; see {at}")
            folder = next(out.glob("*/events.jsonl")).parent
            victims = PARTS[part].find(marked(state), folder) if part != "run" else [psutil.Process(run.pid)]
            if not victims:
                raise Unusable(f"the run has no {part}")
            for victim in victims:
                if deed == "fill":
                    _fill(victim, strangers)
                else:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        victim.send_signal(signal.SIGSTOP if deed == "stop" else signal.SIGKILL)
            if (part, deed) == ("run", "stop"):
                time.sleep(_LEASE_S)  # frozen for longer than its lease: that span is what is tried
                run.send_signal(signal.SIGCONT)
            code = run.wait(_LONGEST_S)
        finally:
            run.kill()
            run.wait()
    wrong = list(_wrong(part, deed, code))
    waiting.await_true(lambda: not marked(state), _GONE_S, 0.05)
    wrong += [f"left: {one.pid} {processes.title(one)[:80]}" for one in marked(state)]
    healed = heal_all(out, mark)
    if healed.returncode:
        wrong.append(f"heal --all: {healed.returncode}")
    for one in marked(state):
        os.kill(one.pid, signal.SIGKILL)
    return Trial(part, deed, code, _reason(folder), wrong)


def _wrong(part: str, deed: str, code: int) -> Iterator[str]:
    may = PARTS[part].killed if deed == "kill" else PARTS[part].stopped
    # Strangers may be kept out altogether.
    may = may | {0} if deed == "fill" else may
    if code not in may:
        yield f"exit {code}, not {' or '.join(map(str, sorted(may)))}"


def _pending(out: Path) -> bool:
    """Whether the drill's own alert is pending: others are for a moment, before the fault."""
    texts = [file.read_bytes().partition(b'"type":"fault-ok"')[2] for file in out.glob("*/events.jsonl")]
    return any(b'"state":"pending"' in text for text in texts)


def _reason(folder: Path) -> str:
    try:
        verdict = json.loads((folder / "verdict.json").read_bytes())
    except (OSError, ValueError):
        return ""
    rows = [row for row in verdict["rows"] if row["result"] != "PASS"]
    return f"{rows[0]['result']} {rows[0]['reason']}" if rows else ""


def _fill(victim: psutil.Process, strangers: contextlib.ExitStack) -> None:
    """Connections at each of its ports that never end what they say."""
    ports = {one.laddr.port for one in victim.net_connections("inet") if one.status == psutil.CONN_LISTEN}
    for port in sorted(ports):
        for _ in range(_STRANGERS // len(ports) + 1):
            one = strangers.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            one.sendall(_UNFINISHED[len(ports) == 1])


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only these.")
@click.option("--deed", "deeds", multiple=True, type=click.Choice(("stop", "kill", "fill")), help="Only these.")
def main(parts: tuple[str, ...], deeds: tuple[str, ...]) -> None:
    """Freeze, fill and kill each part of a run in turn, and see that the rule is never blamed."""
    done = []
    with TemporaryDirectory(prefix="chaoskit-freeze-") as folder:
        for part in parts or tuple(PARTS):
            for deed in deeds or ("stop", "kill", "fill"):
                if deed == "fill" and part not in FILLED:
                    continue
                at = Path(folder) / f"{part}-{deed}".replace(" ", "-")
                at.mkdir()
                done.append(trial(part, deed, at))
                click.echo(f"{part}, {deed}: exit {done[-1].code}; {done[-1].reason or 'nothing amiss'}")
    rows = [(one.part, one.deed, str(one.code), "; ".join(one.wrong) or "right") for one in done]
    show("Frozen, filled, killed", ("part", "deed", "exit", "which is"), rows)
    if wrong := [one for one in done if one.wrong]:
        raise Unusable(f"{len(wrong)} of {len(done)} did not end as they must")


if __name__ == "__main__":
    main()
