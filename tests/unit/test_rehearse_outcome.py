"""How a rehearsal ends: what each rule's outcome is, what excuses it, and how it is told in each format."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import msgspec
import pytest

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig, Integration, Receiver
from chaoskit.errors import ExitCode, Place
from chaoskit.events import AnyEvent, FaultOk, Notice, Scrapes
from chaoskit.history import History
from chaoskit.hop import Hop
from chaoskit.rehearse.drill import Given, given_drill
from chaoskit.rehearse.inputs import ASSUMED
from chaoskit.rehearse.outcome import Heard, Rehearsed, RuleOutcome, judge_wave, unrehearsed, with_static, worse
from chaoskit.rehearse.output import exit_code, text_lines, to_github, to_json, to_junit, to_markdown
from chaoskit.rehearse.perform import Performed
from chaoskit.verify.case import Case
from chaoskit.verify.unproved import UNPROVED
from chaoskit.verify.verdict import Result, Row, worst_of
from chaoskit.verify.verify import plan_of
from tests.golden.doctored import mapped, recorded
from tests.rehearse_examples import KEPT, alerts, as_wave, config

__all__ = ["config"]

PASS, FAIL = Result.PASS, Result.FAIL


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
    row = Row(about="x", hop=Hop.FINDING, result=Result.FAIL, reason="surprise")
    assert exit_code(found(good, findings=(row,))) == ExitCode.FAIL


def test_the_markdown_says_what_failed_and_folds_who_was_paged(config: AlertConfig) -> None:
    left = unrehearsed(alerts(config)[1], "it always fires")
    shown, _, folded = to_markdown(found(outcome(config, Result.FAIL, "too late"), left)).partition("<details>")
    assert shown.startswith("## chaoskit rehearse\n\n1 of 2 alert rules rehearsed in 12 s: 1 FAIL (exit 1).")
    assert "- **FAIL** " in shown
    assert "  - too late" in shown
    assert "| pager (pagerduty) | 10 s | Errors in api |" in folded
    assert "it always fires" in folded
    assert "detect hop not proven" in folded


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
    row = Row(about="Stray", hop=Hop.FINDING, result=Result.FAIL, reason="50%\n::error::it fired")
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


DEAF = """route: {receiver: team-chat, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 4h}
receivers:
- name: team-chat
"""


def untold(config: AlertConfig, result: Result = Result.PASS, required: bool = False) -> RuleOutcome:
    """An alert that fired and goes to one receiver without an integration."""
    fired = RuleOutcome(alerts(config)[0], result, fired=True)
    receivers = {"team-chat": Receiver("team-chat", (), Place("am.yml", 3))}
    return with_static(fired, receivers, (), required)


def test_an_alert_that_no_person_is_told_of_says_so_in_every_format(config: AlertConfig) -> None:
    silent = found(untold(config))
    said = "no notification is sent: receiver team-chat has no integration"
    lines = list(text_lines(silent))
    assert any(line.strip() == said for line in lines)
    assert lines[-1].endswith("1 PASS; 1 of 1 fired, 1 without a notification (exit 0)")
    assert json.loads(to_json(silent))["rules"][0]["told_to_nobody"] == said
    assert said in (ET.fromstring(to_junit(silent)).findtext(".//system-out") or "")
    assert any(line.startswith("::warning") and said in line for line in to_github(silent))
    assert "no notification" not in "".join(text_lines(found(outcome(config, Result.PASS))))


def test_with_require_told_it_fails_in_every_format(config: AlertConfig) -> None:
    silent = found(untold(config, required=True))
    assert exit_code(silent) == ExitCode.FAIL
    assert json.loads(to_json(silent))["rules"][0]["result"] == "FAIL"
    assert ET.fromstring(to_junit(silent)).find(".//failure") is not None
    assert any(line.startswith("FAIL") for line in text_lines(silent))


def test_where_one_receiver_of_two_has_no_integration_the_alert_is_told(config: AlertConfig) -> None:
    mail = Receiver("ops", (Integration("email", 0, True),), Place("am.yml", 4))
    deaf = Receiver("team-chat", (), Place("am.yml", 3))
    fired = RuleOutcome(alerts(config)[0], Result.PASS, fired=True)
    one = with_static(fired, {"ops": mail, "team-chat": deaf}, (), True)
    assert one.result is Result.PASS
    assert "heard nothing: ops, team-chat (no integration)" in "\n".join(text_lines(found(one)))


@pytest.mark.parametrize(
    ("promised", "named", "wanted"),
    [(False, False, PASS), (True, False, FAIL), (False, True, FAIL)],
)
def test_a_receiver_without_integration_fails_what_a_promise_or_a_scenario_expects_of_it(
    promised: bool, named: bool, wanted: Result
) -> None:
    """What only the configuration's own routes say of it breaks nothing."""
    sources = {"rules:rules.yml": RULE, "alertmanager:am.yml": DEAF, "prometheus:prometheus.yml": ASSUMED}
    if promised:
        sources["promise:promise.yml"] = PROMISE
    own = load_texts(sources)
    expects = "\n    notifies: [team-chat]" if named else ""
    text = GIVEN.format(expects) if not promised else GIVEN.format("")
    drill = given_drill(Given("given.yml", text), own, promised, 60.0, 15.0)
    [instance] = Case(recorded("kept"), drill.plan).instances
    assert worst_of({PASS} | {one.row.result for one in UNPROVED.judge(instance)}) is wanted


