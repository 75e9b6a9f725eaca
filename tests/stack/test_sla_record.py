"""Evidence from a real Prometheus: what was scraped is recorded, whatever happened to counters and to itself."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode
from chaoskit.sla.begin import write_targets
from chaoskit.sla.compute import compliance, evidence_key, recorded_to
from chaoskit.sla.fetch import examine
from chaoskit.sla.model import DAY_S, Slice, Window
from chaoskit.sla.record import record
from chaoskit.sla.source import Source
from chaoskit.sla.store import Store, open_store
from chaoskit.sla.targets import Targets, load_targets, parse_targets
from chaoskit.sla.windows import between
from chaoskit.stack.binaries import Binaries
from tests.generations import GENERATIONS, programs
from tests.reverse_proxy import Proxy, proxied
from tests.sla_examples import TEXT, time_slices
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
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        columns = "environment, level, starts_at, ends_at, up_s, down_s, unknown_s, good, total, coverage"
        return connection.execute(f"SELECT {columns} FROM sla_slice ORDER BY 1, 2, 3").fetchall()


def assert_same(ours: Path, theirs: Path) -> None:
    """The first store has every row of the second one, as it is there; it may have been recorded further."""
    one, other = ({row[:3]: row for row in rows(file)} for file in (ours, theirs))
    assert {key: one.get(key) for key in other} == other


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
            assert len(found) == (60 if environment == "live" else 61)
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


def test_a_window_over_a_gap_counts_all_events_and_knows_no_less(world: World) -> None:
    begin = world.told.begin + HOUR_S
    window = Window("range", "two hours", begin, begin + 2 * HOUR_S, "UTC")
    with world.store() as store:
        found = compliance(store, targets_at(world.url), window, now=int(time.time()), environments=["live"])
    uptime, errors = (next(one for one in found if one.level == level) for level in ("uptime", "errors"))
    assert (errors.counted, errors.unknown) == (
        world.told.rose(REQUESTS, begin, begin + 2 * HOUR_S, environment="live"),
        0,
    )
    assert (uptime.unknown, uptime.compliant) == (40 * 60, False)  # a minute down of 80


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


def test_a_threshold_that_changes_is_fetched_again_beside_what_was_kept(world: World, tmp_path: Path) -> None:
    """And where it changes back, what was kept of it counts again."""
    changed = targets_at(world.url, old="below: 5s", new="below: 1s")
    for targets in (targets_at(world.url), changed, targets_at(world.url)):
        assert said_by(targets, tmp_path / "a.db")[0] is ExitCode.PASS
    begin, end = world.told.begin + HOUR_S, world.told.begin + 2 * HOUR_S
    with open_store(tmp_path / "a.db") as store:
        for targets, key, le in ((targets_at(world.url), "latency_p95", "5"), (changed, "latency_p95@2", "1")):
            assert evidence_key(store, targets.levels[1]) == key
            good = sum(one.good or 0 for one in store.slices("live", key, begin, end))
            assert good == world.told.rose(DURATIONS, begin, end, environment="live", le=le)


def test_each_agent_has_its_own_rows_by_the_hour(world: World) -> None:
    begin = world.told.begin
    with world.store() as store:
        assert [one for one in store.levels("live") if "/" in one] == ["errors/a", "errors/b", "errors/c"]
        for one in store.slices("live", "errors/b", begin + 4 * HOUR_S, begin + 6 * HOUR_S):
            said = world.told.rose(REQUESTS, one.starts_at, one.ends_at, environment="live", agent="b")
            assert one.total == said


def test_recording_again_or_from_the_middle_changes_no_row(world: World, tmp_path: Path) -> None:
    before = shutil.copy(world.folder / "levels.db", tmp_path / "before.db")
    assert world.record() is ExitCode.PASS
    assert world.record(since=world.told.begin + 90 * 60) is ExitCode.PASS
    assert world.record(since=world.told.begin + 145 * 60) is ExitCode.PASS
    assert_same(world.folder / "levels.db", before)


@pytest.fixture(scope="module")
def today(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with a service that was well all of yesterday and today."""
    folder = tmp_path_factory.mktemp("today")
    now = int(time.time())
    told: dict[str, list[tuple[float, float]]] = {}
    target = 'job="insa-crm",instance="crm:9091",agent="a"'
    rates = {
        f'{REQUESTS}{{{target},status="success"}}': 20,
        f'{REQUESTS}{{{target},status="error"}}': 1,
        f'{DURATIONS}{{{target},le="5.0"}}': 19,
        f'{DURATIONS}{{{target},le="15.0"}}': 20,
        f'{DURATIONS}{{{target},le="+Inf"}}': 21,
        f"insa_cache_hits_total{{{target}}}": 9,
        f"insa_cache_misses_total{{{target}}}": 1,
    }
    instants = [float(at) for at in range(now - now % 15 - 27 * HOUR_S, now, 15)]
    told[f"up{{{target}}}"] = [(at, 1.0) for at in instants]
    for series, rate in rates.items():
        told[series] = [(at, 1e6 + rate * number) for number, at in enumerate(instants)]
    write_blocks(binaries, folder / "data", told)
    with prometheus(binaries, folder) as url:
        yield url


