"""via tc: all that leaves this host by one network device, by a queueing discipline (netem) with a handle of its own.

A device that has any but the kernel's own at its root is refused: it would be lost. Nothing in the kernel ends it, so
a run wants a confirmation of its own.
"""

from __future__ import annotations

import json
import re
import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from chaoskit.adapters.base import Adapter, program, token, undone, vouched
from chaoskit.faults.base import Fault, FaultError, Kind, Made, S, Seen, Target, Undo
from chaoskit.faults.control_api import ENOUGH, told
from chaoskit.faults.net import NetDelaySettings, NetLossSettings, NetRateSettings


@dataclass(frozen=True, kw_only=True)
class Tc(Adapter):
    """All that leaves this host by a network device."""

    kind: ClassVar[str] = "link"
    via: ClassVar[str] = "tc"
    exclusive: ClassVar[bool] = True
    seen_by: ClassVar[str] = "the qdisc as the kernel shows it; for a delay, an echo that takes as long"
    undone_by: ClassVar[str] = "tc qdisc del of the own handle alone"
    endless_kinds: ClassVar[tuple[str, ...]] = ("net.delay", "net.loss", "net.rate")
    example: ClassVar[str] = "link: {uplink: {via: tc, dev: eth0, probe: 10.0.0.7}}"

    dev: str
    """The network device's name."""
    probe: str = ""
    """An address behind the device that answers ping, to measure a delay; without one only the qdisc is looked at."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return TcDelay(), TcLoss(), TcRate()

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the name of the network device is none."""
        yield from super().wrong()
        if not re.fullmatch(r"[\w.@-]{1,15}", self.dev):
            yield "dev", "is no name of a device", "see `ip -br link`"

    def look(self) -> tuple[str, ...]:
        """The device, where tc shows it."""
        _qdiscs(self.dev)
        return (self.dev,)


def _qdiscs(dev: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(program("tc", "-j", "qdisc", "show", "dev", dev))
    return [one for one in found if one.get("root")]


class TcFault(Fault[S]):
    """netem at the root of a device, with a handle of the fault's own."""

    handles = ("link",)
    look_s = 0.5

    @abstractmethod
    def asked(self, settings: S) -> list[str]:
        """This fault's words for `tc qdisc add … netem`."""

    def prepare(self, target: Target, settings: S) -> Undo:
        """The undo token; raises FaultError where the device has a qdisc that chaoskit did not make."""
        undo, dev = token(target), target.address.keys["dev"]
        if taken := [one for one in _qdiscs(dev) if one.get("handle") != "0:"]:
            raise FaultError(f"{dev} has the qdisc {taken[0]['kind']} {taken[0]['handle']} already: name another dev")
        # A handle is a number of 16 bits: that of the id, and never the kernel's own.
        handle = f"{0x8000 | int(undo['id'][-4:], 16) & 0x7FFF:x}:"
        return {**undo, "handle": handle, "netem": self.asked(settings)}

    def start(self, undo: Undo) -> Seen:
        """Puts the qdisc and sees it; a delay also in an echo, where there is an address to ask."""
        dev, begun = undo["at"]["dev"], time.time()
        before_s = _echo_s(undo)
        program("tc", "qdisc", "add", "dev", dev, "root", "handle", undo["handle"], "netem", *undo["netem"])
        if why := self.lapse(undo):
            raise FaultError(why)
        self.measure(undo, before_s, _echo_s(undo))
        return Seen((begun, time.time()), f"{self.kind} on {dev}: netem {' '.join(undo['netem'])}")

    def measure(self, undo: Undo, before_s: float | None, after_s: float | None) -> None:
        """Compares two echoes; raises FaultError where the effect is too weak."""

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the qdisc of netem is gone."""
        there = any(
            one.get("handle") == undo["handle"] and one["kind"] == "netem" for one in _qdiscs(undo["at"]["dev"])
        )
        return "" if there else f"tc shows no netem {undo['handle']} at the root of {undo['at']['dev']}"

    def stop(self, undo: Undo) -> Seen:
        """Deletes the qdisc of the own handle, if it is there, and sees it gone."""

        def delete() -> str:
            dev = undo["at"]["dev"]
            if not self.lapse(undo):
                program("tc", "qdisc", "del", "dev", dev, "root", "handle", undo["handle"])
            if not self.lapse(undo):
                raise FaultError(f"netem {undo['handle']} of {dev} is still there: tc qdisc del dev {dev} root")
            return f"{dev} is free of it"

        return undone(delete)

    def vouch(self, undo: Undo, made: Made) -> str:
        if not re.fullmatch(r"[89a-f][0-9a-f]{3}:", undo["handle"]):
            raise FaultError(f"{undo['handle']!r} is no handle that chaoskit makes up; undo it by hand")
        return f"deletes the qdisc {undo['handle']} of {undo['at']['dev']} ({vouched(undo, made)})"


def _echo_s(undo: Undo) -> float | None:
    """How long the quickest of three echoes takes; None without an address to ask."""
    if not (address := undo["at"].get("probe")):
        return None
    said = program("ping", "-n", "-c", "3", "-i", "0.2", "-W", "61", address, within_s=190.0)
    found = re.search(r"= ([\d.]+)/", said)
    return float(found[1]) / 1000 if found else None


class TcDelay(TcFault[NetDelaySettings]):
    """net.delay by netem."""

    kind = "net.delay"

    def asked(self, settings: NetDelaySettings) -> list[str]:
        return ["delay", f"{settings.by * 1000:.0f}ms"]

    def measure(self, undo: Undo, before_s: float | None, after_s: float | None) -> None:
        asked_s = float(undo["netem"][1].removesuffix("ms")) / 1000
        if before_s is not None and after_s is not None and after_s - before_s < ENOUGH * asked_s:
            raise FaultError(f"an echo of {undo['at']['probe']}: {told(after_s - before_s, asked_s, 's later')}")

    def longest_s(self, undo: Undo) -> float:
        return 4 * float(undo["netem"][1].removesuffix("ms")) / 1000


class TcLoss(TcFault[NetLossSettings]):
    """net.loss by netem."""

    kind = "net.loss"

    def asked(self, settings: NetLossSettings) -> list[str]:
        return ["loss", f"{settings.ratio * 100:g}%"]


class TcRate(TcFault[NetRateSettings]):
    """net.rate by netem."""

    kind = "net.rate"

    def asked(self, settings: NetRateSettings) -> list[str]:
        return ["rate", f"{settings.rate * 8}bit"]
