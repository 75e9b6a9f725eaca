"""An explanation says who hears of an alert, when, over which route, what is in the way, and what it assumed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from diff_examples import ALERTMANAGER, PROMISE, RULES, config, configurations
from hypothesis import given, settings
from rich.console import Console

from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import match_routes
from chaoskit.alerting.silences import silence_matchers
from chaoskit.errors import BadInput
from chaoskit.explain.alert import Explanation, explain
from chaoskit.explain.output import to_json
from chaoskit.explain.recipients import Recipients, span
from chaoskit.explain.when import Told, instant_of, silence
from chaoskit.report.explanation import explanation_view
from chaoskit.scenario.loader import load_scenario
from tests.alerting_examples import mutes, notices_of

OPEN = """\
groups:
  - name: g
    rules:
      - alert: Down
        expr: worker_up == 0
        for: 1m
        labels: {component: worker, severity: '{{ if $value }}critical{{ else }}warning{{ end }}'}
"""
SCENARIO = """\
chaoskit: 1
title: One is killed
steps:
  - inject: process.kill
    as: kill
    target: {role: worker}
  - wait: settled
expect:
  - alert: WorkerDown
"""


def one(config_: AlertConfig, name: str = "WorkerDown", **labels: str) -> Explanation:
    found = explain(config_, name, labels)
    assert len(found) == 1
    return found[0]


def shown(explanation: Explanation, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(explanation_view([explanation]), highlight=False)
    return console.export_text()


def test_the_first_figure_is_from_fault_to_phone() -> None:
    lines = shown(one(config())).splitlines()
    assert lines[0].startswith("WorkerDown  critical  r.yml:6")
    assert lines[1] == "From fault to phone: 70–112 s"


def test_each_receiver_has_its_route_windows_and_group() -> None:
    critical, workers = one(config()).reach.heard
    assert (critical.receiver, workers.receiver) == ("critical", "workers")
    assert (critical.route.place.line, critical.route.continues) == (5, True)
    # Scrape 15s + time-out 10s + evaluation 15s, then for 1m, then group_wait 10s or 30s, and 2 s to deliver.
    assert [*critical.phone_s, *workers.phone_s] == [70, 112, 90, 132]
    assert list(workers.phone_live_s) == [60, 402]
    assert list(workers.all_clear_s or ()) == [0, 342]
    assert workers.group_key == '{}/{component="worker"}:{alertname="WorkerDown"}'


def test_a_receiver_that_sends_no_resolved_notices_hears_no_all_clear() -> None:
    text = ALERTMANAGER.replace("to: ops@example.com, send_resolved: true", "to: ops@example.com")
    explanation = one(config(alertmanager=text, promise=""))
    assert explanation.reach.heard[1].all_clear_s is None
    assert "never: no integration sends resolved notices" in shown(explanation)


def test_labels_that_the_series_decide_are_left_open_named_and_refined() -> None:
    vague = one(config(OPEN, promise=""), "Down")
    assert [(each.receiver, each.certain) for each in vague.reach.heard] == [("critical", False), ("workers", True)]
    assert "severity" in vague.open_labels
    assert "perhaps: a label decides" in shown(vague)
    sharp = one(config(OPEN, promise=""), "Down", severity="critical")
    assert all(each.certain for each in sharp.reach.heard)
    assert "severity" not in sharp.open_labels
    assert [each.receiver for each in one(config(OPEN, promise=""), "Down", severity="info").reach.heard] == ["workers"]


def test_external_labels_are_assumed_where_the_series_may_lack_them() -> None:
    explanation = one(replace(config(OPEN, promise=""), external_labels={"severity": "x", "site": "here"}), "Down")
    assert explanation.reach.subject.assumed == {"site": "here"}
    assert "site=here from external_labels" in shown(explanation)


def test_an_unknown_alert_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match=r"no alerting rule is called 'WorkerDwn'.*did you mean 'WorkerDown'"):
        explain(config(), "WorkerDwn")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"severity": "warning"}, "severity=warning cannot be: the rule of WorkerDown sets severity to 'critical'"),
        ({"instance": "a"}, "WorkerDown never carries instance: its expression drops it"),
    ],
)
def test_labels_that_the_alert_cannot_have_are_refused(labels: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        explain(config(), "WorkerDown", labels)


def test_of_several_rules_with_one_name_the_labels_choose() -> None:
    rules = RULES + "      - {alert: WorkerDown, expr: count(x) > 0, labels: {severity: warning}}\n"
    assert len(explain(config(rules), "WorkerDown")) == 2
    chosen = one(config(rules), severity="warning")
    assert chosen.others == 1
    assert chosen.reach.hold is None


def test_who_mutes_it_when_and_whether_that_is_too_late() -> None:
    (muted,) = one(config(), "Errors").muted_by
    assert (muted.mute.source.name, muted.mute.rule.place.line, muted.mute.conditions) == ("WorkerDown", 12, ())
    assert (muted.firing_s, muted.resolved_s, muted.too_late) == ((60, 100), (0, 40), False)
    late = one(config(RULES.replace("for: 1m", "for: 1h"), promise=""), "Errors").muted_by[0]
    assert late.too_late


def test_an_equal_label_that_only_the_series_know_is_a_condition() -> None:
    text = ALERTMANAGER.replace('alertname="WorkerDown"', 'alertname="Down"').replace(
        'alertname="Errors"', 'alertname="Also"'
    )
    text = text.replace("receivers:\n  - name: every", "    equal: [zone]\nreceivers:\n  - name: every")
    rules = OPEN + "      - {alert: Also, expr: b == 0, labels: {severity: critical}}\n"
    (muted,) = one(config(rules, text, ""), "Also").muted_by
    assert muted.mute.conditions == ("zone is the same for both",)


def test_the_promise_is_shown_with_every_departure() -> None:
    both = PROMISE.replace("{workers: {for", "{critical: {for: 1m, group_wait: 10s, repeat: 4h}, workers: {for")
    assert "the configuration keeps to it" in shown(one(config(promise=both)))
    assert "WorkerDown reaches critical as well, and nothing is promised there" in shown(one(config()))
    departing = one(config(promise=PROMISE.replace("group_wait: 30s", "group_wait: 20s")))
    assert any("with group_wait 20s" in each.message for each in departing.departures if each.broken)
    assert not one(config(), "DiskLow").promised
    assert "nothing is promised for DiskLow" in shown(one(config(), "DiskLow"))


BESIDE = (
    "WorkerDown: {labels: {component: worker}, levels: {quiet: 1, fires: 0}, phone: {critical: 2m, workers: 1m}, "
    "all_clear: {critical: 1h}, muted_by: [], hours: always, "
)


def test_what_else_is_promised_stands_beside_what_the_configuration_comes_to() -> None:
    found = one(config(promise=PROMISE.replace("WorkerDown: {", BESIDE)))
    critical, workers = found.reach.heard
    text = " ".join(shown(found).split())
    assert f"{span(critical.phone_s)}, promised within 2m" in text
    assert critical.all_clear_s is not None
    assert f"{span(critical.all_clear_s)}, promised within 1h" in text
    for line in ("component=worker", "quiet at 1, fires at 0", "muted by no other alert", "told always"):
        assert line in text
    assert workers.phone_s[1] > 60
    broken = {each.id for each in found.departures if each.broken}
    assert broken == {"promise-phone"}
    read = json.loads(to_json([found]))["alerts"][0]
    assert [each["promised_phone_s"] for each in read["receivers"]] == [120, 60]
    assert read["promised_beside"]["muted_by"] == []


def test_the_scenario_that_proves_it_is_named() -> None:
    scenario = load_scenario(SCENARIO, "kill.yml", ())
    (found,) = explain(config(), "WorkerDown", {}, [scenario])
    assert [(one.name, each.place.line) for one, each in found.proofs] == [("kill", 9)]
    (other,) = explain(config(), "DiskLow", {}, [scenario])
    assert "no scenario: nothing proves that it works" in shown(other)


def test_machines_read_the_same() -> None:
    read = json.loads(to_json(explain(config(), "WorkerDown")))["alerts"][0]
    assert read["fault_to_phone_s"] == [70, 112]
    assert read["receivers"][1]["routes"] == [
        {"path": [2], "place": {"file": "a.yml", "line": 9}, "matchers": ['component="worker"'], "continue": False}
    ]


def test_no_line_is_wider_than_the_terminal() -> None:
    assert max(map(len, shown(one(config())).splitlines())) <= 100


def test_what_was_not_shown_is_said_and_not_guessed() -> None:
    bare = replace(config(promise=""), jobs=(), receivers={}, sources={"rules:r.yml": RULES})
    text = shown(one(bare))
    assert "no Alertmanager configuration was given" in text
    assert "no Prometheus configuration was given" in text


def test_windows_are_said_in_seconds_up_to_ten_minutes() -> None:
    assert [span(each) for each in ((70, 112), (60, 60), (630, 957.5))] == [
        "70–112 s",
        "exactly 60 s",
        "10m30s–15m57s500ms",
    ]


@settings(max_examples=200)
@given(configurations())
def test_routes_windows_and_mutes_are_those_of_the_exact_semantics(random: AlertConfig) -> None:
    """The indexes find what the rules of routing and inhibition say one by one, where all labels are known."""
    recipients = Recipients(random)
    labels = {each.rule.alert: {**each.rule.labels, "alertname": each.rule.alert} for each in recipients.subjects}
    for subject in recipients.subjects:
        reach = recipients.reach(subject)
        own = labels[subject.rule.alert]
        assert {each.route.path for each in reach.heard} <= {r.path for r in match_routes(random.route, own)}
        assert {(h.receiver, h.notify, h.all_clear) for h in reach.heard} == notices_of(random, subject.rule)
        muting = {n for n, source in labels.items() if any(mutes(r, source, own) for r in random.inhibit_rules)}
        assert recipients.mutes.names(subject.alert) == {(name, True) for name in muting}


TIMED = ALERTMANAGER.replace(
    "      receiver: workers\n", "      receiver: workers\n      mute_time_intervals: [nights]\n"
).replace(
    "receivers:\n",
    "time_intervals:\n  - name: nights\n    time_intervals:\n      - location: Europe/Berlin\n"
    "        times: [{start_time: '22:00', end_time: '24:00'}, {start_time: '00:00', end_time: '06:00'}]\nreceivers:\n",
)
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 12, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Sat 03:00", "2026-12-05T03:00+01:00"),
        ("saturday 3:00", "2026-12-05T03:00+01:00"),
        ("Thu 12:59", "2026-12-10T12:59+01:00"),
        ("thurs 13:00", "2026-12-03T13:00+01:00"),
        ("12:00", "2026-12-04T12:00+01:00"),
        ("2026-07-01 03:00", "2026-07-01T03:00+02:00"),
        ("2026-07-01T03:00Z", "2026-07-01T03:00+00:00"),
    ],
)
def test_a_time_is_the_next_one_that_people_call_so(text: str, meant: str) -> None:
    assert instant_of(text, BERLIN, NOW).isoformat(timespec="minutes") == meant


@pytest.mark.parametrize("text", ["", "Sat", "Caturday 03:00", "25:00", "3", "tomorrow", "s 03:00", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time"):
        instant_of(text, BERLIN, NOW)


def test_at_an_instant_it_says_which_receivers_are_told_and_from_when_the_others_are_again() -> None:
    config_ = config(alertmanager=TIMED)
    night = instant_of("Sat 03:00", BERLIN, NOW)
    [explanation] = explain(config_, "WorkerDown", at=night)
    text = shown(explanation)
    assert text.splitlines()[2] == "At Sat 2026-12-05 03:00 CET: critical would be told"
    said = " ".join(text.split())
    assert "silent; told from Sat 2026-12-05 06:00 CET on if it still fires, within 5m" in said
    assert "told, at any time" in said
    critical, workers = json.loads(to_json([explanation]))["alerts"][0]["receivers"]
    assert critical["at"] == {"instant": "2026-12-05T03:00:00+01:00", "tells": True, "until": None}
    assert workers["at"] == {
        "instant": "2026-12-05T03:00:00+01:00",
        "tells": False,
        "until": "2026-12-05T06:00:00+01:00",
    }
    [day] = explain(config_, "WorkerDown", at=instant_of("Sat 06:00", BERLIN, NOW))
    assert day.told[day.reach.heard[1].route.path] == Told(True, instant_of("Sat 22:00", BERLIN, NOW))
    assert json.loads(to_json(explain(config_, "WorkerDown")))["alerts"][0]["receivers"][1]["at"] is None


def test_a_silence_names_the_alerts_that_it_mutes_and_the_receivers_that_lose_them() -> None:
    config_ = config(rules=RULES + OPEN.partition("rules:\n")[2])
    found = silence(config_, silence_matchers("severity=critical,component=worker"))
    muted = {(each.subject.rule.alert, each.open, each.receivers) for each in found.mutes}
    assert ("WorkerDown", (), ("critical", "workers")) in muted
    assert ("Down", ("severity",), ("critical", "workers")) in muted
    assert len(found.mutes) < found.alerts
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(explanation_view([], found), highlight=False)
    text = console.export_text()
    assert f'severity="critical", component="worker" would mute {len(found.mutes)} of {found.alerts} alerts' in text
    assert "Down  perhaps: severity of its series decides  not told: critical, workers" in text
    said = json.loads(to_json([], found))["silence"]
    assert said["of_alerts"] == found.alerts
    assert {"alert": "WorkerDown", "certain": True, "receivers": ["critical", "workers"]}.items() <= said["mutes"][
        0
    ].items()


def test_a_silence_that_mutes_nothing_says_so() -> None:
    found = silence(config(), silence_matchers("severity=none"))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(explanation_view([], found), highlight=False)
    assert 'severity="none" would mute none of' in console.export_text()


@pytest.mark.parametrize("text", ["", "team!=db", 'team=""', "team", "team=~.*"])
def test_a_silence_that_alertmanager_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"silence|matcher|regular expression"):
        silence_matchers(text)
