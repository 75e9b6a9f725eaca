"""Compression changes nothing that promtool's simulated time makes of whole rules, and both programs accept it."""

from __future__ import annotations

import math
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.alerting.virtual import scale_alertmanager, scale_prometheus, scale_rules
from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack
K = 60
SCRAPE_S = 15
PEAK = '{{ with query "max(rate(requests_total[5m])) > 0" }}{{ . | first | value | printf "%.6f" }}{{ end }}'
RULES: dict[str, Any] = {
    "groups": [
        {
            "name": "shop",
            "rules": [
                {"record": "job:requests:rate5m", "expr": "sum by (job) (rate(requests_total[5m]))"},
                {
                    "record": "job:failed:ratio5m",
                    "expr": 'sum by (job) (rate(requests_total{code="500"}[5m])) / job:requests:rate5m',
                },
                {"record": "job:seen:timestamp", "expr": "max by (job) (timestamp(depth))"},
                {"alert": "Failing", "expr": "job:failed:ratio5m > 0.2", "for": "2m"},
                {"alert": "Busy", "expr": "job:requests:rate5m > 0.4", "for": "1m", "keep_firing_for": "4m"},
                {"alert": "Idle", "expr": "increase(requests_total[5m]) == 0", "for": "45s"},
                {"alert": "Backlog", "expr": "max_over_time((depth > 8)[10m:1m])", "for": "0s"},
                {"alert": "Growing", "expr": "depth > 1.2 * depth offset 10m", "for": "5m"},
                {"alert": "Filling", "expr": "predict_linear(depth[5m], 20 * 60) > 40"},
                {"alert": "Steep", "expr": "deriv(depth[5m]) > 0.02", "for": "30s"},
                {"alert": "Flapping", "expr": "changes(depth[5m]) >= 12"},
                {"alert": "Stale", "expr": "time() - done_timestamp_seconds > 400", "for": "1m"},
                {"alert": "Unseen", "expr": "time() - max_over_time(job:seen:timestamp[10m]) > 65"},
                {"alert": "Second", "expr": 'ALERTS{alertname="Busy",alertstate="firing"} and on () depth > 5'},
                {"alert": "Labelled", "expr": "depth > 9", "labels": {"peak": PEAK}},
            ],
        }
    ]
}


@pytest.fixture(scope="session")
def binaries(generation: Binaries) -> Binaries:
    """Each Debian generation's programs in turn, in place of this machine's own."""
    return generation


def _unit_series(k: int) -> list[dict[str, str]]:
    dice = random.Random(11)  # the same history every time
    ok, bad, depth, done = 0, 0, 5, 0
    columns: list[list[str]] = [[], [], [], []]
    for i in range(240):
        phase = (i // 40) % 3
        ok += dice.choice([0, 3, 9]) if phase < 2 else 0
        bad += dice.choice([0, 2, 6]) if phase == 1 else 0
        depth = max(0, depth + dice.choice([-1, 0, 1]) + (1 if phase == 1 else -1 if depth > 5 else 0))
        if phase != 1:
            done = i * SCRAPE_S
        for column, value in zip(columns, (ok, bad, depth, done / k), strict=True):
            column.append(repr(value))
    columns[2][150:] = ["stale", *["_"] * 89]
    names = ('requests_total{job="a",code="200"}', 'requests_total{job="a",code="500"}', 'depth{job="a"}')
    return [
        {"series": name, "values": " ".join(values)}
        for name, values in zip((*names, 'done_timestamp_seconds{job="a"}'), columns, strict=True)
    ]


def _timeline(promtool: Path, folder: Path, rules: dict[str, Any], k: int) -> dict[tuple[str, int], str]:
    """What promtool's engine makes of the rules: ALERTS and recorded values by (series, virtual second)."""
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    step_ms = SCRAPE_S * 1000 // k
    asked = [(expr, i) for i in range(1, 236) for expr in ("ALERTS", '{__name__=~"job:.*"}')]
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{step_ms}ms",
        "tests": [
            {
                "interval": f"{step_ms}ms",
                "input_series": _unit_series(k),
                "promql_expr_test": [
                    {"expr": expr, "eval_time": f"{i * step_ms}ms", "exp_samples": []} for expr, i in asked
                ],
            }
        ],
    }
    (folder / "tests.yml").write_text(yaml.safe_dump(tests))
    # Nothing is expected, so promtool reports as an error everything that there is.
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    found: dict[tuple[str, int], str] = {}
    at = 0
    for line in (done.stdout + done.stderr).splitlines():
        if match := re.search(r'expr: ".*", time: ([0-9a-z]+),', line):
            at = round(_seconds(match[1]) * k)
        for name, value in re.findall(r"(?:got: |\s)(\{[^}]*\}) ([-+.0-9Ee]+|NaN)", line):
            found[name, at] = value
    return found


