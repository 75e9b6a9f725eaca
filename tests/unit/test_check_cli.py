"""`chaoskit check` as people call it: which files, which format, which exit code. promtool and amtool are not asked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chaoskit import bundle as shipped
from chaoskit.alerting.config import load_config
from chaoskit.check.findings import LINTS
from chaoskit.cli import run
from chaoskit.errors import BadInput
from tests.check_examples import ALERTMANAGER, PROFILE, PROMETHEUS, PROMISE, RULES, SCENARIO

BAD_RULE = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: count(up) == 0\n"
MANIFEST = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: one}
spec:
  groups:
    - name: g
      rules:
        - alert: First
          expr: count(up) == 0
---
apiVersion: v1
kind: List
items:
  - kind: PrometheusRule
    spec: {groups: [{name: h, rules: [
      {alert: Second, expr: count(up) == 0}]}]}
  - kind: ConfigMap
    data: {groups: none}
"""


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's folder, and a current directory with its scenarios."""
    folder = tmp_path / "alerts"
    folder.mkdir()
    for name, text in (
        ("rules.yml", RULES),
        ("alertmanager.yml", ALERTMANAGER),
        ("prometheus.yml", PROMETHEUS),
        ("notification_windows.yml", PROMISE),
    ):
        (folder / name).write_text(text)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "one.yml").write_text(SCENARIO)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "own.yml").write_text(PROFILE)
    monkeypatch.chdir(tmp_path)
    return folder


