"""Time intervals of routes, played inside and outside on a real Alertmanager, each beside a twin route without it.

    interval nights, 22:00 to 06:00        moved so that 02:00 is now: inside
                                           moved so that 14:00 is now: outside
    route with it   ---------------------> told, or not
    twin without it ---------------------> told: Alertmanager has the alert, and its ticks come

Neither API shows a time mute, so the sink has the word: a route is mute where its twin was told and then twice more, at
ticks of its group, and it was not told. Group waits and intervals are short here; those of the configuration are
rehearsed with the rules. An interval is played alone, also where a route names several.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from chaoskit.access import plain_session
from chaoskit.alerting.model import AlertConfig, Route, TimeInterval
from chaoskit.alerting.time_shift import CannotShift, Shifted, as_written, shifted
from chaoskit.check.lints.routes import called
from chaoskit.check.reach import Tree
from chaoskit.errors import EquipmentError
from chaoskit.events import Event, Notice
from chaoskit.hop import Hop
from chaoskit.host.ports import reserve
from chaoskit.localize.sink_addresses import SinkAddress
from chaoskit.observe.sinks import SinkChild
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import start_alertmanager
from chaoskit.verify.verdict import Result, Row

_MARGIN = timedelta(minutes=3)
"""As long as the play may take, and a minute for the clock's own seconds, from both edges of an interval."""
_TIMES = 3
"""So often a twin is told until a route that was not told is taken to be mute: at two ticks after its first notice."""
_LONGEST_S = 20.0


@dataclass(frozen=True, slots=True)
class Play:
    """One interval of one route, to be played inside or outside."""

    route: Route
    interval: TimeInterval
    mutes: bool
    """Whether the route is mute in the interval; else it is active in it alone."""
    inside: bool

    @property
    def tells(self) -> bool:
        """Whether the route notifies while the interval is played so."""
        return self.inside is not self.mutes

    @property
    def key(self) -> str:
        """The route's key that names the interval."""
        return "mute_time_intervals" if self.mutes else "active_time_intervals"

    @property
    def about(self) -> str:
        where = "inside" if self.inside else "outside"
        return f"{self.key} {self.interval.name}, {where}: {called(self.route)} at {self.route.place}"


def plays(config: AlertConfig) -> list[Play]:
    """Each interval that a route names, inside and outside, in the order of the routes."""
    return [
        Play(route, config.intervals[name], mutes, inside)
        for route in Tree(config.route).routes
        for names, mutes in ((route.muted_in, True), (route.active_in, False))
        for name in dict.fromkeys(names)
        if name in config.intervals
        for inside in (True, False)
    ]


def play_hours(config: AlertConfig, binaries: Binaries, folder: Path) -> list[Row]:
    """A row for each play: PASS or FAIL, or UNKNOWN where it could not be played; none without time intervals."""
    found: dict[Play, Row] = {}
    moved: dict[Play, Shifted] = {}
    now = datetime.now(UTC)
    for play in plays(config):
        try:
            moved[play] = shifted(play.interval, play.inside, now, _MARGIN)
        except CannotShift as why:
            found[play] = _row(play, Result.UNKNOWN, f"not played: {why}")
    if moved:
        try:
            counts = _told(moved, binaries, folder)
        except (EquipmentError, requests.RequestException) as error:
            found |= {play: _row(play, Result.UNKNOWN, f"not played: {error}") for play in moved}
        else:
            found |= {play: judged(play, moved[play], *counts[play]) for play in moved}
    return [found[play] for play in plays(config)]


