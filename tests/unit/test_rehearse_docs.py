"""What the rehearsal's documents show is what the command takes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from chaoskit.cli.rehearse import rehearse_command
from chaoskit.errors import ExitCode
from chaoskit.faults.series import OneSeries, SeriesSettings
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Inject
from chaoskit.stack.original import Answer

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
    (series,), interval_s = SeriesSettings.model_validate(dict(step.faults[0].settings)).scripted(15.0)
    assert (series.name, interval_s) == ("queue_depth", 60)


def test_every_key_of_a_series_is_documented() -> None:
    text = (DOCS / "rehearse.md").read_text(encoding="utf-8")
    assert all(f"`{key}" in text for key in OneSeries.model_fields if key != "series")


def commands(name: str) -> list[list[str]]:
    """The `chaoskit rehearse` commands that a pipeline file runs, as words, with its variables filled in."""
    document = yaml.safe_load((DOCS / "ci" / name).read_text(encoding="utf-8"))
    jobs = document.get("jobs", document)
    lines: list[str] = []
    for job in jobs.values():
        lines += [step["run"] for step in job.get("steps", []) if "run" in step] + list(job.get("script", []))
    filled = [line.replace("${{ github.base_ref }}", "main") for line in lines]
    return [shlex.split(line) for line in filled if line.startswith("chaoskit ")]


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_commands_of_a_pipeline_run_on_a_team_repository(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs are fetched first, then every file, option and revision of the command is found; nothing has changed."""

    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    rules = "groups: [{name: g, rules: [{alert: A, expr: 'x > 1'}]}]\n"
    routes = "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'http://example.com/'}]}]\n"
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text(rules, encoding="utf-8")
    (tmp_path / "alertmanager.yml").write_text(routes, encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("fetch", "-q", ".", "main")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chaoskit.cli.rehearse.require", lambda: None)
    monkeypatch.setattr("chaoskit.cli.rehearse.ask", lambda config, yours=None, tools=None: Answer())
    install, rehearse = commands(name)
    assert install == ["chaoskit", "doctor", "--install"]
    ended = CliRunner().invoke(rehearse_command, rehearse[2:], standalone_mode=False)
    assert (ended.return_value, ended.exception) == (ExitCode.PASS, None)
    assert "no alert rule has changed since" in ended.output
