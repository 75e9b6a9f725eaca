"""The runner's end of its lease: it beats, and knows by itself when the watchdog may have taken over.

    runner                              watchdog (a process of its own, in its own session)
    orders, as a line of JSON   ──>     ready
    .  .  .  .  .               ──>     the lease goes on
                                <──     .  .  .  .  .   it watches; without them it hangs, and is as good as dead
    bye                         ──>     ends, nothing to do
    heal                        ──>     heals at once, says how it ended
    (EOF)                       ──>     the runner is gone: heals
    (silence past the lease)    ──>     the runner hangs: heals, and heal.jsonl tells it so

The watchdog allows a little more than the lease, so a runner that wakes up always finds its lease lost before it
can do anything. It then keeps its hands off: what was in force is no longer its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chaoskit import niceness, waiting
from chaoskit.errors import EquipmentError
from chaoskit.fresh import fresh
from chaoskit.safety.healbook import BOOK, read_book

LEASE_S = 3.0
SPARE_S = 0.5
"""How much longer than the runner the watchdog waits."""
_BEATS = 8
_UNANSWERED = 14
"""Beats without an answer, 5 s of them, after which the watchdog stands still."""
_READY_S = 30.0
_END_S = 10.0
_LOOK_S = 0.05
BEAT, BYE, HEAL = b".", b"B", b"H"


class Lease:
    """Held by one runner for all journals of its stack. `on_trouble` is told once, from another thread, why it ends."""

    def __init__(
        self,
        folders: Sequence[Path],
        log: Path,
        on_trouble: Callable[[str], None],
        *,
        entry: Path | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._books = [folder / BOOK for folder in folders]
        self._lease_s = lease_s
        self._on_trouble = on_trouble
        self._ending = threading.Event()
        self._lost = ""
        self._said, self._rest, self._words, self._answers = threading.Lock(), b"", list[str](), 0
        with log.open("ab") as errors:
            self._watchdog = subprocess.Popen(
                fresh([sys.executable, "-m", "chaoskit.safety.watchdog"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        niceness.started(self._watchdog.pid)
        order = {
            "folders": [str(folder) for folder in folders],
            "lease_s": lease_s + SPARE_S,
            "entry": None if entry is None else str(entry),
        }
        assert self._watchdog.stdin is not None
        self._write(json.dumps(order).encode() + b"\n")
        os.set_blocking(self._watchdog.stdin.fileno(), False)
        self._last = time.monotonic()
        # From the beginning: what is started before the first fault may take longer than a lease.
        threading.Thread(target=self._beat, name="lease", daemon=True).start()

    def begin(self) -> None:
        """Waits until the watchdog watches; raises EquipmentError when it does not come up."""
        if self._answer(_READY_S, "ready") != "ready":
            self._ending.set()
            self._end_watchdog()
            raise EquipmentError("watchdog", f"it did not come up within {_READY_S:g} s", "see watchdog.log")

    @property
    def lost(self) -> str:
        """Why this runner must not touch anything any more; empty while it may."""
        if not self._lost and not self._ending.is_set() and time.monotonic() - self._last > self._lease_s:
            self._lost = f"the lease of {self._lease_s:g} s was lost: this run stood still"
        if not self._lost and any(book.exists() for book in self._books):
            self._lost = "the lease was lost: another process is undoing what this run left (see heal.jsonl)"
        return self._lost

    @property
    def healed(self) -> bool:
        """Whether the processes that took over have undone everything; waits up to 30 s for them."""

        def said() -> list[bool | None]:
            return [read_book(book).healed for book in self._books]

        return waiting.await_true(lambda: None not in said(), _READY_S, 0.05) and all(said())

    def hand_over(self, within_s: float) -> bool:
        """Lets the watchdog undo everything at once; whether it said in time that nothing is left."""
        self._lost = self._lost or "it was handed over to the watchdog"
        self._ending.set()
        self._write(HEAL)
        return self._answer(within_s, "healed", "not healed") == "healed"

    def end(self, *, healed: bool) -> None:
        """Lets the watchdog go, or leaves to it what could not be undone; idempotent."""
        if not self._ending.is_set():
            self._ending.set()
            if healed:
                self._write(BYE)
        for pipe in (self._watchdog.stdin, self._watchdog.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if healed:
            try:
                self._watchdog.wait(timeout=_END_S)
            except subprocess.TimeoutExpired:
                self._end_watchdog()

    def _end_watchdog(self) -> None:
        """It stands still: let go again, it must not find a run that it thinks is gone."""
        self._watchdog.kill()
        self._watchdog.wait(timeout=_END_S)

    def _beat(self) -> None:
        unanswered = 0
        while not self._ending.wait(self._lease_s / _BEATS):
            before = time.monotonic()
            if self.lost:
                self._on_trouble(self._lost)
                return
            answers = self._answers
            self._listen(0)
            # Counted in beats of our own: while this run itself stood still, nobody owed it an answer.
            unanswered = 0 if self._answers > answers or not answers else unanswered + 1
            hangs = unanswered > _UNANSWERED
            if hangs or self._watchdog.poll() is not None or not self._write(BEAT):
                if hangs:
                    self._end_watchdog()
                if not self._ending.is_set():
                    how = "stood still" if hangs else "ended by itself"
                    self._on_trouble(f"the watchdog {how}; without it nothing is kept in force")
                # Alive and alone, the runner takes back what is in force, however long that takes.
                self._ending.set()
                return
            # From the instant before the beat: standing still between the two must not look like beating.
            if time.monotonic() - before <= self._lease_s:
                self._last = before

    def _write(self, data: bytes) -> bool:
        """Whether the watchdog still reads; one that is slow to read counts as reading."""
        assert self._watchdog.stdin is not None
        try:
            os.write(self._watchdog.stdin.fileno(), data)
        except BlockingIOError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def _answer(self, within_s: float, *wanted: str) -> str:
        """The first of these words that it has said by then; empty where it said none."""
        end = time.monotonic() + within_s
        while not (said := next((word for word in self._words if word in wanted), "")):
            if (left_s := end - time.monotonic()) <= 0 or not self._listen(min(left_s, _LOOK_S)):
                break
        return said

    def _listen(self, within_s: float) -> bool:
        """Takes in what it says within this time; False once it can say nothing more."""
        assert self._watchdog.stdout is not None
        with self._said:
            try:
                fd = self._watchdog.stdout.fileno()
                if not select.select([fd], [], [], within_s)[0]:
                    return True
                data = os.read(fd, 4096)
            except (OSError, ValueError):
                return False
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._answers += lines.count(BEAT)
            self._words += [line.decode(errors="replace") for line in lines if line != BEAT]
            return bool(data)
