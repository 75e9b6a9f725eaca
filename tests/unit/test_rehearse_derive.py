"""From an expression to series: what is decided about each construct, and what is given up with a reason."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from chaoskit.alerting.model import Matcher, Rule
from chaoskit.alerting.routing import matches_all
from chaoskit.errors import Place
from chaoskit.faults.series import Course, value_at
from chaoskit.rehearse.derive import BUG, Guess, Subject, closure, guesses, recording_rules
from chaoskit.rehearse.inverse import CHOICES, level
from chaoskit.rehearse.solve import Solver
from chaoskit.rehearse.tree import label_values


def rule(expr: str, alert: str = "A", record: str = "", annotations: Mapping[str, str] = {}) -> Rule:
    return Rule("" if record else alert, record, expr, 0.0, 0.0, {}, annotations, "g", 15.0, Place("r.yml", 1))


def subject(expr: str, number: int = 7) -> Subject:
    return Subject(number, rule(expr), 0.0)


def first(expr: str, *records: Rule) -> Guess:
    why: list[str] = []
    found = next(guesses(subject(expr), recording_rules(records), 15.0, why), None)
    assert found is not None, why
    return found


def levels(guess: Guess) -> dict[str, tuple[float | None, float | None]]:
    """By metric, the value at rest and a minute into the fault; counters as their change in that minute."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for series in guess.series:
        course = Course(0.0, 60.0)
        rest, during = (value_at(series, course, at, 15.0) for at in (59.9, 120.0))
        if series.counter:
            assert rest is not None
            assert during is not None
            rest, during = rest, during - rest
        found[series.name] = (rest, during)
    return found


@pytest.mark.parametrize("operator", [">", "<", ">=", "<=", "==", "!="])
@pytest.mark.parametrize("threshold", [0.0, 1.0, 0.05, -3.0, 500.0])
@pytest.mark.parametrize("choice", range(CHOICES))
def test_every_choice_of_a_level_is_on_the_side_that_was_asked_for(
    operator: str, threshold: float, choice: int
) -> None:
    compare = {
        ">": float.__gt__, "<": float.__lt__, ">=": float.__ge__, "<=": float.__le__, "==": float.__eq__,
        "!=": float.__ne__,
    }[operator]  # fmt: skip
    assert compare(level(operator, threshold, True, choice), threshold)
    assert not compare(level(operator, threshold, False, choice), threshold)


def test_a_plain_comparison_crosses_its_threshold_and_falls_back() -> None:
    (rest, during) = levels(first("queue_depth > 100"))["queue_depth"]
    assert rest is not None
    assert during is not None
    assert rest < 100 < during


def test_the_constant_may_stand_on_the_left() -> None:
    rest, during = levels(first("0.1 > free_ratio"))["free_ratio"]
    assert (during or 0) < 0.1 < (rest or 0)


def test_a_rate_becomes_a_slope_per_second() -> None:
    rest, during = levels(first("rate(errors_total[5m]) > 2"))["errors_total"]
    assert (rest or 0) < 2 * 60 < (during or 0)


def test_an_increase_is_spread_over_its_range() -> None:
    _, during = levels(first("increase(errors_total[10m]) > 20"))["errors_total"]
    assert during == pytest.approx(30 / 10, rel=0.01)


def test_the_part_and_the_whole_of_a_ratio_add_up() -> None:
    guess = first('sum(rate(r_total{code=~"5.."}[5m])) / sum(rate(r_total[5m])) > 0.05')
    slopes = {dict(s.labels).get("code", ""): s.values.segments[0].step for s in guess.series}
    bad = sum(step for code, step in slopes.items() if code.startswith("5"))
    assert bad / sum(slopes.values()) > 0.05


def test_a_count_gets_as_many_series() -> None:
    guess = first("count(up == 0) >= 2")
    assert len({dict(s.labels)["instance"] for s in guess.series}) == len(guess.series) >= 2


def test_absent_is_there_at_rest_and_gone_during_the_fault() -> None:
    assert levels(first('absent(up{job="api"})'))["up"] == (1.0, None)


def test_unless_leaves_its_right_side_out() -> None:
    assert set(levels(first("down == 1 unless maintenance == 1"))) == {"down"}


def test_a_quantile_gets_a_whole_histogram() -> None:
    guess = first("histogram_quantile(0.9, sum by (le) (rate(d_seconds_bucket[5m]))) > 2")
    edges = [dict(s.labels)["le"] for s in guess.series]
    assert "+Inf" in edges
    assert any(2 < float(edge) < float("inf") for edge in edges)


