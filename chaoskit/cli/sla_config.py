"""Which alert configuration and which scenarios the commands about service levels compare with."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import render
from chaoskit.cli.sources import load_files
from chaoskit.errors import BadInput
from chaoskit.scenario.catalog import scenario_names
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario


def config_of(files: dict[str, Any] | None = None) -> AlertConfig:
    """The configuration that the options name; without any, the shipped one with its parts on service levels."""
    if files is not None and any(files.values()):
        return load_files(files)
    with tempfile.TemporaryDirectory(prefix="chaoskit-sla-") as folder:
        render(Path(folder) / "bundle", ("monitoring", "sla"))
        return load_files({"bundle": Path(folder) / "bundle"})


def scenarios() -> list[Scenario]:
    """All that are known; one that cannot be read rehearses nothing."""
    found = []
    for path in scenario_names().values():
        try:
            found.append(load_scenario_file(path))
        except BadInput as error:
            click.echo(f"left out: {error}", err=True)
    return found
