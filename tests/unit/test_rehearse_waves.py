"""Which rules may share a wave and a stack, who mutes whom, what the computed promise owes, and how it all ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import msgspec
import pytest
import yaml

from chaoskit.alerting.model import AlertConfig, Rule
from chaoskit.cli.rehearse_inputs import ASSUMED, at_home, changed_alerts, relabels, sorted_inputs, with_templates
from chaoskit.cli.sources import load_config
from chaoskit.errors import BadInput, ExitCode, Place
from chaoskit.events import Notice
from chaoskit.history import read_history
from chaoskit.observe.mail_header import HEADER_TEMPLATE
from chaoskit.rehearse import marker
from chaoskit.rehearse.derive import Guess, key_of, recording_rules
from chaoskit.rehearse.drill import wave_drill
from chaoskit.rehearse.fault import read, wrong_with
from chaoskit.rehearse.lanes import deal
from chaoskit.rehearse.mutes import muted_by
from chaoskit.rehearse.outcome import Heard, Rehearsed, RuleOutcome, judge_wave, unrehearsed, worse
from chaoskit.rehearse.output import exit_code, text_lines, to_github, to_json, to_junit
from chaoskit.rehearse.perform import scaled_rules, with_rules
from chaoskit.rehearse.promise import computed_notices, write
from chaoskit.rehearse.proof import Proven, Subject
from chaoskit.rehearse.scenarios import Given, from_tests, given_drill
from chaoskit.rehearse.series import Scripted, constant
from chaoskit.rehearse.stub import stub_for
from chaoskit.rehearse.waves import make_waves, scale_for
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import FaultSpec, Inject
from chaoskit.verify.verdict import Result, Row, Verdict
from chaoskit.verify.verify import plan_of, verify

RULES = """\
groups:
  - name: one
    rules:
      - {record: "job:errors:rate5m", expr: "sum by (job) (rate(errors_total[5m]))"}
      - {alert: Errors, expr: "job:errors:rate5m > 1", for: 2m, labels: {severity: critical}}
      - {alert: Queue, expr: "queue > 100", labels: {severity: warning}}
      - {alert: AllQueues, expr: "sum(queue) > 1000", labels: {severity: warning}}
      - {alert: Queue, expr: "queue > 500", labels: {severity: critical}}
"""
ROUTES = """\
route:
  receiver: mail
  group_by: [alertname]
  routes:
    - {matchers: [severity="critical"], receiver: pager, group_wait: 10s}
