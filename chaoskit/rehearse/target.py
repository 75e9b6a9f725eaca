"""The target of a rehearsal: a real Prometheus and Alertmanager, sinks, and a page of scripted series, no application.

start the stack -> for each wave: series at rest, recording rules -> alerts -> its steps -> tail -> stop

A wave with a past begins in another way: its fault's step starts Prometheus anew, with all its rules, on what it
would remember (`chaoskit.rehearse.past`).

Where one of them is true without series, alerts are loaded only once all are at rest and their ranges are filled: it
would fire before, and its group would linger. For the same reason each wave has an Alertmanager without a memory.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import requests
import yaml

from chaoskit.errors import EquipmentError
from chaoskit.events import Interval, LogLine, Notice, Pressure, Scrapes
from chaoskit.faults.base import FaultError, Seen
from chaoskit.faults.series import PAGES, Scripted
from chaoskit.handles.address import Address
from chaoskit.host.ports import LOOPBACK
from chaoskit.host.process import wait_until
from chaoskit.localize.configuration import Localized
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.pressure import Readings
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.rehearse import past
from chaoskit.rehearse.drill import Drill
from chaoskit.rehearse.marker import read as read_mark
from chaoskit.rehearse.page import Page
from chaoskit.rehearse.past import Remembered
from chaoskit.run.target import Live, Say, look_every_s
from chaoskit.run.track import Track
from chaoskit.stack.local import LocalStack

JOB = "chaoskit-series"
ACTIVE = "active"
"""The folder of the rules that Prometheus has at the moment."""

_RELOAD_S = 20.0
_STEP_MS = 50


class RehearsalStack(LocalStack):
    """The stack that a rehearsal starts; `page` serves its series."""

    page: Page
    _past: tuple[Sequence[Remembered], float] | None = None
    metrics_port = None

    @property
    def page_url(self) -> str:
        """The URL of the page with its series, by which faults find them."""
        return f"http://{LOOPBACK}:{self.ports.metrics}"

    def address(self, handle: str) -> Address:
        """The page's address, for every handle."""
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
            # An observer that looks before finds rules that were never evaluated, and calls that no answer.
            self._await_rules({str(file) for file in (self.folder / ACTIVE).iterdir()})

    def remember(self, remembered: Sequence[Remembered], files: Mapping[str, str], interval_s: float) -> Interval:
        """Lets Prometheus restart with this written past and these rules; the instants at which their faults began."""
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
        """The value under `key` in Prometheus's answer; None where it does not answer."""
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
    """The stack's files with one scrape job, the rehearsal's page with its labels as shown, and no rules yet."""
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


_DISCOVERY_S = 40.0
_SEEN_AT_REST = 2
"""Evaluations that show alerts at rest, before their series move."""


@dataclass(frozen=True, slots=True)
class Script:
    """A drill, and the rules that it needs of the stack."""

    drill: Drill
    records: Mapping[str, str]
    """Rule files that are evaluated from the beginning; `rules`, once the series are at rest. They may be equal."""
    rules: Mapping[str, str]


