"""Time intervals of routes, played on a real Alertmanager."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.rehearse import hours
from chaoskit.rehearse.hours import play_hours
from chaoskit.stack.binaries import require
from chaoskit.verify.verdict import Result
from tests.unit.test_rehearse_hours import CONFIG

pytestmark = pytest.mark.stack


def test_each_interval_is_mute_inside_and_told_outside_or_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the moved interval is another than the one that is meant, each of its plays fails."""
    rows = play_hours(CONFIG, require(), tmp_path / "right")
    assert len(rows) == 6
    assert [row.reason for row in rows if row.result is not Result.PASS] == []
    moved = hours.shifted
    monkeypatch.setattr(hours, "shifted", lambda interval, inside, *more: moved(interval, not inside, *more))
    monkeypatch.setattr(hours, "_LONGEST_S", 3.0)
    wrong = play_hours(CONFIG, require(), tmp_path / "wrong")
    assert {row.result for row in wrong[:2]} == {Result.FAIL}


def test_an_alertmanager_that_does_not_start_leaves_them_unknown(tmp_path: Path) -> None:
    rows = play_hours(CONFIG, replace(require(), alertmanager=Path("/bin/false")), tmp_path)
    assert {row.result for row in rows} == {Result.UNKNOWN}
    assert "not played: " in rows[0].reason
