"""A stack without an application: Prometheus, Alertmanager, sinks, and the page that shows the scripted series."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
import yaml

from chaoskit.events import Interval
from chaoskit.handles.address import Address
from chaoskit.host.ports import LOOPBACK
from chaoskit.host.process import wait_until
from chaoskit.localize.configuration import Localized
from chaoskit.rehearse import past
from chaoskit.rehearse.page import Page
from chaoskit.rehearse.past import Remembered
from chaoskit.stack.local import LocalStack

JOB = "chaoskit-series"
ACTIVE = "active"
"""The folder of the rules that Prometheus has at the moment."""

_RELOAD_S = 20.0
_STEP_MS = 50


class RehearsalStack(LocalStack):
    """What a rehearsal starts; `page` is where its series are shown."""

    page: Page
    _past: tuple[Sequence[Remembered], float] | None = None
    metrics_port = None

    @property
    def page_url(self) -> str:
        """Where its series are shown: the address by which faults find them."""
        return f"http://{LOOPBACK}:{self.ports.metrics}"

    def address(self, handle: str) -> Address:
        """The page, whatever the handle."""
        return Address(time_scale=self._scale, url=self.page_url)

    def _spawn_target(self) -> None:
        self.page = Page(self.ports.metrics, self._scale)

    def _await_target(self) -> None:
        """The page is there at once."""

    def restart(self, name: str) -> None:
        """Starts equipment again without anything that it remembers; raises EquipmentError."""
        self.children[name].stop()
        shutil.rmtree(self.folder / "data" / name, ignore_errors=True)
        if name == "prometheus" and self._past is not None:
            remembered, now = self._past
            instance, data = f"{LOOPBACK}:{self.ports.metrics}", self.folder / "data" / name
            lines = past.openmetrics(remembered, now, self._scale, self._interval_s, JOB, instance)
            past.write_blocks(self._binaries.promtool, lines, self.folder / "past.txt", data)
        self._start_server(name)
        if name == "prometheus" and self._past is not None:
            # Whoever looks before finds rules that were never evaluated, and calls that no answer.
            self._await_rules({str(file) for file in (self.folder / ACTIVE).iterdir()})

    def remember(self, remembered: Sequence[Remembered], files: Mapping[str, str], interval_s: float) -> Interval:
        """Prometheus starts anew at its next `restart`, with this past and these rules; when their faults began."""
        now = time.time()
        self._past, self._interval_s = (remembered, now), interval_s
        self._write_rules(files)
        config = self.folder / "prometheus.yml"
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
        document["storage"] = {"tsdb": {"out_of_order_time_window": past.OUT_OF_ORDER}}
        config.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
        self._flags = [flag for flag in self._flags if flag[2:].partition("=")[0] not in past.FLAGS]
        self._flags += [f"--{name}={value}" for name, value in past.FLAGS.items()]
        lead_s = past.ahead_s(remembered)
        for one in remembered:
            when = past.begun(one, now, lead_s, self._scale, interval_s)
            self.page.resume(one.series, one.every_s, when.rest, when.fault)
        return past.span(remembered, now, self._scale, interval_s)

    def load_rules(self, files: Mapping[str, str]) -> None:
        """Gives Prometheus these rule files instead of those it has, and waits until it evaluates them. Raises
        EquipmentError. A restart would take 5 s for discovery; a reload takes about one."""
        wanted = self._write_rules(files)
        os.kill(self.children["prometheus"].pid, signal.SIGHUP)
        self._await_rules(wanted)

    def _await_rules(self, wanted: set[str]) -> None:
        said, child = "Prometheus evaluates its rules", self.children["prometheus"]
        wait_until(lambda: self._loaded() == wanted, timeout_s=_RELOAD_S, what=said, child=child)

    def _write_rules(self, files: Mapping[str, str]) -> set[str]:
        folder = self.folder / ACTIVE
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return {str(folder / name) for name in files}

    def missed_scrapes(self, real_s: float) -> bool | None:
        """Whether a scrape of the page failed in the last so many seconds; None where Prometheus does not tell."""
        query = f'count_over_time((up{{job="{JOB}"}} == 0)[{int(real_s * 1000) + 1}ms:{_STEP_MS}ms])'
        result = self._told_of("query", "result", query=query)
        return None if result is None else bool(result)

    def _loaded(self) -> set[str]:
        groups = self._told_of("rules", "groups") or []
        late = any(str(group.get("lastEvaluation", "0001")).startswith("0001") for group in groups)
        return set() if late else {group["file"] for group in groups}

    def _told_of(self, what: str, key: str, **params: str) -> Any:
        """What Prometheus answers; None where it does not."""
        try:
            answer = requests.get(f"{self.prometheus_url}/api/v1/{what}", params=params, timeout=10).json()
            return answer["data"][key]
        except (requests.RequestException, ValueError, KeyError):
            return None

    def stop(self) -> list[str]:
        """Stops everything, the page last; what did not stop is named."""
        left = super().stop()
        page: Page | None = getattr(self, "page", None)
        if page is not None:
            page.close()
        return left


def scrape_series_only(localized: Localized, metrics_port: int, folder: Path) -> Localized:
    """The same files with one scrape job, the page, whose labels stay as they are shown, and no rules for now."""
    document: dict[str, Any] = yaml.safe_load(localized.files["prometheus.yml"])
    document["scrape_configs"] = [
        {
            "job_name": JOB,
            "honor_labels": True,
            # The page is ours: that it answers late on a busy machine says nothing of anybody's rules.
            "scrape_timeout": document["global"]["scrape_interval"],
            "static_configs": [{"targets": [f"{LOOPBACK}:{metrics_port}"]}],
        }
    ]
    document["rule_files"] = [str(folder / ACTIVE / "*.yml")]
    files: Mapping[str, str] = {
        **{name: text for name, text in localized.files.items() if not name.startswith("rules/")},
        "prometheus.yml": yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120),
    }
    notes = tuple(note for note in localized.notes if not note.startswith("scrape job "))
    return replace(localized, files=files, notes=notes)
