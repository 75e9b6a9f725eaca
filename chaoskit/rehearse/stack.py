"""A stack without an application: Prometheus, Alertmanager, sinks, and the page that shows the scripted series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from chaoskit.events import Event
from chaoskit.rehearse.page import Page
from chaoskit.stack.local import LocalStack
from chaoskit.stack.localize import Localized
from chaoskit.stack.ports import LOOPBACK

JOB = "chaoskit-series"


class RehearsalStack(LocalStack):
    """What a rehearsal starts; `page` is where its series are shown."""

    page: Page

    def start(self, on_event: Callable[[Event], None]) -> None:
        """Writes the files and starts everything; raises BadInput or EquipmentError, with nothing left running."""
        try:
            self._on_event = on_event
            self._write_files()
            self._control.mkdir(parents=True)
            self.page = Page(self.ports.metrics, self._scale)
            self._start_prometheus()
            self._start_alertmanager()
            for name in ("mail-sink", "webhook-sink"):
                self._start_sink(name)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> list[str]:
        """Stops everything, the page last; what did not stop is named."""
        left = super().stop()
        page: Page | None = getattr(self, "page", None)
        if page is not None:
            page.close()
        return left


def scrape_series_only(localized: Localized, metrics_port: int) -> Localized:
    """The same files with one scrape job: the page, whose labels stay as they are shown."""
    document: dict[str, Any] = yaml.safe_load(localized.files["prometheus.yml"])
    document["scrape_configs"] = [
        {
            "job_name": JOB,
            "honor_labels": True,
            "static_configs": [{"targets": [f"{LOOPBACK}:{metrics_port}"]}],
        }
    ]
    files: Mapping[str, str] = {
        **localized.files,
        "prometheus.yml": yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120),
    }
    notes = tuple(note for note in localized.notes if not note.startswith("scrape job "))
    return replace(localized, files=files, notes=notes)
