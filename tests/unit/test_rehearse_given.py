"""What a user gives to a rehearsal: tests, scenarios, marks, templates, files that changed. It is read as meant."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.cli import run as chaoskit
from chaoskit.errors import BadInput, ExitCode, Place
from chaoskit.events import Notice
from chaoskit.localize.mail_header import HEADER_TEMPLATE
from chaoskit.rehearse import marker
from chaoskit.rehearse.apart import groups_of
from chaoskit.rehearse.derive import recording_rules
from chaoskit.rehearse.drill import Given, given_drill, wrong_with
from chaoskit.rehearse.inputs import (
    ASSUMED,
    changed_alerts,
    sorted_inputs,
    with_a_job,
)
from chaoskit.rehearse.written import stub_for
from chaoskit.scenario.model import FaultSpec
from tests.rehearse_examples import ROUTES, RULES, alerts, config, config_of

__all__ = ["config"]


def test_a_scenario_may_only_script_series(config: AlertConfig) -> None:
    spec = FaultSpec("process.kill", {}, {}, Place("s.yml", 3))
    assert "cannot be injected here" in str(wrong_with(spec)[0])
    bad = FaultSpec("series", {}, {"series": [{"series": "up{", "values": "1"}]}, Place("s.yml", 3))
    assert "s.yml:3" in str(wrong_with(bad)[0])


def test_a_given_scenario_is_judged_by_the_computed_promise_and_leaves_strangers_alone(config: AlertConfig) -> None:
    text = stub_for(alerts(config)[0], "m").replace("job:errors:rate5m", "errors_total").replace("FILL-IN", "'1'")
    drill = given_drill(Given("stub.yml", text), config, False, 60.0, 15.0)
    assert [(n.receiver, n.notify.lo_vs) for n in drill.plan.alerts[0].notices] == [("pager", 10)]
    assert drill.plan.beside == {"Queue", "AllQueues"}


GONE = """\
groups:
  - name: nodes
    rules:
      - {alert: NodeGone, expr: 'up{job="node"} == 0', for: 1m, labels: {severity: critical}}
      - {alert: DoorGone, expr: 'absent(up{job="door"})', labels: {severity: critical}}
      - {alert: AnyGone, expr: 'absent(up)', labels: {severity: critical}}
"""
DOWN = """\
chaoskit: 1
title: a node goes away
steps:
  - {inject: series, as: down, with: {series: [{series: 'up{job="node"}', values: '0', rest: '1'}]}}
  - wait: settled
