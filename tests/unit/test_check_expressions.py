"""What is known of an expression before it runs: labels, ranges of values, conditions."""

from __future__ import annotations

import pytest

from chaoskit.alerting.expression import expression, walk
from chaoskit.alerting.labels import labels_of
from chaoskit.alerting.rules import why_unread
from chaoskit.check.metrics import read_metrics
from chaoskit.check.ranges import interval_of
from chaoskit.errors import BadInput


@pytest.mark.parametrize(
    ("text", "there", "gone"),
    [
        ("up", "job", ""),
        ('up{zone=""}', "job", "zone"),
        ("sum(up)", "", "job"),
        ("sum by (job) (up)", "job", "zone"),
        ("sum without (zone) (up)", "job", "zone"),
        ("topk by (job) (3, up)", "zone", ""),
        ('count_values by (job) ("version", up)', "version", "zone"),
        ('absent(up{job="a", zone=~"b"})', "job", "zone"),
        ("absent(sum by (job) (up))", "", "job"),
        ("sum by (a) (up) * on (a) group_left (b) down", "b", "c"),
        ("down * on (a) group_right (b) sum by (a) (up)", "b", "c"),
        ("up / on (job) down", "job", "zone"),
        ("up / ignoring (zone) down", "job", "zone"),
        ("sum by (a, b) (up) / sum by (a) (down)", "a", "b"),
        ("sum by (a) (up) or sum by (b) (down)", "b", "c"),
        ("sum by (a) (up) and on () down", "a", "c"),
        ("histogram_quantile(0.9, sum by (le, job) (rate(x_bucket[5m])))", "job", "le"),
        ('label_replace(sum(up), "zone", "$1", "job", "(.*)")', "zone", "job"),
        ("vector(1)", "", "job"),
        ("scalar(up) > bool up", "job", ""),
        ("-up", "job", ""),
        ("max_over_time((sum by (job) (up))[5m:1m])", "job", "zone"),
        ("2 * up", "job", ""),
    ],
)
def test_labels_that_results_can_carry_and_that_they_cannot(text: str, there: str, gone: str) -> None:
    found = labels_of(expression(text))
    assert not there or found.may_have(there)
    assert not gone or not found.may_have(gone)


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("count(up)", 1, float("inf")),
        ("rate(x[5m])", 0, float("inf")),
        ("absent(x)", 1, 1),
        ("sum(up == 0)", 0, 0),
        ("sum(rate(x[5m])) + 2", 2, float("inf")),
        ("clamp_max(rate(x[5m]), 3)", 0, 3),
        ("(x > 1) < 5", 1, 5),
        ("x or vector(0)", float("-inf"), float("inf")),
        ("count(x) or vector(0)", 0, float("inf")),
        ("-rate(x[5m])", float("-inf"), float("inf")),
        ("2 ^ 3 - 1", 7, 7),
        ("1 / 0", 0, float("inf")),
    ],
)
def test_the_interval_holds_every_value(text: str, lo: float, hi: float) -> None:
    found = interval_of(expression(text))
    assert (found.lo, found.hi) == (lo, hi)


@pytest.mark.parametrize("times", [300, 20_000])
@pytest.mark.parametrize("nested", ["({})", "abs({})", "x or {}", "-{}"])
def test_an_expression_that_is_nested_too_deeply_is_refused(nested: str, times: int) -> None:
    """20,000 brackets brought the parser, and the whole process with it, down."""
    begin, end = nested.split("{}")
    why, _ = why_unread(f"{begin * times}y{end * times}")
    assert why.startswith(
        "the expression is nested more than 200 deep" if times < 1000 else "the expression has more than 2000 operators"
    )


def test_an_expression_that_is_as_deep_as_may_be_is_followed() -> None:
    assert labels_of(expression("abs(" * 199 + "sum by (job) (x)" + ")" * 199)).may_have("job")


def test_a_construct_is_written_as_the_parser_prints_it_and_reads_as_the_same() -> None:
    """The parser's plain text of a node is another expression: it loses the colon of [1h:], and \\\\ of a string."""
    text = 'avg_over_time(rate(a{b=~"c\\\\.d"}[5m])[1h:]) > ((2 * sum(x)))'
    root = expression(text)
    left, right = root.children
    assert left.written() == 'avg_over_time(rate(a{b=~"c\\\\.d"}[5m])[1h:])'
    assert (right.written(), right.written(parentheses=True)) == ("2 * sum(x)", "((2 * sum(x)))")
    assert all(expression(each.written()) == each for each in walk(root))


def test_a_list_of_metrics_and_a_saved_metrics_page_are_both_understood() -> None:
    listed = read_metrics("# comment\na_total counter\nb_seconds histogram\nc_*\n", "m.txt")
    assert listed.knows("b_seconds_bucket")
    assert listed.knows("c_anything")
    assert listed.knows("up")
    assert not listed.knows("b_seconds")
    page = read_metrics('# HELP a A.\n# TYPE a gauge\na{x="1 2"} 3\nb_total 1e+06 1700000000\n', "page")
    assert (page.types["a"], page.knows("b_total")) == ("gauge", True)


def test_every_line_that_names_no_metric_is_a_problem() -> None:
    with pytest.raises(BadInput) as caught:
        read_metrics("good\n9bad\nx: y\n", "m.txt")
    assert [problem.place and problem.place.line for problem in caught.value.problems] == [2, 3]
    with pytest.raises(BadInput, match="lists no metric"):
        read_metrics("# nothing\n", "m.txt")
