"""The watchdog: `python -m chaoskit.safety.watchdog`, started by a run before its first fault, alive a moment longer.

It leads a session of its own and asks for no parent-death signal, so neither the runner's death nor that of its whole
process group reaches it; signals that a terminal sends to all are left to the runner. It heals when the runner
is gone, when it has been silent for longer than its lease, and when a fault outlasts its maximum duration although its
holder should have ended it. Then it ends: nothing of ours stays behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

from chaoskit import waiting
from chaoskit.faults.fork_server import leave_signals_to_the_runner
from chaoskit.faults.registry import known
from chaoskit.host.lines import Lines
from chaoskit.safety.heal import GRACE_S, Healed, heal, remove_scratch
from chaoskit.safety.lease import BEAT, BYE, HEAL
from chaoskit.safety.run_registry import entries
from chaoskit.safety.unhealed import Tail, in_use

_LOOK_S = 0.5
_OVERDUE_S = 5.0
"""How much later than its maximum duration a fault's own holder may be with its undo."""
_ROUNDS = (1.0, 3.0, 10.0, 30.0)
"""Pauses before what failed is tried again."""
_GONE_S = 2.0
_RUNNER = Lines(1, 0)
_ENDS = {BYE: "", HEAL: "the run was told twice to stop"}


def main() -> int:
    """Watches until the runner says bye, or heals and ends: 0 when nothing is left, 5 when something is."""
    leave_signals_to_the_runner()
    line = _RUNNER.hear()
    if not line.endswith(b"\n"):
        return 0
    order = json.loads(line)
    known()
    folders = [Path(folder) for folder in order["folders"]]
    entry = None if order["entry"] is None else Path(order["entry"])
    _say("ready")
    why = _watch([Tail(folder) for folder in folders], order["lease_s"], entry)
    if not why:
        return 0
    # A runner that is gone has closed its holders' pipes; one that hangs or asks for speed still holds them open.
    gone = why == "the run is gone"
    grace_s = GRACE_S if gone else 0.0
    results = [heal(folder, "watchdog", why, grace_s=grace_s, fence=not gone, sure=True) for folder in folders]
    healed = all(one.ok for one in results)
    _say("healed" if healed else "not healed")
    for pause_s in _ROUNDS if not healed else ():
        time.sleep(pause_s)  # what could not be undone is tried again later, and nobody says when it can be
        results = [one if one.ok else _again(one, why) for one in results]
        if all(one.ok for one in results):
            healed = True
            break
    _clear(entry, folders, healed, wait="silent" not in why)
    return 0 if healed else 5


def _watch(tails: list[Tail], lease_s: float, entry: Path | None) -> str:
    """Why to heal; empty when the runner took its leave."""
    heard = time.monotonic()
    silent = False
    begun: dict[str, float] = {}
    """When each fault was first seen here, by the monotonic clock (seconds)."""
    while True:
        try:
            word = _RUNNER.hear(0 if silent else min(_LOOK_S, lease_s / 4))
        except TimeoutError:
            if silent:
                return f"the run was silent for more than {lease_s:g} s"
            # Asked once more: what came in while this process itself did not run still counts.
            silent = time.monotonic() - heard > lease_s
        else:
            if word.strip() in (BYE, HEAL) or not word.endswith(b"\n"):
                return _ENDS.get(word.strip(), "the run is gone")
            heard, silent = time.monotonic(), False
            _say(BEAT.decode())
            if entry is not None:
                with contextlib.suppress(OSError):
                    os.utime(entry)
        for number, fault in ((number, fault) for number, tail in enumerate(tails) for fault in tail.look()):
            since = begun.setdefault(f"{number} {fault.fault} {fault.t}", time.monotonic())
            if time.monotonic() > since + fault.max_s + _OVERDUE_S:
                return f"{fault.fault} was in force for longer than its maximum of {fault.max_s:g} s"


def _again(one: Healed, why: str) -> Healed:
    return heal(one.folder, "watchdog", f"{why}; tried again", grace_s=0, sure=True)


def _clear(entry: Path | None, folders: list[Path], healed: bool, *, wait: bool) -> None:
    """Removes what a dead run does not need any more; a run that still lives does that itself."""
    if wait:
        waiting.await_true(lambda: not any(map(in_use, folders)), _GONE_S, 0.05)
    if entry is None or not healed or any(map(in_use, folders)):
        return
    for file, found in entries():
        if file == entry:
            remove_scratch(found.scratch, found.folders)
    entry.unlink(missing_ok=True)


def _say(word: str) -> None:
    # The runner may be gone, or stand still and read nothing; healing goes on all the same.
    _RUNNER.send(word.encode(), 0)


if __name__ == "__main__":
    sys.exit(main())
