"""Faults on whole network paths: net.delay, net.loss, net.rate. They need a handle with `via:`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chaoskit.faults.base import Settings
from chaoskit.faults.quantities import Duration, Ratio, Size
from chaoskit.faults.through import OnlyThrough


class NetDelaySettings(Settings):
    """Settings of net.delay."""

    by: Annotated[Duration, Field(gt=0, le=60)]
    """How much longer each packet takes, in virtual time: `200ms`."""


class NetLossSettings(Settings):
    """Settings of net.loss."""

    ratio: Annotated[Ratio, Field(gt=0)]
    """Share of the packets that are lost: `10%`."""


class NetRateSettings(Settings):
    """Settings of net.rate."""

    rate: Size
    """How much passes in a second, as `100KiB`."""


class NetDelay(OnlyThrough[NetDelaySettings]):
    """Delays packets on a link."""

    kind = "net.delay"
    handles = ("link",)


class NetLoss(OnlyThrough[NetLossSettings]):
    """Loses packets on a link."""

    kind = "net.loss"
    handles = ("link",)


class NetRate(OnlyThrough[NetRateSettings]):
    """Limits the bytes a second on a link."""

    kind = "net.rate"
    handles = ("link",)
