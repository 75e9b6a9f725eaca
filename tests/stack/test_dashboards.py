"""Dashboards are well-formed for Grafana: unique names, sound queries, panels side by side, one datasource variable."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import promql_parser as promql
import pytest

from chaoskit.alerting.config import load_config
from chaoskit.bundle import folder
from tests.dashboard_queries import FILES, LEVELS, filled_in, queries, read

TITLES = [
    "Agent Performance Overview",
    "Cache & Database",
    "Error Handling & Resilience",
    "Game Day",
    "Service Levels",
    "System Resources",
    "Worker Health & Queue Metrics",
]
KINDS = {"timeseries", "stat", "state-timeline", "heatmap", "bargauge"}
UNITS = {"short", "s", "percentunit", "reqps", "ops", "mps", "cps"}
COLUMNS = 24


def test_the_dashboards_are_the_documented_ones() -> None:
    assert sorted(read(file)["title"] for file in FILES) == TITLES


def test_a_dashboard_is_found_by_its_file_name() -> None:
    assert [read(file)["uid"] for file in FILES] == [file.stem for file in FILES]
    assert all(re.fullmatch(r"[a-z-]{1,40}", file.stem) for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_chooses_its_datasource_and_uses_no_other(file: Path) -> None:
    dashboard = read(file)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert set(variables) == {"datasource", "environment", "window"} - ({"window"} if file == LEVELS else set())
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    used = [panel["datasource"] for panel in dashboard["panels"]]
    used += [target["datasource"] for panel in dashboard["panels"] for target in panel["targets"]]
    used += [variables["environment"]["datasource"]]
    used += [a["datasource"] for a in dashboard["annotations"]["list"] if "builtIn" not in a]
    assert {json.dumps(one, sort_keys=True) for one in used} == {'{"type": "prometheus", "uid": "${datasource}"}'}
    if file == LEVELS:  # it draws no rates
        return
    (chosen,) = [option["value"] for option in variables["window"]["options"] if option["selected"]]
    assert variables["window"]["current"]["value"] == chosen == "5m"
    assert [option["value"] for option in variables["window"]["options"]] == variables["window"]["query"].split(",")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_has_what_grafana_needs_of_each_panel(file: Path) -> None:
    dashboard = read(file)
    panels = dashboard["panels"]
    assert dashboard["schemaVersion"] >= 36
    assert "id" not in dashboard, "Grafana gives it, and would overwrite another dashboard"
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert [title for title, count in Counter((p["type"], p["title"]) for p in panels).items() if count > 1] == []
    for panel in panels:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["type"] in KINDS
        assert defaults["unit"] in UNITS
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        limits = [step["value"] for step in defaults.get("thresholds", {"steps": []})["steps"]]
        assert limits[:1] in ([], [None])
        assert limits[1:] == sorted(limits[1:])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_alert_that_a_panel_speaks_of_exists(file: Path) -> None:
    said = " ".join(panel.get("description", "") for panel in read(file)["panels"])
    named = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", said))
    assert named <= {rule.alert for rule in load_config(folder(), complete=True).rules}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_stand_side_by_side(file: Path) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in read(file)["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= COLUMNS
        taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
    assert set(taken.values()) == {1}
    bottom = max(y for _, y in taken)
    assert {y for _, y in taken} == set(range(bottom + 1)), "there is an empty row"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_queries_are_promql_and_use_no_undefined_variable(file: Path) -> None:
    found = queries(read(file))
    assert len(found) > 8
    for place, expr in found:
        filled = filled_in(expr)
        assert "$" not in filled, place
        promql.parse(filled)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_ratio_is_not_drawn_where_there_is_nothing_to_divide_by(file: Path) -> None:
    """0/0 would be drawn as nothing and read as well; a division is guarded by `> 0`."""
    for place, expr in queries(read(file)):
        for divisor in re.findall(r"/ *(.*)", expr):
            assert divisor.endswith(" > 0)"), place