def test_a_recording_rule_is_followed_to_its_source() -> None:
    record = rule("sum by (job) (rate(e_total[5m]))", record="job:e:rate5m")
    assert set(levels(first("job:e:rate5m > 1", record))) == {"e_total"}
    assert set(closure(rule("job:e:rate5m > 1"), recording_rules((record,)))) == {"job:e:rate5m"}


def test_both_sides_of_a_match_carry_the_labels_that_either_asks_for() -> None:
    guess = first('temp{sensor="cpu"} > limit')
    assert {dict(s.labels)["sensor"] for s in guess.series} == {"cpu"}


def test_a_time_stamp_counts_from_now() -> None:
    guess = first("time() - last_success_timestamp_seconds > 3600")
    assert all(series.clock for series in guess.series)
    during = guess.series[0].values.at(0.0)
    assert during is not None
    assert during < -3600


def test_two_rules_on_one_metric_get_series_of_their_own() -> None:
    one, other = (next(guesses(subject("x > 1", number), {}, 15.0, [])) for number in (1, 2))
    assert not {s.key for s in one.series} & {s.key for s in other.series}


@pytest.mark.parametrize(
    ("expr", "reason"),
    [
        ("vector(1)", "always fires"),
        ("hour() > 8", "time of day"),
        ("ALERTS{alertname='B'} == 1", "state of other alerts"),
        ("x - x offset 1h > 5", "in the past"),
        ("count(x) > 5000", "counts"),
    ],
)
def test_what_cannot_be_derived_says_why(expr: str, reason: str) -> None:
    why: list[str] = []
    list(guesses(subject(expr), {}, 15.0, why))
    assert any(reason in one for one in why), why


@pytest.mark.parametrize(
    "pattern", ["5..", "(GET|POST)", "node-[0-9]+", ".*prod.*", "a{3}", "[^a]b", "api|web", r"\d\.\d", "(?:x)?y", ".+"]
)
def test_a_label_is_made_that_a_regular_expression_matches(pattern: str) -> None:
    matchers = [Matcher("l", "=~", pattern)]
    labels = label_values(matchers, {}, "mark")
    assert labels is not None
    assert matches_all(matchers, labels)


def test_labels_satisfy_every_matcher_or_nothing_is_given() -> None:
    matchers = [Matcher("a", "=~", "x.*"), Matcher("a", "!=", "x"), Matcher("b", "=", ""), Matcher("c", "!~", "mark")]
    found = label_values(matchers, {"b": "mark"}, "mark")
    assert found is not None
    assert matches_all(matchers, found)
    assert label_values([Matcher("a", "=", "1"), Matcher("a", "=", "2")], {}, "mark") is None


@pytest.mark.parametrize(
    "expr",
    [
        'sum(up{job="replica"}) or vector(0) == 0',
        "label_replace(vector(1), 'a', 'b', '', '') == 1",
        "clamp_max(vector(3), 2) > 1",
        "scalar(vector(1)) == bool 1",
        "absent(vector(1))",
        "max_over_time(vector(1)[5m:]) > 0",
        "vector(time()) > 0",
    ],
)
def test_a_call_of_nothing_but_constants_is_a_reason_and_no_crash(expr: str) -> None:
    why: list[str] = []
    list(guesses(subject(expr), {}, 15.0, why))
    assert not [each for each in why if each.startswith(BUG)]


def test_a_bug_at_one_rule_is_a_reason_of_this_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError("no such thing")

    monkeypatch.setattr(Solver, "truth", broken)
    why: list[str] = []
    assert list(guesses(subject("a > 1"), {}, 15.0, why)) == []
    assert why == [f"{BUG} IndexError: no such thing"]


@pytest.mark.parametrize(
    ("expr", "records"),
    [
        ("in_timestamp_seconds - out_timestamp_seconds > 120", {}),
        ("max(in_timestamp_seconds) - on() max(out_last) > 120", {}),
        ("lag > 120", {"lag": "max(in_timestamp_seconds) - max(out_timestamp_seconds)"}),
        ("age > 7200", {"age": "time() - max(done_timestamp_seconds)"}),
        ("newest - newest_elsewhere > 120", {"newest": "max(in_timestamp_seconds)"}),
    ],
)
def test_time_stamps_whose_distance_is_measured_move_with_the_clock(expr: str, records: dict[str, str]) -> None:
    """Compressed time multiplies such a distance, so values that stand still would be far apart at rest."""
    guess = first(expr, *(rule(text, record=name) for name, text in records.items()))
    assert guess.series
    assert all(one.clock for one in guess.series)


def test_a_time_stamp_that_is_only_compared_with_nothing_stays_what_it_is() -> None:
    assert not any(one.clock for one in first("done_timestamp_seconds == 0").series)
