"""Fixtures that every test may use: the real binaries, found once a session."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Binaries:
    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return Binaries(**{n: Path(os.environ[f"CHAOSKIT_{n.upper()}"]) for n in Binaries.__dataclass_fields__})
