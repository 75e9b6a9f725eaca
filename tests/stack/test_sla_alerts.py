"""Alerts of a real Prometheus become episodes in the store, and the dashboard finds what the exporter shows."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import requests

from chaoskit.errors import ExitCode
from chaoskit.sla.export import Exporter
from chaoskit.sla.model import DAY_S
from chaoskit.sla.record import record
from chaoskit.sla.store import open_store
from chaoskit.sla.targets import parse_targets
from chaoskit.stack.binaries import Binaries
from tests.dashboard_queries import LEVELS, filled_in, queries, read
from tests.sla_month import at, filled
from tests.sla_world import prometheus, write_blocks

pytestmark = [pytest.mark.stack, pytest.mark.sla]
TEXT = """\
chaoskit: 1
prometheus: {url}
environment: e
in_service_since: {since}
levels: {{uptime: {{up: up, at_least: 99.9 %}}}}
"""
LABELS = 'alertname="Down",severity="critical"'


def test_a_restart_makes_no_second_episode_in_the_store(binaries: Binaries, tmp_path: Path) -> None:
    """Worked example 11 over a real Prometheus; recorded twice, it is the same row."""
    begin = (int(time.time()) // DAY_S - 2) * DAY_S + 10 * 3600
    times = [begin + 7 + 15 * n for n in range(-240, 480)]
    firing = [begin + 15 * n for n in range(20)] + [begin + 540 + 15 * n for n in range(13)]
    samples = {
        'up{job="a"}': [(t, 1) for t in times],
        f'ALERTS{{{LABELS},alertstate="firing"}}': [(t, 1) for t in firing],
        f'ALERTS{{{LABELS},alertstate="pending"}}': [(t, 1) for t in range(begin + 480, begin + 540, 15)],
        f"ALERTS_FOR_STATE{{{LABELS}}}": [(t, begin - 60) for t in [*firing, *range(begin + 480, begin + 540, 15)]],
    }
    write_blocks(binaries, tmp_path / "data", samples)
    said: list[str] = []
    with prometheus(binaries, tmp_path) as url, open_store(tmp_path / "levels.db") as store:
        since = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(begin - 3600))
        targets = parse_targets(TEXT.format(url=url, since=since), "targets.yml")
        for _ in range(2):
            assert record(store, targets, say=said.append) is ExitCode.PASS, said
            (one,) = store.episodes("e", begin - DAY_S, begin + DAY_S)
            assert (one.active_at, one.fired_at, one.resolved_at) == (begin - 60, begin, begin + 735)
            assert (one.alertname, one.severity) == ("Down", "critical")


def test_every_query_of_the_dashboard_returns_data(binaries: Binaries, tmp_path: Path) -> None:
    store, targets = filled(tmp_path)
    ready, ended, ports = threading.Event(), threading.Event(), []

    def begun(port: int) -> None:
        ports.append(port)
        ready.set()

    with store:
        exporter = Exporter(store, targets, lambda: at(30, "12:00"))
        exporter.refresh()
        thread = threading.Thread(target=exporter.serve, args=("127.0.0.1", 0, begun, ended, print))
        thread.start()
        try:
            assert ready.wait(20)
            with prometheus(binaries, tmp_path, scraped=ports[0]) as url:
                until = time.monotonic() + 60
                while not found(url, "chaoskit_sla_compliant") and time.monotonic() < until:
                    ended.wait(0.25)
                asked = [(place, filled_in(expr)) for place, expr in queries(read(LEVELS))]
                assert len(asked) >= 10
                assert [place for place, expr in asked if not found(url, expr)] == []
                assert not found(url, filled_in('chaoskit_sla_compliant{environment="nowhere"}'))
        finally:
            ended.set()
            thread.join(20)


def found(url: str, expr: str) -> bool:
    answer = requests.get(f"{url}/api/v1/query", params={"query": expr}, timeout=20)
    return bool(answer.ok and answer.json()["data"]["result"])
