"""The scrape endpoint of a rehearsal: shows every scripted series as it stands at the instant it is asked.

Virtual seconds are real ones times the scale, counted from the page's opening, so a slope is as steep for Prometheus
as the script says it is for the rules.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chaoskit.faults.series import Course, Scripted, value_at
from chaoskit.host.ports import LOOPBACK
from chaoskit.rehearse.past import sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class _Shown:
    series: Scripted
    course: Course
    interval_s: float
    scraped: int = 0
    """How often it was shown while its values repeat: what alternates must do so from one scrape to the next."""


class Page:
    """Series by name and labels, served on a loopback port until `close`; safe to change from any thread."""

    def __init__(self, port: int, scale: float, clock: Callable[[], float] = time.time) -> None:
        self._scale = scale
        self._clock = clock
        self._opened = clock()
        self._lock = threading.Lock()
        self._shown: dict[str, _Shown] = {}
        page = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = page.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = _Server((LOOPBACK, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="series", daemon=True)
        self._thread.start()

    def _now(self) -> tuple[float, float]:
        """Seconds since the epoch, and virtual ones since the page was opened."""
        at = self._clock()
        return at, (at - self._opened) * self._scale

    def rest(self, series: Iterable[Scripted], interval_s: float) -> None:
        """Shows series at rest from now on; those that are shown already stay as they are."""
        with self._lock:
            _, now = self._now()
            for one in series:
                self._shown.setdefault(one.key, _Shown(one, Course(now), interval_s))

    def start(self, series: Iterable[Scripted], interval_s: float) -> float:
        """Begins the fault's values of these series; the instant, in seconds since the epoch."""
        with self._lock:
            at, now = self._now()
            for one in series:
                there = self._shown.get(one.key)
                begun = there.course.rest_vs if there else now
                self._shown[one.key] = _Shown(one, Course(begun, now), interval_s)
        return at

    def resume(self, series: Iterable[Scripted], interval_s: float, rest: float, fault: float) -> None:
        """Shows series whose rest and fault began at these instants, in seconds since the epoch."""
        course = Course((rest - self._opened) * self._scale, (fault - self._opened) * self._scale)
        with self._lock:
            self._shown |= {one.key: _Shown(one, course, interval_s) for one in series}

    def stop(self, series: Iterable[Scripted]) -> float:
        """Ends the fault's values of these series; the instant, in seconds since the epoch."""
        with self._lock:
            at, now = self._now()
            for one in series:
                there = self._shown.get(one.key)
                if there is not None and there.course.during_vs < there.course.after_vs == math.inf:
                    there.course = replace(there.course, after_vs=now)
        return at

    def remove(self, series: Iterable[Scripted]) -> None:
        """Takes these series off the page."""
        with self._lock:
            for one in series:
                self._shown.pop(one.key, None)

    def text(self) -> str:
        """The page as Prometheus reads it."""
        with self._lock:
            at, now = self._now()
            lines = []
            for key, shown in self._shown.items():
                value = self._value(shown, now)
                if value is None:
                    continue
                if shown.series.clock:
                    value = at + value / self._scale
                lines.append(f"{key} {sample(value)}\n")
        return "".join(lines)

    def _value(self, shown: _Shown, now_vs: float) -> float | None:
        course = shown.course
        at_rest = not course.during_vs < course.after_vs == math.inf
        phase = shown.series.rest if at_rest else shown.series.values
        if phase.repeat:
            shown.scraped += 1
            return phase.at(float(shown.scraped))
        return value_at(shown.series, course, now_vs, shown.interval_s)

    def close(self) -> None:
        """Ends the metrics page of a rehearsal, and its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that hangs up, as one that is being stopped does, is no trouble of the page's."""
