"""`targets.yml`: what is read from it, and every mistake with its line and what to write."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from chaoskit.errors import BadInput, ExitCode
from chaoskit.sla import begin
from chaoskit.sla.source import Series, Server, Source
from chaoskit.sla.targets import SourceAt, load_targets, matches, parse_targets
from tests.sla_examples import TARGETS, TEXT, at


def test_the_five_promises_are_read_exactly() -> None:
    uptime, p95, p99, errors, cache = TARGETS.levels
    assert (uptime.up, uptime.instances, uptime.comparison, uptime.target) == ("up", "mean", ">=", Fraction(999, 1000))
    assert (p95.quantile, p95.below_s, p95.target, p95.allowed) == (
        Fraction(19, 20), 5.0, Fraction(19, 20), Fraction(1, 20),
    )  # fmt: skip
    assert (p99.quantile, p99.below_s) == (Fraction(99, 100), 15.0)
    assert (errors.good_where, errors.by, errors.comparison, errors.allowed) == (
        {"status": "success"}, "agent", "<", Fraction(1, 1000),
    )  # fmt: skip
    assert (cache.good, cache.bad, cache.comparison, cache.allowed) == (
        "insa_cache_hits_total", "insa_cache_misses_total", ">", Fraction(1, 5),
    )  # fmt: skip
    assert all(one.match == {"job": "insa-crm"} for one in TARGETS.levels)
    assert (TARGETS.zone, TARGETS.in_service_since, TARGETS.environment, TARGETS.label) == (
        "UTC", None, "default", "environment",
    )  # fmt: skip


def test_what_may_be_left_out_can_be_said() -> None:
    more = (
        "zone: Europe/Berlin\nin_service_since: 2026-10-01T00:00\nenvironment: live\nlabel: env\n"
        "outage_alerts: [MetricsEndpointDown]\nplanned_cap: 4h\n"
    )
    found = parse_targets(TEXT + more, "targets.yml")
    assert found.in_service_since == at("2026-09-30T22:00")
    assert (found.environment, found.label, found.outage_alerts, found.planned_cap_s) == (
        "live", "env", ("MetricsEndpointDown",), 14_400,
    )  # fmt: skip


def test_a_level_may_have_series_of_its_own() -> None:
    text = TEXT.replace("{up: up,", "{up: probe_success, match: {job: blackbox},")
    assert parse_targets(text, "targets.yml").levels[0].match == {"job": "blackbox"}


def test_another_target_rests_on_the_same_evidence_another_threshold_does_not() -> None:
    stricter = parse_targets(TEXT.replace("99.9 %", "99.99 %"), "targets.yml").levels[0]
    assert stricter.evidence == TARGETS.levels[0].evidence
    faster = parse_targets(TEXT.replace("below: 5s", "below: 3s"), "targets.yml").levels[1]
    assert faster.evidence != TARGETS.levels[1].evidence


def test_several_sources_one_with_credentials() -> None:
    sources = "prometheus: [http://a:9090, {url: 'https://b/prom/', access: {bearer_env: TOKEN}}]"
    found = parse_targets(TEXT.replace("prometheus: http://127.0.0.1:9090", sources), "targets.yml").sources
    assert found[0] == SourceAt("http://a:9090")
    assert found[1].url == "https://b/prom"
    assert found[1].access is not None
    assert found[1].access.bearer is not None


def test_a_profile_says_where_prometheus_is_and_what_the_environment_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "staging.yml").write_text(
        "chaoskit: 1\ntarget: {attached: {prometheus: 'http://p:9090', alertmanager: 'http://a:9093', "
        "metrics: 'http://m:9091', environment: staging, label: stage, access: {prometheus: {bearer_env: TOKEN}}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    found = parse_targets(TEXT.replace("prometheus: http://127.0.0.1:9090", "profile: staging"), "targets.yml")
    assert (found.environment, found.label, found.sources[0].url) == ("staging", "stage", "http://p:9090")
    assert found.sources[0].access is not None
    parse_targets(TEXT.replace("prometheus: http://127.0.0.1:9090", "profile: gone"), "old.yml", offline=True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("99.9 %", "101 %", "targets.yml:5: 'at_least' is beyond 100 %: 101 %"),
        ("99.9 %", "0.999", "targets.yml:5: 'at_least' must be a percentage, found the number 0.999 (write 0.999 %)"),
        ("99.9 %", "high", "targets.yml:5: 'at_least' must be a percentage, found the text 'high'"),
        ("at_least", "atleast", "'atleast' is not a key of the level 'uptime' (did you mean 'at_least'?)"),
        (", at_least: 99.9 %", "", "targets.yml:5: the level 'uptime' has no target (write one of at_least, above"),
        ("at_least: 99.9 %", "at_least: 99 %, above: 98 %", "the level 'uptime' has at_least and above"),
        ("above: 80 %", "above: 100 %", "targets.yml:9: 'above' of the level 'cache' can never be kept"),
        ("bad_below: 0.1 %", "bad_below: 0 %", "targets.yml:8: 'bad_below' of the level 'errors' can never be kept"),
        ("instances: mean", "instances: most", "'instances' must be one of mean, any, all"),
        ("quantile: 0.95", "quantile: 95", "targets.yml:6: 'quantile' must be a number between 0 and 1"),
        ("below: 5s", "below: 5", "targets.yml:6: 'below' has no unit: 5"),
        ("below: 5s", "above: 5s", "'above' is not a key of the level 'latency_p95'"),
        ("total: insa_agent_requests_total", "total: 'a{b=\"c\"}'", "'total' must be a metric's name"),
        ("{status: success}", "{status: 'a('}", "targets.yml:8: 'status' of 'good': 'a(' is not a regular expression"),
        ("{status: success}", "{sta-tus: x}", "'sta-tus' in 'good' is no label's name"),
        ("good: {status: success}, ", "", "targets.yml:8: the level 'errors' needs 'good'"),
        ("{up: up, at_least: 99.9 %, instances: mean}", "{}", "targets.yml:5: the level 'uptime' names no series"),
        ("  uptime: ", "  errors/x: ", "'errors/x' cannot name a level"),
        ("match:", "macth:", "targets.yml:3: 'macth' is not a key of a file of targets (did you mean 'match'?)"),
        ("prometheus: http://127.0.0.1:9090", "prometheus: ftp://x", "targets.yml:2: 'prometheus' must be a URL"),
        ("prometheus: http://127.0.0.1:9090", "prometheus: http://u:p@x", "carries a user or a password"),
        ("prometheus: http://127.0.0.1:9090", "prometheus: [http://a, http://a]", "lists http://a twice"),
        ("prometheus: http://127.0.0.1:9090", "zone: UTC", "needs 'profile' or 'prometheus'"),
        ("prometheus: http://127.0.0.1:9090", "profile: local", "has no Prometheus that runs by itself"),
        ("prometheus: http://127.0.0.1:9090", "profile: nonsense", "targets.yml:2: 'profile': no profile is called"),
        ("match: {job: insa-crm}", "zone: Europe/Berln", "targets.yml:3: 'zone': there is no time zone 'Europe/Berln'"),
        ("match: {job: insa-crm}", "in_service_since: soon", "targets.yml:3: 'in_service_since': 'soon' is no date"),
        ("match: {job: insa-crm}", "in_service_since: 2026-10-01T00:01", "lies within 5 minutes of evidence"),
        ("match: {job: insa-crm}", "planned_cap: 4", "targets.yml:3: 'planned_cap' has no unit"),
        ("chaoskit: 1", "chaoskit: 2", "format version 2 is not supported"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_write(old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(BadInput) as refused:
        parse_targets(TEXT.replace(old, new, 1), "targets.yml")
    assert says in str(refused.value)


def test_all_mistakes_are_told_at_once() -> None:
    text = TEXT.replace("99.9 %", "101 %").replace("below: 5s", "below: 5").replace("above", "abov")
    with pytest.raises(BadInput) as refused:
        parse_targets(text, "targets.yml")
    assert [one.place.line for one in refused.value.problems if one.place] == [5, 6, 9, 9]


def test_a_file_that_is_not_there_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="chaoskit sla init"):
        load_targets(tmp_path / "targets.yml")


def test_patterns_match_whole_values_and_a_missing_label_is_empty() -> None:
    assert matches({"status": "success"}, {"status": "success|ok"})
    assert not matches({"status": "successful"}, {"status": "success"})
    assert matches({}, {"status": ""})
    assert not matches({}, {"agent": ".+"})


def test_init_finds_the_series_of_a_prometheus_that_began_a_minute_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slice of five minutes in which it began is not over."""
    began = 1_790_812_800 + 200

    class Young(Source):
        def now(self) -> float:
            return began + 60.0

        def server(self) -> Server:
            return Server("Prometheus 3.5.0", genuine=True, retention_s=None)

        def range(self, query: str, begin: int, end: int, step_s: int) -> list[Series]:
            return [Series({}, [(began - began % 86400 + 86400) * 1000], [1.0])]

        def label_values(self, label: str, selector: str, begin: int, end: int) -> list[str]:
            return ["5", "15"] if end > began else []

    monkeypatch.setattr(begin, "Source", Young)
    said: list[str] = []
    levels = TEXT.partition("prometheus: http://127.0.0.1:9090\n")[2]
    found = begin.write_targets(tmp_path / "targets.yml", "prometheus: http://127.0.0.1:9090", levels, said.append)
    assert found is ExitCode.PASS, said
