"""A sink seen from the run: start it, hand on what it reports, notice when it is gone, stop it in order."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from chaoskit import json_text
from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event, decode
from chaoskit.host.process import Child, spawn

_READY_S = 20.0
_LOG_LINES = 8


class _Ready(msgspec.Struct):
    ready: bool
    ports: list[int] = []
    error: str = ""


class SinkChild:
    """A running sink. `on_event` is called from a thread of its own, in the order of the reports.

    If the sink ends uninvited, or says something that is no event, one Equipment(state="down") follows, however it
    happened; the caller that starts and stops it reports that itself.
    """

    def __init__(self, child: Child, name: str, ports: list[int], on_event: Callable[[Event], None]) -> None:
        self.child = child
        self.name = name
        self.ports = ports
        """Those of the doors in their order, the catch-all's last; the webhook sink's only one."""
        self._on_event = on_event
        self._stopping = threading.Event()
        self._down = False
        self._reader = threading.Thread(target=self._read, name=f"{name}-reader", daemon=True)

    @classmethod
    def start(
        cls,
        module: str,
        config: Mapping[str, Any],
        *,
        name: str,
        log: Path,
        on_event: Callable[[Event], None],
    ) -> SinkChild:
        """Start `python -m module` and wait until all its doors are open.

        Raises EquipmentError when it ends before, cannot open a door, or is not ready within 20 s.
        """
        child = spawn([sys.executable, "-m", module], name=name, log=log, talks=True)
        try:
            child.lines.send(msgspec.json.encode(config))
            line = child.hello(_READY_S, "all its doors are open")
            try:
                ready = json_text.decode(line, type=_Ready)
            except msgspec.DecodeError:
                raise EquipmentError(name, f"said {line[:200]!r} instead of being ready", child.tail()) from None
            if not ready.ready:
                raise EquipmentError(name, f"cannot open its doors: {ready.error}", "are the ports free?")
        except BaseException:
            child.stop(0)
            raise
        sink = cls(child, name, ready.ports, on_event)
        sink._reader.start()
        return sink

    @property
    def alive(self) -> bool:
        """Whether the sink's process runs."""
        return self.child.alive

    def stop(self, grace_s: float = 5.0) -> None:
        """Close the sink's input, take in what it still has to report, reap it; idempotent."""
        self._stopping.set()
        self.child.lines.let_go()
        self.child.wait(grace_s)
        if self.child.alive:
            # Paused or stuck: once it is killed, the reader finds the end of the pipe.
            self.child.kill()
            self.child.wait(grace_s)
        self._reader.join(grace_s)
        self.child.stop(grace_s)

    def _read(self) -> None:
        broken = ""
        for line in self.child.lines:
            try:
                self._on_event(decode(line))
            except msgspec.DecodeError as error:
                # Half a line is what a killed sink leaves; in the middle it would mean that a notice is lost.
                broken = f"wrote a line that is no event ({error}): {line[:200]!r}; "
                if line.endswith(b"\n"):
                    self._report_down(broken)
        self.child.wait(5.0)
        if not self._stopping.is_set():
            self._report_down(f"{broken}ended with {self.child.returncode}; {self.child.tail(_LOG_LINES)}".rstrip("; "))

    def _report_down(self, detail: str) -> None:
        if not self._down:
            self._down = True
            self._on_event(Equipment(name=self.name, state="down", detail=detail))
