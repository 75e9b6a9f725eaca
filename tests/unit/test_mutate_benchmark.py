"""The benchmark of mutants: what it reads, how it counts, and which scenario is to notice which mutant."""

from __future__ import annotations

import pytest

from benchmarks.mutants import Judged, by_operator, drawn, heard, read
from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.mutate.generate import mutants_of
from chaoskit.mutate.should import Exercised
from chaoskit.mutate.source import files_of, texts_of
from chaoskit.scenario.catalog import scenario_files
from chaoskit.scenario.loader import load_scenario_file

ONE = Judged("0123456789", "threshold-easier", "Slow.expr", "1 → 0.5", "execute", "", ("slow",))


@pytest.mark.parametrize(
    ("said", "played", "hop"),
    [
        ("PASS  x\nmutant 01 (for-longer, A.for): killed by slow at hold: A: late\n", "killed", "hold"),
        ("mutant 01 (for-longer, A (b).for): survived by slow: every row passed\n", "survived", ""),
        ("mutant 01 (x, y): refused by slow: f.yml:1: no such alert\n", "refused", ""),
        ("Traceback\n", "unknown", ""),
    ],
)
def test_what_the_command_said_is_read(said: str, played: str, hop: str) -> None:
    assert (heard(ONE, said).played, heard(ONE, said).hop) == (played, hop)


def test_a_mutant_is_read_from_json_and_counted_by_operator() -> None:
    told = {
        "id": "1", "operator": "for-longer", "site": "A.for", "status": "killed", "by": "promise-for",
        "scenarios": ["a"], "edits": [{"line": 1, "column": 1, "old": "1m", "new": "2m"}],
    }  # fmt: skip
    rows = by_operator([ONE, read(told)], ("killed", "execute"), "static")
    assert rows == [["threshold-easier", "", 1], ["for-longer", 1, ""], ["all", 1, 1]]


def test_causes_are_told_apart() -> None:
    causes = {
        "threshold-easier": "too far from the threshold",
        "alerting-dropped": "the drill replaces it",
        "route-interval-longer": "not promised",
    }
    sites = {"threshold-easier": "A.expr", "alerting-dropped": "alerting", "route-interval-longer": "route 1.g"}
    for operator, cause in causes.items():
        assert Judged("1", operator, sites[operator], "", "execute", "", ()).cause == cause


def test_seeds_draw_the_same_mutants_each_time() -> None:
    assert [m.id for m in drawn((1, 2), 20)] == [m.id for m in drawn((2, 1), 20)]
    assert 20 < len(drawn((1, 2), 20)) <= 40


@pytest.mark.parametrize(
    ("operator", "site", "scenario"),
    [
        ("threshold-easier", "WorkerUnhealthy.expr", "worker-unhealthy"),
        ("range-longer", "environment:insa_agent_request_errors:ratio_rate5m.expr", "high-error-rate"),
        ("rule-removed", "environment_agent:insa_agent_request_errors:ratio_rate5m", "high-error-rate"),
        ("group-interval", "group insa-crm-system", "disk-space-low"),
        ("route-interval-longer", "route 3.group_interval", "slow-database-queries"),
        ("inhibition-removed", "inhibition 2", "circuit-breaker-open"),
        ("recipient-misspelt", "dlq-alerts.email.to", "dead-letter-queue-growing"),
        ("alerting-dropped", "alerting", "worker-unhealthy"),
    ],
)
def test_a_mutant_is_for_the_scenarios_that_exercise_what_it_changes(operator: str, site: str, scenario: str) -> None:
    config = load_config(bundle.folder())
    scenarios = [load_scenario_file(path) for path in scenario_files(None, False, None)]
    mutant = next(m for m in mutants_of(texts_of(files_of(config)), only=[operator]) if m.site == site)
    found = Exercised(config, scenarios).by(mutant)
    assert scenario in found
    assert "healthy" not in found


def test_a_mutant_of_an_alert_is_for_its_negative_control_as_well_after_those_in_which_it_fires() -> None:
    """Far beyond its threshold another quantile is exceeded, too; just below, only the right one is not."""
    config = load_config(bundle.folder())
    scenarios = [load_scenario_file(path) for path in scenario_files(None, False, None)]
    quantiles = mutants_of(texts_of(files_of(config)), only=["quantile"])
    mutant = next(m for m in quantiles if m.about == "environment:insa_agent_request_duration_seconds:p95_rate5m")
    found = Exercised(config, scenarios).by(mutant)
    assert (found[0], found[-1]) == ("high-latency-p95", "just-below-requests")
