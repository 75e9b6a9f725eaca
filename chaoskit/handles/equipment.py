"""equipment: what watches, and may itself be taken down. No profile defines it: every local stack has the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chaoskit.handles.address import Address
from chaoskit.handles.base import Handle, Local, Part

ALERTMANAGER = "alertmanager"
HANDLE = f"equipment:{ALERTMANAGER}"
"""The handle of Alertmanager: the one equipment of a running target whose address the profile tells."""
NAMES = ("prometheus", ALERTMANAGER, "mail-sink", "webhook-sink")


@dataclass(frozen=True, kw_only=True)
class EquipmentAddress(Address):
    """All of a stack's equipment, by name, beside the folder by which it is ruled."""

    pids: Mapping[str, int] = field(default_factory=dict)
    ports: Mapping[str, list[int]] = field(default_factory=dict)
    alertmanager: Mapping[str, Any] = field(default_factory=dict)
    """Where Alertmanager answers: `url` with `access` or `owner`."""

    def journaled(self) -> dict[str, Any]:
        """The address as a token holds it, with that of Alertmanager, at which silences are made."""
        return {**super().journaled(), ALERTMANAGER: self.alertmanager.get("url", "")}


@dataclass(frozen=True)
class Equipment(Handle):
    """Prometheus, Alertmanager and the sinks."""

    kind: ClassVar[str] = "equipment"
    in_profiles: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    watches: ClassVar[bool] = True
    parts: ClassVar = {name: Part("", (name,)) for name in NAMES}
    address: ClassVar[type[Address]] = EquipmentAddress
    needs: ClassVar[tuple[str, ...]] = ("control",)

    @classmethod
    def at_local(cls, name: str, there: Local) -> Address:
        """The address of the local monitoring: its processes and ports."""
        port = next(iter(there.ports.get(ALERTMANAGER, ())), None)
        return EquipmentAddress(
            pids=there.pids,
            ports=there.ports,
            control=str(there.control),
            owner=there.owner,
            alertmanager={"url": f"http://127.0.0.1:{port}", "owner": there.owner} if port else {},
        )
