"""promtool's unit tests as a rehearsal plays them: their series, what they expect, and why some are not played."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import Place
from chaoskit.events import AlertState, AnyEvent, ExpectedQuiet, ExpectedTexts, FaultOk, Notice, NoticedAlert
from chaoskit.faults.series import Course, value_at
from chaoskit.rehearse.drill import given_drill
from chaoskit.rehearse.inputs import Asked
from chaoskit.rehearse.unit_tests import AGAIN, GroupRow, UnitTest, Way, played, read_tests, ways
from chaoskit.rehearse.usable import Chooser
from chaoskit.stack.binaries import Binaries
from chaoskit.verify.case import Case
from chaoskit.verify.scripted import UNIT_TESTS
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import plan_of
from tests.golden.doctored import mapped
from tests.rehearse_examples import KEPT, as_wave, config_of

PLAN = plan_of(KEPT.header)

RULES = """\
groups:
  - name: tills
    rules:
      - {alert: TillDown, expr: 'up{job="till"} == 0', for: 5m, labels: {severity: critical}, annotations: {say: "{{ $labels.instance }} is down"}}
      - {alert: DrawerFull, expr: drawer_ratio > 0.9, for: 1m, labels: {severity: page}}
      - {alert: DrawerFull, expr: drawer_ratio > 0.5, for: 2m, labels: {severity: ticket}}
      - {alert: NoTills, expr: 'absent(up{job="till"})', for: 3m, labels: {severity: page}}
      - {alert: Slow, expr: 'rate(queue_total{queue="a"}[5m]) > 1', labels: {severity: page}}
      - {alert: Slow, expr: 'rate(queue_total{queue="b"}[5m]) > 1', labels: {severity: page}}
      - {alert: TooOld, expr: time() - backup_time > 3600, labels: {severity: page}}
      - {alert: AtNight, expr: hour() > 20 and on () up, labels: {severity: page}}
