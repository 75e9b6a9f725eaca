"""The store in PostgreSQL: the same rows as in SQLite, one recorder at a time, and the same words for what is wrong.

The server is Debian's, started here by an ordinary user in a folder of its own, for it refuses to run as root.
"""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from chaoskit.cli import run
from chaoskit.errors import BadInput, EquipmentError, ExitCode
from chaoskit.host.ports import reserve
from chaoskit.sla import store as module
from chaoskit.sla.model import SLICE_S, Buckets, Episode, Slice
from chaoskit.sla.store import Store, open_store
from chaoskit.sla.windows import month
from chaoskit.stack.binaries import Binaries
from tests.sla_examples import at, event_slice, minutes_from, planned, time_slices
from tests.sla_history import history
from tests.sla_world import prometheus, write_blocks
from tests.stack.test_sla_record import day_before, rows, said_by, targets_at

pytestmark = [pytest.mark.sla, pytest.mark.stack]
BEGIN = at("2026-09-01T00:00")
USER = "chaoskit"


def program(name: str) -> Path:
    found = [*sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), Path(shutil.which(name) or "/nonexistent")]
    assert found[0].exists(), "PostgreSQL is not installed: make test-sla installs it"
    return found[0]


def as_user(command: Sequence[str | Path]) -> list[str | Path]:
    """The command, given to a user without rights where the tests run as root."""
    if os.geteuid():
        return list(command)
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *command]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on loopback; the URL without a database."""
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/chaoskit-pg-XXXXXX"], text=True).strip())
    if not os.geteuid():
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    data, port = folder / "data", reserve(1)[0]
    made = [program("initdb"), "-D", data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(as_user(made), check=True, capture_output=True, timeout=120, cwd=folder)
    settings = ["-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(as_user([program("postgres"), "-D", data, *settings]), stderr=log, cwd=folder)
        try:
            ready = [program("pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
            assert any(not subprocess.run(ready, capture_output=True).returncode for _ in range(600)), (
                folder / "log"
            ).read_text()
            yield f"postgresql://{USER}@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)
            shutil.rmtree(folder)


@pytest.fixture
def db(server: str, request: pytest.FixtureRequest) -> str:
    """An empty database of its own for each test."""
    name = f"t{abs(hash(request.node.nodeid))}"
    engine = sa.create_engine(f"{server}/postgres".replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{server}/{name}"


def all_rows(store: Store) -> list[tuple[object, ...]]:
    columns = [column for column in module.slice_.c if column.name not in ("recorded_at", "source")]
    return [tuple(one) for one in store._read(sa.select(*columns).order_by(*columns[:3]))]


def test_what_is_written_is_read_again_as_from_sqlite(db: str, tmp_path: Path) -> None:
    day = list(time_slices(BEGIN, BEGIN + 3600, [(BEGIN + 7, BEGIN + 100)]))
    events = [event_slice("errors", BEGIN, 10, 1), event_slice("errors", BEGIN + SLICE_S, None)]
    episode = Episode("live", "f1", BEGIN, BEGIN + 60, BEGIN + 300, None, "Down", "critical", {"instance": "ä"})
    histogram = Buckets("live", "latency_p95", BEGIN, BEGIN + 3600, {"5": 3, "+Inf": 4})
    found = []
    for where in (db, tmp_path / "a.db"):
        with open_store(where) as store:
            for _ in range(2):
                store.write("live", [*day, *events], [histogram], [episode])
            number = store.plan(planned(BEGIN, BEGIN + 3600))
            assert store.revoke(number, BEGIN)
            store.set_meta("in-force/1", "one")
            store.set_meta("in-force/1", "two", keep=True)
            found.append((
                all_rows(store), store.slices("live", "uptime", BEGIN, BEGIN + 3600), store.environments(),
                store.buckets("live", "latency_p95", BEGIN, BEGIN + 3600), store.episodes("live", BEGIN, BEGIN + 60),
                store.planned(None, 0, 2**40, revoked=True), store.metas("in-force/"), store.recorded("live"),
                store.first_seen("live"), store.last_light("live", "errors", BEGIN + 900), store.meta("schema"),
                store.prune(BEGIN + 600),
            ))  # fmt: skip
    assert found[0] == found[1]


def test_a_slice_that_saw_less_replaces_none_that_saw_more(db: str) -> None:
    whole = Slice("live", "uptime", BEGIN, BEGIN + SLICE_S, 300.0, 0.0, 0.0, coverage=1.0)
    half = replace(whole, up_s=150.0, unknown_s=150.0, coverage=0.5)
    with open_store(db) as store:
        for one in (half, whole, half):
            store.write("live", [one])
        assert store.slices("live", "uptime", BEGIN, BEGIN + SLICE_S) == [whole]


def test_a_report_and_the_view_say_what_they_say_over_sqlite(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("targets.yml").write_text(
        "chaoskit: 1\nprometheus: http://127.0.0.1:9\nlevels: {uptime: {up: up, at_least: 99.9 %}}\n"
    )
    september, said = month("2026-09", "UTC"), []
    for where in (db, "a.db"):
        with open_store(where) as store:
            store.write("live", time_slices(BEGIN, september.ends_at, [minutes_from("2026-09-10T10:00", 50)]))
        for _ in range(2):
            asked = ["sla", "report", "--targets", "targets.yml", "--db", where, "--month", "2026-09", "--gate"]
            assert run(asked) is ExitCode.FAIL
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    with open_store(db) as store:
        query = sa.text("SELECT timestamp, sla_type, target, actual, compliant FROM sla_compliance")
        ((when, *others),) = store._read(query)
    assert others == ["uptime", 0.999, 1 - 50 / 43_200, False]
    assert when.year >= 2026


def test_a_month_is_recorded_as_into_sqlite(db: str, binaries: Binaries, tmp_path: Path) -> None:
    told = history(day_before(2))
    write_blocks(binaries, tmp_path / "data", told.text())
    with prometheus(binaries, tmp_path) as url:
        for where in (db, tmp_path / "a.db"):
            assert said_by(targets_at(url), where)[0] is ExitCode.PASS  # type: ignore[arg-type]
            assert said_by(targets_at(url), where)[0] is ExitCode.PASS  # type: ignore[arg-type]
    ours = rows(tmp_path / "a.db")
    with open_store(db) as store:
        theirs = {row[:3]: row for row in all_rows(store)}
    assert {row[:3]: theirs[row[:3]] for row in ours} == {row[:3]: row for row in ours}


def _write(url: str, source: str) -> None:
    with open_store(url) as store:
        for hour in range(20):
            begin = BEGIN + hour * 3600
            store.write("live", [replace(one, source=source) for one in time_slices(begin, begin + 3600)])


def test_two_at_once_wait_for_each_other_and_the_rows_are_the_same(db: str) -> None:
    """Also where both are the first ones, and make the tables."""
    both = [multiprocessing.get_context("spawn").Process(target=_write, args=(db, "s")) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    assert [one.exitcode for one in both] == [0, 0]
    with open_store(db) as store:
        assert store.slices("live", "uptime", BEGIN, BEGIN + 72_000) == [
            replace(one, source="s") for one in time_slices(BEGIN, BEGIN + 72_000)
        ]


def test_a_newer_schema_is_refused_and_an_older_one_migrated(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(db) as store:
        store.write("live", time_slices(BEGIN, BEGIN + 600))

    def broken(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE sla_slice ADD COLUMN note TEXT")
        connection.exec_driver_sql("ALTER TABLE no_such_table ADD COLUMN note TEXT")

    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, broken])
    with pytest.raises(EquipmentError, match="no_such_table"):
        open_store(db)
    monkeypatch.undo()
    with open_store(db) as store:
        assert len(store.slices("live", "uptime", BEGIN, BEGIN + 600)) == 2
        store.set_meta("schema", "7")
    with pytest.raises(BadInput, match="schema 7, made by a newer chaoskit"):
        open_store(db)


def test_a_server_that_does_not_answer_and_a_database_that_is_not_there_are_told_without_the_password(
    server: str,
) -> None:
    dead = f"postgresql://u:secret@127.0.0.1:{reserve(1)[0]}/x"
    for url in (dead, server.replace(f"{USER}@", f"{USER}:secret@") + "/none"):
        with pytest.raises(EquipmentError) as told:
            open_store(url)
        assert "secret" not in str(told.value)
        assert "127.0.0.1" in str(told.value)


def test_no_table_or_column_is_a_reserved_word(db: str) -> None:
    with open_store(db) as store:
        reserved = {
            str(one) for (one,) in store._read(sa.text("SELECT word FROM pg_get_keywords() WHERE catcode = 'R'"))
        }
        assert "select" in reserved
        names = {name for table in module.schema.tables.values() for name in (table.name, *table.columns.keys())}
        assert names & reserved == set()
