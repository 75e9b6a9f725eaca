"""Annotations that query: which queries they run, which series those get, and whose fault a failing template is."""

from __future__ import annotations

import pytest

from chaoskit.alerting.virtual import queries_of
from chaoskit.faults.series import Scripted, constant
from chaoskit.rehearse.derive import Guess, Subject, fed, looks_at, recording_rules
from tests.unit.test_rehearse_derive import rule

LABELS = {"host": "m1", "zone": 'a"b'}


@pytest.mark.parametrize(
    ("template", "queries"),
    [
        ('{{ with query "count(up == 0)" }}{{ . | first | value }}{{ end }}', ["count(up == 0)"]),
        ("{{ range query `disks{job=\"a\"}` }}{{ .Labels.disk }}{{ end }}", ['disks{job="a"}']),
        ("{{ printf \"free{host='%s'}\" $labels.host | query | first | value }}", ["free{host='m1'}"]),
        ('{{ with printf "up{h=%q} * 100%%" .Labels.host | query }}x{{ end }}', ['up{h="m1"} * 100%']),
        ("{{ query (printf \"a{b='%s',c='%s'}\" $labels.none $labels.host) }}", ["a{b='',c='m1'}"]),
        ('{{ $q := "up" }}{{ query $q }}', []),
        ('{{/* query "up" */}} a query is no "query" {{ $value | urlquery }}', []),
    ],
)  # fmt: skip
def test_the_queries_of_a_template_are_found_with_labels_filled_in(template: str, queries: list[str]) -> None:
    assert list(queries_of(template, LABELS)) == queries


ASKS = {
    "summary": '{{ range query "(up == 0) * on(host) group_left(rack) machine_info" }}{{ .Labels.rack }}{{ end }}',
    "description": "{{ with printf \"job:load:sum{host='%s'}\" $labels.host | query }}{{ . | first }}{{ end }}",
}


def test_what_texts_query_gets_series_and_those_of_the_expression_stay_as_they_are() -> None:
    subject = Subject(0, rule("up == 0", annotations=ASKS), 0.0)
    labels = tuple((name, subject.mark) for name in ("host", "instance", "job", "rack"))
    down = Scripted("up", labels, constant(1), constant(0))
    record = rule("sum by (host) (load)", record="job:load:sum")
    guess = fed(Guess(subject, (down,)), recording_rules((record,)), 15.0)
    assert guess.series[0] == down
    assert {one.name for one in guess.series} == {"up", "machine_info", "load"}
    assert all(("host", subject.mark) in one.labels for one in guess.series)


def test_texts_look_at_the_metrics_that_they_query_and_at_what_feeds_those() -> None:
    record = rule("sum by (host) (load)", record="job:load:sum")
    assert looks_at(rule("x > 1", annotations=ASKS), recording_rules((record,))) == {
        *("up", "machine_info", "job:load:sum", "load")
    }
    assert looks_at(rule("x > 1"), {}) == set()
