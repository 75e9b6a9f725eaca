"""Locust's own web UI over a run's history: all of its pages, none of its powers.

An Environment without users is fed from `events.jsonl`, so charts, tables, failures, exceptions, downloads and the
report are Locust's own and show the load of the drill, of all its processes together. The load is a child of
the run and knows nothing of this. START and STOP never come here: the console takes them for itself. RESET empties
the tables of this page, and of nothing else.

    python -m chaoskit.console.mirror FOLDER      listens on FOLDER/locust.sock until its standard input ends
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import locust.log
from flask import Response, jsonify, make_response
from gevent import pywsgi
from locust import LoadTestShape, events, stats
from locust.env import Environment
from locust.runners import LocalRunner
from locust.util.date import format_utc_timestamp
from locust.web import WebUI

from chaoskit import niceness
from chaoskit.console.pages import chaos_rows
from chaoskit.console.proxy import FOLLOWED, SOCKET
from chaoskit.console.stream import Watched
from chaoskit.events import AnyEvent, LoadNames, LoadWindow, NameCounts
from chaoskit.histogram import value_ms
from chaoskit.printable import clean
from chaoskit.report.live import PlainLines

LOOK_S = 0.5
CONTROLS = ("locust.swarm", "locust.stop", "locust.update_user")
"""Views of Locust that would begin or change a load here; they are taken away."""
STATISTICS = "locust.request_stats"
COLUMNS = (("name", "What"), ("kind", "Kind"), ("state", "State"), ("next", "Next"))
_MOST_POINTS = 2000


class Entry(stats.StatsEntry):
    """A row of Locust's table of requests; what goes on just now is what the last whole second, or slice, said."""

    now_rps = 0.0
    now_failed = 0.0
    now_ms: Mapping[float, int] = {}

    @property
    def current_rps(self) -> float:
        """The requests a second of this name in the last window."""
        return self.now_rps

    @property
    def current_fail_per_sec(self) -> float:
        """The failures a second of this name in the last window."""
        return self.now_failed

    def get_current_response_time_percentile(self, percent: float) -> int | None:
        """The percentile of the last second, in real milliseconds."""
        return self.now_ms.get(percent)

    def take(self, counts: NameCounts, end: float, lasted_s: float) -> None:
        """Adds what became of some requests that ended by then."""
        self.num_requests += counts.finished
        self.num_failures += counts.failed
        self.last_request_timestamp = end
        self.num_reqs_per_sec[int(end)] += counts.finished
        self.num_fail_per_sec[int(end)] += counts.failed
        self.now_rps, self.now_failed = counts.finished / lasted_s, counts.failed / lasted_s
        self.latencies(counts)

    def latencies(self, counts: NameCounts) -> None:
        """Adds how long these took, and nothing else."""
        for index, count in counts.latency:
            took = round(value_ms(index))
            self.response_times[stats.bucket_response_time(value_ms(index))] += count
            self.total_response_time += took * count
            self.min_response_time = min(took, self.min_response_time or took)
            self.max_response_time = max(took, self.max_response_time)


class Shown(LocalRunner):
    """A runner that runs nothing and only says how many users the load has."""

    users = 0

    @property
    def user_count(self) -> int:
        """The number of users in the load's last second."""
        return self.users


class Shape(LoadTestShape):
    """Says that users and ramp-up are not for the page to choose: a drill's load comes from its profile."""

    def tick(self) -> None:
        """None, which starts no users: the mirror makes no load."""


