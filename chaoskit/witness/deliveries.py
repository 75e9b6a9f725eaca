"""The deliveries of a running Alertmanager by its own account: its recorder's events, and its counters of failures.

api/v2/status   event_recorder: {file_outputs: [...]}        is it on? was the configuration loaded anew?
metrics         ..._event_recorder_queue_length 0            is what was delivered until now written?
                ..._events_dropped_total, result="error"     was any event lost? then nothing is known of that time
                ..._notifications_failed_total               given up: the receiver was not told
the file, or the witness as its output                       the deliveries
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from chaoskit import json_text
from chaoskit.access import file_of
from chaoskit.events import Deliveries, Event, Interval
from chaoskit.host.ports import LOOPBACKS
from chaoskit.observe.poller import Looking
from chaoskit.plan.witnesses import RECORDER, WITNESS
from chaoskit.scenario.model import Attached
from chaoskit.witness.asking import Server
from chaoskit.witness.config import recorder_outputs
from chaoskit.witness.follower import Follower, Unseen
from chaoskit.witness.recorder import SAME, Tail, read_event

HINT = "start Alertmanager 0.33 or later with --enable-feature=event-recorder, and see `chaoskit witness config`"
_RECORDER_S = 0.5
_FAILURES_S = 2.0
_READ = re.compile(
    r"alertmanager_(notifications_failed|events?_|config_last_reload_success_timestamp|event_recorder)"
    r"|process_start_time_seconds"
)
_QUEUE = "alertmanager_event_recorder_queue_length"
_LOST = re.compile(r"alertmanager_events?_(?:.*_)?(?:drop|error|dropped|drops|errors)(?:s|ped)?(?:_total)?")


class _Config(msgspec.Struct, frozen=True):
    original: str = ""


class _Status(msgspec.Struct):
    config: _Config = _Config()


@dataclass(frozen=True, slots=True)
class Counters:
    """Alertmanager's counters of failed notifications, by one look at its metrics page."""

    seen: Interval
    failed: dict[str, float]
    """Notifications given up, by integration, with `/RECEIVER` where the counter tells it."""
    queue: float | None
    """Events that wait to be written; None where there is no recorder."""
    lost: float
    """Events that were dropped or could not be written."""
    life: tuple[float, float]
    """When Alertmanager was started, and when its configuration was loaded."""


@dataclass(slots=True)
class Alertmanager(Server):
    """An Alertmanager, asked for its counters and its configuration."""

    within_s: float = 5.0

    @property
    def skew(self) -> Interval:
        """Alertmanager's clock minus ours; the same clock on this machine."""
        return SAME if urlsplit(self.url).hostname in LOOPBACKS else self.clock.skew

    def counters(self) -> Counters:
        """Alertmanager's counters of failed notifications; raises Unseen where it does not tell them."""
        asked = time.time()
        lines = [line for line in self.ask("/metrics").text.splitlines() if _READ.match(line)]
        try:
            families = text_string_to_metric_families("\n".join(lines) + "\n")
            samples = [one for family in families for one in family.samples]
        except (ValueError, KeyError, IndexError):
            raise Unseen(f"{self.url}/metrics is no page of metrics: is this URL Alertmanager's?") from None
        if not samples:
            raise Unseen(f"{self.url}/metrics shows none of Alertmanager's counters: is this URL Alertmanager's?")
        failed, queue, lost = dict[str, float](), None, 0.0
        begun = {"process_start_time_seconds": 0.0, "alertmanager_config_last_reload_success_timestamp_seconds": 0.0}
        for one in samples:
            if one.name == "alertmanager_notifications_failed_total":
                name = one.labels.get("integration", "?")
                receiver = one.labels.get("receiver_name") or one.labels.get("receiver", "")
                key = f"{name}/{receiver}" if receiver else name
                failed[key] = failed.get(key, 0.0) + one.value
            elif one.name == _QUEUE:
                queue = one.value
            elif one.name in begun:
                begun[one.name] = one.value
            elif _LOST.fullmatch(one.name) or one.labels.get("result") == "error":
                lost += one.value
        first, second = begun.values()
        return Counters((asked, time.time()), failed, queue, lost, (first, second))

    def configuration(self) -> str:
        """The configuration that Alertmanager has loaded, as text; raises Unseen."""
        response = self.ask("/api/v2/status")
        try:
            return json_text.decode(response.content, type=_Status).config.original
        except msgspec.DecodeError:
            raise Unseen(f"{self.url} answers, but not as Alertmanager does: is another program there?") from None


