"""The shipped dashboards, and what they ask of Prometheus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chaoskit.bundle import folder

FILES = sorted((folder() / "dashboards").glob("*.json"))
LEVELS = folder() / "dashboards" / "chaoskit-service-levels.json"
"""The one that is fed by recorded evidence, not by the service."""
Dashboard = dict[str, Any]


def read(file: Path) -> Dashboard:
    found: Dashboard = json.loads(file.read_text(encoding="utf-8"))
    return found


def queries(dashboard: Dashboard) -> list[tuple[str, str]]:
    """Every query with the place that it is for."""
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [(a["name"], a["expr"]) for a in dashboard["annotations"]["list"] if "expr" in a]


def filled_in(expr: str, window: str = "5m") -> str:
    """The query as Grafana sends it, all environments chosen."""
    return expr.replace("$window", window).replace("$environment", ".*")
