"""The store: idempotent, never worse than before, one writer at a time, and evidence outlives every mistake."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from chaoskit.errors import BadInput, EquipmentError
from chaoskit.sla import store as module
from chaoskit.sla.arithmetic import Evidence, judge
from chaoskit.sla.model import SLICE_S, Buckets, Episode, Slice
from chaoskit.sla.store import Store, open_store, slice_
from chaoskit.sla.windows import month
from tests.sla_examples import TARGETS, at, event_slice, planned, time_slices

BEGIN = at("2026-11-01T00:00")
EPISODE = Episode("live", "f1", BEGIN, BEGIN + 60, BEGIN + 300, None, "Down", "critical", {"instance": "a"})


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "sla" / "levels.db"


def rows(file: Path, query: str = "SELECT * FROM sla_slice ORDER BY 1, 2, 3") -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(query).fetchall()


def test_what_is_written_is_read_again(db: Path) -> None:
    day = list(time_slices(BEGIN, BEGIN + 3600))
    events = [event_slice("errors", BEGIN, 10, 1), event_slice("errors/lead-scorer", BEGIN, 10, 1, BEGIN + 3600)]
    buckets = [Buckets("live", "latency_p95", BEGIN, BEGIN + 3600, {"5": 3, "+Inf": 4})]
    with open_store(db) as store:
        store.write("live", [*day, *events], buckets, [EPISODE])
        assert store.slices("live", "uptime", BEGIN, BEGIN + 3600) == day
        assert store.slices("live", "uptime", BEGIN + 310, BEGIN + 590) == day[1:2]
        assert store.slices("live", "errors", BEGIN, BEGIN + 3600) == events[:1]
        assert store.buckets("live", "latency_p95", BEGIN, BEGIN + 3600) == buckets
        assert store.episodes("live", BEGIN, BEGIN + 3600) == [EPISODE]
        assert store.environments() == ["live"]
        assert store.levels("live") == ["errors", "errors/lead-scorer", "uptime"]
        assert store.recorded("live", "uptime") == (BEGIN, BEGIN + 3600)
        assert (store.recorded("live", "cache"), store.first_seen("live"), store.first_seen("x")) == (None, BEGIN, None)


def test_writing_again_changes_nothing_not_even_when_it_was_recorded(db: Path) -> None:
    day = list(time_slices(BEGIN, BEGIN + 3600))
    with open_store(db) as store:
        store.write("live", day, recorded_at=1)
        before = rows(db)
        store.write("live", day, recorded_at=2)
    assert rows(db) == before


def test_a_slice_that_saw_less_replaces_none_that_saw_more(db: Path) -> None:
    whole = Slice("live", "uptime", BEGIN, BEGIN + SLICE_S, 300.0, 0.0, 0.0, coverage=1.0, source="a")
    half = replace(whole, up_s=150.0, unknown_s=150.0, coverage=0.5, source="b")
    with open_store(db) as store:
        for one in (half, whole, half):
            store.write("live", [one])
        assert store.slices("live", "uptime", BEGIN, BEGIN + SLICE_S) == [whole]


@settings(max_examples=25)
@given(st.permutations(range(9)), st.integers(1, 4))
def test_records_in_any_order_and_any_cut_leave_the_same_rows(order: list[int], size: int) -> None:
    """Slices that saw all, half and nothing of the same time, rows across gaps among them."""
    told = [
        replace(one, coverage=coverage, unknown_s=300 * (1 - coverage), up_s=300 * coverage, source=str(coverage))
        for one in time_slices(BEGIN, BEGIN + 2 * SLICE_S)
        for coverage in (1.0, 0.5, 0.0)
    ]
    told.append(event_slice("errors", BEGIN, 3600, 0, stop=BEGIN + 4 * SLICE_S))
    told[-1] = replace(told[-1], coverage=0.25)
    told += [replace(event_slice("errors", BEGIN + n * SLICE_S, None), coverage=0.0) for n in (0, 1)]
    with TemporaryDirectory() as folder, open_store(Path(folder) / "a.db") as store:
        for first in range(0, len(order), size):
            store.write("live", [told[n] for n in order[first : first + size]], recorded_at=1)
        assert store.slices("live", "uptime", BEGIN, BEGIN + 3600) == [told[0], told[3]]
        assert store.slices("live", "errors", BEGIN, BEGIN + 3600) == [told[6]]


def test_of_a_row_across_a_gap_and_rows_within_it_the_latter_count(db: Path) -> None:
    gap = event_slice("errors", BEGIN, 3600, 0, stop=BEGIN + 4 * SLICE_S)
    inside = [event_slice("errors", BEGIN + n * SLICE_S, 100) for n in (1, 2, 3)]
    with open_store(db) as store:
        store.write("live", [gap])
        assert store.slices("live", "errors", BEGIN, BEGIN + 3600) == [gap]
        store.write("live", inside)
        assert store.slices("live", "errors", BEGIN, BEGIN + 3600) == inside


def test_planned_windows_are_added_listed_and_revoked_never_changed(db: Path) -> None:
    one = planned(BEGIN, BEGIN + 3600)
    with open_store(db) as store:
        number = store.plan(one)
        assert store.planned("live", BEGIN, BEGIN + 60) == [replace(one, id=number)]
        assert store.planned("live", BEGIN + 3600, BEGIN + 7200) == []
        assert store.planned("other", BEGIN, BEGIN + 60) == []
        assert store.revoke(number, BEGIN + 5)
        assert not store.revoke(number, BEGIN + 6)
        assert not store.revoke(number + 1, BEGIN + 6)
        assert store.planned("live", BEGIN, BEGIN + 60) == []
        assert store.planned(None, BEGIN, BEGIN + 60, revoked=True) == [replace(one, id=number, revoked_at=BEGIN + 5)]


def test_a_run_is_imported_once(db: Path) -> None:
    run = replace(planned(BEGIN, BEGIN + 3600, "game-day"), run_id="run-1")
    with open_store(db) as store:
        assert store.plan(run) == store.plan(run)
        assert len(store.planned("live", BEGIN, BEGIN + 60)) == 1


def test_the_view_has_the_documented_columns_and_three_values_of_compliant(db: Path) -> None:
    november = month("2026-11", "UTC")
    slices = [
        list(time_slices(BEGIN, november.ends_at)),
        list(time_slices(BEGIN, november.ends_at, [(BEGIN, BEGIN + 36_000)])),
        [],
    ]
    with open_store(db) as store:
        for basis in ("contract", "all"):
            results = [
                judge(
                    replace(TARGETS.levels[0], name=name), november, Evidence(found), environment="live",
                    basis=basis, since=0, settled=november.ends_at, final=True,  # type: ignore[arg-type]
                )
                for name, found in zip(("a", "b", "c"), slices, strict=True)
            ]  # fmt: skip
            store.write_results(results, BEGIN)
        store.write_results(results, BEGIN + 60)
        assert [one["compliant"] for one in store.results("live")] == [True, False, None] * 2
    query = "SELECT timestamp, sla_type, target, actual, compliant FROM sla_compliance ORDER BY sla_type"
    assert rows(db, query) == [
        ("2026-11-01 00:00:00", "a", 0.999, 1.0, 1),
        ("2026-11-01 00:00:00", "b", 0.999, 1 - 10 / 720, 0),
        ("2026-11-01 00:00:00", "c", 0.999, None, None),
    ]


def test_no_column_needs_quotes() -> None:
    names = {column.name for table in module.schema.tables.values() for column in table.columns}
    assert names & {"key", "value", "begin", "end", "by", "window", "user", "order", "group", "range", "start"} == set()
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        preparer = dialect.identifier_preparer
        assert [name for name in names if preparer.quote(name) != name] == []


def _write_days(file: str, source: str, days: int) -> None:
    with open_store(file) as store:
        for day in range(days):
            begin = BEGIN + day * 3600
            store.write("live", [replace(one, source="s") for one in time_slices(begin, begin + 3600)], recorded_at=1)


def test_two_at_once_wait_for_each_other_and_the_rows_are_the_same(db: Path, tmp_path: Path) -> None:
    _write_days(str(tmp_path / "one.db"), "s", 8)
    open_store(db).__exit__()
    both = [multiprocessing.get_context("spawn").Process(target=_write_days, args=(str(db), n, 8)) for n in "ab"]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    assert rows(db) == rows(tmp_path / "one.db")


def test_a_writer_that_is_killed_leaves_whole_days_and_the_next_one_goes_on(db: Path, tmp_path: Path) -> None:
    _write_days(str(tmp_path / "one.db"), "s", 20)
    for part in range(3):
        child = multiprocessing.get_context("spawn").Process(target=_write_days, args=(str(db), "s", 100_000))
        child.start()
        until = time.monotonic() + 60
        while time.monotonic() < until and (not db.exists() or len(rows_or_none(db)) < 12 * (part + 1)):
            time.sleep(0.005)  # nothing tells of a commit in another process
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join(60)
        assert len(rows(db)) % 12 == 0
    _write_days(str(db), "s", 20)
    assert rows(db)[:240] == rows(tmp_path / "one.db")


def rows_or_none(file: Path) -> list[tuple[object, ...]]:
    try:
        return rows(file)
    except sqlite3.OperationalError:
        return []


def test_a_newer_schema_is_refused_and_left_alone(db: Path) -> None:
    with open_store(db) as store:
        store.write("live", time_slices(BEGIN, BEGIN + 600))
        store.set_meta("schema", "7")
    before = rows(db)
    with pytest.raises(BadInput) as refused:
        open_store(db)
    assert f"{db}: this store has schema 7, made by a newer chaoskit" in str(refused.value)
    assert rows(db) == before


def test_an_older_schema_is_copied_first_and_then_migrated(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(db) as store:
        store.write("live", time_slices(BEGIN, BEGIN + 600))
    before = rows(db)

    def second(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE sla_slice ADD COLUMN note TEXT")

    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, second])
    with open_store(db) as store:
        assert store.meta("schema") == "2"
    assert rows(db, "SELECT count(*), max(note) FROM sla_slice") == [(2, None)]
    assert rows(db.with_name("levels.db.schema-1")) == before


def test_a_migration_that_fails_leaves_the_schema_that_was(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(db).__exit__()

    def broken(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE sla_slice ADD COLUMN note TEXT")
        connection.exec_driver_sql("ALTER TABLE no_such_table ADD COLUMN note TEXT")

    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, broken])
    with pytest.raises(EquipmentError, match="no_such_table"):
        open_store(db)
    monkeypatch.undo()
    with open_store(db) as store:
        assert store.meta("schema") == "1"
    assert "note" not in {str(name) for _, name, *_ in rows(db, "PRAGMA table_info(sla_slice)")}


def test_a_full_disk_is_told_and_nothing_of_what_was_there_is_lost(db: Path) -> None:
    with open_store(db) as store:
        store.write("live", time_slices(BEGIN, BEGIN + 3600), recorded_at=1)
        before = rows(db)

        @sa.event.listens_for(store._engine, "begin")
        def little(connection: sa.Connection) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

        with pytest.raises(EquipmentError) as told:
            store.write("live", time_slices(BEGIN, BEGIN + 30 * 86_400), recorded_at=2)
    assert "database or disk is full" in str(told.value)
    assert "free some disk space; nothing was lost" in str(told.value)
    assert rows(db) == before


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("mysql://u:secret@h/x", "--db: mysql is no database that chaoskit can use"),
        ("://", "this is no URL of a database"),
        ("postgresql+asyncpg://h/x", "postgresql+asyncpg is no database that chaoskit can use"),
    ],
)
def test_what_is_no_store_is_refused(where: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        open_store(where)
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_a_folder_and_a_missing_file_are_told(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, and more than a hundred bytes of them, so that SQLite looks at them\n" * 20)
    for path, says in (
        (text, "this is no store: file is not a database"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(BadInput) as refused:
            open_store(path)
        assert says in str(refused.value)
        assert str(path) in str(refused.value)
    with pytest.raises(BadInput, match="chaoskit sla record"):
        open_store(tmp_path / "none.db", create=False)
    assert not (tmp_path / "none.db").exists()


def test_pruning_removes_old_evidence_and_keeps_results(db: Path) -> None:
    with open_store(db) as store:
        store.write("live", time_slices(BEGIN, BEGIN + 3600), episodes=[EPISODE])
        assert store.prune(BEGIN + 1800, dry_run=True) == 6
        assert store.prune(BEGIN + 1800) == 6
        assert store.recorded("live", "uptime") == (BEGIN + 1800, BEGIN + 3600)
        assert store.episodes("live", BEGIN, BEGIN + 3600) == [EPISODE]  # it still fires


def test_what_is_kept_beside_the_evidence(db: Path) -> None:
    with open_store(db) as store:
        store.set_meta("targets/a", "one")
        store.set_meta("targets/a", "two", keep=True)
        store.set_meta("targets/b", "three")
        assert store.metas("targets/") == {"a": "one", "b": "three"}
        assert (store.meta("targets/a"), store.meta("nothing")) == ("one", None)
    assert isinstance(store, Store)
    assert slice_.name == "sla_slice"


def test_what_is_remembered_of_slices_is_forgotten_afterwards(db: Path) -> None:
    """An exporter that lives on must see what a recorder wrote meanwhile."""
    day = list(time_slices(BEGIN, BEGIN + 3600))
    with open_store(db) as store, open_store(db) as other:
        other.write("live", day[:6])
        with store.remembering():
            assert store.slices("live", "uptime", BEGIN, BEGIN + 3600) == day[:6]
            other.write("live", day)
            assert store.slices("live", "uptime", BEGIN + 300, BEGIN + 900) == day[1:3]
            assert store.slices("live", "uptime", BEGIN, BEGIN + 3600) == day[:6]
        assert store.slices("live", "uptime", BEGIN, BEGIN + 3600) == day