def said_by(targets: Targets, file: Path, **more: object) -> tuple[ExitCode, str]:
    """How `record` ended, and what it said."""
    said: list[str] = []
    with open_store(file) as store:
        return record(store, targets, say=said.append, **more), "\n".join(said)  # type: ignore[arg-type]


def test_slices_agree_with_one_shot_queries_and_say_so(today: str, tmp_path: Path) -> None:
    code, said = said_by(targets_at(today), tmp_path / "a.db", check=True)
    assert (code, f"{today} agrees with one-shot queries over the last day" in said) == (ExitCode.PASS, True)


def test_another_server_is_refused_unless_it_counts_alike(today: str, tmp_path: Path) -> None:
    def mimir(path: str, body: bytes) -> bytes:
        return body.replace(b'"version"', b'"application":"Grafana Mimir","version"') if "buildinfo" in path else body

    def half(path: str, body: bytes) -> bytes:
        """Its `up` has every second sample, and its increases are those of another length."""
        return mimir(path, body.replace(b'.000","', b'","') if "increase" in path else body)

    with proxied(Proxy({"": today}, alter=mimir)) as other:
        targets = targets_at(other.url)
        code, said = said_by(targets, tmp_path / "a.db")
        assert code is ExitCode.USAGE
        assert f"targets.yml:2: what answers at {other.url} is not Prometheus (Grafana Mimir" in said
        assert "`chaoskit sla record --check` tries whether it counts alike" in said
        assert rows(tmp_path / "a.db") == []
        code, said = said_by(targets, tmp_path / "a.db", check=True)
        assert (code, "agrees with one-shot queries" in said) == (ExitCode.PASS, True)
        assert rows(tmp_path / "a.db")
        assert said_by(targets, tmp_path / "a.db")[0] is ExitCode.PASS  # it has agreed once


def test_a_server_that_counts_otherwise_is_told_with_both_figures(today: str, tmp_path: Path) -> None:
    def otherwise(path: str, body: bytes) -> bytes:
        if "buildinfo" in path:
            return body.replace(b'"version"', b'"application":"Another","version"')
        if "increase" in path:
            found = json.loads(body)
            for one in found["data"]["result"]:
                one["value"][1] = str(float(one["value"][1]) * 1.01)
            return json.dumps(found).encode()
        return body

    with proxied(Proxy({"": today}, alter=otherwise)) as other:
        code, said = said_by(targets_at(other.url), tmp_path / "a.db", check=True)
    assert code is ExitCode.USAGE
    assert "errors: events of the last" in said
    assert "does not count as Prometheus does" in said
    assert rows(tmp_path / "a.db") == []