expect: [{alert: NodeGone, from: down}]
"""


def test_a_rule_whose_selector_finds_none_of_a_scenarios_series_may_fire_beside_it_and_is_told_apart(
    tmp_path: Path,
) -> None:
    """They are of one metric: other labels are other series."""
    drill = given_drill(Given("down.yml", DOWN), config_of(tmp_path, GONE), False, 60.0, 15.0)
    assert drill.plan.beside == {"DoorGone"}
    here, there = (
        groups_of(drill.plan.config, [{"alertname": n, "severity": "critical"}]) for n in ("NodeGone", "DoorGone")
    )
    assert not {path for path, _ in here} & {path for path, _ in there}


def test_marks_are_read_and_taken_out_again() -> None:
    told = "firing;1795477500250000000;;alertname=Errors&job=a+b&region=eu& "
    payload = json.dumps({"attachments": [{"callback_id": f"(chaoskit {told})", "title": "[FIRING:1] Errors"}]})
    notice = marker.read(
        Notice(receiver="r", integration="slack", index=0, sent=(1, 1), status="unknown", alerts=[], text=payload)
    )
    assert notice.status == "firing"
    assert notice.alerts[0].labels == {"alertname": "Errors", "job": "a b", "region": "eu"}
    assert "chaoskit" not in notice.text
    assert marker.headline(notice.text) == "[FIRING:1] Errors"


def test_a_form_or_escaped_text_is_read_as_well() -> None:
    told = "resolved;1795477500250000000;1795477600000000000;alertname=Errors&amp; "
    form = urlencode({"Message": f"(chaoskit {told}) It is over"})
    notice = marker.read(
        Notice(receiver="r", integration="sns", index=0, sent=(1, 1), status="unknown", alerts=[], text=form)
    )
    assert [alert.status for alert in notice.alerts] == ["resolved"]
    assert marker.headline(notice.text) == "It is over"


def test_every_kind_but_mail_and_webhook_gets_a_mark() -> None:
    marked = marker.mark(ROUTES)
    pager = yaml.safe_load(marked)["receivers"][1]["pagerduty_configs"][0]
    assert pager["details"]["chaoskit"] == f"(chaoskit {HEADER_TEMPLATE})"
    assert marked.count("(chaoskit ") == 1


def test_scenarios_are_told_from_rule_files(config: AlertConfig, tmp_path: Path) -> None:
    scenario = tmp_path / "s.yml"
    scenario.write_text("chaoskit: 1\nsteps: []\n", encoding="utf-8")
    rules, scenarios = sorted_inputs((str(tmp_path / "rules.yml"), str(scenario)))
    assert rules == [str(tmp_path / "rules.yml")]
    assert [one.name for one in scenarios] == [str(scenario)]


def test_templates_replace_those_that_are_named(config: AlertConfig, tmp_path: Path) -> None:
    original = tmp_path / "am.yml"
    original.write_text("templates:\n  - /etc/nowhere/*.gone\n" + ROUTES, encoding="utf-8")
    (tmp_path / "a.tmpl").write_text('{{ define "x" }}y{{ end }}', encoding="utf-8")
    rules, prometheus = [str(tmp_path / "rules.yml")], tmp_path / "prometheus.yml"
    read_ = load_config(None, rules, original, prometheus, templates=[str(tmp_path / "*.tmpl")])
    assert [key for key in read_.sources if key.startswith("template:")] == [f"template:{tmp_path / 'a.tmpl'}"]
    with pytest.raises(BadInput, match="leads to no file"):
        load_config(None, rules, original, prometheus)
    with pytest.raises(BadInput, match="leads to no file"):
        load_config(None, rules, original, prometheus, templates=[str(tmp_path / "*.none")])


def test_a_prometheus_configuration_for_its_intervals_alone_needs_no_job(tmp_path: Path) -> None:
    """A rehearsal scrapes its own series; every other command says that no rule would see data."""
    prometheus = tmp_path / "prometheus.yml"
    prometheus.write_text("global: {scrape_interval: 30s, evaluation_interval: 30s}\n", encoding="utf-8")
    with pytest.raises(BadInput, match="no scrape_configs"):
        load_config(prometheus=prometheus)
    for empty in ("", "scrape_configs:\n", "scrape_configs: []  # none yet\n"):
        prometheus.write_text(f"global: {{scrape_interval: 30s, evaluation_interval: 30s}}\n{empty}", encoding="utf-8")
        config = with_a_job(load_config(prometheus=prometheus, needs_jobs=False))
        (name,) = config.sources
        prometheus.write_text(config.sources[name], encoding="utf-8")
        assert load_config(prometheus=prometheus).jobs[0].name == config.jobs[0].name == "any"


def test_every_command_assumes_the_same_intervals_where_none_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES, encoding="utf-8")
    assumed = tmp_path / "prometheus.yml"
    assumed.write_text(ASSUMED, encoding="utf-8")
    routes = tmp_path / "am.yml"
    routes.write_text(ROUTES, encoding="utf-8")
    said = []
    for options in ((), ("--prometheus", str(assumed))):
        alert = load_config(rules=[str(rules)]).rules[-1].alert
        assert (
            chaoskit(["explain", alert, "--rules", str(rules), "--alertmanager", str(routes), *options])
            is ExitCode.PASS
        )
        said.append(capsys.readouterr().out)
    note = "no Prometheus configuration was given: scrape and evaluation every 15s are assumed"
    assert (note in said[0], note in said[1]) == (True, False)
    phones = [next(line for line in each.splitlines() if line.startswith("From fault to phone")) for each in said]
    assert phones[0] == phones[1]


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def committed(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")


def test_a_renamed_file_is_compared_with_what_it_was(config: AlertConfig, tmp_path: Path) -> None:
    committed(tmp_path)
    git(tmp_path, "mv", "rules.yml", "alerts.yml")
    (tmp_path / "alerts.yml").write_text(RULES.replace("> 1000", "> 2000"), encoding="utf-8")
    renamed = load_config(None, [str(tmp_path / "alerts.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml")
    assert changed_alerts(renamed, "HEAD") == {"AllQueues"}


def test_only_rules_that_changed_since_a_revision_are_taken(config: AlertConfig, tmp_path: Path) -> None:
    committed(tmp_path)
    assert changed_alerts(config, "HEAD") == frozenset()
    (tmp_path / "rules.yml").write_text(RULES.replace("> 1000", "> 2000"), encoding="utf-8")
    changed = load_config(None, [str(tmp_path / "rules.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml")
    assert changed_alerts(changed, "HEAD") == {"AllQueues"}
    with pytest.raises(BadInput, match="no revision nowhere"):
        changed_alerts(changed, "nowhere")


@pytest.mark.parametrize(
    ("was", "changed"),
    [
        (RULES.replace("> 1000", "> 1000  # d\xfcster").encode("latin-1"), {"AllQueues"}),
        (b"groups: [", {"Errors", "Queue", "AllQueues"}),
        (b"kind: PrometheusRule\n", {"Errors", "Queue", "AllQueues"}),
        (RULES.replace("for: 2m", "for: 2 minutes").encode(), {"Errors"}),
        (b"groups: [[], {rules: 5}, {name: a, rules: [5]}]\n", {"Errors", "Queue", "AllQueues"}),
    ],
)
def test_a_rule_that_cannot_be_read_in_the_revision_is_a_new_one(
    config: AlertConfig, tmp_path: Path, was: bytes, changed: set[str]
) -> None:
    now = (tmp_path / "rules.yml").read_bytes()
    (tmp_path / "rules.yml").write_bytes(was)
    committed(tmp_path)
    (tmp_path / "rules.yml").write_bytes(now)
    assert changed_alerts(config, "HEAD") == changed


def test_recording_rules_are_known_by_name(config: AlertConfig) -> None:
    assert set(recording_rules(config.rules)) == {"job:errors:rate5m"}
