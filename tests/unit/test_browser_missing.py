"""Where there is no browser its tests are skipped and say what installs it; where one is required they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("asked", "code", "word"), [("", 0, "SKIPPED"), ("required", 1, "ERROR")])
def test_without_a_browser(asked: str, code: int, word: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/browser/test_report_pages.py"]
    environment = {**os.environ, "PATH": str(tmp_path), "CHAOSKIT_BROWSER": asked}
    ended = subprocess.run(
        [*command, "-k", "paper"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == code, ended.stdout
    assert word in ended.stdout
    assert "no browser: apt-get install chromium" in ended.stdout
