"""Every query of every dashboard finds data on the local stack, under load, while a fault is in force."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

import psutil
import pytest
import requests

from tests.dashboard_queries import FILES, LEVELS, filled_in, queries, read
from tests.drills.conftest import Drill, drill, turn

pytestmark = [pytest.mark.stack, pytest.mark.drill]

__all__ = ["drill", "turn"]
WINDOW = "5s"
"""The choice of the dashboards for a stack at 60 times the speed."""
LOOK_BACK_S = 20
STEP_S = 0.25


def test_every_query_returns_data_while_a_worker_is_dead(drill: Drill) -> None:
    """Asked once both receivers have been told, over the seconds before, as a dashboard would draw them."""
    empty: dict[str, list[str]] = {}
    asked = 0

    def look(run: psutil.Process) -> None:
        nonlocal asked
        url = prometheus_of(run)
        # No query finds what nobody exports: else "returns data" would say nothing.
        assert not has_data(url, "chaoskit_no_such_metric")
        assert not has_data(url, "0 * insa_worker_queue_depth / 0")
        for file in (one for one in FILES if one != LEVELS):
            for place, expr in queries(read(file)):
                asked += 1
                if not has_data(url, filled_in(expr, WINDOW)):
                    empty.setdefault(file.stem, []).append(f"{place}: {expr}")

    ended = drill.run(when="notice at worker-alerts (email)", do=look)
    assert asked > 60, ended.said
    assert empty == {}, json.dumps(empty, indent=2)


def prometheus_of(run: psutil.Process) -> str:
    """Where the run's own Prometheus answers."""
    flag = "--web.listen-address="
    words = []
    for child in run.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # others of the run's children come and go meanwhile
            words += [child.cmdline()] if "prometheus" in child.name() else []
    (address,) = [w.removeprefix(flag) for line in words for w in line if w.startswith(flag) and "tsdb" in str(line)]
    return f"http://{address}"


def has_data(url: str, expr: str) -> bool:
    """Whether the query gives a number at any of the last seconds' steps."""
    now = time.time()
    asked = {"query": expr, "start": f"{now - LOOK_BACK_S}", "end": f"{now}", "step": f"{STEP_S}"}
    answer = requests.post(f"{url}/api/v1/query_range", data=asked, timeout=20)
    assert answer.ok, f"{expr}: {answer.text}"
    series: list[dict[str, Any]] = answer.json()["data"]["result"]
    return any(math.isfinite(float(value)) for one in series for _, value in one["values"])
