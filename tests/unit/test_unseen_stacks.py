"""A stack of a gate has no pages scraped that neither a rule nor a scenario reads, and every one that they may read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_config
from chaoskit.localize.configuration import Localized, Ports, localize
from chaoskit.localize.sink_addresses import SinkAddresses
from chaoskit.run.planning import Asked, plan_for, queries_in
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import check_prometheus

PORTS = Ports(*range(2000, 2000 + len(Ports.__dataclass_fields__)))
PROMETHEUS = """\
scrape_configs:
- {job_name: crm, static_configs: [{targets: ['x:9091']}]}
- {job_name: itself, static_configs: [{targets: ['x:9090']}]}
"""
ROUTES = "route: {receiver: a}\nreceivers: [{name: a}]\n"


def made(
    folder: Path, rule: dict[str, Any], asked: Collection[str] | None = (), prometheus: str = PROMETHEUS
) -> dict[str, Any]:
    """The scrape jobs of a stack with this rule, by name."""
    rules = yaml.safe_dump({"groups": [{"name": "g", "rules": [{"alert": "A", **rule}]}]})
    sources = {"prometheus:p.yml": prometheus, "rules:r.yml": rules, "alertmanager:a.yml": ROUTES}
    return jobs(localize(sources, folder, PORTS, 60.0, SinkAddresses(PORTS.webhook), {}, (), asked))


def jobs(localized: Localized) -> dict[str, Any]:
    return {job["job_name"]: job for job in yaml.safe_load(localized.files["prometheus.yml"])["scrape_configs"]}


QUIET = {"crm": "", "itself": "/federate"}
ALL = {"crm": "", "itself": "", "chaoskit": ""}


@pytest.mark.parametrize(
    ("rule", "asked", "paths"),
    [
        ({"expr": "queue > 1"}, (), QUIET),
        ({"expr": "up == 0"}, (), QUIET),
        ({"expr": "queue > 1"}, None, ALL),
        ({"expr": "prometheus_notifications_dropped_total > 0"}, (), {"crm": "", "itself": ""}),
        ({"expr": "queue > 1"}, ("rate(go_gc_duration_seconds_count[5m])",), {"crm": "", "itself": ""}),
        ({"expr": "scrape_samples_scraped == 0"}, (), {"crm": "", "itself": ""}),
        ({"expr": "queue > 1"}, ("chaoskit_load_in_flight > 5",), {**QUIET, "chaoskit": ""}),
        ({"expr": '{job="itself"} > 1'}, (), ALL),
        ({"expr": '{__name__=~"go_.*"} > 1'}, (), ALL),
        ({"expr": "queue > 1"}, ('{__name__=~"chaoskit_.*"}',), ALL),
        ({"expr": "up == 0", "annotations": {"a": "{{ query `go_threads` }}"}}, (), {"crm": "", "itself": ""}),
        (
            {"expr": "up == 0", "labels": {"a": '{{ query (printf "go_info{version=%q}" "1") }}'}},
            (),
            {"crm": "", "itself": ""},
        ),
        ({"expr": "up == 0", "annotations": {"a": '{{ query `{job="itself"}` }}'}}, (), ALL),
    ],
)
def test_a_page_is_left_out_only_where_all_that_is_read_is_named_and_stands_on_another(
    tmp_path: Path, rule: dict[str, Any], asked: Collection[str] | None, paths: dict[str, str]
) -> None:
    assert {name: job.get("metrics_path", "") for name, job in made(tmp_path, rule, asked).items()} == paths


@pytest.mark.parametrize("more", ["metrics_path: /other", "params: {a: [b]}"])
def test_a_job_that_asks_for_a_page_of_its_own_is_left_alone(tmp_path: Path, more: str) -> None:
    prometheus = PROMETHEUS.replace("job_name: itself,", f"job_name: itself, {more},")
    assert made(tmp_path, {"expr": "up == 0"}, prometheus=prometheus)["itself"].get("metrics_path") != "/federate"


@pytest.mark.parametrize("scenario", ["worker-unhealthy", "circuit-breaker-flapping"])
def test_the_shipped_configuration_reads_nothing_of_prometheus_itself_and_its_stack_says_so(
    tmp_path: Path, generation: Binaries, scenario: str
) -> None:
    """Each generation of Prometheus takes what is written then."""
    config = load_config(bundle.folder(), complete=True)
    plan = plan_for(Asked(scenario, "local", ConfigFiles(bundle.folder())))[0]
    book = SinkAddresses(PORTS.webhook)
    localized = localize(config.sources, tmp_path, PORTS, 60.0, book, {}, (), queries_in(plan))
    assert list(jobs(localized)) == ["insa-crm", "prometheus"]
    assert "scrape job prometheus asks Prometheus for no metrics of its own: nothing reads them" in localized.notes
    for name, text in localized.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert check_prometheus(generation.promtool, tmp_path / "prometheus.yml") == ()


def test_the_queries_of_a_run_are_those_of_its_waits_its_faults_and_its_abort_conditions(tmp_path: Path) -> None:
    scenario = tmp_path / "asks.yml"
    scenario.write_text("""\
chaoskit: 1
title: Asks
steps:
  - inject: command
    with: {start: ["true"], stop: ["true"], seen: {query: seen > 1, within: 30s}}
  - wait: {query: waited == 2, at_most: 4m}
expect: nothing
""")
    given = Asked(str(scenario), "local", ConfigFiles(bundle.folder()), settings=("abort=[{query: aborts > 1}]",))
    assert sorted(queries_in(plan_for(given)[0])) == ["aborts > 1", "seen > 1", "waited == 2"]
