"""Rules, routes and their files as other people publish them: what they mean is what check, explain and diff say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_config
from chaoskit.check.findings import Finding, Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli import run
from chaoskit.run.planning import Asked, plan_for
from chaoskit.stack.binaries import installed
from chaoskit.stack.check_programs import ask_programs

ROUTE = "route: {receiver: desk, group_by: [alertname]}\n"
DESK = "receivers: [{name: desk, webhook_configs: [{url: 'http://hook.example/desk'}]}]\n"
FULL = "- {alert: TankFull, expr: tank_level > 0.9, for: 2m, labels: {severity: warning}}"
INFO = "- {alert: TankIdle, expr: 'tank_flow{yard=\"north\"} == 0', labels: {severity: info, yard: north}}"


def files(folder: Path, rules: str, routes: str = ROUTE + DESK) -> tuple[Path, Path]:
    """A rule file with one group, and an Alertmanager configuration."""
    group = "groups:\n- name: tanks\n  rules:\n"
    (folder / "rules.yml").write_text(group + "".join(f"  {line}\n" for line in rules.splitlines()))
    (folder / "am.yml").write_text(routes)
    return folder / "rules.yml", folder / "am.yml"


def findings(folder: Path, rules: str, routes: str = ROUTE + DESK, *ids: str) -> list[Finding]:
    rules_file, routes_file = files(folder, rules, routes)
    config = load_config(rules=[str(rules_file)], alertmanager=routes_file)
    return [each for each in check(LintContext(config)).findings if each.id in ids]


# Templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("templates", ["", "templates: []\n"])
@pytest.mark.parametrize("which", range(3))
def test_texts_are_rendered_without_template_files_and_fail_for_their_own_reason(
    tmp_path: Path, templates: str, which: int
) -> None:
    """By every amtool that is here: it wants a glob also where there is no file."""
    tools = installed("amtool")
    if which >= len(tools):
        pytest.skip("no such amtool here")
    good, bad = "'{{ .CommonLabels.alertname }} is {{ .Status }}'", "'{{ .Labels.yard }}'"
    routes = templates + ROUTE + "receivers:\n- name: desk\n  slack_configs:\n  - api_url: 'https://chat.example/x'\n"
    files(tmp_path, FULL, f"{routes}    title: {good}\n    pretext: {bad}\n")
    config = load_config(rules=[str(tmp_path / "rules.yml")], alertmanager=tmp_path / "am.yml")
    (said,) = ask_programs(config, found={"amtool": tools[which]})["template-fails"]
    assert said.place.line == routes.count("\n") + 2
    assert "Labels" in said.message
    assert "glob" not in said.message


# Times -----------------------------------------------------------------------------------------------------------

OFFICE = """\
route:
  receiver: desk
  group_interval: 4m
  repeat_interval: 10m
  routes:
  - {receiver: shift, matchers: [severity=warning], active_time_intervals: [office], continue: true}
  - {receiver: desk, matchers: [severity=warning], mute_time_intervals: [office, feast]}
