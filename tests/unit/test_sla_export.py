"""The exporter: the gauges of 13 months and 5 quarters, as Prometheus reads them, and a file that is whole."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from chaoskit.alerting.windows_expression import selectors
from chaoskit.bundle import folder
from chaoskit.errors import EquipmentError
from chaoskit.sla.export import Exporter, windows
from chaoskit.sla.model import Planned
from tests.sla_month import NOW, PRODUCTION, at, filled


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def of(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> list[float]:
    return [
        value
        for (known, has), value in found.items()
        if known == f"chaoskit_sla_{name}" and labels.items() <= dict(has).items()
    ]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """What is shown on November's last day."""
    store, targets = filled(tmp_path_factory.mktemp("running"))
    with store:
        exporter = Exporter(store, targets, lambda: at(30, "12:00"))
        exporter.refresh()
        yield exporter


def test_the_gauges_tell_what_the_report_tells(tmp_path: Path) -> None:
    store, targets = filled(tmp_path)
    with store:
        exporter = Exporter(store, targets, lambda: NOW)
        exporter.refresh()
        found = samples(exporter.text())
        where = {"environment": PRODUCTION, "sla": "uptime", "window": "2026-11", "basis": "contract"}
        budget_s = 0.001 * (30 * 86_400 - 3600)
        assert of(found, "budget_left_ratio", **where) == [pytest.approx(1 - 525 / budget_s)]
        assert of(found, "downtime_seconds", **where) == [525]
        assert of(found, "compliant", **where) == [1]
        assert of(found, "compliant", **{**where, "basis": "all"}) == [-1]
        assert of(found, "target_ratio", **where) == [0.999]
        assert of(found, "incidents", window="2026-11") == [4]
        assert of(found, "evidence_age_seconds") == [NOW - at(30, "23:59") - 60]
        assert of(found, "running", window="2026-11") == []
        assert len(of(found, "compliant", span="quarter", sla="uptime", basis="contract")) == 1
        # Time that is declared afterwards changes a month that is over.
        store.plan(Planned(PRODUCTION, at(5, "10:00"), at(5, "11:00"), "correction", "power", "ana", at(30)))
        exporter.refresh()
        assert of(samples(exporter.text()), "downtime_seconds", **where) == [45]


def test_a_month_that_runs_is_marked(running: Exporter) -> None:
    found = samples(running.text())
    assert of(found, "running", window="2026-11", span="month", environment=PRODUCTION) == [1]
    assert of(found, "running", window="2026-Q4", span="quarter") == [1]


def test_thirteen_months_and_five_quarters_are_shown() -> None:
    names = [one.name for one in windows(at(15), "Europe/Berlin")]
    assert (names[0], names[12], len(names)) == ("2026-11", "2025-11", 18)
    assert names[13:] == ["2026-Q4", "2026-Q3", "2026-Q2", "2026-Q1", "2025-Q4"]


def test_the_alerts_of_the_bundle_read_what_is_exported(running: Exporter) -> None:
    exported = samples(running.text())
    groups = yaml.safe_load((folder() / "sla_alerts.yml").read_text())["groups"]
    asked = [one for group in groups for rule in group["rules"] for one in selectors(rule["expr"])]
    mine = [{each.label: each.value for each in one.matchers} for one in asked]
    mine = [one for one in mine if one["__name__"].startswith("chaoskit_sla_")]
    assert len(mine) >= 5
    for one in mine:
        name = one.pop("__name__").removeprefix("chaoskit_sla_")
        assert of(exported, name, **one), (name, one)


def test_it_answers_scrapes_on_loopback_until_it_is_ended_and_says_that_a_port_is_taken(running: Exporter) -> None:
    ready, ended, ports = threading.Event(), threading.Event(), []

    def begun(port: int) -> None:
        ports.append(port)
        ready.set()

    thread = threading.Thread(target=running.serve, args=("127.0.0.1", 0, begun, ended, print))
    thread.start()
    try:
        assert ready.wait(20)
        answer = requests.get(f"http://127.0.0.1:{ports[0]}/metrics", timeout=20)
        assert "chaoskit_sla_compliant{" in answer.text
        with pytest.raises(EquipmentError, match="cannot listen"):
            running.serve("127.0.0.1", ports[0], begun, ended, print)
    finally:
        ended.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_store_that_fails_is_said_and_what_was_shown_stays(tmp_path: Path) -> None:
    store, targets = filled(tmp_path)
    said: list[str] = []
    ended = threading.Event()

    def tell(line: str) -> None:
        said.append(line)
        ended.set()

    with store:
        exporter = Exporter(store, targets, lambda: at(30, "12:00"))
        exporter.refresh()
        shown = exporter.text()
        with contextlib.closing(sqlite3.connect(tmp_path / "levels.db")) as connection, connection:
            connection.execute("DROP TABLE sla_slice")
        exporter.serve("127.0.0.1", 0, lambda port: None, ended, tell, every_s=0.05)
        assert exporter.text() == shown
    assert "sla_slice" in said[0] or "levels.db" in said[0]
