"""What the rehearsal's documents show is what the command takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from chaoskit.cli.rehearse import rehearse_command
from chaoskit.rehearse.fault import OneSeries, read
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Inject

DOCS = Path(__file__).parents[2] / "docs"
OPTIONS = {option for parameter in rehearse_command.params for option in parameter.opts}


@pytest.mark.parametrize("name", ["rehearse.md", "ci/github-actions.yml", "ci/gitlab-ci.yml"])
def test_every_option_that_is_shown_exists(name: str) -> None:
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (DOCS / name).read_text(encoding="utf-8")))
    assert shown - OPTIONS <= {"--install"}
    assert shown & OPTIONS


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_pipelines_are_yaml_that_calls_the_command(name: str) -> None:
    text = (DOCS / "ci" / name).read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    assert "chaoskit rehearse rules/*.yml" in text


def test_the_shown_scenario_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "rehearse.md").read_text(encoding="utf-8"), re.DOTALL)
    scenario = load_scenario(text, "shown.yml")
    step = scenario.steps[0]
    assert isinstance(step, Inject)
    (series,), interval_s = read(step.faults[0].settings, 15.0)
    assert (series.name, interval_s) == ("queue_depth", 60)


def test_every_key_of_a_series_is_documented() -> None:
    text = (DOCS / "rehearse.md").read_text(encoding="utf-8")
    assert all(f"`{key}" in text for key in OneSeries.model_fields if key != "series")
