"""How a rehearsal ends: what each rule's outcome is, what excuses it, and how it is told in each format."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import msgspec
import pytest

from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import ExitCode
from chaoskit.rehearse.outcome import Heard, Rehearsed, RuleOutcome, judge_wave, unrehearsed, worse
from chaoskit.rehearse.output import exit_code, text_lines, to_github, to_json, to_junit
from chaoskit.verify.verdict import Result, Row, Verdict
from chaoskit.verify.verify import plan_of, verify
from tests.rehearse_examples import KEPT, alerts, config

__all__ = ["config"]


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
