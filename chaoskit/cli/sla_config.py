"""Which alert configuration and which scenarios the commands about service levels compare with."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import render
from chaoskit.errors import BadInput
from chaoskit.scenario.catalog import scenario_names
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario


def config_of(files: ConfigFiles | None = None) -> AlertConfig:
    """The configuration that the options name; without any, the shipped one with its parts on service levels."""
    if files:
        return files.load()
    with tempfile.TemporaryDirectory(prefix="chaoskit-sla-") as folder:
        render(Path(folder) / "bundle", ("monitoring", "sla"))
        return ConfigFiles(Path(folder) / "bundle").load()


def scenarios() -> list[Scenario]:
    """All that are known; one that cannot be read rehearses nothing."""
    found = []
    for path in scenario_names().values():
        try:
            found.append(load_scenario_file(path))
        except BadInput as error:
            click.echo(f"left out: {error}", err=True)
    return found
