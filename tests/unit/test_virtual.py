"""Compression of rule files and configurations."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.alerting.promql import reads_alert
from chaoskit.alerting.promql_durations import nearest_exact_scale
from chaoskit.alerting.virtual import (
    CannotScale,
    Refusal,
    instant_records,
    prometheus_flags,
    scale_alertmanager,
    scale_prometheus,
    scale_rule_files,
    scale_rules,
    scaled_hold,
)
from chaoskit.units import parse_duration


def _file(*rules: dict[str, Any], **group: Any) -> dict[str, Any]:
    return {"groups": [{"name": "g", "rules": list(rules), **group}]}


def _scaled(
    *rules: dict[str, Any], k: float = 60, eval_s: float = 15, **group: Any
) -> tuple[dict[str, Any], list[Refusal]]:
    doc, refused = scale_rules(_file(*rules, **group), k, eval_s)
    return doc["groups"][0], refused


# Scales ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every_s", "wanted", "faster", "scale"),
    [
        ([15, 60], 60, 1.05, 60),
        ([15, 30, 300], 60, 1, 60),
        ([10], 60, 1.05, 62.5),
        ([10], 60, 1, 50),
        ([5, 15], 60, 1.05, 62.5),
        ([7], 60, 1.05, 62.5),
        ([20, 25, 40], 60, 1, 50),
        ([20, 25, 40], 120, 1.05, 125),
        ([10], 200, 1.05, 200),
        ([15], 45, 1, 40),
        ([0.333], 60, 1, 55.5),
        ([1], 13.333, 1.05, 12.5),
        ([10], 1, 1, 1),
        ([0.001, 0.0017], 60, 1, 60),
        ([], 60, 1, 60),
    ],
)
def test_the_nearest_scale_is_taken_that_makes_whole_milliseconds_of_every_interval(
    every_s: list[float], wanted: float, faster: float, scale: float
) -> None:
    assert nearest_exact_scale([round(each * 1000) for each in every_s], wanted, wanted * faster) == scale


@given(st.lists(st.integers(1, 600), min_size=1, max_size=4), st.integers(2, 200))
def test_at_the_scale_that_is_taken_no_hold_becomes_shorter(every_s: list[int], wanted: int) -> None:
    k = Fraction(str(nearest_exact_scale([each * 1000 for each in every_s], wanted, wanted)))
    assert k <= wanted
    for each in every_s:
        interval = Fraction(each * 1000) / k
        assert interval.denominator == 1
        for held in (each, 4 * each, 360 * each + 1):
            evaluations = -(-held // each)
            hold = scaled_hold(held * 1000, k, each * 1000, int(interval))
            assert -(-hold // interval) * interval * k == evaluations * each * 1000


# Rule files --------------------------------------------------------------------------------------------------------


def test_every_duration_of_a_group_is_divided_and_nothing_else_changes() -> None:
    group, refused = _scaled(
        {
            "alert": "A",
            "expr": "rate(x[5m]) > 1",
            "for": "2m",
            "keep_firing_for": "10m",
            "labels": {"severity": "critical"},
            "annotations": {"summary": "over 5m"},
        },
        interval="30s",
        query_offset="3m",
        limit=10,
        labels={"team": "x"},
    )
    assert refused == []
    assert group == {
        "name": "g",
        "interval": "500ms",
        "query_offset": "3s",
        "limit": 10,
        "labels": {"team": "x"},
        "rules": [
            {
                "alert": "A",
                "expr": "(rate(x[5s]) / 60) > 1",
                "for": "2s",
                "keep_firing_for": "10s",
                "labels": {"severity": "critical"},
                "annotations": {"summary": "over 5m"},
            }
        ],
    }


def test_real_time_changes_nothing_and_the_input_is_never_changed() -> None:
    doc = _file({"alert": "A", "expr": "hour() > 3 # as it is", "for": "2m"}, interval="7ms")
    before = copy.deepcopy(doc)
    assert scale_rules(doc, 1, 15) == (before, [])
    scale_rules(doc, 60, 15)
    assert doc == before


@pytest.mark.parametrize(
    "doc", [{}, {"groups": None}, {"groups": [{"name": "g"}]}, {"groups": [{"name": "g", "rules": None}]}]
)
def test_an_empty_file_is_no_fault(doc: dict[str, Any]) -> None:
    assert scale_rules(doc, 60, 15)[1] == []


def test_a_rule_that_cannot_be_compressed_is_named_and_left_out() -> None:
    group, refused = _scaled({"alert": "Night", "expr": "hour() < 6"}, {"alert": "B", "expr": "x > 1"})
    assert [rule["alert"] for rule in group["rules"]] == ["B"]
    assert [(one.group, one.rule) for one in refused] == [("g", "Night")]
    assert "hour()" in refused[0].reason
    assert "no time of day" in str(refused[0])


def test_rules_that_read_a_lost_one_are_lost_with_it_across_groups_and_whatever_their_order() -> None:
    doc = {
        "groups": [
            {"name": "late", "rules": [{"alert": "C", "expr": "b:two > 1"}, {"alert": "D", "expr": "y > 1"}]},
            {"name": "mid", "rules": [{"record": "b:two", "expr": "a:one * 2"}]},
            {"name": "early", "rules": [{"record": "a:one", "expr": "hour()"}]},
        ]
    }
    scaled, refused = scale_rules(doc, 60, 15)
    assert {one.rule for one in refused} == {"a:one", "b:two", "C"}
    assert [rule for group in scaled["groups"] for rule in group["rules"]] == [{"alert": "D", "expr": "y > 1"}]
    assert [one.reason for one in refused if one.rule == "C"] == ["the rule reads b:two, which is left out"]


def test_a_rule_that_reads_the_alerts_of_a_lost_one_is_lost_with_it() -> None:
    rules = (
        {"alert": "Night", "expr": "hour() < 6"},
        {"alert": "Reader", "expr": 'ALERTS{alertname="Night", alertstate="firing"} and on () x'},
        {"alert": "Other", "expr": 'ALERTS{alertname="Day"} and on () x'},
    )
    group, refused = _scaled(*rules)
    assert [one.rule for one in refused] == ["Night", "Reader"]
    assert [rule["alert"] for rule in group["rules"]] == ["Other"]


@pytest.mark.parametrize(
    ("matcher", "read"),
    [
        ('alertname="A"', True),
        ("alertname='B'", False),
        ('alertname=~"A|C"', True),
        ('alertname=~"AB"', False),
        ('alertname!="A"', False),
        ('alertname!~"B.*"', True),
        ('alertstate="firing"', True),
    ],
)
def test_which_alerts_an_expression_reads(matcher: str, read: bool) -> None:
    assert reads_alert(f"count(ALERTS{{{matcher}}}) > x", "A") is read
    assert reads_alert(f"x{{{matcher}}} > 0", "A") is False


def test_an_alert_that_happens_to_share_a_metrics_name_does_not_take_its_readers_along() -> None:
    group, refused = _scaled({"alert": "up", "expr": "hour() < 6"}, {"alert": "Down", "expr": "up == 0"})
    assert [one.rule for one in refused] == ["up"]
    assert [rule["alert"] for rule in group["rules"]] == ["Down"]


def test_a_recorded_rate_is_divided_once() -> None:
    group, _ = _scaled({"record": "j:r", "expr": "sum(rate(x[5m]))"}, {"alert": "A", "expr": "j:r > 5"})
    assert [rule["expr"] for rule in group["rules"]] == ["sum(rate(x[5s]) / 60)", "j:r > 5"]


def test_a_recorded_instant_is_one_for_its_readers_also_through_other_records() -> None:
    rules = (
        {"record": "j:last", "expr": "max(j:seen)"},
        {"record": "j:seen", "expr": "timestamp(x)"},
        {"alert": "A", "expr": "j:seen - min(j:last) > 5"},
    )
    group, refused = _scaled(*rules)
    assert refused == []
    assert group["rules"][2]["expr"] == "((j:seen - min(j:last)) * 60) > 5"
    assert instant_records((rule["record"], rule["expr"]) for rule in rules if "record" in rule) == {"j:seen", "j:last"}


def test_rules_of_several_files_are_compressed_together() -> None:
    """What one file records is known in another: that it is an instant, and that it had to be left out."""
    files = {
        "readers": _file({"alert": "A", "expr": "seen - b > 5"}, {"alert": "Late", "expr": "night > 0"}),
        "empty": {},
        "records": _file({"record": "seen", "expr": "timestamp(x)"}, {"record": "night", "expr": "hour()"}),
    }
    scaled, refused = scale_rule_files(files, 60, 15)
    assert [rule["expr"] for rule in scaled["readers"]["groups"][0]["rules"]] == ["((seen - b) * 60) > 5"]
    assert [rule["record"] for rule in scaled["records"]["groups"][0]["rules"]] == ["seen"]
    assert [(one.number, one.rule, one.reads) for one in refused] == [(3, "night", ()), (1, "Late", ("night",))]
    assert scaled["empty"] == {"groups": []}


@pytest.mark.parametrize(("setting", "value"), [("interval", "1s"), ("interval", "soon"), ("query_offset", "1s")])
def test_a_group_whose_own_setting_cannot_be_compressed_loses_all_its_rules(setting: str, value: str) -> None:
    group, refused = _scaled({"alert": "A", "expr": "x"}, {"record": "b", "expr": "y"}, **{setting: value})
    assert group["rules"] == []
    assert [one.rule for one in refused] == ["A", "b"]
    assert setting in refused[0].reason


def test_a_hold_that_is_no_duration_is_refused_by_name() -> None:
    _, refused = _scaled({"alert": "A", "expr": "x", "for": "60"})
    assert "for" in refused[0].reason
    assert "'60' is not a duration" in refused[0].reason


@pytest.mark.parametrize("hold", ["for", "keep_firing_for"])
@pytest.mark.parametrize("text", ["0s", "0", 0, "", None])
def test_a_hold_of_nothing_stays_as_it_is(hold: str, text: object) -> None:
    group, refused = _scaled({"alert": "A", "expr": "x", hold: text})
    assert refused == []
    assert group["rules"][0][hold] == text


@given(st.integers(1, 10**8), st.integers(1, 10**5), st.sampled_from([7, 60, 61, 600, Fraction(5, 2), Fraction(1, 3)]))
def test_a_hold_spans_as_many_evaluations_as_before(hold: int, interval: int, k: int | Fraction) -> None:
    new_interval = max(1, int(interval / Fraction(k)))
    found = scaled_hold(hold, Fraction(k), interval, new_interval)
    assert found >= 1
    assert -(-found // new_interval) == -(-hold // interval)


def test_a_hold_follows_the_groups_interval_and_else_the_global_one() -> None:
    rule = {"alert": "A", "expr": "x", "for": "1m"}
    assert _scaled(rule, interval="10s")[0]["rules"][0]["for"] == "996ms"  # six evaluations, 166 ms apart
    assert _scaled(rule, eval_s=10)[0]["rules"][0]["for"] == "996ms"
    assert _scaled(rule, eval_s=15)[0]["rules"][0]["for"] == "1s"


# Templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{{ query "rate(x[5m])" }}', '{{ query "rate(x[5s]) / 60" }}'),
        ("{{ query `rate(x[5m])` }}", "{{ query `rate(x[5s]) / 60` }}"),
        ('{{- with query "rate(x{a=\\"b\\"}[5m])" -}}', '{{- with query "rate(x{a=\\"b\\"}[5s]) / 60" -}}'),
        ("a {{ range query `x[5m]` }}{{ . }}{{ end }} b", "a {{ range query `x[5s]` }}{{ . }}{{ end }} b"),
        ('{{ $q := query "x offset 5m" }}', '{{ $q := query "x offset 5s" }}'),
        ('{{ "rate(x[5m])" | query | first | value }}', '{{ "rate(x[5s]) / 60" | query | first | value }}'),
        (
            "{{ with printf \"rate(x{a='%s'}[5m])\" $labels.a | query }}{{ end }}",
            "{{ with printf \"rate(x{a='%s'}[5s]) / 60\" $labels.a | query }}{{ end }}",
        ),
        (
            "{{ query (printf \"rate(x{a=%q,b='%s'}[5m]) %% 7\" .Labels.a .Labels.b) }}",
            "{{ query (printf \"(rate(x{a=%q,b='%s'}[5s]) / 60) %% 7\" .Labels.a .Labels.b) }}",
        ),
        (
            '{{ (query "rate(x[5m])") | len }} {{ query "y[5m]" }}',
            '{{ (query "rate(x[5s]) / 60") | len }} {{ query "y[5s]" }}',
        ),
        ("the query rate(x[5m]) is slow", "the query rate(x[5m]) is slow"),
        ("{{/* query $x */}}{{ $value }}", "{{/* query $x */}}{{ $value }}"),
        ('{{ $labels.query }} {{ "query" }} {{ .query }}', '{{ $labels.query }} {{ "query" }} {{ .query }}'),
        ("{{ query `a\n  > # rate(x[5m])\n b offset 5m` }}", "{{ query `a\n  > # rate(x[5m])\n b offset 5s` }}"),
    ],
)
@pytest.mark.parametrize("where", ["annotations", "labels"])
def test_queries_in_templates_are_compressed_where_they_stand(where: str, text: str, wanted: str) -> None:
    group, refused = _scaled({"alert": "A", "expr": "x", where: {"text": text}})
    assert refused == []
    assert group["rules"][0][where]["text"] == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ query $q }}", "builds its query while running"),
        ("{{ $q | query }}", "builds its query while running"),
        ('{{ query (printf $format "x") }}', "builds its query while running"),
        ('{{ query (print "rate(x" "[5m])") }}', "builds its query while running"),
        ('{{ query (printf "rate(x[%s])" "5m") }}', "fills in more than strings of it"),
        ('{{ query (printf "x %s y" "+") }}', "fills in more than strings of it"),
        ('{{ query (printf "%s" $labels.q) }}', "fills in more than strings of it"),
        ('{{ query (printf "x%sy \'a\'" "+") }}', "fills in more than strings of it"),
        ('{{ query (printf "rate(x{a=%q}[7s])" "5m") }}', "range 7s"),
        ('{{ query (printf "up x00") }}', "expected the end, found 'x00'"),
        ('{{ query (printf "rate(up{a=\\"%s\\"}[x00])" "5m") }}', "expected a duration, found 'x00'"),
        ("{{ query (printf `up \\x00`) }}", "is no token of PromQL"),
        ('{{ query "hour()" }}', "hour()"),
        ('{{ query "rate(x[1s])" }}', "range 1s"),
        ('{{ query "x\\u0020" }}', "escape"),
    ],
)
def test_a_query_that_a_template_puts_together_is_refused(text: str, reason: str) -> None:
    group, refused = _scaled({"alert": "A", "expr": "x", "annotations": {"summary": text}})
    assert group["rules"] == []
    assert reason in refused[0].reason
    rules = [{"alert": "A", "expr": "x", "annotations": {"summary": text}}]
    assert scale_rules({"groups": [{"name": "g", "rules": rules}]}, 1, 60.0, lost=["unread"])[1] == []  # real time


# Prometheus --------------------------------------------------------------------------------------------------------


def test_prometheus_flags_are_its_defaults_divided() -> None:
    assert prometheus_flags(60) == [
        "--query.lookback-delta=5s",
        "--rules.alert.resend-delay=1s",
        "--rules.alert.for-grace-period=10s",
        "--rules.alert.for-outage-tolerance=1m",
    ]
    assert prometheus_flags(1)[0] == "--query.lookback-delta=5m"
    assert prometheus_flags(7)[0] == "--query.lookback-delta=42s858ms"


def test_prometheus_defaults_are_written_out_and_divided() -> None:
    assert scale_prometheus({}, 60) == {
        "global": {"scrape_interval": "1s", "scrape_timeout": "166ms", "evaluation_interval": "1s"}
    }


def test_a_time_out_that_prometheus_would_shorten_is_shortened() -> None:
    found = scale_prometheus({"global": {"scrape_interval": "5s"}}, 10)["global"]
    assert (found["scrape_interval"], found["scrape_timeout"]) == ("500ms", "500ms")


def test_jobs_are_divided_where_they_say_something_of_their_own_and_the_rest_stays() -> None:
    doc = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "30s", "external_labels": {"a": "5m"}},
        "rule_files": ["rules/*.yml"],
        "alerting": {"alertmanagers": [{"timeout": "10s"}]},
        "scrape_configs": [
            {
                "job_name": "a",
                "scrape_interval": "30s",
                "scrape_timeout": "20s",
                "static_configs": [{"targets": ["x:1"]}],
            },
            {"job_name": "b", "file_sd_configs": [{"files": ["y"], "refresh_interval": "5m"}]},
        ],
        "remote_write": [{"url": "http://z", "remote_timeout": "30s"}],
    }
    scaled = scale_prometheus(doc, 60)
    assert scaled["global"]["external_labels"] == {"a": "5m"}
    assert (scaled["global"]["scrape_interval"], scaled["global"]["evaluation_interval"]) == ("250ms", "500ms")
    a, b = scaled["scrape_configs"]
    assert (a["scrape_interval"], a["scrape_timeout"]) == ("500ms", "333ms")
    assert b == doc["scrape_configs"][1]
    for untouched in ("rule_files", "alerting", "remote_write"):
        assert scaled[untouched] == doc[untouched]
    assert scale_prometheus(doc, 1) == doc


@given(st.integers(10_000, 600_000), st.integers(10_000, 600_000), st.sampled_from([2, 7, 10, 60, 61, 99]))
def test_a_time_out_never_outgrows_its_interval(interval_ms: int, timeout_ms: int, k: int) -> None:
    texts = f"{interval_ms}ms", f"{min(timeout_ms, interval_ms)}ms"
    found = scale_prometheus({"global": dict(zip(("scrape_interval", "scrape_timeout"), texts, strict=True))}, k)[
        "global"
    ]
    millis = [round(parse_duration(found[name]) * 1000) for name in ("scrape_timeout", "scrape_interval")]
    assert 1 <= millis[0] <= millis[1]


def test_jobs_in_other_files_are_refused_by_name() -> None:
    with pytest.raises(CannotScale) as refusal:
        scale_prometheus({"scrape_config_files": ["x.yml"]}, 60)
    assert refusal.value.construct == "scrape_config_files"


@pytest.mark.parametrize("interval", ["1s", "100ms", "fast", "5"])
def test_an_interval_that_cannot_be_compressed_is_named_with_its_place(interval: str) -> None:
    with pytest.raises(CannotScale, match="scrape_interval of job a"):
        scale_prometheus({"scrape_configs": [{"job_name": "a", "scrape_interval": interval}]}, 60)


# Alertmanager ------------------------------------------------------------------------------------------------------


def test_alertmanager_defaults_are_written_out_at_the_root_and_divided() -> None:
    assert scale_alertmanager({"route": {"receiver": "x"}}, 60) == {
        "global": {"resolve_timeout": "5s"},
        "route": {"receiver": "x", "group_wait": "500ms", "group_interval": "5s", "repeat_interval": "4m"},
    }


def test_every_route_is_divided_and_nothing_inherited_is_written_out() -> None:
    doc = {
        "global": {"resolve_timeout": "10m", "smtp_from": "x@y", "http_config": {"a": "1m"}},
        "receivers": [{"name": "x", "webhook_configs": [{"url": "http://z", "timeout": "10s"}]}],
        "inhibit_rules": [{"equal": ["a"]}],
        "route": {
            "receiver": "x",
            "group_wait": "10s",
            "routes": [
                {"matchers": ['a="5m"'], "group_wait": "0s", "routes": [{"repeat_interval": "12h"}]},
                {"group_interval": "2m", "mute_time_intervals": ["night"]},
            ],
        },
    }
    scaled = scale_alertmanager(doc, 60)
    assert scaled["global"] == {"resolve_timeout": "10s", "smtp_from": "x@y", "http_config": {"a": "1m"}}
    assert scaled["receivers"] == doc["receivers"]
    assert scaled["inhibit_rules"] == doc["inhibit_rules"]
    root = scaled["route"]
    assert (root["group_wait"], root["group_interval"], root["repeat_interval"]) == ("167ms", "5s", "4m")
    assert root["routes"] == [
        {"matchers": ['a="5m"'], "group_wait": "0s", "routes": [{"repeat_interval": "12m"}]},
        {"group_interval": "2s", "mute_time_intervals": ["night"]},
    ]
    assert scale_alertmanager(doc, 1) == doc


def test_a_wait_that_cannot_be_compressed_is_named_with_its_route() -> None:
    doc = {"route": {"receiver": "x", "routes": [{}, {"routes": [{"group_interval": "100ms"}]}]}}
    with pytest.raises(CannotScale, match=r"group_interval of route\.routes\[1\]\.routes\[0\] 100ms"):
        scale_alertmanager(doc, 60)