def test_a_recorder_whose_clock_is_wrong_leaves_the_same_rows(
    today: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = int(time.time()) - 2 * HOUR_S
    stop -= stop % HOUR_S
    stores = []
    for wrong_s in (0, 3 * DAY_S, -3 * DAY_S):
        monkeypatch.setattr("chaoskit.sla.record.time.time", lambda wrong_s=wrong_s: float(stop + wrong_s))
        monkeypatch.setattr("chaoskit.sla.source.Source.now", lambda self: float(stop))
        code, said = said_by(targets_at(today), tmp_path / f"{wrong_s}.db")
        assert code is ExitCode.PASS
        assert ("this machine's clock is 3d" in said) is bool(wrong_s)
        stores.append(rows(tmp_path / f"{wrong_s}.db"))
    assert stores[0] == stores[1] == stores[2] != []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            REQUESTS,
            "insa_agent_request_total",
            f"there is no metric insa_agent_request_total at URL (did you mean '{REQUESTS}'?)",
        ),
        (
            "below: 5s",
            "below: 7s",
            "has no bucket of 7 s, so it cannot count the requests below that (its buckets are 5, 15",
        ),
        ("{status: success}", "{state: success}", "no series of insa_agent_requests_total carries the label 'state'"),
        ("insa_cache_hits_total", "insa_cache_hit_total", "the level 'cache': there is no metric insa_cache_hit_total"),
        ("up: up,", "up: probe_success,", "the level 'uptime': there is no metric probe_success"),
    ],
)
def test_what_cannot_be_recorded_is_told_and_the_other_levels_are_recorded(
    today: str, tmp_path: Path, old: str, new: str, says: str
) -> None:
    code, said = said_by(targets_at(today, old=old, new=new), tmp_path / "a.db")
    assert code is ExitCode.USAGE
    assert says in said.replace(today, "URL")
    assert "targets.yml:" in said
    with open_store(tmp_path / "a.db") as store:
        assert len([one for one in store.levels("default") if "/" not in one]) == 4


def test_a_metric_that_is_younger_than_what_is_settled_is_told_as_young(today: str) -> None:
    """It was told as a metric that does not exist, which sent people to correct a name that was right."""
    source, (level, *_) = Source(targets_at(today).sources[0]), targets_at(today).levels
    series = source.instant("min(min_over_time(timestamp(up)[2d:15s]))", time.time())
    first = int(series[0].values[0])
    for before_s, said in ((HOUR_S, "there is no metric"), (300, "is younger than 10 minutes")):
        _, problems = examine(source, level, "key", first - before_s - 60, first - before_s)
        assert problems
        assert all(said in one.message for one in problems), (before_s, problems)


def test_a_match_that_no_series_has_is_told(today: str, tmp_path: Path) -> None:
    code, said = said_by(targets_at(today, old="{job: insa-crm}", new="{job: shop}"), tmp_path / "a.db")
    assert code is ExitCode.USAGE
    assert 'has no sample of up{job="shop"} since' in said