class Account:
    """A run's load in Locust's books."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.runner: Any = environment.runner
        self.begin()

    def begin(self) -> None:
        """Empties the account for the next drill."""
        found = self.runner.stats
        found.clear_all()
        found.total = Entry(found, "Aggregated", "")
        found.history = []
        self.runner.exceptions = {}
        self.runner.users = 0
        self._second: list[LoadWindow] = []

    def take(self, event: AnyEvent) -> None:
        """Takes the next event of the history."""
        if isinstance(event, LoadWindow):
            self._window(event)
        elif isinstance(event, LoadNames):
            self._names(event)

    def _window(self, window: LoadWindow) -> None:
        """A second may be told in several windows, where a process of the load came late: they are one point."""
        if self._second and int(window.second[1]) != int(self._second[-1].second[1]):
            self._second = []
        elif self._second and self.runner.stats.history:
            self.runner.stats.history.pop()
        self._second.append(window)
        found, total, at = self.runner.stats, self.runner.stats.total, window.second[1]
        if not total.start_time or not total.num_requests:
            total.start_time = window.second[0]
        lasted_s = max(sum(one.second[1] - one.second[0] for one in self._second), 0.1)
        total.take(NameCounts(window.finished, window.failed), at, max(window.second[1] - window.second[0], 0.1))
        total.now_rps = sum(one.finished for one in self._second) / lasted_s
        total.now_failed = sum(one.failed for one in self._second) / lasted_s
        total.now_ms = {0.5: round(window.p50_ms or 0), 0.95: round(window.p95_ms or 0)}
        self.runner.users = window.users
        for place, count in window.raised.items():
            row = self.runner.exceptions.setdefault(
                place, {"count": 0, "msg": clean(place), "traceback": "", "nodes": {"load"}}
            )
            row["count"] += count
        stamp = format_utc_timestamp(at)  # type: ignore[no-untyped-call]
        stats.update_stats_history(self.runner, stamp)
        if len(found.history) > _MOST_POINTS:
            del found.history[1:-1:2]

    def _names(self, event: LoadNames) -> None:
        found, (begin, end) = self.runner.stats, event.span
        for label, counts in event.names.items():
            kind, blank, own = label.partition(" ")
            key = (clean(own if blank else label), clean(kind if blank else ""))
            if key not in found.entries:
                found.entries[key] = Entry(found, *key)
                found.entries[key].start_time = begin
            found.entries[key].take(counts, end, max(end - begin, 0.1))
            found.total.latencies(counts)
            for text, count in counts.failures.items():
                error = found.errors.setdefault(f"{label} {text}", stats.StatsError(key[1], key[0], clean(text)))
                error.occurrences += count
                error.first_seen, error.last_seen = error.first_seen or end, end


class Followed:
    """The run that the console wants shown, read from the file in which the console names it."""

    def __init__(self, folder: Path, account: Account) -> None:
        self._file = folder / FOLLOWED
        self._account = account
        self._told: Mapping[str, Any] = {"folder": "", "alive": False, "starting": False, "scenarios": []}
        self.watched: Watched | None = None
        self._lines: PlainLines | None = None

    @property
    def scenarios(self) -> list[str]:
        """The scenarios that the form offers."""
        return list(self._told["scenarios"]) or ["none"]

    def look(self) -> None:
        """Reads the run's new events; another run begins with empty books."""
        before = self._told["folder"]
        self._told = {**self._told, **json.loads(self._file.read_bytes())}
        folder = self._told["folder"]
        if folder != before:
            if self.watched is not None:
                self.watched.close()
            self._account.begin()
            self.watched, self._lines = Watched(Path(folder), heed=self._heed) if folder else None, None
        if self.watched is not None:
            self.watched.catch_up()
        runner = self._account.runner
        runner.state = self.state
        live = self.watched.live if self.watched else None
        name = live.plan.scenario.name if live else ""
        self._account.environment.host = self._account.environment.locustfile = clean(name)

    @property
    def state(self) -> str:
        """The drill's state in Locust's words.

        A page that hears `stopping` asks no more, so a drill runs until it is healed.
        """
        if self.watched is None:
            return "spawning" if self._told["starting"] else "ready"
        return "running" if self._told["alive"] else "stopped"

    def _heed(self, event: AnyEvent) -> None:
        self._account.take(event)
        if self._lines is None and self.watched is not None and self.watched.live is not None:
            live = self.watched.live
            self._lines = PlainLines(live.plan, logging.getLogger("chaoskit").info, live.header.t)
        if self._lines is not None:
            self._lines.feed(event)

    def rows(self) -> list[dict[str, str]]:
        """The rows of the Chaos tab."""
        live = self.watched.live if self.watched else None
        until = live.progress.fold.phases.get("stopping", time.time()) if live else 0.0
        return chaos_rows(live, until)