class RecorderFollower(Follower):
    """Tells what an event recorder says was delivered, and up to when it can have missed nothing.

    `file` is where it writes on this machine; without one the witness is its output, and tells the deliveries.
    """

    def __init__(self, alertmanager: Alertmanager, file: Path | None, on_event: Callable[[Event], None]) -> None:
        super().__init__(RECORDER, _RECORDER_S, on_event)
        self._alertmanager = alertmanager
        self._file = file
        self._tail: Tail | None = None
        self._before: Counters | None = None
        self._checked: tuple[float, float] | None = None

    def look(self, asked: float) -> Iterator[Event]:
        """The deliveries until now; raises Unseen where any may be missing."""
        yield from self._deliveries()
        counters, before = self._alertmanager.counters(), self._before
        self._before = counters
        if counters.queue is None:
            raise Unseen("this Alertmanager has no event recorder: see `chaoskit witness config`", lost=True)
        if self._checked != counters.life:
            self._check()
            self._checked = counters.life
        if before is not None and counters.lost > before.lost:
            raise Unseen(f"Alertmanager lost {counters.lost - before.lost:.0f} of its events", lost=True)
        if before is not None and counters.life != before.life:
            raise Unseen("Alertmanager was started, or loaded its configuration, anew meanwhile", lost=True)
        if counters.queue:
            raise Unseen(f"{counters.queue:.0f} events wait to be written", soon=True)
        yield from self._deliveries()

    def close(self) -> None:
        """Lets go of the file; idempotent."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _check(self) -> None:
        try:
            outputs = recorder_outputs(self._alertmanager.configuration())
        except ValueError as error:
            raise Unseen(str(error), lost=True) from None
        wanted = "file" if self._file else "webhook"
        if wanted not in outputs:
            self._checked = None
            raise Unseen(f"it is off: the loaded configuration gives its events to no {wanted}", lost=True)

    def _deliveries(self) -> Iterator[Event]:
        if self._file is None:
            return
        try:
            self._tail = self._tail or Tail(self._file)
            for line in self._tail.lines():
                notice = read_event(line, self._alertmanager.skew)
                if notice is not None:
                    yield notice
        except OSError as error:
            raise Unseen(f"{self._file}: {error.strerror}", lost=True) from None
        except ValueError as error:
            raise Unseen(f"{self._file} has a line that cannot be read: {error}", lost=True) from None


class FailureCounts(Looking):
    """Tells how many notifications Alertmanager gave up: at the beginning, where it changes, and at the end."""

    def __init__(self, alertmanager: Alertmanager, on_event: Callable[[Event], None]) -> None:
        super().__init__("failure-counts", _FAILURES_S)
        self._alertmanager = alertmanager
        self._on_event = on_event
        self._said: Deliveries | None = None

    def look_once(self) -> None:
        """Asks for the counters once; emits them where they have changed."""
        asked, said = time.time(), self._said
        try:
            counters = self._alertmanager.counters()
            found = Deliveries(seen=counters.seen, failed=counters.failed)
        except Unseen as error:
            found = Deliveries(seen=(asked, time.time()), failed=None, detail=str(error))
        if said is None or (found.failed, found.detail) != (said.failed, said.detail):
            self._said = found
            self._on_event(found)

    def end(self) -> None:
        """Looks a last time, and says what it found; idempotent."""
        if not self._over.is_set():
            self.stop()
            self._said = None
            self.look_once()


def recorder_file(target: Attached) -> Path | None:
    """The file that a profile's `recorder:` names, a relative one beside the profile; None where the witness is its
    output."""
    return None if target.recorder == WITNESS else file_of(target.recorder, target.place)