receivers:
  - {name: mail, webhook_configs: [{url: http://example.com/}]}
  - {name: pager, pagerduty_configs: [{routing_key: k}]}
inhibit_rules:
  - {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [cluster]}
"""


@pytest.fixture
def config(tmp_path: Path) -> AlertConfig:
    for name, text in (("rules.yml", RULES), ("am.yml", ROUTES), ("prometheus.yml", ASSUMED)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return load_config(None, [str(tmp_path / "rules.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml")


def proven(
    rule: Rule, number: int, metric: str, result: Mapping[str, str] | None = None, span_s: float = 0.0
) -> Proven:
    mark = f"rehearsal-{number}"
    series = (Scripted(metric, (("instance", mark),), constant(0), constant(9)),)
    return Proven(
        Subject(number, rule, span_s), Guess(series, mark), ({"instance": mark} if result is None else result,)
    )


def alerts(config: AlertConfig) -> list[Rule]:
    return [rule for rule in config.rules if rule.alert]


def calm(config: AlertConfig) -> AlertConfig:
    return replace(config, inhibit_rules=())


def test_rules_that_do_not_disturb_each_other_share_a_wave(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    waves = make_waves(calm(config), {}, [proven(errors, 1, "errors_total"), proven(queue, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [2]


def test_a_rule_over_all_series_shares_no_wave_with_one_that_scripts_some_of_them(config: AlertConfig) -> None:
    _, queue, every, _ = alerts(config)
    waves = make_waves(calm(config), {}, [proven(queue, 1, "queue"), proven(every, 2, "queue", {})])
    assert [len(wave.members) for wave in waves] == [1, 1]


def test_alerts_of_one_name_share_no_wave(config: AlertConfig) -> None:
    _, queue, _, critical = alerts(config)
    waves = make_waves(calm(config), {}, [proven(queue, 1, "queue"), proven(critical, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [1, 1]


def test_an_alert_shares_no_wave_with_the_one_that_mutes_it(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    waves = make_waves(config, {}, [proven(errors, 1, "errors_total"), proven(queue, 2, "queue")])
    assert [len(wave.members) for wave in waves] == [1, 1]


def test_who_mutes_whom_is_told_from_the_labels_that_alerts_carry(config: AlertConfig) -> None:
    errors, queue, *_ = alerts(config)
    seen = {key_of(one): (one, [{"instance": f"m{n}"}], f"m{n}") for n, one in enumerate((errors, queue))}
    assert muted_by(config, seen) == {key_of(queue): ("Errors",)}
    labelled = {
        **seen,
        key_of(errors): (errors, [{"cluster": "eu"}], "m0"),
        key_of(queue): (queue, [{"cluster": "m1"}], "m1"),
    }
    assert muted_by(config, labelled) == {key_of(queue): ("Errors",)}, "a made-up label may have that value in life"
    elsewhere = {**labelled, key_of(queue): (queue, [{"cluster": "us"}], "m1")}
    assert muted_by(config, elsewhere) == {}
    apart = replace(config.inhibit_rules[0], equal=("severity",))
    assert muted_by(replace(config, inhibit_rules=(apart,)), seen) == {}


@pytest.mark.parametrize(
    ("span_s", "asked", "scale"),
    [(60, None, 60), (2000, None, 120), (10_000, None, 200), (100_000, None, None), (60, 10.0, 10), (9000, 10.0, None)],
)
def test_who_looks_far_back_gets_a_larger_scale_or_none_in_time(
    config: AlertConfig, span_s: float, asked: float | None, scale: float | None
) -> None:
    one = proven(alerts(config)[1], 1, "queue", span_s=span_s)
    assert scale_for(one, 15.0, asked, 60.0) == scale


def test_no_scale_makes_evaluations_indistinguishable(config: AlertConfig) -> None:
    scale = scale_for(proven(alerts(config)[1], 1, "queue"), 1.0, None, 60.0)
    assert scale is not None
    assert 1.0 / scale >= 0.05


def test_work_is_dealt_out_evenly_and_scales_are_kept_apart(config: AlertConfig) -> None:
    rules = alerts(config)
    drills = [
        wave_drill(f"w{scale}-{n}", calm(config), [proven(rules[1], n, "queue")], False, scale, 15.0)
        for scale in (60.0, 120.0)
        for n in range(3)
    ]
    lanes = deal(drills, 2)
    assert sorted(d.name for lane in lanes for d in lane.drills) == sorted(d.name for d in drills)
    assert all(len({d.plan.time_scale for d in lane.drills}) == 1 for lane in lanes)
    assert len({lane.name for lane in lanes}) == len(lanes)


def test_a_waves_stack_has_only_its_rules_and_those_that_feed_them(config: AlertConfig) -> None:
    drill = wave_drill("w", config, [proven(alerts(config)[0], 1, "errors_total")], False, 60.0, 15.0)
    (text,) = [text for key, text in with_rules(config, drill.rules).items() if key.startswith("rules:")]
    assert "Errors" in text
    assert "job:errors:rate5m" in text
    assert "Queue" not in text
    (scaled,) = scaled_rules(config, drill.rules, 60.0).values()
    assert "2s" in scaled


def test_a_waves_scenario_names_the_receivers_that_the_routes_lead_to(config: AlertConfig) -> None:
    drill = wave_drill("w", config, [proven(alerts(config)[0], 1, "errors_total")], False, 60.0, 15.0)
    (alert,) = drill.plan.alerts
    assert {notice.receiver for notice in alert.notices} == {"pager"}
    assert alert.notices[0].notify.lo_vs == 10
    assert load_scenario(drill.text, "w.yml").expect[0].labels == {"instance": "rehearsal-1"}


def test_the_computed_promise_is_a_promise_file_that_holds_for_its_own_configuration(
    config: AlertConfig, tmp_path: Path
) -> None:
    notices: dict[tuple[str, str], object] = {}
    for rule in alerts(config)[:3]:
        notices |= computed_notices(config, rule, [rule.labels])
    file = tmp_path / "promise.yml"
    file.write_text(write(replace(config.promise, notices=notices)), encoding="utf-8")  # type: ignore[arg-type]
    read_back = load_config(None, [str(tmp_path / "rules.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml", file)
    assert read_back.promise.notices["Errors", "pager"].group_wait_s == 10
    assert read_back.promise.notices["Errors", "pager"].for_s == 120


def outcome(config: AlertConfig, result: Result, reason: str = "") -> RuleOutcome:
    heard = (Heard("pager", "pagerduty", 10.2, "Errors in api"),)
    return RuleOutcome(alerts(config)[0], result, (reason,) if reason else (), heard, ("pager",), ("Queue",))


def found(*outcomes: RuleOutcome, findings: tuple[Row, ...] = (), codes: tuple[int, ...] = ()) -> Rehearsed:
    return Rehearsed(outcomes, findings, ("nobody",), ("a note",), "computed", 12.0, codes)


def test_the_exit_code_is_that_of_the_worst_rule(config: AlertConfig) -> None:
    good, bad, open_ = (outcome(config, r) for r in (Result.PASS, Result.FAIL, Result.UNKNOWN))
    assert exit_code(found(good)) == ExitCode.PASS
    assert exit_code(found(good, open_)) == ExitCode.UNKNOWN
    assert exit_code(found(good, open_, bad)) == ExitCode.FAIL
    assert exit_code(found(good, codes=(4,))) == ExitCode.ABORTED
    assert exit_code(found(unrehearsed(alerts(config)[0], "no series"))) == ExitCode.UNKNOWN
    row = Row(about="x", hop="finding", result=Result.FAIL, reason="surprise")
    assert exit_code(found(good, findings=(row,))) == ExitCode.FAIL


def test_the_text_says_who_was_paged_when_and_with_what_and_what_was_not_proven(config: AlertConfig) -> None:
    left = unrehearsed(alerts(config)[1], "it always fires")
    said = "\n".join(text_lines(found(outcome(config, Result.PASS), left)))
    for part in ("pager (pagerduty) 10 s after firing: Errors in api", "muted by: Queue", "it always fires"):
        assert part in said
    assert "source: synthetic; detect hop not proven" in said
    assert "promise: computed" in said
    assert "receivers that no rule reaches: nobody" in said


def test_github_gets_a_command_beside_the_line_of_what_failed(config: AlertConfig) -> None:
    lines = list(to_github(found(outcome(config, Result.FAIL, "never notified"), outcome(config, Result.PASS))))
    assert lines[0].startswith("::error file=")
    assert "line=5" in lines[0]
    assert "never notified" in lines[0]
    assert len(lines) == 2


def test_github_and_junit_tell_of_what_happened_besides_and_no_text_ends_a_command_early(config: AlertConfig) -> None:
    row = Row(about="Stray", hop="finding", result=Result.FAIL, reason="50%\n::error::it fired")
    result = found(outcome(config, Result.PASS), findings=(row,))
    lines = list(to_github(result))
    assert lines[0] == "::error title=rehearsal FAIL::Stray: 50%25%0A::error::it fired"
    assert ET.fromstring(to_junit(result)).get("failures") == "1"


def test_json_and_junit_hold_the_same_results(config: AlertConfig) -> None:
    result = found(outcome(config, Result.FAIL, "too late"), outcome(config, Result.PASS))
    document = json.loads(to_json(result))
    assert [rule["result"] for rule in document["rules"]] == ["FAIL", "PASS"]
    assert document["rules"][0]["notices"][0]["receiver"] == "pager"
    root = ET.fromstring(to_junit(result))
    assert (root.get("tests"), root.get("failures")) == ("2", "1")


def test_of_two_outcomes_of_one_rule_the_worse_counts(config: AlertConfig) -> None:
    good, bad = outcome(config, Result.PASS), outcome(config, Result.FAIL, "late")
    assert worse(good, bad).result is worse(bad, good).result is Result.FAIL
    assert worse(unrehearsed(good.rule, "why"), good).result is Result.PASS


def test_promtools_tests_become_scenarios_whose_series_go_on(config: AlertConfig) -> None:
    text = """\
tests:
  - interval: 1m
    input_series: [{series: 'queue{instance="a"}', values: '0x2 200x3'}]
    alert_rule_test:
      - {alertname: Queue, eval_time: 5m, exp_alerts: [{exp_labels: {severity: warning}}]}
      - {alertname: Gone, eval_time: 5m, exp_alerts: [{}]}
      - {alertname: AllQueues, eval_time: 5m, exp_alerts: []}
"""
    (one,), notes = from_tests(text, "tests.yml", config.rules)
    scenario = load_scenario(one.text, one.name)
    assert [expectation.alert for expectation in scenario.expect] == ["Queue"]
    assert "Gone" in notes[0]
    step = scenario.steps[0]
    assert isinstance(step, Inject)
    (series,), interval_s = read(step.faults[0].settings, 15.0)
    assert interval_s == 60
    assert [series.values.at(float(i)) for i in (0, 2, 3, 999)] == [0, 0, 200, 200]


def test_a_file_without_tests_is_said_to_be_none() -> None:
    with pytest.raises(BadInput, match="holds no tests"):
        from_tests("groups: []", "rules.yml", ())


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
    with pytest.raises(BadInput, match="only scenarios"):
        sorted_inputs((str(scenario),))


def test_templates_replace_those_that_are_named_and_places_stay(config: AlertConfig, tmp_path: Path) -> None:
    original = tmp_path / "am.yml"
    original.write_text("templates:\n  - /etc/nowhere/*.tmpl\n" + ROUTES, encoding="utf-8")
    (tmp_path / "a.tmpl").write_text('{{ define "x" }}y{{ end }}', encoding="utf-8")
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = with_templates(original, (str(tmp_path / "*.tmpl"),), folder)
    read_ = load_config(None, [str(tmp_path / "rules.yml")], copy, tmp_path / "prometheus.yml")
    assert any(key.startswith("template:") for key in read_.sources)
    moved = at_home(read_, copy, original)
    assert str(moved.route.children[0].place) == f"{original}:7"
    with pytest.raises(BadInput, match="leads to no file"):
        with_templates(original, (str(tmp_path / "*.none"),), folder)


def test_changed_labels_of_alerts_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(f"{ASSUMED}alerting: {{alert_relabel_configs: [{{action: labeldrop, regex: replica}}]}}\n", "utf-8")
    assert relabels(file)
    file.write_text(ASSUMED, encoding="utf-8")
    assert not relabels(file)


def test_a_renamed_file_is_compared_with_what_it_was(config: AlertConfig, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("mv", "rules.yml", "alerts.yml")
    (tmp_path / "alerts.yml").write_text(RULES.replace("> 1000", "> 2000"), encoding="utf-8")
    renamed = load_config(None, [str(tmp_path / "alerts.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml")
    assert changed_alerts(renamed, "HEAD") == {"AllQueues"}


def test_only_rules_that_changed_since_a_revision_are_taken(config: AlertConfig, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert changed_alerts(config, "HEAD") == frozenset()
    (tmp_path / "rules.yml").write_text(RULES.replace("> 1000", "> 2000"), encoding="utf-8")
    changed = load_config(None, [str(tmp_path / "rules.yml")], tmp_path / "am.yml", tmp_path / "prometheus.yml")
    assert changed_alerts(changed, "HEAD") == {"AllQueues"}
    with pytest.raises(BadInput, match="no revision nowhere"):
        changed_alerts(changed, "nowhere")


def test_recording_rules_are_known_by_name(config: AlertConfig) -> None:
    assert set(recording_rules(config.rules)) == {"job:errors:rate5m"}


KEPT = read_history(Path(__file__).parents[1] / "golden" / "kept.jsonl")


def failed(hop: str) -> Verdict:
    verdict = verify(KEPT)
    row = Row(about=f"{verdict.rows[3].about}", hop=hop, result=Result.FAIL, reason="never fired")
    return msgspec.structs.replace(verdict, rows=[row])


def judged(monkeypatch: pytest.MonkeyPatch, hop: str, disturbed: str = "") -> list[Row]:
    monkeypatch.setattr("chaoskit.rehearse.outcome.verify", lambda history, plan: failed(hop))
    return judge_wave(KEPT, plan_of(KEPT.header), "wave", disturbed)[2].rows


@pytest.mark.parametrize("hop", ["hold", "notify", "clear", "all-clear"])
def test_a_scrape_that_failed_excuses_what_ends_early_or_never_begins(
    monkeypatch: pytest.MonkeyPatch, hop: str
) -> None:
    assert [row.result for row in judged(monkeypatch, hop)] == [Result.FAIL]
    (row,) = judged(monkeypatch, hop, "a scrape failed")
    assert row.result is Result.UNKNOWN
    assert row.reason.endswith("but a scrape failed")


def test_a_wrong_content_is_not_excused_by_a_failed_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row.result for row in judged(monkeypatch, "content", "a scrape failed")] == [Result.FAIL]


def test_a_script_that_does_not_make_its_alert_fire_is_our_failure_not_the_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (row,) = judged(monkeypatch, "detect")
    assert row.result is Result.UNKNOWN
    assert "did not make it fire" in row.reason


def test_a_rehearsal_has_no_load_and_no_detect_hop_to_judge() -> None:
    hops = {row.hop for row in judge_wave(KEPT, plan_of(KEPT.header), "wave")[2].rows}
    assert {"hold", "notify", "clear", "all-clear"} <= hops
    assert not hops & {"load", "detect"}
