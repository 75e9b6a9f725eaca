"""via systemd: units of this host's systemd, by systemctl.

A unit that is held down or still is also given back by a timer of systemd's own, `chaoskit_ID.timer`, should nothing
else do it. A unit that is stopped through systemctl is not restarted by its Restart=, which is never touched. Tried
against a systemctl that behaves as documented, not on a machine that systemd had booted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from chaoskit.adapters.base import Adapter, program
from chaoskit.adapters.managers import Manager, State, local_process, managed
from chaoskit.faults.base import FaultError, Kind

_STOP_S = 100.0
_UP = {"active", "activating", "reloading"}


@dataclass(frozen=True, kw_only=True)
class Systemd(Adapter):
    """Units of systemd on this host."""

    kind: ClassVar[str] = "role"
    via: ClassVar[str] = "systemd"
    exclusive: ClassVar[bool] = True
    seen_by: ClassVar[str] = "systemctl's ActiveState; for a pause, the main process's state"
    undone_by: ClassVar[str] = "the state of before; Restart= is never touched"
    ends: ClassVar[str] = "systemd-run --on-active"
    example: ClassVar[str] = "role: {worker: {via: systemd, unit: 'shop-worker@*', label: worker_name}}"

    unit: str
    """The unit, or a pattern of units with `*`; `.service` if it says no type."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return managed(Units)

    def look(self) -> tuple[str, ...]:
        """The units that systemd has loaded under that name, without `.service`."""
        return Units(self.keys()).names()


class Units(Manager):
    """systemd, asked by systemctl."""

    def __init__(self, at: Mapping[str, str]) -> None:
        self._at = at

    def names(self) -> tuple[str, ...]:
        """The units that the handle means."""
        wanted = self._at["unit"]
        if "*" not in wanted:
            if self._show(wanted)["LoadState"] != "loaded":
                raise FaultError(f"systemd has no unit {_whole(wanted)}; see systemctl list-units")
            return (wanted.removesuffix(".service"),)
        words = ("list-units", "--all", "--plain", "--no-legend", "--no-pager", _whole(wanted))
        lines = program("systemctl", *words).splitlines()
        return tuple(sorted(line.split()[0].removesuffix(".service") for line in lines if line.split()))

    def _show(self, name: str) -> dict[str, str]:
        keys = "LoadState,ActiveState,SubState,MainPID,Restart"
        text = program("systemctl", "show", "--no-pager", f"--property={keys}", "--", _whole(name))
        return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)

    def state(self, name: str) -> State:
        told = self._show(name)
        if told.get("LoadState") != "loaded":
            raise FaultError(f"systemd has no unit {_whole(name)}; see systemctl list-units")
        process, still = local_process(int(told["MainPID"] or 0), name)
        # One that waits for its restart has no process, and would come up by itself.
        up = told["ActiveState"] in _UP and process is not None
        return State(up, still, process, f"{told['ActiveState']} ({told['SubState']})", told["Restart"])

    def start(self, name: str) -> None:
        program("systemctl", "start", "--", _whole(name), within_s=_STOP_S)

    def stop(self, name: str) -> None:
        program("systemctl", "stop", "--", _whole(name), within_s=_STOP_S)

    def arm(self, ident: str, command: str, names: list[str], after_s: float) -> None:
        verb = ("start", "--") if command == "start" else ("kill", "--signal=CONT", "--")
        timer = (f"--on-active={int(after_s)}s", "--timer-property=AccuracySec=1s", f"--unit={ident}", "--collect")
        program("systemd-run", *timer, "systemctl", *verb, *map(_whole, names))

    def disarm(self, ident: str) -> None:
        timer = f"{ident}.timer"
        if self._armed(timer):
            program("systemctl", "stop", "--", timer)
        if self._armed(timer):
            raise FaultError(f"the timer {timer} was stopped, and still is in force; run systemctl stop {timer}")

    def _armed(self, timer: str) -> bool:
        return program("systemctl", "show", "--property=ActiveState", "--value", "--", timer).strip() == "active"


def _whole(name: str) -> str:
    return name if "." in name else f"{name}.service"
