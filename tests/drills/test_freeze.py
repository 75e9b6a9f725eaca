"""The benchmark `freeze` as tests: every part of a real run, frozen, filled and killed in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.freeze import FILLED, PARTS, trial

pytestmark = [pytest.mark.drill, pytest.mark.stack, pytest.mark.long]


@pytest.mark.parametrize(
    ("part", "deed"),
    [(part, deed) for part in PARTS for deed in ("stop", "kill", "fill") if deed != "fill" or part in FILLED],
)
def test_whatever_stands_still_is_full_or_dies_the_rule_is_not_blamed(part: str, deed: str, tmp_path: Path) -> None:
    done = trial(part, deed, tmp_path)
    assert done.wrong == [], done.reason