def _seconds(text: str) -> float:
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(number) * unit[name] for number, name in re.findall(r"([0-9]+)(ms|[smh])", text))


def _unlike(full: dict[tuple[str, int], str], compressed: dict[tuple[str, int], str], k: int) -> list[object]:
    found: list[object] = sorted(full.keys() ^ compressed.keys())
    for key in full.keys() & compressed.keys():
        one, other = float(full[key]), float(compressed[key])
        if "timestamp" in key[0]:
            other *= k
        if not math.isclose(one, other, rel_tol=1e-9) and not math.isnan(one):
            found.append((key, one, other))
    return found


@pytest.fixture(scope="module")
def full_timeline(binaries: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], str]:
    return _timeline(binaries.promtool, tmp_path_factory.mktemp("full") / "1", RULES, 1)


@pytest.mark.parametrize("k", [10, 60, 300])
def test_compressed_rules_give_the_same_alerts_at_the_same_virtual_instants(
    binaries: Any, tmp_path: Path, full_timeline: dict[tuple[str, int], str], k: int
) -> None:
    """Pending, firing and resolved alerts and recorded values of every evaluation, with `for` and keep_firing_for."""
    rules, refused = scale_rules(RULES, k, SCRAPE_S)
    assert refused == []
    for rule in RULES["groups"][0]["rules"]:
        if "alert" in rule:
            assert any(f'alertname="{rule["alert"]}"' in name for name, _ in full_timeline), (
                f"{rule['alert']} never fires"
            )
    assert _unlike(full_timeline, _timeline(binaries.promtool, tmp_path / "k", rules, k), k) == []


@pytest.mark.parametrize(
    ("rule", "key", "wrong"),
    [
        (0, "expr", "sum by (job) (rate(requests_total[5s]))"),
        (3, "for", "2m"),
        (3, "for", "3s"),
        (4, "keep_firing_for", "4m"),
        (4, "keep_firing_for", "3s"),
        (5, "expr", "increase(requests_total[5m]) == 0"),
        (6, "expr", "max_over_time((depth > 8)[10s:5s])"),
        (7, "expr", "depth > 1.2 * depth offset 9s"),
        (8, "expr", "predict_linear(depth[5s], 20 * 60) > 40"),
        (9, "expr", "deriv(depth[5s]) > 0.02"),
        (11, "expr", "time() - done_timestamp_seconds > 400"),
        (14, "labels", {"peak": PEAK.replace("5m", "5s")}),
    ],
)
def test_a_wrongly_compressed_rule_is_found_out(
    binaries: Any, tmp_path: Path, full_timeline: dict[tuple[str, int], str], rule: int, key: str, wrong: object
) -> None:
    """The negative control of the test above: one setting of one rule left as it was, or compressed wrongly."""
    rules, _ = scale_rules(RULES, K, SCRAPE_S)
    rules["groups"][0]["rules"][rule][key] = wrong
    assert _unlike(full_timeline, _timeline(binaries.promtool, tmp_path / "k", rules, K), K)


def test_both_programs_accept_their_compressed_configurations(binaries: Any, tmp_path: Path) -> None:
    prometheus = {
        "global": {"scrape_interval": "15s"},
        "scrape_configs": [
            {"job_name": "a"},
            {"job_name": "b", "scrape_interval": "5s"},
            {"job_name": "c", "scrape_timeout": "10s"},
        ],
    }
    alertmanager = {
        "receivers": [{"name": "all"}],
        "route": {"receiver": "all", "routes": [{"group_wait": "0s", "routes": [{"repeat_interval": "1h"}]}]},
    }
    for k in (1, 7, 60, 100):
        (tmp_path / "p.yml").write_text(yaml.safe_dump(scale_prometheus(prometheus, k)))
        (tmp_path / "a.yml").write_text(yaml.safe_dump(scale_alertmanager(alertmanager, k)))
        for command in ([binaries.promtool, "check", "config", "p.yml"], [binaries.amtool, "check-config", "a.yml"]):
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