def judged(play: Play, moved: Shifted, told: int, twin: int) -> Row:
    """The row of a play in which the route was told so often, and its twin so often."""
    at = f"{moved.instant.astimezone(play.interval.parts[0].zone if play.interval.parts else UTC):%a %H:%M %Z}"
    played = "played as written" if moved.interval is play.interval else f"{at} is played now"
    played += f", without {', '.join(moved.dropped)}" if moved.dropped else ""
    if twin < _TIMES:
        what = f"not judged: the twin without this interval was told {twin} times, of {_TIMES} that show its ticks"
        return _row(play, Result.UNKNOWN, f"{what}; {played}")
    if (told > 0) is play.tells:
        return _row(play, Result.PASS, f"{'told' if told else 'silent, and its twin was told'}; {played}")
    wrong = "the route was told, and should be silent" if told else "the route was not told, and its twin was"
    return _row(play, Result.FAIL, f"{wrong}; {played}")


def _row(play: Play, result: Result, said: str) -> Row:
    if result is Result.PASS:
        return Row(about=play.about, hop=Hop.HOURS, result=result, rests_on=said)
    return Row(about=play.about, hop=Hop.HOURS, result=result, reason=f"{said}; see {play.interval.place}")


def _told(moved: Mapping[Play, Shifted], binaries: Binaries, folder: Path) -> dict[Play, tuple[int, int]]:
    """How often each route and its twin were told; raises EquipmentError, RequestException."""
    counts: Counter[str] = Counter()
    arrived = threading.Condition()

    def hear(event: Event) -> None:
        with arrived:
            if isinstance(event, Notice):
                counts[event.receiver] += 1
                arrived.notify_all()

    (port,) = reserve(1)
    names = [(f"{number} timed", f"{number} twin") for number in range(len(moved))]
    doors = {name: f"/door/{number}" for number, name in enumerate(name for pair in names for name in pair)}
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as cleanup:
        wanted = [SinkAddress(receiver=n, integration="webhook", speaks="webhook", path=p) for n, p in doors.items()]
        sink = SinkChild.start(
            "chaoskit.observe.webhook_sink", {"port": 0, "doors": wanted, "alertmanager": port},
            name="hours-sink", log=folder / "sink.log", on_event=hear,
        )  # fmt: skip
        cleanup.callback(sink.stop)
        urls = {name: f"http://127.0.0.1:{sink.ports[0]}{path}" for name, path in doors.items()}
        file = folder / "alertmanager.yml"
        file.write_text(json.dumps(_configuration(moved, urls), indent=1), encoding="utf-8")
        child = start_alertmanager(binaries, file, folder / "data", port, folder / "alertmanager.log")
        cleanup.callback(child.stop)
        alerts = [{"labels": {"alertname": "ChaoskitHours", "play": str(number)}} for number in range(len(moved))]
        with plain_session() as session:
            session.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=alerts, timeout=5).raise_for_status()

        def shown() -> bool:
            return all(
                counts[twin] >= _TIMES and (counts[timed] > 0 or not play.tells)
                for play, (timed, twin) in zip(moved, names, strict=True)
            )

        with arrived:
            arrived.wait_for(shown, _LONGEST_S)
            return {play: (counts[timed], counts[twin]) for play, (timed, twin) in zip(moved, names, strict=True)}


def _configuration(moved: Mapping[Play, Shifted], urls: Mapping[str, str]) -> dict[str, Any]:
    """Each play as a route with the moved interval and a twin without."""
    return {
        "route": {
            "receiver": next(iter(urls)),
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1ms",
            "routes": [route for number, play in enumerate(moved) for route in _routes(number, play)],
        },
        "receivers": [
            {"name": name, "webhook_configs": [{"url": url, "http_config": {"follow_redirects": False}}]}
            for name, url in urls.items()
        ],
        "time_intervals": [
            {**as_written(one.interval), "name": f"{number}"} for number, one in enumerate(moved.values())
        ],
    }


def _routes(number: int, play: Play) -> Iterator[dict[str, Any]]:
    mine = {"matchers": [f'play="{number}"'], "continue": True}
    yield {**mine, "receiver": f"{number} timed", play.key: [f"{number}"]}
    yield {**mine, "receiver": f"{number} twin"}
