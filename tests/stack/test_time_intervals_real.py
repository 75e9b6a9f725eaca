"""Time intervals hold in real Alertmanagers at the instants at which they are computed to."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from chaoskit.alerting.time_intervals import tells
from chaoskit.stack.binaries import Binaries
from tests.alerting_examples import load
from tests.stack.test_routing_real import alertmanager, eventually, post, webhooks

pytestmark = [pytest.mark.stack, pytest.mark.outermost]

INTERVALS = 200
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Australia/Lord_Howe")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAY = 24 * 60


def random_part(rng: random.Random, now: datetime) -> dict[str, Any]:
    """One part of an interval in Alertmanager's words, with ends that are often at or beside what the clock shows."""
    zone = rng.choice(ZONES)
    there = now.astimezone(ZoneInfo(zone))
    part: dict[str, Any] = {} if zone == "UTC" and rng.random() < 0.5 else {"location": zone}
    for key in rng.sample(("times", "weekdays", "days_of_month", "months", "years"), rng.choice((0, 1, 1, 2, 3, 5))):
        part[key] = [getattr(_Near, key)(rng, there) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
    return part


class _Near:
    """One range of a key, near what the clock shows."""

    @staticmethod
    def times(rng: random.Random, there: datetime) -> dict[str, str]:
        minute = there.hour * 60 + there.minute
        # Five minutes on each side are left alone, so that the answer stays the same for as long as the test runs.
        ends = [(0, max(1, minute - 5)), (0, _DAY), (min(minute + 5, _DAY - 1), _DAY), (max(minute - 5, 0), _DAY)]
        start, end = rng.choice([*ends, (max(minute - 61, 0), min(minute + 61, _DAY))])
        return {"start_time": _clock(start), "end_time": _clock(end)}

    @staticmethod
    def weekdays(rng: random.Random, there: datetime) -> str:
        return _range(rng, there.isoweekday() % 7, 0, 6, lambda day: _DAYS[day].title() if day % 2 else _DAYS[day])

    @staticmethod
    def days_of_month(rng: random.Random, there: datetime) -> str:
        last = ((there.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
        if rng.random() < 0.5:
            return _range(rng, there.day, 1, 31, str)
        first, last = sorted(rng.choice([there.day - last - 1 + n for n in (-1, 0, 1)]) for _ in range(2))
        first, last = (min(max(each, -28), -1) for each in (first, last))
        return f"{first}:{last}" if first < last or rng.random() < 0.5 else str(first)

    @staticmethod
    def months(rng: random.Random, there: datetime) -> str:
        return _range(rng, there.month, 1, 12, lambda month: str(month) if month % 3 else _MONTHS[month - 1])

    @staticmethod
    def years(rng: random.Random, there: datetime) -> str:
        return _range(rng, there.year, there.year - 3, there.year + 3, str)


def _range(rng: random.Random, now: int, least: int, most: int, said: Any) -> str:
    first, last = sorted(min(max(now + rng.choice((-2, -1, 0, 0, 1)), least), most) for _ in range(2))
    return f"{said(first)}:{said(last)}" if first < last or rng.random() < 0.5 else str(said(first))


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def with_intervals(rng: random.Random, now: datetime, url: str) -> str:
    """A configuration of 200 routes with an interval each, mute and active in turn, each with a twin that has none."""
    routes: list[dict[str, Any]] = []
    intervals = []
    for number in range(INTERVALS):
        name = f"i{number}"
        intervals.append(
            {"name": name, "time_intervals": [random_part(rng, now) for _ in range(rng.choice((0, 1, 1, 2)))]}
        )
        key = "mute_time_intervals" if number % 2 else "active_time_intervals"
        mine = {"matchers": [f"n={name}"], "receiver": "timed", "continue": True}
        routes += [{**mine, key: [name]}, {**mine, "receiver": "twin"}]
    hooks = [{"name": name, "webhook_configs": [{"url": f"{url}{name}"}]} for name in ("timed", "twin")]
    root = {"receiver": "twin", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "4h", "routes": routes}
    return yaml.safe_dump({"route": root, "receivers": hooks, "time_intervals": intervals})


def test_200_random_intervals_are_told_or_not_as_computed(generation: Binaries, tmp_path: Path) -> None:
    """Neither API shows a time mute, so a sink hears: where a twin without the interval was told, and then a second
    time of its group's interval has passed, a route that has not told is muted."""
    now = datetime.now(UTC)
    seed = int(now.timestamp()) // 3600
    with webhooks() as (url, received):
        text = with_intervals(random.Random(seed), now, url)
        config = load(alertmanager=text)
        routes = [route for route in config.route.children if route.receiver == "timed"]
        expected = {r.matchers[0].value for r in routes if tells(r, config.intervals, now)}

        def heard(receiver: str) -> set[str]:
            bodies = [body for body in list(received) if body["receiver"] == receiver]
            return {body["groupKey"].rpartition('n="')[2].partition('"')[0] for body in bodies}

        with alertmanager(generation, tmp_path, text) as api:
            post(api, [{"alertname": "A", "n": f"i{number}"} for number in range(INTERVALS)])
            eventually(lambda: len(heard("twin")) == INTERVALS and heard("timed") >= expected)
            twice = [f"again-{number}" for number in range(2)]
            for name in twice:  # each is told by the root at its next tick, a second later than the one before
                post(api, [{"alertname": "A", "n": name}])
                eventually(lambda name=name: any(name in str(body["alerts"]) for body in list(received)))
        still = {r.matchers[0].value for r in routes if tells(r, config.intervals, datetime.now(UTC))}
    steady = {f"i{number}" for number in range(INTERVALS)} - (expected ^ still)
    assert len(heard("twin")) >= INTERVALS
    assert heard("timed") & steady == expected & steady, f"seed {seed} at {now}: {text}"
    assert len(steady) > 0.9 * INTERVALS
    assert 0.2 * INTERVALS < len(expected) < 0.8 * INTERVALS
