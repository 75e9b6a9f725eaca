"""`check` passes no scenario and no profile that `plan` refuses: one validation is behind both."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.findings import Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli import run
from chaoskit.errors import BadInput, Place
from chaoskit.run.planning import Asked, ask_faults, ask_plans, plan_for
from chaoskit.scenario.catalog import find_profile
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.profile import load_profile_file

KILL = "  - inject: process.kill\n    as: kill\n    target: {role: worker, count: 1}\n    with: {hold: true}\n"
SCENARIO = f"""chaoskit: 1
title: One worker dies
steps:
{KILL}  - wait: settled
expect:
  - alert: WorkerUnhealthy
    from: kill
"""
WAIT, FROM = "  - wait: settled\n", "    from: kill\n"
HANDLES = "handles: {role: {worker: {process: worker, label: worker_name}}}\n"
PROFILE = f"chaoskit: 1\ntarget: local\ntime_scale: 60\nload: {{rate: 1/s}}\n{HANDLES}"
REFUSED = {
    "a handle of another kind": (SCENARIO, "target: {role: worker, count: 1}", "target: {link: upstream}"),
    "more than there are": (SCENARIO, "count: 1", "count: 9"),
    "three of one link": (SCENARIO, WAIT, "  - {inject: tcp.reset, target: {link: upstream, count: 3}}\n" + WAIT),
    "a kind that there is not": (SCENARIO, "process.kill", "process.kil"),
    "an action of no known kind": (SCENARIO, WAIT, "  - {do: queue.repaly, target: {queue: agent-tasks}}\n" + WAIT),
    "an action of another handle": (SCENARIO, WAIT, "  - {do: queue.replay, target: {role: worker}}\n" + WAIT),
    "an action on more than there are": (
        SCENARIO, WAIT, "  - {do: queue.replay, target: {queue: agent-tasks, count: 3}}\n" + WAIT,
    ),
    "no such one": (SCENARIO, "count: 1", "name: worker-9"),
    "a change of a kind without levels": (SCENARIO, WAIT, "  - {change: kill, with: {hold: false}}\n" + WAIT),
    "a setting that the kind refuses": (SCENARIO, "hold: true", "hold: maybe"),
    "a wait that nothing bounds": (SCENARIO, WAIT, "  - wait: {alert: DiskSpaceLow, state: firing}\n"),
    "a wait beyond the limits": (SCENARIO, WAIT, "  - wait: 9h\n"),
    "a receiver that is not defined": (SCENARIO, FROM, FROM + "notices: {everybody: ..3}\n"),
    "a receiver without a promise": (SCENARIO, FROM, FROM + "    notifies: [dlq-alerts]\n"),
    "bounds that cross": (SCENARIO, FROM, FROM + "    notifies: {critical-alerts: {not_before: 1h}}\n"),
    "a process that is not there": (PROFILE, "process: worker", "process: NONSENSE"),
    "a part that is not there": (PROFILE, HANDLES, HANDLES.replace("{", "{link: {upstream: {proxy: NONSENSE}}, ", 1)),
    "a target that is not searched": (PROFILE, "process: worker", "match: 'w (?P<name>.+)'"),
    "a mix of unknown requests": (PROFILE, "{rate: 1/s}", "{rate: 1/s, mix: {nonsense: 1}}"),
}  # fmt: skip


@cache
def config() -> AlertConfig:
    return load_config(bundle.folder(), complete=True)


def written(folder: Path, what: str = "") -> tuple[Path, Path]:
    """The files of scenario and profile, one of them changed so that it cannot be planned."""
    changed, old, new = REFUSED.get(what, ("", "", ""))
    files = []
    for name, text in (("scenario.yml", SCENARIO), ("profile.yml", PROFILE)):
        assert changed != text or old in text
        (folder / name).write_text(text.replace(old, new, 1) if text is changed else text)
        files.append(folder / name)
    return files[0], files[1]


def errors(scenario: Path, profile: Path, read: AlertConfig | None = None) -> list[str]:
    """What `check` calls an error."""
    read = read or config()
    scenarios, profiles = [load_scenario_file(scenario)], [load_profile_file(profile)]
    elsewhere = {"scenario-fault": ask_faults(scenarios), "scenario-plan": ask_plans(scenarios, profiles, read)}
    found = check(LintContext(read, scenarios, profiles, elsewhere=elsewhere)).findings
    return [f"{each.id}: {each.message}" for each in found if each.severity is Severity.ERROR]


@pytest.mark.parametrize("what", REFUSED)
def test_what_plan_refuses_check_calls_an_error(what: str, tmp_path: Path) -> None:
    scenario, profile = written(tmp_path, what)
    with pytest.raises(BadInput):
        plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle.folder())))
    assert errors(scenario, profile)


def test_what_plan_accepts_check_calls_no_error(tmp_path: Path) -> None:
    scenario, profile = written(tmp_path)
    plan_for(Asked(str(scenario), str(profile), ConfigFiles(bundle.folder())))
    assert errors(scenario, profile) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("prometheus_config.yml", "scrape_timeout: 10s", "scrape_timeout: 100ms", "scrape_timeout of global 100ms"),
        ("alertmanager.yml", "  group_wait: 30s", "  group_wait: 50ms", "group_wait of route 50ms"),
    ],
)
def test_a_setting_that_cannot_be_compressed_is_refused_before_anything_runs(
    name: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    """100ms are 1.7 ms at 60x, which Prometheus cannot say; at 10x they are as good as any."""
    scenario, profile = written(tmp_path)
    shutil.copytree(bundle.folder(), tmp_path / "alerts")
    file = tmp_path / "alerts" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    files = ConfigFiles(tmp_path / "alerts")
    with pytest.raises(BadInput) as refused:
        plan_for(Asked(str(scenario), str(profile), files))
    assert [said in each.message for each in refused.value.problems] == [True]
    assert refused.value.problems[0].place == Place(name)
    assert [said in each for each in errors(scenario, profile, files.load()) if "scenario-plan" in each] == [True]
    plan_for(Asked(str(scenario), str(profile), files, time_scale=10.0))


def test_a_scenario_for_another_time_scale_is_no_error() -> None:
    """`--time-scale` is all it takes: a restarted Prometheus is not faithful at 60x."""
    file = Path(__file__).parents[2] / "scenarios" / "prometheus-restarts-while-pending.yml"
    assert errors(file, find_profile("local")) == []


def test_a_role_that_only_an_attached_target_has_is_not_asked_of_a_local_one(tmp_path: Path) -> None:
    scenario, profile = written(tmp_path)
    scenario.write_text(SCENARIO.replace("role: worker", "role: shop"))
    staging = tmp_path / "staging.yml"
    staging.write_text(
        "chaoskit: 1\ntarget: {attached: {prometheus: 'http://p', alertmanager: 'http://a', metrics: 'http://m', "
        "environment: staging}}\nhandles: {role: {shop: {match: 's (?P<name>.+)'}}}\n"
    )
    both = [load_profile_file(profile), load_profile_file(staging)]
    assert ask_plans([load_scenario_file(scenario)], both, config()) == ()
    assert ask_plans([load_scenario_file(scenario)], both[:1], config())


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("more than there are", "9 of role:worker are wanted, 4 of 4 are free"),
        ("three of one link", "3 of link:upstream are wanted, 1 of 1 are free"),
        ("a handle of another kind", "process.kill needs a target with role"),
        ("a change of a kind without levels", "kill cannot be changed while in force"),
    ],
)
def test_the_command_ends_with_1_for_what_plan_ends_with_2(
    what: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scenario, _ = written(tmp_path, what)
    (tmp_path / "scenarios").mkdir()
    scenario.rename(tmp_path / "scenarios" / "one.yml")
    assert run(["check", "--no-programs", "--scenarios", str(tmp_path / "scenarios")]) == 1
    assert said in capsys.readouterr().out
    assert run(["plan", str(tmp_path / "scenarios" / "one.yml")]) == 2
    assert said in capsys.readouterr().err
