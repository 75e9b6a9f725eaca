"""What the sampler measures of processor time, without a machine."""

from __future__ import annotations

import pytest

from chaoskit.crm import sampler
from chaoskit.crm.sampler import CpuShare
from chaoskit.host.slices import Slice


class Machine(Slice):
    """One process that uses half a core; reading takes as long as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("A_SLICE", "machine")
        self.now_s = 100.0
        self.reading_s = 0.0
        monkeypatch.setattr(sampler.time, "monotonic", lambda: self.now_s)

    def used_s(self, pids: list[int]) -> float:
        self.now_s += self.reading_s
        return len(pids) * (self.now_s - self.reading_s / 2) / 2


def test_a_steady_use_is_a_steady_rate_however_long_finding_and_reading_take(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    share = CpuShare(machine)
    rates = []
    for found_in_s, read_in_s in ((0.0, 0.0), (0.3, 0.1), (0.0, 0.0), (0.5, 0.2), (0.01, 0.3), (0.4, 0.0), (0.0, 0.1)):
        machine.now_s += 0.4 + found_in_s
        machine.reading_s = read_in_s
        rates.append(share.measure([1]))
    assert rates[1:] == pytest.approx([0.5] * 6)
