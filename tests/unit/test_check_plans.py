"""`check` passes no scenario and no profile that `plan` refuses: one validation is behind both."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.findings import Severity, Violation
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode, Refused
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


def with_changes(here: Path, *changes: tuple[str, str, str]) -> ConfigFiles:
    """A copy of the shipped configuration, changed at the first place of each text, with a second rule file."""
    folder = here / "alerts"
    shutil.copytree(bundle.folder(), folder)
    (folder / "second.yml").write_text("groups:\n- name: second\n  rules:\n  - record: j:one\n    expr: up\n")
    for name, old, new in (("prometheus_config.yml", "rule_files:", "rule_files:\n  - second.yml"), *changes):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))
    return ConfigFiles(folder)


RULES, HEALTH = "prometheus_alerts.yml", "insa_worker_health_status == 0"
LAST = "max_over_time(insa_worker_health_status[7s])"
NAMED = "- alert: DiskSpaceLow\n        expr:"
AT_NIGHT = (RULES, NAMED, f"{NAMED} hour() < 6 and")
FIRST_WAIT = ("alertmanager.yml", "  group_wait: 30s", "  group_wait: 50ms")
CONTROL = SCENARIO[: SCENARIO.index("expect:")] + "expect:\n  - {alert: DiskSpaceLow, never: true, during: kill}\n"
INCOMPRESSIBLE = {
    "a setting of Prometheus": (
        "", [("prometheus_config.yml", "scrape_timeout: 10s", "scrape_timeout: 100ms")],
        {"prometheus_config.yml:8": "scrape_timeout of global 100ms cannot"},
    ),
    "several settings of Alertmanager": (
        "", [FIRST_WAIT, ("alertmanager.yml", "group_wait: 1m", "group_wait: 40ms")],
        {"alertmanager.yml:24": "group_wait of route 50ms cannot", "alertmanager.yml:68": "group_wait of routes 40ms"},
    ),
    "an expected alert": (
        "", [(RULES, HEALTH, f"{LAST} == 0")],
        {f"{RULES}:30": "rule insa-crm-worker/WorkerUnhealthy: range 7s cannot be compressed"},
    ),
    "the record of another file that it reads": (
        "", [(RULES, HEALTH, "j:one == 0"), ("second.yml", "expr: up", f"expr: {LAST}")],
        {f"{RULES}:30": "WorkerUnhealthy: the rule reads j:one, which", "second.yml:4": "rule second/j:one: range 7s"},
    ),
    "a negative control": (CONTROL, [AT_NIGHT], {RULES: "/DiskSpaceLow: hour() cannot"}),
    "a wait for a query's answer": (
        SCENARIO.replace("wait: settled", "wait: {query: 'j:one > 0', at_most: 5m}"),
        [("second.yml", "expr: up", f"expr: {LAST}")],
        {"second.yml:4": "rule second/j:one: range 7s"},
    ),
    "what a fault asks": (
        SCENARIO.replace(
            KILL, "  - inject: command\n    as: kill\n    with: {start: ['true'], stop: ['true'], "
            "seen: {query: 'ALERTS{alertname=\"DiskSpaceLow\"}', within: 30s}}\n"
        ),
        [AT_NIGHT],
        {RULES: "/DiskSpaceLow: hour() cannot"},
    ),
    "a wait": (
        SCENARIO.replace("wait: settled", "wait: {alert: DiskSpaceLow, state: firing, at_most: 5m}"),
        [AT_NIGHT],
        {RULES: "/DiskSpaceLow: hour() cannot"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", INCOMPRESSIBLE)
def test_what_cannot_be_compressed_and_is_needed_is_refused_before_anything_runs(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100ms are 1.7 ms at 60x, which Prometheus cannot say. All of it is told at once, each where it stands."""
    scenario, profile = written(tmp_path)
    other, changes, told = INCOMPRESSIBLE[what]
    scenario.write_text(other or SCENARIO)
    files = with_changes(tmp_path, *changes)
    with pytest.raises(BadInput) as refused:
        plan_for(Asked(str(scenario), str(profile), files))
    said = [str(each) for each in refused.value.problems]
    assert len(said) == len(told)
    for place, words in told.items():
        (line,) = (each for each in said if each.startswith(place))
        assert f": cannot run at scale 60: {words}" in line or words in line
    assert {each.partition(": ")[2] for each in errors(scenario, profile, files.load())} >= {
        each.message for each in refused.value.problems
    }
    if len(changes) == 1:
        return
    at = ["--bundle", str(tmp_path / "alerts"), "--profile", str(profile)]
    for command in (["plan"], ["gate", "--dry-run", "--out", str(tmp_path)]):
        assert run([command[0], str(scenario), *command[1:], *at]) is ExitCode.USAGE
        shown = " ".join(capsys.readouterr().err.split())
        assert all(place in shown for place in told)


