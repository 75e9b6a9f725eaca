"""The alert configuration of INSA CRM as it is shipped: data files, and where to find them.

A run reads the folder as it would read any other team's: `prometheus_alerts.yml`, `alertmanager.yml`,
`prometheus_config.yml`, `templates/`, and the promise, `notification_windows.yml`. `runbooks/` holds what a person
on call opens from a mail, `dashboards/` what Grafana shows. `monitoring_alerts.yml` and `sla_alerts.yml` are off
unless `render`, the only code here, turns them on in a copy to deploy.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from chaoskit.errors import EquipmentError

__all__ = ["folder"]


def folder() -> Path:
    """The folder that holds the shipped configuration, as a real directory on disk.

    Raises EquipmentError where chaoskit was imported from an archive: Prometheus and Alertmanager are
    given paths, and cannot look into one.
    """
    found = files(__name__)
    if not isinstance(found, Path):
        raise EquipmentError(
            "bundle", f"{found} is not a directory on disk", "install chaoskit unpacked, with pip or uv"
        )
    return found