def check(*arguments: str) -> int:
    return int(run(["check", "--no-programs", *arguments]))


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    check("--format", "json", *arguments)
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_clean_folder_passes_and_names_what_no_scenario_sees(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("--bundle", "alerts", "--strict") == 0
    out = capsys.readouterr().out
    assert "scenarios exercise 2 of 3 alerts; none sees ManyErrors" in out
    assert "not checked, since promtool was not found or not asked" in out


def test_an_error_fails_and_says_where_what_why_and_what_to_do(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "alertmanager.yml").write_text(ALERTMANAGER.replace("repeat_interval: 4h", "repeat_interval: 1h"))
    assert check("--bundle", "alerts") == 1
    out = capsys.readouterr().out
    assert "error   alerts/notification_windows.yml:10: ManyErrors is promised to web with repeat_interval 4h" in out
    assert "at alerts/alertmanager.yml:7 has 1h [promise-repeat]" in out
    assert f"why: {LINTS['promise-repeat'].why}" in out
    assert "do:  change the route or the promise" in out


def test_in_a_clone_the_scenarios_here_are_checked_though_they_came_with_chaoskit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a folder as the configuration; elsewhere what came with chaoskit speaks of no other than the shipped one."""
    folder = str(shipped.folder().resolve())
    monkeypatch.chdir(Path(__file__).parents[2])
    assert check("--bundle", folder) == 0
    assert "scenarios exercise 22 of 22 alerts" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert check("--bundle", folder) == 0
    assert "scenarios exercise 22 of 22 alerts" not in capsys.readouterr().out


def test_a_warning_fails_only_when_strict_and_not_when_ignored(bundle: Path) -> None:
    (bundle / "rules.yml").write_text(RULES.replace("for: 1m", "for: 55s"))
    arguments = ("--bundle", "alerts")
    assert check(*arguments) == 0
    assert check(*arguments, "--strict") == 1
    assert check(*arguments, "--strict", "--ignore", "for-off-beat") == 0


def test_an_ignored_finding_is_counted(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "rules.yml").write_text(RULES.replace("for: 1m", "for: 55s"))
    assert report(capsys, "--bundle", "alerts", "--ignore", "for-off-beat")["ignored"] == 1


def test_an_unknown_lint_cannot_be_ignored(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--bundle", "alerts", "--ignore", "for-of-beat") == 2
    assert "did you mean 'for-off-beat'?" in capsys.readouterr().err


def test_every_problem_of_every_unreadable_file_is_listed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "rules.yml").write_text(RULES.replace("for: 1m", "fro: 1m"))
    (bundle / "alertmanager.yml").write_text(ALERTMANAGER.replace("group_interval", "grup_interval"))
    (bundle.parent / "scenarios" / "one.yml").write_text("chaoskit: 1\n")
    assert check("--bundle", "alerts", "--metrics", "nowhere.txt") == 2
    said = capsys.readouterr().err
    for part in ("alerts/rules.yml:8", "alerts/alertmanager.yml:6", "scenarios/one.yml", "nowhere.txt", "did you mean"):
        assert part in said
    assert "Traceback" not in said


def test_rules_alone_are_checked_and_the_rest_is_said_to_be_skipped(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "bad.yml").write_text(BAD_RULE)
    found = report(capsys, "--rules", "alerts/bad.yml")
    assert ("never-true", "alerts/bad.yml", 5) in [(f["id"], f["file"], f["line"]) for f in found["findings"]]  # type: ignore[attr-defined]
    reasons = {one["reason"]: one["lints"] for one in found["skipped"]}  # type: ignore[attr-defined]
    assert "unreachable-route" in reasons["no Alertmanager configuration was given"]
    assert "promise-for" in reasons["no promise was given"]
    assert "short-range" in reasons["no Prometheus configuration was given"]


def test_routes_alone_are_checked(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "alertmanager.yml").write_text(ALERTMANAGER.replace("group_wait: 30s", "group_wait: 30m"))
    found = report(capsys, "--alertmanager", "alerts/alertmanager.yml")
    assert "group-wait-longer" in [one["id"] for one in found["findings"]]  # type: ignore[attr-defined]
    assert "no rule files were given" in [one["reason"] for one in found["skipped"]]  # type: ignore[attr-defined]


def test_kubernetes_manifests_are_read_and_findings_stand_at_their_lines(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "k8s.yml").write_text(MANIFEST)
    found = report(capsys, "--rules", "alerts/k8s.yml")
    at = [(one["message"].split(":")[0], one["line"]) for one in found["findings"] if one["id"] == "never-true"]  # type: ignore[attr-defined]
    assert at == [("First", 9), ("Second", 16)]


def test_a_key_that_the_operator_takes_out_is_no_problem_in_a_manifest(bundle: Path) -> None:
    for first, second in (
        ("name: g", "partial_response_strategy: warn"),
        ("partial_response_strategy: warn", "name: g"),
    ):
        text = MANIFEST.replace("    - name: g\n", f"    - {first}\n      {second}\n")
        (bundle / "k8s.yml").write_text(text)
        assert [rule.place.line for rule in load_config(rules=["alerts/k8s.yml"]).rules] == [9, 17]


def test_a_manifest_without_rules_is_left_out(bundle: Path) -> None:
    (bundle / "k8s.yml").write_text("kind: PrometheusRule\nspec: {}\n")
    config = load_config(rules=["alerts/k8s.yml", "alerts/rules.yml"])
    (left_out,) = config.not_understood
    assert left_out.broken
    assert str(left_out) == "left out: alerts/k8s.yml:1: the PrometheusRule holds no spec.groups"
    assert config.rules


def test_patterns_folders_and_files_name_rules_and_one_that_leads_nowhere_is_a_problem(bundle: Path) -> None:
    (bundle / "deep").mkdir()
    (bundle / "deep" / "more.yaml").write_text(BAD_RULE)
    for pattern in ("alerts/**/*.yaml", "alerts/deep", "alerts/deep/more.yaml"):
        assert [rule.alert for rule in load_config(rules=[pattern]).rules] == ["A"]
    with pytest.raises(BadInput, match="--rules leads to no file"):
        load_config(rules=["alerts/*.json"])


def test_what_was_not_given_is_known_as_such(bundle: Path) -> None:
    config = load_config(rules=["alerts/rules.yml"])
    assert [config.shows(role) for role in ("rules", "prometheus", "alertmanager", "promise")] == [
        True, False, False, False,
    ]  # fmt: skip
    assert config.receivers == {}


def test_a_file_beside_the_bundle_takes_the_place_of_its_own(bundle: Path) -> None:
    Path("other.yml").write_text(ALERTMANAGER.replace("repeat_interval: 4h", "repeat_interval: 9h"))
    config = load_config(bundle, alertmanager=Path("other.yml"))
    assert config.route.repeat_interval_s == 9 * 3600
    assert config.route.place.file == "other.yml"


def test_a_folder_with_neither_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither a Prometheus nor an Alertmanager configuration"):
        load_config(tmp_path)


def test_findings_as_markdown_have_errors_with_what_to_do_and_the_rest_folded(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check("--bundle", str(bundle), "--format", "markdown")
    before = capsys.readouterr().out
    assert before.startswith("## chaoskit check\n\n")
    assert "**error**" not in before.partition("<details>")[0]
    promise = bundle / "notification_windows.yml"
    promise.write_text(PROMISE.replace("for: 1m", "for: 9m"))
    assert promise.read_text() != PROMISE
    check("--bundle", str(bundle), "--format", "markdown")
    shown = capsys.readouterr().out.partition("<details>")[0]
    assert re.search(r"- \*\*error\*\* \S+: .*\n  - do: ", shown)


def test_github_commands_are_escaped(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = bundle / "a,b: 100%.yml"
    odd.write_text(BAD_RULE.replace("- alert: A", '- alert: "A\\n::error::B"'))
    check("--rules", str(odd), "--format", "github")
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "never-true" in line]
    assert len(lines) == 1
    assert lines[0].startswith("::error file=alerts/a%2Cb%3A 100%25.yml,line=5,title=never-true::A%0A::error::B")
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in out.splitlines())


def test_the_shipped_scenarios_do_not_judge_another_teams_alerts(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle.parent / "scenarios" / "one.yml").unlink()
    reasons = [one["reason"] for one in report(capsys, "--bundle", "alerts")["skipped"]]  # type: ignore[attr-defined]
    assert "there are no scenarios" in reasons


def test_the_shipped_configuration_has_neither_error_nor_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--strict") == 0
    assert "scenarios exercise" in capsys.readouterr().out


def test_scenarios_are_not_planned_where_nothing_says_how_often_anything_is_scraped(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["check", "--rules", "alerts/rules.yml", "--alertmanager", "alerts/alertmanager.yml", "--no-programs"]
    assert run(argv) in (0, 1)
    said = capsys.readouterr().out
    assert "no Prometheus configuration was given" in said
    assert "scenario-plan" in said
