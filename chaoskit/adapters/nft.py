"""via nft: connections to one address and port, wherever they pass this host, by a table of nftables of their own.

The table `chaoskit_ID` holds a set whose one element, the port, times out: from then on the rule matches nothing.
Packets are told apart by address and port alone, so neither a share of the calls nor a path can be asked for.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from chaoskit import waiting
from chaoskit.adapters.base import Adapter, left_s, program, token, undone, vouched
from chaoskit.faults.base import Fault, FaultError, Kind, Lapsed, Made, Seen, Target, Undo
from chaoskit.faults.control_api import Watch
from chaoskit.faults.link import LinkSettings, connections_beyond

_PROBE_S = 0.5
_COUNT_S = 2.0
_LOOK_S = 0.5
_HOOKS = ("input", "forward", "output")
_VERDICTS = {"tcp.reset": "reject with tcp reset", "tcp.blackhole": "drop"}


@dataclass(frozen=True, kw_only=True)
class Nft(Adapter):
    """Connections to an address and port, by nftables on this host."""

    kind: ClassVar[str] = "link"
    via: ClassVar[str] = "nft"
    seen_by: ClassVar[str] = "the rule's packet counter above 0, and a connection of our own that fails"
    undone_by: ClassVar[str] = "delete table inet chaoskit_ID"
    ends: ClassVar[str] = "the timeout of the set's element"
    example: ClassVar[str] = "link: {cache: {via: nft, to: '127.0.0.1:6379'}}"

    to: str
    """Address and port, as `127.0.0.1:6379`."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return NftReset(), NftBlackhole()

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the profile gives no address and port."""
        yield from super().wrong()
        try:
            _parts(self.to)
        except ValueError as error:
            yield "to", f"is no address and port: {error}", "write 127.0.0.1:6379, or [::1]:6379"

    def look(self) -> tuple[str, ...]:
        """The address, where nft may be asked."""
        _tables()
        return (self.to,)


def _parts(to: str) -> tuple[str, int]:
    """Address and port; raises ValueError."""
    host, _, port = to.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not 0 < int(port) < 65536:
        raise ValueError(f"{port} is no port")
    return str(address), int(port)


def _listed(*what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(program("nft", "-j", "list", *what))["nftables"]
    return found


def _tables() -> set[str]:
    return {one["table"]["name"] for one in _listed("tables") if "table" in one}


class NftFault(Fault[LinkSettings]):
    """The part that tcp.reset and tcp.blackhole by nftables share."""

    handles = ("link",)
    look_s = _LOOK_S

    def beyond(self, settings: LinkSettings, limits: Mapping[str, Any]) -> str:
        """Why nftables cannot do these settings: it tells no calls apart; empty where it can."""
        if settings.ratio != 1.0 or settings.path:
            return f"{self.kind} takes no ratio and no path with nft: leave both out"
        return connections_beyond(self.kind, settings, limits)

    def prepare(self, target: Target, settings: LinkSettings) -> Undo:
        """Sees that nft may be asked; raises FaultError where it may not, or for what cannot be dosed."""
        self.refuse_beyond(settings, target)
        _tables()
        return token(target)

    def start(self, undo: Undo) -> Seen:
        """Makes the table in one stroke, sees the counter rise by a connection of our own, which must fail."""
        address, port = _parts(undo["at"]["to"])
        family = "ip6" if ":" in address else "ip"
        rule = f"{family} daddr {address} tcp dport @ports counter name hits {_VERDICTS[self.kind]}"
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority -10; policy accept; {rule}; }}\n" for hook in _HOOKS
        )
        begun = time.time()
        program(
            "nft",
            "-f",
            "-",
            given=f"table inet {undo['id']} {{\ncounter hits {{ }}\n"
            f"set ports {{ type inet_service; flags timeout; elements = {{ {port} timeout {left_s(undo):.0f}s }} }}\n"
            f"{chains}}}\n",
        )
        _probe(address, port)
        if not waiting.await_true(lambda: bool(_hits(undo)), _COUNT_S):
            raise FaultError(
                f"the rule for {undo['at']['to']} was made, and a connection passes it by: see nft list ruleset"
            )
        return Seen((begun, time.time()), f"{self.kind} to {undo['at']['to']}: {_hits(undo)} packets hit")

    def hold(self, undo: Undo, ended: threading.Event) -> None:
        """Looks at table and element; raises Lapsed when they are gone, or when none but our own packets were hit."""
        watch, ours, over = Watch(), _hits(undo), False
        while not over:
            over = ended.wait(self.look_s)
            found = watch.look(lambda: (self.lapse(undo), _hits(undo)))
            if found is None:
                continue
            if found[0] and not ended.is_set():
                raise Lapsed(found[0])
            if over and found[1] == ours:
                raise Lapsed(f"no packet to {undo['at']['to']} but our own was ever hit by {self.kind}")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the table of nftables is gone, or the element with its port."""
        if undo["id"] not in _tables():
            return f"another program deleted the nftables table {undo['id']}"
        sets = [one["set"] for one in _listed("set", "inet", undo["id"], "ports") if "set" in one]
        return "" if sets and sets[0].get("elem") else f"the element of the nftables table {undo['id']} has timed out"

    def stop(self, undo: Undo) -> Seen:
        """Deletes the table and sees it gone; one that never was is just as well."""

        def delete() -> str:
            was = undo["id"] in _tables()
            if was:
                with contextlib.suppress(FaultError):  # whether it is gone is asked next
                    program("nft", "delete", "table", "inet", undo["id"])
            if undo["id"] in _tables():
                left = f"the table {undo['id']} was deleted, and is still there"
                raise FaultError(f"{left}; delete it: nft delete table inet {undo['id']}")
            return f"{undo['at']['to']} can be reached" if was else f"nftables had no rule for {undo['at']['to']}"

        return undone(delete)

    def vouch(self, undo: Undo, made: Made) -> str:
        return f"deletes the table {vouched(undo, made)} of nftables"


def _hits(undo: Undo) -> int:
    counters = [one["counter"] for one in _listed("counter", "inet", undo["id"], "hits") if "counter" in one]
    return int(counters[0]["packets"]) if counters else 0


def _probe(address: str, port: int) -> None:
    with contextlib.suppress(OSError), socket.create_connection((address, port), _PROBE_S):
        raise FaultError(
            f"the rule for {address} port {port} was made, and a connection there succeeds: see nft list ruleset"
        )


class NftReset(NftFault):
    """tcp.reset by nftables."""

    kind = "tcp.reset"


class NftBlackhole(NftFault):
    """tcp.blackhole by nftables."""

    kind = "tcp.blackhole"
