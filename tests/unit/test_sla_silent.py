"""A month that is missed in silence: found for the shipped rules, by counting and by promtool."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import render
from chaoskit.check.service_levels import Level, watches
from chaoskit.errors import EquipmentError, Place
from chaoskit.rehearse.promtool import UNENDED
from chaoskit.sla import silent
from chaoskit.sla.against import series_of, watched
from chaoskit.sla.silent import Kind, Silent, documents_of, holds, prove, rules_of, search
from chaoskit.sla.targets import parse_targets
from chaoskit.stack.original import checkers

SCRAPE_S, MONTH = 15.0, 172_800
UP = Level("uptime", 0.001, ("up",), Place("targets.yml", 3), time=True, match={"job": "insa-crm"})
SERIES = 'up{instance="crm:9091",job="insa-crm"}'
KIND = Kind({SERIES: 1.0}, {SERIES: 0.0}, counters=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AlertConfig:
    """The shipped configuration with its parts."""
    out = tmp_path_factory.mktemp("silent") / "bundle"
    render(out, ("monitoring", "sla"))
    return load_config(out)


def given() -> Silent:
    """The known pattern: 10 bursts of 17 failed scrapes (at most 3 an hour, 8 in 6 h), then one every 6 h."""
    hour, day = 240, 5760
    margin = 20
    burst = [at for first in (0, 6 * hour + margin, 12 * hour + 2 * margin) for at in _eight(first)][:17]
    bursts = [number * (3 * day + margin) + at for number in range(10) for at in burst]
    single = itertools.takewhile(
        lambda at: at < MONTH, itertools.count(bursts[-1] + 6 * hour + margin, 6 * hour + margin)
    )
    return Silent(UP, (*bursts, *single), MONTH, SCRAPE_S)


def _eight(first: int) -> list[int]:
    """Three, three and two failed scrapes, more than an hour apart."""
    return [first + hour * 270 + number for hour, count in ((0, 3), (1, 3), (2, 2)) for number in range(count)]


def test_the_known_pattern_misses_the_target_and_no_alert_holds_at_any_scrape(config: AlertConfig) -> None:
    pattern = given()
    assert pattern.bad_s / 60 == 44.75
    assert f"{1 - pattern.share:.4%}" == "99.8964%"
    assert holds(pattern, KIND, watches(config, [UP]))


def test_one_more_failure_in_a_burst_is_heard(config: AlertConfig) -> None:
    pattern = given()
    more = replace(pattern, failed=tuple(sorted({*pattern.failed, pattern.failed[16] + 1})))
    assert not holds(more, KIND, watches(config, [UP]))


def test_the_search_finds_as_bad_a_month_by_itself(config: AlertConfig) -> None:
    mine = watches(config, [UP])
    found = max(search(mine, UP, KIND, SCRAPE_S), key=lambda one: len(one.failed))
    assert found.bad_s >= 44.75 * 60
    assert holds(found, KIND, mine)


def test_an_alert_on_each_failure_leaves_nothing_to_be_found(config: AlertConfig) -> None:
    """None found, which is all that a search can say."""
    mine = watches(config, [UP])
    strict = [
        replace(one, rule=replace(one.rule, for_s=0.0)) for one in mine if one.rule.alert == "MetricsEndpointDown"
    ]
    assert list(search([*mine, *strict], UP, KIND, SCRAPE_S)) == []


def test_a_search_ends_when_its_time_is_over(config: AlertConfig) -> None:
    ticks = itertools.count(0.0, 6.0)
    assert list(search(watches(config, [UP]), UP, KIND, SCRAPE_S, lambda: next(ticks))) == []


def test_errors_may_have_a_name_that_an_alert_does_not_read(config: AlertConfig) -> None:
    errors = "{total: insa_agent_requests_total, good: {status: success}, bad_below: 0.1 %}"
    text = f"chaoskit: 1\nprometheus: http://p:1\nlevels:\n  errors: {errors}\n"
    targets = parse_targets(text, "targets.yml")
    (level,) = watched(targets)
    kinds = list(series_of(targets.levels[0], config, watches(config, [level])))
    assert [next(iter(one.bad)) for one in kinds] == [
        'insa_agent_requests_total{status="error"}',
        'insa_agent_requests_total{status="timeout"}',
    ]


def test_the_rules_put_to_promtool_have_their_records_wherever_these_stand(config: AlertConfig) -> None:
    mine = watches(config, [UP])
    turned = replace(config, rules=config.rules[::-1])
    names = [
        {rule.get("record", rule.get("alert")) for group in rules_of(each, mine)["groups"] for rule in group["rules"]}
        for each in (config, turned)
    ]
    assert names[0] == names[1] > {one.rule.alert for one in mine}


@pytest.mark.stack
@pytest.mark.sla
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spoilt", [False, True], ids=["silent", "heard"])
def test_promtool_finds_no_alert_in_the_known_pattern(config: AlertConfig, tmp_path: Path, spoilt: bool) -> None:
    """And one where a burst is longer than any may be."""
    pattern, mine = given(), watches(config, [UP])
    if spoilt:
        pattern = replace(pattern, failed=tuple(sorted({*pattern.failed, *range(3000, 3030)})))
    tests = documents_of(pattern, KIND, config, mine)
    said = prove(checkers({})["promtool"].path, rules_of(config, mine), tests, tmp_path)
    assert bool(said) is spoilt, said


def test_a_promtool_that_does_not_end_proves_nothing(
    config: AlertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silent, "run_tests", lambda *_: (UNENDED, "promtool did not end within 600 s"))
    with pytest.raises(EquipmentError, match="did not end"):
        prove(Path("promtool"), {}, [{}], tmp_path)