"""  # noqa: E501


def group(series: str, alerts: str, more: str = "") -> str:
    return f"  - interval: 1m\n    input_series: [{series}]\n    alert_rule_test: [{alerts}]\n{more}"


def written(*groups: str) -> str:
    return "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n" + "".join(groups)


def till(values: str, instance: str = "a:80") -> str:
    return f"{{series: 'up{{job=\"till\",instance=\"{instance}\"}}', values: '{values}'}}"


def fires(alert: str, at: str, labels: str, texts: str = "{}") -> str:
    return f"{{alertname: {alert}, eval_time: {at}, exp_alerts: [{{exp_labels: {labels}, exp_annotations: {texts}}}]}}"


DOWN = fires("TillDown", "18m", '{severity: critical, job: till, instance: "a:80"}', '{say: "a:80 is down"}')


@pytest.fixture
def config(tmp_path: Path) -> AlertConfig:
    return config_of(tmp_path, RULES)


@pytest.fixture
def chooser(config: AlertConfig, binaries: Binaries, tmp_path: Path) -> Chooser:
    return Chooser(Asked(config, 15.0, tmp_path, False), binaries.promtool, "promtool")


def read_one(text: str) -> UnitTest:
    (one,) = read_tests(written(text), "tills_test.yml")
    return one


def shown(way: Way, minutes: list[float], rest_s: float = 600.0) -> list[float | None]:
    (series,) = way.series
    return [value_at(series, Course(0.0, rest_s), rest_s + 60.0 * at, 60.0) for at in minutes]


# -- reading


def test_each_group_keeps_its_place_and_one_that_cannot_be_read_leaves_the_others() -> None:
    text = written(
        group(till("1x5"), DOWN),
        group(till("1 x 5"), DOWN),
        group("{series: latency, values: '{{schema:1 sum:1 count:1}}x5'}", DOWN),
        group(till("1x5"), "{eval_time: 1m, exp_alerts: []}"),
        "  - 3\n",
    )
    tests = read_tests(text, "tills_test.yml")
    assert [(str(one.place), one.title) for one in tests] == [
        (f"tills_test.yml:{line}", f"test {n}") for n, line in enumerate((4, 7, 10, 13, 16), 1)
    ]
    assert [one.wrong for one in tests] == [
        "",
        "'x' is not in promtool's notation; write for example 0x5, 1+2x10, _x3 or stale",
        "latency: native histograms are not scripted",
        "an entry of alert_rule_test names no alert (tills_test.yml:15)",
        "write a test as a mapping with input_series and alert_rule_test, not the number 3",
    ]
    assert tests[0].expected == {"TillDown": 1080.0}


@pytest.mark.parametrize("text", ["groups: []", "tests: []", "tests: 3", "- a", "tests: [", ""])
def test_a_file_without_tests_is_one_row_that_says_so(text: str) -> None:
    (one,) = read_tests(text, "rules.yml")
    assert one.wrong


def test_rule_files_are_found_beside_the_test(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES, "utf-8")
    (one,) = read_tests(written(group("", DOWN)).replace("[rules.yml]", "['*.yml']"), str(tmp_path / "a_test.yaml"))
    assert one.rule_files == {str(tmp_path / "rules.yml")}


# -- the series


def test_a_healthy_lead_in_is_the_rest_before_and_after_the_fault() -> None:
    first = next(ways(read_one(group(till("1x10 0x20 1x10"), DOWN)), 1080.0, False))
    assert (first.begins_s, first.series[0].rest.at(99.0)) == (660.0, 1.0)
    assert shown(first, [-1, 0, 19, 99]) == [1, 0, 0, 0]  # what follows the expectation is not played


def test_a_counter_goes_on_from_what_its_lead_in_has_reached() -> None:
    test = read_one(group("{series: a_total, values: '0+10x5 150+100x10'}", DOWN))
    first = next(ways(test, 600.0, False))
    assert shown(first, [-1, 0, 1, 2, 50]) == [90, 200, 300, 400, 5200]


def test_gaps_show_the_last_sample_for_five_minutes_and_marks_of_staleness_end_it() -> None:
    test = read_one(group(till("1 _x20"), DOWN))
    whole = next(way for way in ways(test, 1080.0, False) if not way.begins_s)
    assert shown(whole, [0, 5, 6, 18]) == [1, 1, None, None]
    stale = next(way for way in ways(read_one(group(till("1 stale"), DOWN)), 1080.0, False) if not way.begins_s)
    assert shown(stale, [0, 1]) == [1, None]


def test_a_slope_goes_on_beyond_the_expectation_or_stays_level_and_never_falls_back() -> None:
    steep, level = list(ways(read_one(group("{series: a, values: '5+5x4'}", DOWN)), 240.0, False))[:2]
    assert shown(steep, [0, 3.5, 4, 6]) == [5, 22.5, 25, 35]
    assert shown(level, [0, 3.5, 4, 6]) == [5, 22.5, 25, 25]
    then = next(ways(read_one(group("{series: a, values: '5+5x4 25x9'}", DOWN)), 480.0, False))
    assert shown(then, [4, 4.9, 5, 9]) == [25, 25, 25, 25]


# -- which are played


def test_case_by_case_each_group_is_played_or_says_why_not(chooser: Chooser) -> None:
    """A lead-in, one of two severities, an absence, and what no rehearsal can play."""
    tests = read_tests(
        written(
            group(till("1x10 0x20 1x10"), DOWN + ", {alertname: TillDown, eval_time: 14m, exp_alerts: []}"),
            group("{series: drawer_ratio, values: '0.6x20'}", fires("DrawerFull", "9m", "{severity: ticket}")),
            group(till("1x2 _x30"), fires("NoTills", "20m", "{severity: page, job: till}")),
            group("", fires("NoTills", "20m", "{severity: page, job: till}")),
            group(till("0x20"), "{alertname: NoTills, eval_time: 9m, exp_alerts: []}"),
            group(till("0x20"), fires("Nameless", "9m", "{}")),
            group(till("0x20"), fires("TillDown", "9m", "{severity: page}")),
            group(till("0x9999"), fires("AtNight", "9m", "{}")),
            group("{series: backup_time, values: '0x200'}", fires("TooOld", "90m", "{severity: page}")),
        ),
        "tills_test.yml",
    )
    given, found = chooser.choose(tests)
    assert [len(row.drills) for row in found] == [1, 1, 1, 0, 0, 0, 0, 0, 1]
    assert [row.reason for row in found[:3]] == [
        "exp_annotations of TillDown not compared: only webhooks show annotations",
        "",
        "",
    ]
    assert [row.reason for row in found[3:6]] == [
        "it has no input_series",
        "it expects no alert to fire",
        "no given rule is called Nameless",
    ]
    assert found[6].result is Result.FAIL
    assert found[6].reason.startswith("promtool fails it as it stands: TillDown at 9m, expected [ 0: Labels:{")
    assert "time of day" in found[7].reason
    down, full, absent, old = given
    hasty = [one.name for one in given if one.test and one.test.hasty]
    assert hasty == [absent.name], "what is true without series is loaded once they rest"
    assert down.test is not None
    assert absent.test is not None
    assert down.test.appears_s == {"TillDown": 120.0}  # of 18 minutes 11 are lead-in, 5 are `for`
    assert [(quiet.alert, quiet.at_vs) for quiet in down.test.quiet] == [("TillDown", 180.0)]
    assert full.test is not None
    assert full.test.results == {"DrawerFull": ({"severity": "ticket"},)}
    assert "rest: '1'" in absent.text  # giving the series back is what ends it
    assert "clock: true" in old.text


def test_a_drill_waits_for_the_lead_in_and_speaks_of_one_rule_of_the_name(
    chooser: Chooser, config: AlertConfig
) -> None:
    (one,), _ = chooser.choose(
        [read_one(group("{series: drawer_ratio, values: '0.6x20'}", fires("DrawerFull", "9m", "{severity: ticket}")))]
    )
    drill = given_drill(one, config, False, 60.0, 15.0)
    (alert,) = drill.plan.alerts
    assert (alert.rule.for_s, alert.detect.hi_vs >= 420.0, alert.expectation.labels["severity"]) == (
        120,
        True,
        "ticket",
    )
    assert "NoTills" in drill.plan.beside


def test_rules_that_share_name_and_labels_are_told_apart_by_their_series(chooser: Chooser) -> None:
    test = read_one(
        group(
            """{series: 'queue_total{queue="b"}', values: '0+600x20'}""",
            fires("Slow", "9m", "{severity: page, queue: b}"),
        )
    )
    (one,), (row,) = chooser.choose([test])
    assert one.test is not None
    assert [key for key in one.test.rules if "Slow" in key] == [f"{chooser.config.rules[5].place} Slow"]
    assert row.reason == ""


def test_an_alert_that_was_not_asked_for_hinders_none(chooser: Chooser) -> None:
    test = read_one(group(till("1x10 0x20"), DOWN))
    asked = replace(chooser.asked, only=frozenset({"DrawerFull"}))
    given, (row,) = replace(chooser, asked=asked).choose([test])
    assert (given, row.reason, row.result) == ([], "this command names none of the test's alerts", None)


def test_what_takes_too_long_is_a_row(chooser: Chooser) -> None:
    _, (row,) = chooser.choose(
        [
            read_one(
                group(
                    till("0x9999"),
                    DOWN.replace("18m", "2d"),
                )
            )
        ]
    )
    assert row.reason.startswith("TillDown: expected after 2d")
    assert "--longest" in row.reason


# -- what is judged besides


def judged(*told: AnyEvent, **test: Any) -> list[Row]:
    """What a test's own checks say of a kept run in which this happened as well."""
    case = Case(as_wave(mapped(KEPT, lambda e: None if isinstance(e, Notice | AlertState) else e), *told, **test), PLAN)
    return [one.row for check in UNIT_TESTS for one in check.judge(case)]