def test_an_abort_condition_that_could_never_come_true_is_refused(tmp_path: Path) -> None:
    """A run without a protection that its profile promises does not begin."""
    scenario, profile = written(tmp_path)
    asked = ("hour() > 6", "j:one > 0", 'absent(ALERTS{alertname=~"Own|Other"})')
    conditions = ("{alert: DiskSpaceLow}", *(f"{{query: '{query}'}}" for query in asked))
    profile.write_text(f"{PROFILE}abort: [{', '.join(conditions)}]\n")
    own = f"expr: {LAST}\n  - alert: Own\n    expr: hour() < 6"
    files = with_changes(tmp_path, AT_NIGHT, ("second.yml", "expr: up", own))
    with pytest.raises(Refused) as refused:
        plan_for(Asked(str(scenario), str(profile), files))
    said = [each.message for each in refused.value.problems]
    wanted = ("'hour() > 6' cannot be watched", "/DiskSpaceLow: hour()", "second/j:one: range 7s", "second/Own: hour()")
    assert sorted(one for one in wanted for each in said if one in each) == sorted(wanted)
    assert len(said) == len(wanted)
    assert {f"scenario-plan: {each}" for each in said} <= {*errors(scenario, profile, files.load())}


def test_a_query_of_an_abort_condition_for_a_rule_that_cannot_be_read_is_wrong_at_every_scale(tmp_path: Path) -> None:
    scenario, profile = written(tmp_path)
    profile.write_text(f"{PROFILE}abort: [{{query: 'j:one > 0'}}]\n")
    with pytest.raises(BadInput, match="rule j:one, which a query reads, is left out") as refused:
        plan_for(
            Asked(str(scenario), str(profile), with_changes(tmp_path, ("second.yml", "expr: up", "expr: up @@ 3")))
        )
    assert not isinstance(refused.value, Refused)


def test_what_is_wrong_with_a_rule_besides_hides_no_refusal(tmp_path: Path) -> None:
    scenario, profile = written(tmp_path)
    read = with_changes(tmp_path, (RULES, HEALTH, f"{LAST} == 0")).load()
    scenarios, profiles = [load_scenario_file(scenario)], [load_profile_file(profile)]
    plans = ask_plans(scenarios, profiles, read)
    said = {"scenario-plan": plans, "promtool": (Violation(plans[0].place, "it is refused", "correct it"),)}
    found = check(LintContext(read, scenarios, profiles, elsewhere=said)).findings
    assert {each.id for each in found if each.place == plans[0].place} >= {"scenario-plan", "promtool"}


@pytest.mark.parametrize("expr", ["j:one == 0", f"{LAST} * j:one == 0", "j:one * j:two == 0"])
def test_an_expected_alert_that_reads_what_cannot_be_read_is_refused_with_the_reason_whatever_else_is_wrong(
    expr: str, tmp_path: Path
) -> None:
    """At 60x there may be a second cause, which is told beside it and says what helps against it alone."""
    scenario, profile = written(tmp_path)
    two = f"expr: up @@ 3\n  - record: j:two\n    expr: {LAST}"
    files = with_changes(tmp_path, (RULES, HEALTH, expr), ("second.yml", "expr: up", two))
    for scale in (1.0, 60.0):
        with pytest.raises(BadInput) as refused:
            plan_for(Asked(str(scenario), str(profile), files, time_scale=scale))
        said = [str(each) for each in refused.value.problems if each.message.startswith("cannot run")]
        (always,) = (each for each in said if ": cannot run: " in each)
        begin = f"{RULES}:30: cannot run: rule insa-crm-worker/WorkerUnhealthy: the rule reads j:one, which"
        assert always.startswith(begin)
        assert "parse" in always.partition("is left out (")[2]
        others = [each for each in said if each != always]
        assert bool(others) == (scale == 60 and expr != "j:one == 0")
        assert all("j:one" not in each and each.endswith("(choose another --time-scale)") for each in others)
        assert not isinstance(refused.value, Refused)


def test_what_cannot_be_compressed_is_no_matter_where_nothing_needs_it_or_time_is_less_compressed(
    tmp_path: Path,
) -> None:
    """Seven seconds are 700 ms at 10x; a rule that no expectation, control, wait or allowance names is left out."""
    scenario, profile = written(tmp_path)
    files = with_changes(
        tmp_path,
        (RULES, HEALTH, f"{LAST} == 0"),
        AT_NIGHT,
        FIRST_WAIT,
    )
    profile.write_text(f"{PROFILE}abort: [{{query: 'count(ALERTS{{alertname!=\"Watchdog\"}}) > 9'}}]\n")
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