def test_where_nothing_is_promised_only_what_sends_the_all_clear_owes_it() -> None:
    """Slack sends none unless told to, PagerDuty does: no fault of the one beside the other."""
    both = DEAF + "  slack_configs: [{channel: c}]\n  pagerduty_configs: [{routing_key: k}]\n"
    own = load_texts({"rules:rules.yml": RULE, "alertmanager:am.yml": both, "prometheus:prometheus.yml": ASSUMED})
    [alert] = given_drill(Given("given.yml", GIVEN.format("")), own, False, 60.0, 15.0).plan.alerts
    assert {notice.integration: notice.all_clear is not None for notice in alert.notices} == {
        "slack": False,
        "pagerduty": True,
    }


RULE = """groups:
- name: shop
  rules:
  - {alert: CheckoutDown, expr: checkout_up == 0, for: 1m, labels: {severity: critical}}
"""
PROMISE = "chaoskit: 1\nalerts: {CheckoutDown: {notices: {team-chat: {for: 1m, group_wait: 10s, repeat: 4h}}}}\n"
GIVEN = """chaoskit: 1
title: checkout goes down
steps:
  - inject: series
    as: down
    with: {{interval: 1m, series: [{{series: checkout_up, values: '0', rest: '1'}}]}}
  - wait: settled
expect:
  - alert: CheckoutDown
    from: down{}
"""


def wave_of(history: History, derived: bool = False, *told: AnyEvent) -> list[RuleOutcome]:
    """The outcomes of a recorded run, had it been a wave."""
    wave = as_wave(history, *told)
    plan = plan_of(wave.header)
    plan = replace(plan, beside=frozenset(alert.rule.alert for alert in plan.alerts))
    return list(judge_wave(Case(wave, plan), "wave", derived)[1].values())


def test_a_notice_where_no_route_leads_the_alert_is_shown_and_fails_its_rule() -> None:
    outcome = next(one for one in wave_of(recorded("told-to-others")) if one.result is FAIL)
    reason = next(reason for reason in outcome.reasons if "heard of the alert" in reason)
    to = reason.partition(": ")[2].partition(" (")[0]
    assert f"{to} (" in reason
    assert "its labels: alertname=" in reason
    assert to in {heard.receiver for heard in outcome.heard}
    assert not any("heard of the alert" in reason for one in wave_of(KEPT) for reason in one.reasons)


def test_series_that_are_true_at_rest_in_the_stack_are_not_rehearsed_and_no_other_try_helps() -> None:
    def later(event: AnyEvent) -> AnyEvent:
        """The fault takes effect once the alert is there."""
        if not isinstance(event, FaultOk):
            return event
        return msgspec.structs.replace(event, effect=(event.effect[0] + 0.8, event.effect[1] + 0.8))

    standing = mapped(KEPT, later)
    (derived,) = wave_of(standing, derived=True)
    assert derived.result is None
    assert "was pending already" in derived.reasons[0]
    failed = Scrapes(during=(0.0, 1.0), failed=True)
    for outcomes in (wave_of(standing), wave_of(standing, True, failed)):
        assert [one.result for one in outcomes] == [Result.UNKNOWN], "another try may tell"


def test_series_that_never_made_it_fire_are_tried_once_more_and_then_it_is_not_rehearsed() -> None:
    (never,) = wave_of(recorded("never-detected"), derived=True)
    assert (never.result, never.unmoved) == (Result.UNKNOWN, True)
    first, second = Performed({"key": never}), Performed({"key": never})
    first.replace_unknown(second)
    assert first.outcomes["key"].result is None
    assert "did not make the alert fire" in first.outcomes["key"].reasons[0]


def test_alerts_of_one_notice_say_with_whom_they_were_told(config: AlertConfig) -> None:
    def joined(event: AnyEvent) -> AnyEvent:
        if not isinstance(event, Notice) or not event.alerts:
            return event
        other = msgspec.structs.replace(event.alerts[0], labels={"alertname": "Other"})
        return msgspec.structs.replace(event, alerts=[*event.alerts, other])

    history = mapped(KEPT, joined)
    heard = [heard for outcome in wave_of(history) for heard in outcome.heard]
    assert {heard.beside for heard in heard} == {("Other",)}
    told = replace(outcome(config, PASS), heard=tuple(heard[:1]))
    assert "after firing, told with Other: " in "\n".join(text_lines(found(told)))
    assert json.loads(to_json(found(told)))["rules"][0]["notices"][0]["told_with"] == ["Other"]


def test_an_alert_that_relabelling_drops_says_that_nobody_is_told(config: AlertConfig) -> None:
    dropped = with_static(RuleOutcome(alerts(config)[0], PASS, fired=True), {}, ())
    said = "no notification is sent: alert_relabel_configs drop the alert"
    assert any(said in line for line in text_lines(found(dropped)))


def test_a_reason_of_several_lines_keeps_them_and_begins_no_line_of_its_own(config: AlertConfig) -> None:
    long = "Alertmanager: ended\nlevel=error\nPASS  Everything"
    row = Row(about="run", hop=Hop.END, result=Result.UNKNOWN, reason=long)
    of = found(outcome(config, Result.UNKNOWN, long), unrehearsed(alerts(config)[1], long), findings=(row,))
    said = "\n".join(text_lines(replace(of, notes=(long,))))
    assert "UNKNOWN  run: Alertmanager: ended\n  | level=error\n  | PASS  Everything" in said
    assert said.count("\n  | PASS  Everything") == 4
    assert "x0a" not in said
    (message,) = [each.get("message") for each in ET.fromstring(to_junit(found(findings=(row,)))).iter("error")]
    assert message == "Alertmanager: ended level=error PASS Everything"
