"""What the sampler measures of processor time, without a machine."""

from __future__ import annotations

import psutil
import pytest

from chaoskit.crm import sampler
from chaoskit.crm.sampler import CpuShare


class Machine:
    """One process that uses half a core; reading takes as long as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.reading_s = 0.0
        monkeypatch.setattr(sampler.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(sampler, "cpu_seconds", self.read)

    def read(self, processes: list[psutil.Process]) -> dict[int, float]:
        self.now_s += self.reading_s / 2
        used = {one.pid: self.now_s / 2 for one in processes}
        self.now_s += self.reading_s / 2
        return used


def test_a_steady_use_is_a_steady_rate_however_long_finding_and_reading_take(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, share = Machine(monkeypatch), CpuShare()
    rates = []
    for found_in_s, read_in_s in ((0.0, 0.0), (0.3, 0.1), (0.0, 0.0), (0.5, 0.2), (0.01, 0.3), (0.4, 0.0), (0.0, 0.1)):
        machine.now_s += 0.4 + found_in_s
        machine.reading_s = read_in_s
        rates.append(share.measure([psutil.Process()]))
    assert rates[1:] == pytest.approx([0.5] * 6)
