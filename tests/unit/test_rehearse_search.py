"""Series found by trial where no way backwards holds, and the reason where two sides can never match."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.alerting.model import Rule
from chaoskit.alerting.windows_expression import selectors
from chaoskit.errors import Place
from chaoskit.faults.series import Scripted
from chaoskit.rehearse import matching
from chaoskit.rehearse.derive import Subject, solvers
from chaoskit.rehearse.proof import Engine, Proven, Unproven, prove
from chaoskit.rehearse.search import searched
from chaoskit.stack.binaries import Binaries

FOUND = {
    "two versions at once": 'count(count by (version) (shop_build_info{job="shop"})) > 1',
    "two values of one setting": 'count(count_values("hash", shop_config_hash)) > 1',
    "a part and its whole": "sum by (shop) (tills{state='busy'}) / sum by (shop) (tills{state=~'busy|free'}) > 0.8",
    "still and yet full": "delta(shop_records_read[5m]) == 0 and shop_records_read > 0",
    "one of several is down": "up == 0 unless on (job) (sum by (job) (up) == 0)",
    "differs from its own past": "shop_leader != shop_leader offset 10m",
    "gone since": "count by (instance) (till_info offset 1h) unless count by (instance) (till_info)",
    "faster than before": "rate(till_hits_total[5m]) / clamp_min(rate(till_hits_total[15m] offset 5m), 0.001) > 2",
    "within two bounds": "3 <= round((max_over_time(cert_expiry_time[10m]) - time()) / 86400, 0.1) < 20",
    "more than a few": "count by (shop) (count by (shop, till) (till_up)) > 4",
}


def subject(expr: str, for_s: float = 0.0, number: int = 7) -> Subject:
    rule = Rule("A", "", expr, for_s, 0.0, {}, {}, "g", 15.0, Place("r.yml", 1))
    return Subject(number, rule, max((one.reach_s for one in selectors(expr)), default=0.0))


def tried(expr: str, most: int) -> list[tuple[Scripted, ...]]:
    return list(searched([expr], solvers(subject(expr).rule, {}, "m", 15.0), 15.0, most))


def proof(subjects: list[Subject], binaries: Binaries, folder: Path) -> tuple[list[Proven], list[Unproven]]:
    return prove(subjects, Engine({}, binaries.promtool, folder, 15.0))


def test_what_cannot_be_walked_backwards_is_found_by_trial(binaries: Binaries, tmp_path: Path) -> None:
    """The engine confirms each: nothing at rest, a result for as long as it must last, nothing after the fall."""
    subjects = [subject(expr, number=number) for number, expr in enumerate(FOUND.values())]
    _, missing = proof(subjects, binaries, tmp_path)
    assert [(one.subject.rule.expr, one.reason) for one in missing] == []


def test_the_series_of_an_expression_are_the_same_everywhere() -> None:
    one, other = (tried(FOUND["a part and its whole"], 20) for _ in "ab")
    assert one == other
    assert one


def test_no_counter_falls_or_is_below_zero_to_make_a_rule_true(binaries: Binaries, tmp_path: Path) -> None:
    """A share of at most 1 is never above 25, though negative counters would make it so; a gauge may fall."""
    share = "rate(shop_failed_total[5m]) / clamp_min(rate(shop_failed_total[5m]) + rate(shop_sold_total[5m]), 1) > 25"
    falls = "deriv(shop_stock[5m]) < -1"
    found, missing = proof([subject(share, number=0), subject(falls, number=1)], binaries, tmp_path)
    assert [one.subject.number for one in found] == [1]
    assert [one.subject.number for one in missing] == [0]
    for series in tried(share, 200):
        for one in series:
            values = [values.at(n) or 0.0 for values in (one.rest, one.values) for n in (0.0, 1.0, 100.0)]
            assert min(values) >= 0


def test_a_condition_that_ends_by_itself_says_how_long_it_lasts(binaries: Binaries, tmp_path: Path) -> None:
    """Who was there an hour ago and is gone is told for an hour; who is still gone is told for as long as it lasts."""
    passing = subject("shop_leader offset 1h unless shop_leader", 120.0, 0)
    lasting = subject("shop_leader == 0", 120.0, 1)
    found = {one.subject.number: one for one in proof([passing, lasting], binaries, tmp_path)[0]}
    assert found[0].within_s == 0
    assert found[0].lasts_s is not None
    assert 120.0 < found[0].lasts_s < 3600.0
    assert (found[1].within_s, found[1].lasts_s) == (None, None)


def test_what_falls_below_its_own_past_is_true_once_the_shortest_range_is_filled(
    binaries: Binaries, tmp_path: Path
) -> None:
    """Until the mean has fallen as well; so it is noticed in between."""
    drop = subject("rate(shop_sold_total[5m]) < 0.5 * avg_over_time(rate(shop_sold_total[5m])[1h:])", 120.0)
    (found,), _ = proof([drop], binaries, tmp_path)
    assert found.within_s == 360.0
    assert found.lasts_s is not None
    assert 480.0 < found.lasts_s < 3600.0


def test_a_short_rest_is_enough_where_the_engine_says_so(binaries: Binaries, tmp_path: Path) -> None:
    """Many errors in an hour need no hour of rest before them; too few orders in an hour need one with enough."""
    quick = subject("increase(shop_errors_total[1h]) > 3", number=0)
    slow = subject("increase(shop_orders_total[1h]) < 10", number=1)
    found = {one.subject.number: one for one in proof([quick, slow], binaries, tmp_path)[0]}
    assert found[0].rest_s == 120.0
    assert found[1].rest_s is None


def test_a_rule_with_a_subquery_that_needs_its_whole_range_is_loaded_once_that_is_filled(
    binaries: Binaries, tmp_path: Path
) -> None:
    mean = "avg_over_time(rate(shop_sold_total[5m])[1h:5m])"
    deviates = subject(f"abs(rate(shop_sold_total[5m]) - {mean}) / {mean} > 0.25", number=0)
    plain = subject("increase(shop_orders_total[1h]) < 10", number=1)
    found = {one.subject.number: one for one in proof([deviates, plain], binaries, tmp_path)[0]}
    assert found[0].hasty


def test_what_two_samples_tell_is_kept_far_from_its_threshold(binaries: Binaries, tmp_path: Path) -> None:
    (found,), _ = proof([subject("irate(shop_errors_total[5m]) >= 1")], binaries, tmp_path)
    (series,) = found.guess.series
    rest, during = ((values.at(2.0) or 0.0) - (values.at(1.0) or 0.0) for values in (series.rest, series.values))
    assert rest == 0
    assert during >= 2 * 15


def test_a_rule_that_can_never_be_true_says_which_two_sides_do_not_match(binaries: Binaries, tmp_path: Path) -> None:
    """Two states of one metric are added without a word about the label that differs; a backslash stays one."""
    busy, free = (rf'tills{{n=~"a\\.b",state="{state}"}}' for state in ("busy", "free"))
    expr = f"{busy} / ({busy} + {free}) > 0.8"
    found, (never,) = proof([subject(expr)], binaries, tmp_path)
    assert found == []
    assert "both sides of" in never.reason
    assert f"{busy} + {free}" in never.reason
    assert 'state="busy"} and {' in never.reason


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"left0": 'got:{job="a"} 1', "right0": 'got:{job="b"} 1'}, True),
        ({"left0": 'got:{job="a"} 1', "right0": 'got:{job="a"} 1', "whole0": 'got:{job="a"} 2'}, False),
        ({"left0": 'got:{job="a"} 1'}, False),
        ({"left0": "error many-to-many", "right0": 'got:{job="a"} 1'}, False),
        ({}, False),
    ],
)
def test_only_two_sides_that_both_answer_are_called_a_mismatch(answers: dict[str, str], told: bool) -> None:
    assert bool(matching.reason("a + b > 1", answers)) is told


def test_comparisons_and_alternatives_are_no_mismatch() -> None:
    assert matching.queries("a > b") == {}
    assert matching.queries("a or b unless c") == {}
    assert matching.queries("a * 2 > 1") == {}
    assert matching.queries("a and b") == {"left0": "a", "right0": "b", "whole0": "a and b"}
