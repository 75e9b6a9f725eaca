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

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chaoskit import waiting
from chaoskit.errors import EquipmentError
from chaoskit.host.lines import pipes
from chaoskit.host.process import start_untied
from chaoskit.safety.healbook import BOOK, read_book

WATCHDOG = "chaoskit.safety.watchdog"
LEASE_S = 3.0
SPARE_S = 0.5
"""How much longer than the runner the watchdog waits."""
_BEATS = 8
_UNANSWERED = 14
"""Beats without an answer, 5 s of them, after which the watchdog stands still."""
_READY_S = 30.0
_END_S = 10.0
BEAT, BYE, HEAL = b".", b"bye", b"heal"


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
        self._news, self._words, self._answers, self._gone = threading.Condition(), list[str](), 0, False
        with log.open("ab") as errors, pipes() as (self._lines, told, says):
            self._watchdog = start_untied(WATCHDOG, stdin=told, stdout=says, stderr=errors.fileno())
        order = {
            "folders": [str(folder) for folder in folders],
            "lease_s": lease_s + SPARE_S,
            "entry": None if entry is None else str(entry),
        }
        self._lines.send(json.dumps(order).encode())
        threading.Thread(target=self._listen, name="watchdog", daemon=True).start()
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
        """Lets the watchdog undo everything at once; whether it answered in time that no fault is left."""
        self._lost = self._lost or "the run handed its faults over to the watchdog"
        self._ending.set()
        self._lines.send(HEAL, 0)
        return self._answer(within_s, "healed", "not healed") == "healed"

    def end(self, *, healed: bool) -> None:
        """Lets the watchdog go, or leaves to it what could not be undone; idempotent."""
        if not self._ending.is_set():
            self._ending.set()
            if healed:
                self._lines.send(BYE, 0)
        self._lines.close()
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
        unanswered = answers = 0
        while not self._ending.wait(self._lease_s / _BEATS):
            before = time.monotonic()
            if self.lost:
                self._on_trouble(self._lost)
                return
            already, answers = answers, self._answers
            # Counted in beats of our own: while this run itself stood still, nobody owed it an answer.
            unanswered = 0 if answers > already or not answers else unanswered + 1
            hangs = unanswered > _UNANSWERED
            if hangs or self._watchdog.poll() is not None or not self._lines.send(BEAT, 0):
                if hangs:
                    self._end_watchdog()
                if not self._ending.is_set():
                    how = "stood still" if hangs else "ended by itself"
                    self._on_trouble(f"the watchdog {how}; this run undoes its faults and ends")
                # Alive and alone, the runner takes back what is in force, however long that takes.
                self._ending.set()
                return
            # From the instant before the beat: standing still between the two must not look like beating.
            if time.monotonic() - before <= self._lease_s:
                self._last = before

    def _answer(self, within_s: float, *wanted: str) -> str:
        """The first of these words that it has said by then; empty where it said none."""

        def said() -> str:
            return next((word for word in self._words if word in wanted), "")

        with self._news:
            self._news.wait_for(lambda: said() or self._gone, within_s)
            return said()

    def _listen(self) -> None:
        for line in self._lines:
            with self._news:
                if line.strip() == BEAT:
                    self._answers += 1
                else:
                    self._words.append(line.decode(errors="replace").strip())
                self._news.notify_all()
        with self._news:
            self._gone = True
            self._news.notify_all()
        self._lines.close()
