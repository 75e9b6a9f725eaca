"""A month of service levels in a store, as it may have been: outages, alerts, a gap, planned time; for the tests."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from chaoskit.observe.alert_states import labels_of
from chaoskit.sla.compute import compliance, remember
from chaoskit.sla.episodes import fingerprint
from chaoskit.sla.incidents import Known
from chaoskit.sla.model import SLICE_S, Episode, Planned, Slice
from chaoskit.sla.page import page
from chaoskit.sla.report import Report
from chaoskit.sla.store import Store, open_store
from chaoskit.sla.stories import read, story_of
from chaoskit.sla.targets import Targets, load_targets
from chaoskit.sla.windows import Window, month

TARGETS = """\
chaoskit: 1
prometheus: http://127.0.0.1:9090
environment: production
match: {job: insa-crm}
levels:
  uptime:      {up: up, at_least: 99.9 %}
  errors:      {total: insa_agent_requests_total, good: {status: success}, bad_below: 0.1 %}
  cache:       {good: insa_cache_hits_total, bad: insa_cache_misses_total, above: 80 %}
outage_alerts: [MetricsEndpointDown, HighErrorRate]
"""
NOVEMBER: Window = month("2026-11", "UTC")
PRODUCTION = "production"


def at(day: int, clock: str = "00:00") -> int:
    """An instant in November 2026."""
    return int(datetime.fromisoformat(f"2026-11-{day:02}T{clock}").replace(tzinfo=UTC).timestamp())


NOW = at(30, "23:59") + 3600


def targets_in(folder: Path) -> Targets:
    """The targets, in a file of this folder."""
    file = folder / "targets.yml"
    file.write_text(TARGETS)
    return load_targets(file)


def episode(alert: str, begin: int, end: int | None, severity: str = "critical", held_s: int = 60) -> Episode:
    """One life of an alert."""
    labels = {"alertname": alert, "severity": severity}
    last = (end or begin + held_s) - 15
    return Episode(
        PRODUCTION, fingerprint(labels_of(labels)), begin, begin + held_s, last, end, alert, severity, labels
    )


DOWN = {
    at(5, "10:00"): 300.0, at(5, "10:05"): 180.0,  # seen
    at(12, "03:00"): 45.0,  # nobody saw it
    at(20, "14:30"): 300.0, at(20, "14:35"): 300.0,  # planned
}  # fmt: skip
"""Seconds down by slice."""
DARK = range(at(25, "06:00"), at(25, "06:30"), SLICE_S)
EPISODES = (
    episode("MetricsEndpointDown", at(5, "10:00") + 15, at(5, "10:08") + 15),
    episode("HighErrorRate", at(5, "10:02"), at(5, "10:12"), held_s=300),
    episode("WorkerUnhealthy", at(15, "09:00"), at(15, "09:04"), "warning"),
    episode("MetricsEndpointDown", at(18, "22:00"), at(18, "22:03")),
    episode("MetricsEndpointDown", at(20, "14:30"), at(20, "14:40")),
)
PLANNED = Planned(PRODUCTION, at(20, "14:00"), at(20, "15:00"), "maintenance", "new disks", "ana", at(19))


def filled(folder: Path) -> tuple[Store, Targets]:
    """A store with all of November, and its targets; close the store."""
    targets = targets_in(folder)
    (folder / "levels.db").write_bytes(_november())
    return open_store(folder / "levels.db"), targets


@cache
def _november() -> bytes:
    """The store's file, made once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = targets_in(folder)
        with open_store(folder / "levels.db") as store:
            remember(store, targets, at(1))
            for level in targets.levels:
                store.set_meta(f"evidence/{level.name}", level.evidence)
            store.write(PRODUCTION, _slices(), episodes=EPISODES, recorded_at=NOW)
            store.plan(PLANNED)
        with contextlib.closing(sqlite3.connect(folder / "levels.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return (folder / "levels.db").read_bytes()


def _slices() -> list[Slice]:
    slices = []
    for begin in range(NOVEMBER.starts_at, NOVEMBER.ends_at, SLICE_S):
        end, down = begin + SLICE_S, DOWN.get(begin, 0.0)
        if begin in DARK:
            slices.append(Slice(PRODUCTION, "uptime", begin, end, 0.0, 0.0, 300.0, coverage=0.0))
            slices += [Slice(PRODUCTION, name, begin, end, coverage=0.0) for name in ("errors", "cache")]
            continue
        slices.append(Slice(PRODUCTION, "uptime", begin, end, SLICE_S - down, down, 0.0))
        failed = 40.0 if down and begin < at(6) else 0.0
        slices.append(Slice(PRODUCTION, "errors", begin, end, good=1000 - failed, total=1000.0))
        slices.append(Slice(PRODUCTION, "cache", begin, end, good=900.0, total=1000.0))
    return slices


def november_page(folder: Path) -> bytes:
    """November's page, with one alert of a hostile name more."""
    store, targets = filled(folder)
    with store:
        hostile = replace(episode("<script>alert(1)</script>", at(28), at(28, "00:10")), severity="x\"'&<b>")
        store.write(PRODUCTION, episodes=[hostile])
        results = compliance(store, targets, NOVEMBER, now=NOW)
        reads = read(store, targets, NOVEMBER, results)
        planned = store.planned(None, NOVEMBER.starts_at, NOVEMBER.ends_at)
        told = [story_of(one, NOVEMBER, targets, Known()) for one in reads]
        return page(Report(NOVEMBER, results, (), planned), reads, told)