def a_notice(say: str) -> Notice:
    told = NoticedAlert(status="firing", labels={"alertname": "A", "till": "1"}, annotations={"say": say})
    return Notice(receiver="r", integration="webhook", index=0, sent=(9, 9), status="firing", alerts=[told])


def test_annotations_are_compared_with_what_was_told_but_for_numbers() -> None:
    expected = ExpectedTexts(
        labels={"alertname": "A", "till": "1"}, annotations={"say": "till 1 lost 20.5% in 1h 3m"}, place="t.yml:3"
    )
    (row,) = judged(a_notice("till 1 lost 19% in 58m"), texts=[expected])
    assert (row.result, row.hop) == (Result.PASS, "content")
    (row,) = judged(a_notice("till 1 won 19% in 58m"), texts=[expected])
    assert (row.result, row.reason) == (
        Result.FAIL,
        "A: say says 'till 1 won 19% in 58m', the test expects 'till 1 lost 20.5% in 1h 3m' (t.yml:3)",
    )
    assert judged(texts=[expected]) == []  # no notice shows them


def test_what_fires_when_the_test_expects_no_alert_fails() -> None:
    quiet = ExpectedQuiet(alert="A", at_vs=600.0, place="t.yml:5")
    begun = next(KEPT.of(FaultOk)).effect[0]

    def fires(after_s: float, for_s: float | None) -> list[Row]:
        states = [("firing", after_s)] + ([("inactive", after_s + for_s)] if for_s else [])
        told: list[Any] = [
            AlertState(labels={"alertname": "A"}, state=state, at=begun + at, previous=begun + at - 0.1)  # type: ignore[arg-type]
            for state, at in states
        ]
        return judged(*told, quiet=[quiet])

    (row,) = fires(2.0, None)
    assert (row.result, row.reason[:37]) == (Result.FAIL, "A: the alert had been firing for 480 ")
    assert row.reason.endswith(" s when the test expects none (t.yml:5)")
    assert fires(11.0, None) == []
    assert fires(2.0, 3.0) == []


def test_a_row_is_as_bad_as_its_worst_drill_and_a_second_attempt_counts_for_what_was_unknown() -> None:
    row = GroupRow(Place("t.yml", 1), "test 1", drills=("one.yml", "two.yml"))
    ended = {"one": Result.PASS, "two": Result.UNKNOWN, f"two{AGAIN}": Result.PASS}
    assert played(row, ended).result is Result.PASS
    assert played(row, {"one": Result.FAIL, f"one{AGAIN}": Result.PASS, "two": Result.PASS}).result is Result.FAIL
    assert played(row, {"one": Result.PASS}).result is Result.UNKNOWN
