"""The whole bundle, optional parts included, rendered once; and the binaries of each generation."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import PARTS, render
from tests.generations import generation

__all__ = ["bundle", "config", "generation"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that can be rendered."""
    out = tmp_path_factory.mktemp("rendered") / "bundle"
    render(out, PARTS)
    return out


@pytest.fixture(scope="session")
def config(bundle: Path) -> AlertConfig:
    """The same, as chaoskit reads it."""
    return load_config(bundle, complete=True)
