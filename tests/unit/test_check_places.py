"""Findings point at the line that has to be changed, and hints stay affordable."""

from __future__ import annotations

from chaoskit.check.lint_context import LintContext
from chaoskit.errors import Place
from tests.check_examples import ALERTMANAGER, RULES, context

TEXTS = {"rules": RULES, "alertmanager": ALERTMANAGER}


def line(found: LintContext, place: Place, key: str) -> int:
    return found.at(place, key).line


def test_a_key_is_found_at_its_rule_and_not_at_the_next_one() -> None:
    found = context(TEXTS)
    lines = RULES.splitlines()
    worker, last = (found.by_name[name][0].rule.place for name in ("WorkerDown", "AllWorkersDown"))
    assert lines[line(found, worker, "for") - 1].strip() == "for: 2m"
    assert worker.line < line(found, worker, "for") < last.line
    assert found.at(worker, "keep_firing_for") == worker


def test_keys_of_the_annotations_are_not_taken_for_keys_of_the_rule() -> None:
    found = context(TEXTS)
    worker = found.by_name["WorkerDown"][0].rule.place
    assert found.at(worker, "summary") == worker


def test_a_quoted_key_and_one_behind_the_dash_are_found() -> None:
    text = RULES.replace("        for: 2m", '        "for": 2m', 1).replace(
        "- alert: AllWorkersDown\n        expr:", "- expr:"
    )
    text = text.replace("worker_up) == 0\n", "worker_up) == 0\n        alert: AllWorkersDown\n")
    found = context({"rules": text})
    worker, last = (found.by_name[name][0].rule.place for name in ("WorkerDown", "AllWorkersDown"))
    assert '"for"' in text.splitlines()[line(found, worker, "for") - 1]
    assert line(found, last, "expr") == last.line


def test_an_inherited_setting_is_found_at_the_route_that_sets_it() -> None:
    found = context(TEXTS)
    web = found.config.route.children[0]
    lines = ALERTMANAGER.splitlines()
    assert lines[found.at_route(web, "group_wait").line - 1] == "      group_wait: 10s"
    assert lines[found.at_route(web, "repeat_interval").line - 1] == "  repeat_interval: 4h"
    assert found.at_route(web, "mute_time_intervals") == web.place


def test_hints_end_when_looking_for_names_has_cost_too_much() -> None:
    found = context(TEXTS)
    known = [f"name{number}" for number in range(20_000)]
    hints = [found.near("nam7", known) for _ in range(4)]
    assert hints[0].startswith("did you mean")
    assert hints[3] == ""