time_intervals:
- {name: office, time_intervals: [{weekdays: ['monday:friday']}]}
- {name: feast, time_intervals: [{months: ['12']}]}
receivers: [{name: desk}, {name: shift}]
"""


def test_explain_tells_when_a_route_is_quiet_from_when_only_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, routes = files(tmp_path, FULL, OFFICE)
    arguments = ["explain", "TankFull", "--rules", str(rules), "--alertmanager", str(routes)]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    shift, desk = said[said.index("  shift") :].split("  desk", 1)[0], said[said.index("  desk") :]
    assert "only in office" in shift
    assert "silent in" not in shift
    assert "silent in feast, office" in desk
    assert run([*arguments, "--format", "json"]) == 0
    of = {each["receiver"]: each for each in json.loads(capsys.readouterr().out)["alerts"][0]["receivers"]}
    keys = ("active_time_intervals", "mute_time_intervals")
    assert [[of[name][key] for key in keys] for name in ("shift", "desk")] == [
        [["office"], []],
        [[], ["office", "feast"]],
    ]


@pytest.mark.parametrize(
    ("interval", "repeat", "again"),
    [
        ("4m", "10m", "12m while it fires "),
        ("10m", "1m", "10m while it fires "),
        ("5m", "4h", "4h while it fires, often a tick (5m) later"),
        ("7s", "15s", "21s while it fires "),
        ("1m", "61s", "2m while it fires "),
    ],
)
def test_a_notice_is_said_to_come_again_at_a_tick_of_its_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interval: str, repeat: str, again: str
) -> None:
    times = f"route: {{receiver: desk, group_interval: {interval}, repeat_interval: {repeat}}}\n"
    rules, routes = files(tmp_path, FULL, times + DESK)
    assert run(["explain", "TankFull", "--rules", str(rules), "--alertmanager", str(routes)]) == 0
    assert f"every {again}" in capsys.readouterr().out


def test_diff_is_silent_where_the_tick_at_which_a_notice_comes_again_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, old = files(tmp_path, FULL, "route: {receiver: desk, group_interval: 10m, repeat_interval: 1m}\n" + DESK)
    said = []
    for repeat in ("9m", "11m"):
        new = tmp_path / "new.yml"
        new.write_text(old.read_text().replace("repeat_interval: 1m", f"repeat_interval: {repeat}"))
        assert run(["diff", str(old), str(new), "--rules", str(rules)]) == 0
        said.append(capsys.readouterr().out)
    assert "again" not in said[0]
    assert "20m" in said[1]


def test_a_plan_takes_a_scale_that_makes_no_interval_shorter_and_says_so(tmp_path: Path) -> None:
    shutil.copytree(bundle.folder(), tmp_path / "bundle")
    settings = tmp_path / "bundle" / "prometheus_config.yml"
    settings.write_text(settings.read_text().replace("15s", "10s"))
    asked = Asked("worker-unhealthy", "local", ConfigFiles(tmp_path / "bundle"))
    plan = plan_for(asked)[0]
    assert plan.time_scale == 50
    assert plan.warnings[0].startswith("played at 50x, not 60x")
    assert plan_for(replace(asked, time_scale=40))[0].time_scale == 40


# Counters that are recorded --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "falls"),
    [
        ("pump_litres_total * on (pump) group_left (yard) topk by (pump) (1, pump_labels)", False),
        ("pump_litres_total * on (pump) group_left (yard) max by (pump, yard) (pump_labels)", False),
        ("group by (pump, yard) (pump_labels) * on (pump) group_right (yard) pump_litres_total", False),
        ("pump_litres_total * on (pump) group by (pump) (pump_labels)", False),
        ("pump_litres_total and on (pump) max by (pump) (pump_labels) == 1", False),
        ("pump_litres_total unless on (pump) count by (pump) (pump_down)", False),
        ("label_replace(pump_litres_total, 'yard', '$1', 'pump', '(.).*')", False),
        ("topk(3, pump_litres_total)", False),
        ("sum by (yard) (pump_litres_total)", True),
        ("sum by (pump) (pump_litres_total) * on (pump) group_left (yard) pump_labels", True),
        ("max by (pump) (pump_litres_total) and on (pump) pump_labels", True),
        ("rate(pump_litres_total[5m]) * on (pump) group_left (yard) pump_labels", True),
        ("topk(3, sum by (pump) (pump_litres_total))", True),
        ("sum(pump_litres_total) / 1000", True),
    ],
)
def test_only_what_is_added_up_is_a_recorded_aggregate(tmp_path: Path, record: str, falls: bool) -> None:
    rules = f'- {{record: "pump:litres", expr: "{record}"}}\n- {{alert: Dry, expr: "rate(pump:litres[5m]) < 1"}}'
    assert bool(findings(tmp_path, rules, ROUTE + DESK, "rate-over-gauge")) is falls


# Inhibitions -----------------------------------------------------------------------------------------------------

INHIBITION = ("inhibition-never-equal", "inhibition-without-alert", "inhibition-circle", "inhibition-of-itself")


@pytest.mark.parametrize(
    "inhibition",
    [
        "{source_matchers: [severity=critical], target_matchers: ['severity=~\"warning|info\"'], equal: [alertname]}",
        "{source_matchers: [severity=warning], target_matchers: [severity=info], equal: [alertname, yard]}",
        "{source_match: {severity: warning}, target_match: {severity: info}, equal: [alertname]}",
        "{source_matchers: [severity=info], target_matchers: [severity=notice], equal: [yard]}",
    ],
)
def test_a_general_inhibition_that_meets_no_pair_of_these_rules_is_a_note(tmp_path: Path, inhibition: str) -> None:
    routes = ROUTE + DESK + f"inhibit_rules: [{inhibition}]\n"
    found = findings(tmp_path, f"{FULL}\n{INFO}", routes, *INHIBITION)
    assert found
    assert {each.severity for each in found} == {Severity.INFO}
    assert not [each for each in found if each.todo == "leave it out of equal"]


def test_an_inhibition_of_named_alerts_that_never_agree_is_an_error(tmp_path: Path) -> None:
    named = "{source_matchers: [alertname=TankFull], target_matchers: [alertname=TankIdle], equal: [alertname]}"
    (found,) = findings(tmp_path, f"{FULL}\n{INFO}", ROUTE + DESK + f"inhibit_rules: [{named}]\n", *INHIBITION)
    assert found.severity is Severity.ERROR


HELPER = "- {alert: NotesMuted, expr: 'ALERTS{severity=\"info\"} == 1', labels: {severity: none, yard: north}}"
MUTES = "{source_matchers: [alertname=NotesMuted], target_matchers: [severity=info], equal: [yard]}"
MUTED = "{source_matchers: [severity=info], target_matchers: [alertname=NotesMuted]}"


@pytest.mark.parametrize(
    ("muted", "helper", "routes"),
    [
        ("{target_matchers: [alertname=NotesMuted]}", HELPER.replace("none", "low"), ROUTE + DESK),
        ("{source_matchers: ['alertname!=NotesMuted'], target_matchers: [alertname=NotesMuted]}", HELPER, ROUTE + DESK),
        (MUTED, HELPER, ROUTE + DESK),
        (
            MUTED,
            HELPER.replace("none", "low"),
            "route: {receiver: desk, routes: [{matchers: [alertname=NotesMuted], receiver: hole}]}\n"
            + DESK.replace("[{", "[{name: hole}, {"),
        ),
    ],
)
def test_a_circle_through_an_alert_that_nobody_is_to_hear_of_is_none(
    tmp_path: Path, muted: str, helper: str, routes: str
) -> None:
    inhibitions = f"inhibit_rules: [{MUTES}, {muted}]\n"
    assert findings(tmp_path, f"{FULL}\n{INFO}\n{helper}", routes + inhibitions, "inhibition-circle") == []


def test_a_circle_through_an_alert_that_is_heard_is_an_error(tmp_path: Path) -> None:
    heard = "- {alert: NotesMuted, expr: 'count(ALERTS) > 9', labels: {severity: critical, yard: north}}"
    inhibitions = f"inhibit_rules: [{MUTES}, {MUTED}]\n"
    (found,) = findings(tmp_path, f"{FULL}\n{INFO}\n{heard}", ROUTE + DESK + inhibitions, "inhibition-circle")
    assert found.severity is Severity.ERROR
