"""Evidence from a real Prometheus: what was scraped is recorded, whatever happened to counters and to itself."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit.errors import ExitCode
from chaoskit.sla.model import DAY_S, Slice
from chaoskit.sla.record import record
from chaoskit.sla.store import Store, open_store
from chaoskit.sla.targets import Targets, parse_targets
from chaoskit.stack.binaries import Binaries
from tests.sla_examples import TEXT
from tests.sla_history import History, history
from tests.sla_world import prometheus, write_blocks

pytestmark = pytest.mark.stack
REQUESTS, DURATIONS = "insa_agent_requests_total", "insa_agent_request_duration_seconds_bucket"
HOUR_S = 3600


def day_before(days: int) -> int:
    """Five in the morning, UTC, so many days ago."""
    now = int(time.time())
    return now - now % DAY_S - days * DAY_S + 5 * HOUR_S


def targets_at(url: str, more: str = "", old: str = "", new: str = "") -> Targets:
    return parse_targets(TEXT.replace("http://127.0.0.1:9090", url).replace(old, new) + more, "targets.yml")


def rows(file: Path) -> list[tuple[object, ...]]:
    """All slices but for when they were recorded and by which URL."""
    with sqlite3.connect(file) as connection:
        columns = "environment, level, starts_at, ends_at, up_s, down_s, unknown_s, good, total, coverage"
        return connection.execute(f"SELECT {columns} FROM sla_slice ORDER BY 1, 2, 3").fetchall()


class World:
    """A history, the Prometheus that scraped it, and a store of what was recorded of it."""

    def __init__(self, told: History, url: str, folder: Path) -> None:
        self.told, self.url, self.folder = told, url, folder
        self.said: list[str] = []

    def record(self, name: str = "levels.db", targets: Targets | None = None, **more: object) -> ExitCode:
        """Records, and keeps what was said."""
        with open_store(self.folder / name) as store:
            return record(store, targets or targets_at(self.url), say=self.said.append, **more)  # type: ignore[arg-type]

    def store(self, name: str = "levels.db") -> Store:
        return open_store(self.folder / name)


@pytest.fixture(scope="module")
def world(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two environments in one Prometheus: `live` scraped off the borders of slices, `staging` exactly on them."""
    folder = tmp_path_factory.mktemp("sla")
    told = history(day_before(2))
    told.samples |= history(day_before(2), offset_s=0.0, seed=9, environments=("staging",)).samples
    write_blocks(binaries, folder / "data", told.text())
    with prometheus(binaries, folder) as url:
        made = World(told, url, folder)
        assert made.record() is ExitCode.PASS
        yield made


def known(slices: list[Slice], begin: int, end: int) -> list[Slice]:
    return [one for one in slices if begin <= one.starts_at and one.ends_at <= end and one.total is not None]


@pytest.mark.parametrize("environment", ["live", "staging"])
def test_every_row_of_events_is_what_its_samples_say_to_the_last_one(world: World, environment: str) -> None:
    """Resets, an outage of Prometheus with and without one, an agent that comes, one that vanishes and returns, a label
    that changes in the middle: the rows agree with the raw samples, each for itself."""
    begin = world.told.begin
    end = begin + 7 * HOUR_S
    asked = {
        "errors": (REQUESTS, {"status": "success"}, {}),
        "latency_p95": (DURATIONS, {"le": "5"}, {"le": "+Inf"}),
        "latency_p99": (DURATIONS, {"le": "15"}, {"le": "+Inf"}),
    }
    with world.store() as store:
        for level, (metric, good, total) in asked.items():
            found = known(store.slices(environment, level, begin - HOUR_S, end), begin, end)
            assert len(found) == (60 if environment == "live" else 62)
            for one in found:
                first = one.coverage < 1 and one.ends_at - one.starts_at == 300
                since = one.ends_at - one.coverage * 300 if first else one.starts_at
                for value, where in ((one.good, good), (one.total, total)):
                    said = world.told.rose(metric, since, one.ends_at, environment=environment, **where)
                    assert value == said, (level, one)


def test_a_gap_without_a_reset_is_one_row_and_one_with_a_reset_is_unknown(world: World) -> None:
    begin = world.told.begin
    with world.store() as store:
        found = store.slices("live", "errors", begin, begin + 6 * HOUR_S)
        gap = next(one for one in found if one.ends_at - one.starts_at > 300)
        assert (gap.starts_at - begin, gap.ends_at - begin) == (130 * 60, 175 * 60)
        dark = [one.starts_at - begin for one in found if one.total is None]
        assert dark == [210 * 60, 215 * 60, 220 * 60, 225 * 60]
        after = next(one for one in found if one.starts_at == begin + 230 * 60)
        assert after.coverage == 1 - 7 / 300


def test_up_down_and_unknown_seconds_are_those_of_the_samples(world: World) -> None:
    begin = world.told.begin
    with world.store() as store:
        found = store.slices("live", "uptime", begin, begin + 6 * HOUR_S)
    assert sum(one.down_s or 0 for one in found) == 60
    unknown = {one.starts_at - begin: one.unknown_s for one in found if one.unknown_s}
    # The last sample before a pause stands up to itself, the first one after it for one interval.
    whole = dict.fromkeys([*range(130 * 60, 165 * 60, 300), *range(210 * 60, 225 * 60, 300)], 300.0)
    assert unknown == {**whole, 125 * 60: 8.0, 165 * 60: 292.0, 205 * 60: 8.0, 225 * 60: 292.0, 355 * 60: 8.0}
    assert sum(unknown.values()) == (40 + 20) * 60 + 8


def test_each_agent_has_its_own_rows_by_the_hour(world: World) -> None:
    begin = world.told.begin
    with world.store() as store:
        assert [one for one in store.levels("live") if "/" in one] == ["errors/a", "errors/b", "errors/c"]
        for one in store.slices("live", "errors/b", begin + 4 * HOUR_S, begin + 6 * HOUR_S):
            said = world.told.rose(REQUESTS, one.starts_at, one.ends_at, environment="live", agent="b")
            assert one.total == said


def test_recording_again_or_from_the_middle_changes_no_row(world: World) -> None:
    before = rows(world.folder / "levels.db")
    assert world.record() is ExitCode.PASS
    assert world.record(since=world.told.begin + 90 * 60) is ExitCode.PASS
    assert world.record(since=world.told.begin + 145 * 60) is ExitCode.PASS
    assert rows(world.folder / "levels.db") == before


def test_slices_agree_with_one_shot_queries(world: World) -> None:
    """`record --check` over the last day of which there is none left says so; over one with data it agrees."""
    world.said.clear()
    assert world.record("checked.db", check=True) is ExitCode.PASS
    assert any("agrees with one-shot queries" in one for one in world.said)