class SeriesTarget(Live):
    """Gives each wave the stack as if it were new; `scripts` are those of the tracks, in order."""

    alone: ClassVar[bool] = True

    def __init__(self, stack: RehearsalStack, interval_s: float) -> None:
        super().__init__(stack)
        self.stack: RehearsalStack = stack
        self.interval_s = interval_s
        self.scripts: dict[Track, Script] = {}
        self._waiting = Readings()
        self._now: Script | None = None
        """That of the wave that plays."""
        self._watch_prometheus: Callable[[], PrometheusObserver]
        self._renew: Callable[[str], None]
        self._say: Say
        self._begun = time.time()

    def start(self, tracks: Sequence[Track], say: Say) -> None:
        """Starts the stack, whose page is then where faults of the kind `series` act."""
        # Notices with what their mark tells of their alerts.
        self.stack.start(lambda event: say(read_mark(event) if isinstance(event, Notice) else event))
        PAGES[self.stack.page_url] = self

    def watch(self, tracks: Sequence[Track], leaders: Callable[[], Mapping[int, str]], say: Say) -> None:
        """Looks twice in the shortest evaluation, and at how long programs wait for a core."""
        plan = tracks[0].plan
        every_s = look_every_s(min(rule.interval_s for rule in plan.config.rules) / plan.time_scale)
        self._watch_prometheus = partial(PrometheusObserver, self.stack.prometheus_url, every_s=every_s, on_event=say)
        self._observers = [
            self._watch_prometheus(),
            AlertmanagerObserver(self.stack.alertmanager_url, every_s=every_s, on_event=say),
        ]
        for observer in self._observers:
            observer.start()
        self._waiting.start()
        self._say = say

    def unwatch(self) -> None:
        """Looks no more, and says which templates failed as the programs' logs tell."""
        for observer in self._observers:
            observer.stop()
        self._waiting.stop()
        for line in failed_lines(self.stack.folder / "logs") if self._observers else ():
            self._say(line)

    def begin(self, wave: Sequence[Track], renew: Callable[[str], None]) -> None:
        """Loads the wave's recording rules and shows its series at rest; nothing is left of the wave before."""
        before, now = self._now, self.scripts[wave[0]]
        for series, _ in before.drill.series if before else ():
            self.stack.page.remove(series)
        self.stack.load_rules(now.records)
        if before is not None:
            renew("alertmanager")
        for series, interval_s in now.drill.series if not now.drill.past else ():
            self.stack.page.rest(series, interval_s)
        if before is None:  # the first scrape waits for the first discovery
            self.stack.await_discovery(_DISCOVERY_S)
        self._now, self._renew = now, renew

    def await_ready(
        self, wave: Sequence[Track], interrupted: threading.Event, hopeless: Callable[[], str]
    ) -> list[str]:
        """Waits until ranges are filled at rest, and the alerts are loaded and seen at rest."""
        plan, script = wave[0].plan, self.scripts[wave[0]]
        interrupted.wait(plan.steady_vs / plan.time_scale)
        if script.rules != script.records and not script.drill.past:
            self.stack.load_rules(script.rules)
            slowest_s = max(rule.interval_s for rule in plan.config.rules)
            interrupted.wait(_SEEN_AT_REST * slowest_s / plan.time_scale)
        # A reload makes Prometheus forget its Alertmanagers until its next discovery; what fires then is lost.
        self.stack.await_discovery(_DISCOVERY_S)
        self._begun = time.time()
        return []

    def over(self, track: Track) -> None:
        """Writes two more grounds of the verdict: scrapes that failed, and how long programs waited for a core."""
        during = (self._begun, time.time())
        track.say(Scrapes(during=during, failed=self.stack.missed_scrapes(during[1] - during[0])))
        track.say(Pressure(readings=self._waiting.readings(*during)))

    # -- what faults of the kind `series` do

    def follow(self, series: Sequence[Scripted], interval_s: float) -> Seen:
        """Shows the script: every scrape gets it from this instant on; that of a past has begun before."""
        if self._now is not None and self._now.drill.past:
            said = f"{len(series)} series have followed the script since before the start"
            return Seen(self._remember(self._now), said)
        at = self.stack.page.start(series, interval_s)
        return Seen((at, max(at, time.time())), f"{len(series)} series follow the script")

    def rest(self, series: Sequence[Scripted]) -> Seen:
        """Shows the series at rest: every scrape gets that from this instant on."""
        stay = self._now.drill.stay if self._now else ()
        at = self.stack.page.stop([one for one in series if one.key not in stay])
        return Seen((at, max(at, time.time())), "the series are at rest")

    def _remember(self, script: Script) -> Interval:
        """Prometheus anew, on the past and with all rules; when its faults began."""
        self._observers[0].stop()
        until = time.time() + past.ahead_s(script.drill.past)
        faults = self.stack.remember(script.drill.past, script.rules, self.interval_s)
        try:
            self._renew("prometheus")
            self._observers[0] = self._watch_prometheus()
            self._observers[0].start()
            self.stack.await_discovery(_DISCOVERY_S)
        except EquipmentError as error:
            raise FaultError(f"Prometheus did not start on its past: {error}") from None
        if (late_s := time.time() - until) > 0:  # no receiver is notified of alerts that fire meanwhile
            raise FaultError(f"Prometheus knew its Alertmanager {late_s:.1f} real s after its past had ended")
        return faults


_TELLING: dict[Literal["prometheus", "alertmanager"], str] = {
    "prometheus": "Expanding alert template failed",
    "alertmanager": "template: ",
}


def failed_lines(logs: Path) -> Iterator[LogLine]:
    """Lines of the programs' logs that tell of a failed template, each once but for when it was written; none without
    logs."""
    for source, having in _TELLING.items():
        log = logs / f"{source}.log"
        with log.open(encoding="utf-8", errors="replace") if log.is_file() else nullcontext(()) as lines:
            said = {line.partition("caller=")[2] or line: line for line in lines if having in line}
        yield from (LogLine(source=source, line=line.rstrip("\n")) for line in said.values())