def fields(followed: Followed, parser: Any) -> None:
    """Adds the settings of a drill to Locust's form."""
    names = followed.scenarios
    parser.add_argument("--scenario", choices=names, default=names[0], include_in_web_ui=True, help="The fault to play")
    parser.add_argument("--rate", default="", include_in_web_ui=True, help="Requests a second, such as 25/s")
    parser.add_argument("--scale", default="", include_in_web_ui=True, help="Virtual seconds in a real one")


def web_ui(folder: Path) -> tuple[Any, Followed]:
    """Locust's web UI, not started yet, and what feeds it."""
    environment = Environment(user_classes=[], events=events, shape_class=Shape())  # type: ignore[no-untyped-call]
    environment.runner = Shown(environment)
    followed = Followed(folder, Account(environment))
    events.init_command_line_parser.add_listener(partial(fields, followed))  # type: ignore[no-untyped-call]
    environment.parsed_options = locust.argument_parser.get_parser(default_config_files=[]).parse_args([])
    ui: Any = WebUI(environment, "", 0, web_base_path="/locust", delayed_start=True)
    views = ui.app.view_functions
    for name in CONTROLS:
        assert name in views, name
        views[name] = lambda: make_response("the console does this\n", 409)
    asked = views[STATISTICS]

    def statistics() -> Response:
        # What Locust keeps for two seconds is left as it is.
        told = asked().get_json()
        return jsonify({**told, "state": followed.state, "extended_stats": [{"key": "chaos", "data": followed.rows()}]})

    views[STATISTICS] = statistics

    @ui.app.route("/locust/chaos/csv")  # type: ignore[untyped-decorator]
    def chaos_csv() -> Response:
        text = io.StringIO()
        writer = csv.DictWriter(text, [key for key, _ in COLUMNS])
        writer.writeheader()
        writer.writerows(followed.rows())
        kinds = {"Content-Type": "text/csv", "Content-Disposition": "attachment;filename=chaos.csv"}
        return make_response(text.getvalue(), kinds)

    ui.template_args.update(
        extended_tabs=[{"title": "Chaos", "key": "chaos"}],
        extended_tables=[{"key": "chaos", "structure": [{"key": key, "title": title} for key, title in COLUMNS]}],
        extended_csv_files=[{"href": "./chaos/csv", "title": "Download chaos CSV"}],
    )
    return ui, followed


def main(folder: Path) -> None:
    """Serves until standard input ends; says a line when it listens, and nothing else there."""
    niceness.give_way()
    os.chdir(folder)  # no locust.conf of anybody's is read
    sys.argv = ["locust"]
    for name in [name for name in os.environ if name.startswith("LOCUST_")]:
        del os.environ[name]
    locust.log.setup_logging("INFO")  # type: ignore[no-untyped-call]
    ui, followed = web_ui(folder)
    followed.look()
    listener = gevent.socket.socket(gevent.socket.AF_UNIX, gevent.socket.SOCK_STREAM)
    before = os.umask(0o177)
    listener.bind(str(folder / SOCKET))
    os.umask(before)
    listener.listen(64)
    os.write(1, b"listens\n")
    os.dup2(2, 1)

    def follow() -> None:
        while True:
            gevent.sleep(LOOK_S)  # files that grow announce nothing
            followed.look()

    def await_end() -> None:
        while True:
            gevent.socket.wait_read(0)
            if not os.read(0, 1):
                os._exit(0)

    for loop in (follow, await_end):
        gevent.spawn(loop).link_exception(lambda _: os._exit(1))
    pywsgi.WSGIServer(listener, ui.app, log=None, error_log=None).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
