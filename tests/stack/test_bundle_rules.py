"""The shipped rules under promtool: they do what is documented, and the tests would notice if they did not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chaoskit.bundle import folder

if TYPE_CHECKING:
    from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack

RULE_TESTS = sorted((Path(__file__).parents[1] / "bundle_rules").glob("*.yml"))
RULES = "../../chaoskit/bundle/prometheus_alerts.yml"

SPOILT = {
    "a single worker is enough for MultipleWorkersDown": ("== 0) >= 2", "== 0) >= 1"),
    "MultipleWorkersDown needs three": ("== 0) >= 2", "== 0) >= 3"),
    "MultipleWorkersDown counts workers whatever their health": (
        "(insa_worker_health_status == 0)",
        "(insa_worker_health_status)",
    ),
    "MultipleWorkersDown mixes environments": ("count by (environment)", "count"),
    "MultipleWorkersDown fires early": ("for: 2m", "for: 1m45s"),
    "MultipleWorkersDown fires late": ("for: 2m", "for: 2m15s"),
    "WorkerUnhealthy is about healthy workers": (
        "expr: insa_worker_health_status == 0",
        "expr: insa_worker_health_status == 1",
    ),
    "WorkerUnhealthy loses the worker's name": (
        "expr: insa_worker_health_status == 0",
        "expr: min without (worker_name) (insa_worker_health_status) == 0",
    ),
    "WorkerUnhealthy fires early": ("for: 1m\n", "for: 45s\n"),
    "WorkerUnhealthy fires late": ("for: 1m\n", "for: 1m15s\n"),
    "WorkerUnhealthy lingers": ("for: 1m\n", "for: 1m\n        keep_firing_for: 15s\n"),
    "100 tasks are enough": ("> 100", ">= 100"),
    "101 tasks are not enough": ("> 100", "> 101"),
    "WorkerHighQueueDepth fires early": ("for: 5m", "for: 4m45s"),
    "WorkerHighQueueDepth fires late": ("for: 5m", "for: 5m15s"),
    "two restarts are enough": (") >= 3", ") >= 2"),
    "three restarts are not enough": (") >= 3", ") > 3"),
    "restarts are counted over 14 minutes": ("[15m]", "[14m]"),
    "restarts are counted over 16 minutes": ("[15m]", "[16m]"),
    "a reset counts as restarts": ("[15m]) > 0\n            or", "[15m]) > 9\n            or"),
    "after a reset nothing is counted": (
        "floor(increase(insa_worker_restarts_total[15m]))",
        "0 * insa_worker_restarts_total",
    ),
    "restarts are extrapolated": (
        "max_over_time(insa_worker_restarts_total[15m]) -",
        "increase(insa_worker_restarts_total[15m]) - 0 *",
    ),
    "restarts between two scrapes count as one": (
        "max_over_time(insa_worker_restarts_total[15m]) -",
        "changes(insa_worker_restarts_total[15m]) - 0 *",
    ),
    "an alert has another severity": ("severity: critical", "severity: warning"),
    "an alert has another team": ("team: platform", "team: infrastructure"),
}


def promtool(binaries: Binaries, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(binaries.promtool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_promtool_accepts_the_configuration_with_its_rules(binaries: Binaries) -> None:
    done = promtool(binaries, "check", "config", folder() / "prometheus_config.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_the_rules_keep_what_their_tests_ask(binaries: Binaries, file: Path) -> None:
    done = promtool(binaries, "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_wrong_rule_is_noticed(binaries: Binaries, tmp_path: Path, spoilt: str) -> None:
    right, wrong = SPOILT[spoilt]
    text = (folder() / "prometheus_alerts.yml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "rules.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    checked = promtool(binaries, "check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, "the spoilt rules must still load, or they prove nothing: " + checked.stderr
    verdicts = []
    for file in RULE_TESTS:
        copy = tmp_path / file.name
        copy.write_text(file.read_text(encoding="utf-8").replace(RULES, "rules.yml"), encoding="utf-8")
        verdicts.append(promtool(binaries, "test", "rules", copy).returncode)
    assert any(verdicts), f"no test noticed that {spoilt}"