def test_a_source_that_does_not_answer_is_asked_again_for_what_it_owes(
    today: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other source is recorded meanwhile; both are told apart by their addresses."""
    with proxied(Proxy({"": today})) as other:
        both = targets_at(today, old=f"prometheus: {today}", new=f"prometheus: [{today}, {other.url}]")
        later, asked = time.time(), Source.now
        monkeypatch.setattr(Source, "now", lambda self: asked(self) and later - 3 * HOUR_S)
        assert said_by(both, tmp_path / "a.db")[0] is ExitCode.PASS
        monkeypatch.setattr(Source, "now", lambda self: asked(self) and later - HOUR_S)
        other.backends = {}
        code, said = said_by(both, tmp_path / "a.db")
        assert code is ExitCode.UNKNOWN
        assert f"targets.yml:2: Prometheus at {other.url}: status 404" in said
        with open_store(tmp_path / "a.db") as store:
            owed = int(store.meta(f"owed/{other.url}") or 0)
            assert owed <= later - 3 * HOUR_S < (recorded_to(store) or 0)
        other.backends, other.asked = {"": today}, []
        assert said_by(both, tmp_path / "a.db")[0] is ExitCode.PASS
        begins = [parse_qs(path).get("start", ["9e9"])[0] for path, _ in other.asked if "last_over_time" in path]
        assert min(map(float, begins)) <= owed
        with open_store(tmp_path / "a.db") as store:
            assert store.meta(f"owed/{other.url}") == ""


def test_replicas_that_would_count_twice_are_refused(binaries: Binaries, tmp_path: Path) -> None:
    now = int(time.time()) - 2 * HOUR_S
    up = {
        f'up{{job="insa-crm",instance="a",prometheus_replica="{one}"}}': [(now + n * 15, 1) for n in range(60)]
        for one in "ab"
    }
    write_blocks(binaries, tmp_path / "data", up)
    only_up = "chaoskit: 1\nprometheus: URL\nmatch: {job: insa-crm}\nlevels: {uptime: {up: up, at_least: 99.9 %}}\n"
    with prometheus(binaries, tmp_path) as url:
        targets = parse_targets(only_up.replace("URL", url), "targets.yml")
        code, said = said_by(targets, tmp_path / "a.db")
        assert code is ExitCode.USAGE
        assert "differ only in the label 'prometheus_replica': each event would count twice" in said
        one = parse_targets(only_up.replace("URL", url).replace("crm}", "crm, prometheus_replica: a}"), "targets.yml")
        assert said_by(one, tmp_path / "a.db")[0] is ExitCode.PASS


def test_forty_days_without_a_record_leave_unknown_time_and_no_failure(world: World, tmp_path: Path) -> None:
    """What Prometheus no longer has is neither up nor down, and what it has is recorded."""
    begin = world.told.begin - 40 * DAY_S
    begin -= begin % HOUR_S
    with open_store(tmp_path / "a.db") as store:
        store.write("live", time_slices(begin, begin + DAY_S))
    code, said = said_by(targets_at(world.url), tmp_path / "a.db")
    assert code is ExitCode.PASS
    assert f"{world.url} has nothing of" in said
    window = between(
        f"{datetime.fromtimestamp(begin, UTC):%Y-%m-%d}",
        f"{datetime.fromtimestamp(begin + 41 * DAY_S, UTC):%Y-%m-%d}",
        "UTC",
    )
    with open_store(tmp_path / "a.db") as store:
        found = compliance(store, targets_at(world.url), window, now=int(time.time()), environments=["live"])
    uptime = found[0]
    assert (uptime.level, uptime.compliant) == ("uptime", None)
    assert uptime.unknown > 38 * DAY_S
    assert "nothing is known" in uptime.reason


def test_a_prometheus_that_forgot_makes_no_row_worse(world: World, binaries: Binaries, tmp_path: Path) -> None:
    """Recorded again when only the last half of the samples is left, every row stays what it was."""
    shutil.copy(world.folder / "levels.db", tmp_path / "a.db")
    half = world.told.begin + 4 * HOUR_S
    left = {series: [one for one in points if one[0] > half] for series, points in world.told.text().items()}
    write_blocks(binaries, tmp_path / "data", {series: points for series, points in left.items() if points})
    with prometheus(binaries, tmp_path) as url, world.store() as store:
        for since in (world.told.begin, half):
            assert said_by(targets_at(url), tmp_path / "a.db", since=since)[0] is ExitCode.PASS
            assert_same(tmp_path / "a.db", world.folder / "levels.db")
            with open_store(tmp_path / "a.db") as again:
                for level in store.levels("live"):
                    span = (world.told.begin, world.told.begin + 7 * HOUR_S)
                    ours, theirs = (one.slices("live", level, *span) for one in (again, store))
                    assert [replace(one, source="") for one in ours] == [replace(one, source="") for one in theirs]


def test_of_two_sources_the_one_that_saw_more_tells_and_where_both_saw_all_they_must_agree(
    world: World, binaries: Binaries, tmp_path: Path
) -> None:
    """The second one was there in the first one's gaps, and says twice as many requests elsewhere."""
    begin = world.told.begin
    other = history(begin)
    minute = 60
    dark = [(130 * minute, 170 * minute), (210 * minute, 230 * minute)]
    target = {"job": "insa-crm", "instance": "crm:9091", "environment": "live"}
    filled = [n * 15 + 7 for a, b in dark for n in range(a // 15, b // 15)]
    for at in filled:
        other.add("up", target, begin + at, 1.0)
    for key, points in other.samples.items():
        other.samples[key] = sorted(points)
        if key[0] == REQUESTS:
            other.samples[key] = [(at, 2 * value) for at, value in other.samples[key]]
    write_blocks(binaries, tmp_path / "data", other.text())
    with prometheus(binaries, tmp_path) as url:
        both = targets_at(world.url, old=f"prometheus: {world.url}", new=f"prometheus: [{world.url}, {url}]")
        code, said = said_by(both, tmp_path / "a.db")
    assert code is ExitCode.UNKNOWN
    assert f"{world.url} and {url} disagree on errors of live on" in said
    assert "See that both scrape the same targets" in said
    with open_store(tmp_path / "a.db") as store, world.store() as alone:
        slices = store.slices("live", "uptime", begin, begin + 6 * HOUR_S)
        assert sum(one.unknown_s or 0 for one in slices) == 8
        assert {one.source for one in slices} == {world.url, url}
        for ours, theirs in zip(
            store.slices("live", "errors", begin + 300, begin + HOUR_S),
            alone.slices("live", "errors", begin + 300, begin + HOUR_S),
            strict=True,
        ):
            assert ours.total == theirs.total  # the first source's where both saw all


def _record(url: str, file: str) -> None:
    with open_store(file) as store:
        record(store, targets_at(url), say=lambda _: None)


def test_killed_anywhere_or_twice_at_once_the_rows_are_the_same(world: World, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    file = tmp_path / "a.db"
    for wanted in (1, 400):
        child = spawn.Process(target=_record, args=(world.url, str(file)))
        child.start()
        until = time.monotonic() + 60
        while time.monotonic() < until and child.is_alive() and count(file) < wanted:
            time.sleep(0.002)  # nothing tells of a commit in another process
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join(60)
    both = [spawn.Process(target=_record, args=(world.url, str(file))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    assert [one.exitcode for one in both] == [0, 0]
    assert_same(file, world.folder / "levels.db")


def count(file: Path) -> int:
    try:
        return len(rows(file))
    except sqlite3.OperationalError:
        return 0


@pytest.mark.sla
@pytest.mark.parametrize("suite", [one for one in GENERATIONS if one != "own"])
def test_other_generations_of_prometheus_give_the_same_rows(world: World, suite: str, tmp_path: Path) -> None:
    """Also of samples exactly on the borders, of which later ones find one fewer in a range."""
    other = programs(suite)
    write_blocks(other, tmp_path / "data", world.told.text())
    with prometheus(other, tmp_path) as url:
        code, said = said_by(targets_at(url), tmp_path / "a.db")
        assert code is ExitCode.PASS, said
    assert_same(tmp_path / "a.db", world.folder / "levels.db")


# init


def shop(url: str, folder: Path, said: list[str], old: str = "", new: str = "") -> ExitCode:
    levels = TEXT.partition("prometheus: http://127.0.0.1:9090\n")[2].replace(old, new)
    return write_targets(folder / "sla" / "targets.yml", f"prometheus: {url}", levels, said.append)


def test_init_writes_targets_and_says_what_prometheus_has_of_them(world: World, tmp_path: Path) -> None:
    said: list[str] = []
    assert shop(world.url, tmp_path, said) is ExitCode.PASS
    assert [one.name for one in load_targets(tmp_path / "sla" / "targets.yml").levels] == [
        "uptime", "latency_p95", "latency_p99", "errors", "cache",
    ]  # fmt: skip
    assert any(one.startswith(f"{world.url} is Prometheus 2.") or "is Prometheus 3." in one for one in said)
    assert f"the first data there is of {datetime.fromtimestamp(world.told.begin, UTC):%Y-%m-%d}" in said
    assert said[-1] == "next: chaoskit sla record"


def test_init_tells_every_series_bucket_and_label_that_is_missing(world: World, tmp_path: Path) -> None:
    said: list[str] = []
    assert shop(world.url, tmp_path, said, "below: 5s", "below: 4s") is ExitCode.USAGE
    assert any("has no bucket of 4 s" in one and "targets.yml:6" in one for one in said)
    assert "errors: its series are there" in said


def test_init_says_that_samples_are_kept_for_less_than_a_month(
    world: World, binaries: Binaries, tmp_path: Path
) -> None:
    now = int(time.time())
    write_blocks(
        binaries, tmp_path / "data", {'up{job="insa-crm",instance="a"}': [(now - 3600 + n * 15, 1) for n in range(20)]}
    )
    said: list[str] = []
    with (
        prometheus(binaries, tmp_path, retention="15d") as url,
        pytest.raises(BadInput, match="has no sample of") as told,
    ):
        shop(url, tmp_path, said, "{job: insa-crm}", "{job: shop}")
    assert 'up{job="shop"}' in str(told.value)
    assert any("it keeps samples for 15d, less than a month" in one for one in said)


def test_init_with_a_profile_takes_its_environment_where_the_target_carries_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "staging.yml").write_text(
        f"chaoskit: 1\ntarget: {{attached: {{prometheus: '{world.url}', alertmanager: 'http://a', metrics: 'http://m', "
        "environment: staging}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run(["sla", "init", "--profile", "staging"]) is ExitCode.PASS
    targets = load_targets(Path("sla/targets.yml"))
    assert (targets.match, targets.environment) == ({"job": "insa-crm", "environment": "staging"}, "staging")
    assert run(["sla", "record"]) is ExitCode.PASS
    with open_store("sla/levels.db") as store:
        assert store.environments() == ["staging"]
