"""Each bug of docs/published-bugs.md is one: on series that plainly should raise the alert, promtool sees it stay
silent, and sees the expression fire that the page gives instead."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack
PAGE = Path(__file__).parents[2] / "docs" / "published-bugs.md"
SPANS = {"1m": ("1m", "5h"), "1h": ("10m", "120h")}
"""By the interval of the series: how often rules are evaluated, and until when."""


def entries() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [entry for block in blocks for entry in yaml.safe_load(block)]


def promtool_says(folder: Path, every: str, told: list[dict[str, Any]], binaries: Binaries) -> str:
    """What promtool says of rules and alternatives over all their series; empty when all is as the page says."""
    rules, asked = [], []
    evaluated, end = SPANS[every]
    series = {name: values for entry in told for name, values in entry["series"].items()}
    for entry in told:
        hold = entry.get("instead_for", entry["for"])
        rules.append({"alert": f"published {entry['alert']}", "expr": entry["expr"], "for": entry["for"]})
        rules.append({"alert": f"instead {entry['alert']}", "expr": entry.get("instead", entry["expr"]), "for": hold})
        for name, fires in (("published", 0), ("instead", 1)):
            fired = f'ALERTS{{alertname="{name} {entry["alert"]}",alertstate="firing"}}'
            expr = f"count(count_over_time({fired}[{end}])) >bool 0 or vector(0)"
            asked.append({"expr": expr, "eval_time": end, "exp_samples": [{"labels": "{}", "value": fires}]})
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    rows = [{"series": name, "values": values} for name, values in series.items()]
    group = {"interval": every, "input_series": rows, "promql_expr_test": asked}
    test = {"rule_files": ["rules.yml"], "evaluation_interval": evaluated, "tests": [group]}
    (folder / "all.test.yml").write_text(yaml.safe_dump(test))
    command = [binaries.promtool, "test", "rules", "all.test.yml"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return run.stdout + run.stderr if run.returncode else ""


@pytest.mark.parametrize("every", SPANS)
def test_what_was_published_stays_silent_and_what_the_page_gives_instead_fires(
    tmp_path: Path, binaries: Binaries, every: str
) -> None:
    told = [entry for entry in entries() if entry.get("every", "1m") == every and "told" not in entry]
    assert told
    for entry in told:
        assert all('{job="' in name and 'instance="' in name for name in entry["series"]), entry["alert"]
        assert {"instead", "instead_for"} & entry.keys(), entry["alert"]
    assert not promtool_says(tmp_path, every, told, binaries)


def test_a_text_that_the_page_says_fails_fires_with_an_error_in_its_place(tmp_path: Path, binaries: Binaries) -> None:
    (entry,) = [entry for entry in entries() if "told" in entry]
    rule = {key: entry[key] for key in ("alert", "expr", "for", "annotations")}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    rows = [{"series": name, "values": values} for name, values in entry["series"].items()]
    asked = [{"eval_time": "1h", "alertname": entry["alert"], "exp_alerts": []}]
    group = {"interval": "1m", "input_series": rows, "alert_rule_test": asked}
    (tmp_path / "one.test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [group]}))
    checked = subprocess.run([binaries.promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True)
    assert checked.returncode == 0
    command = [binaries.promtool, "test", "rules", "one.test.yml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert entry["told"] in run.stdout + run.stderr
