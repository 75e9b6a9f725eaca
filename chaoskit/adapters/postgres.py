"""via postgres: a table of PostgreSQL. db.slow holds its lock in pulses, db.error is a trigger on it.

The lock is a session's whose application_name is the fault's id: it is seen in pg_locks, taken back by ending that
session, and ends by itself by idle_in_transaction_session_timeout, however still its owner stands. The trigger's text
holds the deadline from which on it lets everything pass. A share of the statements is counted by a sequence, in which
the statements of our own looks have no part: all of them are refused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from chaoskit import waiting
from chaoskit.adapters.base import Adapter, client, left_s, secret, token, undone, vouched
from chaoskit.faults.base import Fault, FaultError, Kind, Made, Seen, Target, Undo
from chaoskit.faults.database import DbErrorSettings, DbSlow, DbSlowSettings, Lock

_CONNECT_S = 5
_LOCK_S = 5.0
_GONE_S = 5.0
_LOOK = "chaoskit look"
_LOCKS = {"": "EXCLUSIVE", "writers": "EXCLUSIVE", "all": "ACCESS EXCLUSIVE"}


@dataclass(frozen=True, kw_only=True)
class Postgres(Adapter):
    """A table of PostgreSQL."""

    kind: ClassVar[str] = "database"
    via: ClassVar[str] = "postgres"
    needs_extra: ClassVar[tuple[str, ...]] = ("psycopg",)
    files: ClassVar[tuple[str, ...]] = ("dsn_file",)
    seen_by: ClassVar[str] = "pg_locks by application_name; pg_trigger, and a statement that is refused"
    undone_by: ClassVar[str] = "pg_terminate_backend of the id's sessions; DROP of its trigger, function and sequence"
    ends: ClassVar[str] = "idle_in_transaction_session_timeout; the deadline in the trigger's text"
    example: ClassVar[str] = "database: {orders: {via: postgres, dsn_file: secrets/orders.dsn, table: orders}}"

    table: str
    """The table, with its schema where that is not on the search path; the scenario's own `table` is not read."""
    dsn_file: str
    """The file that holds the connection string, a secret; its role owns the table or may TRIGGER on it."""
    lock: str = ""
    """Which other statements wait under db.slow: `writers` (if nothing is said), or `all`, readers as well."""

    @classmethod
    def faults(cls) -> tuple[Kind[Any], ...]:
        return PostgresSlow(), PostgresError()

    def wrong(self) -> Iterator[tuple[str, str, str]]:
        """A problem where the lock is none that this adapter takes."""
        yield from super().wrong()
        if self.lock not in _LOCKS:
            yield "lock", f"cannot be '{self.lock}'", "write writers or all"

    def look(self) -> tuple[str, ...]:
        """The table's name; raises FaultError where the database has no such table."""
        _find(self.keys())
        return (self.table,)


@contextlib.contextmanager
def connected(at: Mapping[str, str], called: str = _LOOK) -> Iterator[Any]:
    """A session of this name, each statement by itself, closed afterwards; raises FaultError."""
    psycopg = client("psycopg", "postgres")
    try:
        with psycopg.connect(
            secret(at["dsn_file"]), autocommit=True, application_name=called, connect_timeout=_CONNECT_S
        ) as database:
            yield database
    except psycopg.Error as error:
        raise FaultError(f"PostgreSQL: {' '.join(str(error).split())[:400]}") from None


def _find(at: Mapping[str, str]) -> None:
    with connected(at) as database:
        if database.execute("SELECT to_regclass(%s)", (_table(at),)).fetchone()[0] is None:
            raise FaultError(f"there is no table {at['table']} in {database.info.dbname}; correct table")


def _table(at: Mapping[str, str]) -> str:
    """The table as an identifier: the names of a profile are meant as they are written."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in at["table"].split("."))


class PostgresSlow(DbSlow):
    """db.slow on a table of PostgreSQL."""

    def prepare(self, target: Target, settings: DbSlowSettings) -> Undo:
        """Finds the table; raises FaultError where it is not."""
        _find(target.address.keys)
        return {**token(target), **self.pulses(target, settings)}

    @contextlib.contextmanager
    def locking(self, undo: Undo) -> Iterator[Lock]:
        """A session with the fault's id for a name."""
        with connected(undo["at"], undo["id"]) as database, connected(undo["at"]) as look:
            yield _Lock(undo, database, look)

    def stop(self, undo: Undo) -> Seen:
        """Ends every session with the id for a name, and sees none left."""

        def end() -> str:
            with connected(undo["at"]) as database:
                ended = _end_sessions(database, undo)
            return f"{ended} sessions ended; none holds a lock on {undo['at']['table']} for this fault"

        return undone(end)

    def mend(self, undo: Undo) -> str:
        return self.stop(undo).detail

    def vouch(self, undo: Undo, made: Made) -> str:
        return f"ends the sessions of PostgreSQL that are called {vouched(undo, made)}"


class _Lock(Lock):
    def __init__(self, undo: Undo, database: Any, look: Any) -> None:
        self._undo, self._database, self._look = undo, database, look

    def take(self) -> None:
        idle_s = min(left_s(self._undo), self._undo["locked_s"] + self._undo["gap_s"] + 1.0)
        self._database.execute("BEGIN")
        self._database.execute(f"SET LOCAL idle_in_transaction_session_timeout = {int(idle_s * 1000)}")
        # Behind one that waits for it, everything else would wait as well.
        self._database.execute(f"SET LOCAL lock_timeout = {int(_LOCK_S * 1000)}")
        at = self._undo["at"]
        self._database.execute(f"LOCK TABLE {_table(at)} IN {_LOCKS[at.get('lock', '')]} MODE")

    def let_go(self) -> None:
        self._database.execute("ROLLBACK")

    def kept_out(self) -> bool:
        found = self._look.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE application_name = %s AND granted AND relation = %s::regclass",
            (self._undo["id"], _table(self._undo["at"])),
        )
        return bool(found.fetchone()[0])


def _end_sessions(database: Any, undo: Undo) -> int:
    """Ends every session that is called like the token, and sees none left; how many it were. Raises FaultError."""

    def counted(what: str) -> int:
        found = database.execute(f"SELECT {what} FROM pg_stat_activity WHERE application_name = %s", (undo["id"],))
        return int(found.fetchone()[0])

    ended = counted("count(pg_terminate_backend(pid))")
    if not waiting.await_true(lambda: not counted("count(*)"), _GONE_S):
        raise FaultError(f"PostgreSQL still has the session {undo['id']} that it was told to end; end it by hand")
    return ended


class PostgresError(Fault[DbErrorSettings]):
    """db.error on a table of PostgreSQL."""

    kind = "db.error"
    handles = ("database",)
    look_s = 1.0

    def prepare(self, target: Target, settings: DbErrorSettings) -> Undo:
        """Finds the table; raises FaultError where it is not, or where the role may make no trigger on it."""
        at = target.address.keys
        _find(at)
        with connected(at) as database:
            may = database.execute("SELECT has_table_privilege(%s, 'TRIGGER')", (_table(at),)).fetchone()[0]
        if not may:
            raise FaultError(f"the role may make no trigger on {at['table']}: GRANT TRIGGER ON {at['table']} TO it")
        return {**token(target), "operation": settings.operation, "ratio": settings.ratio}

    def start(self, undo: Undo) -> Seen:
        """Makes the trigger, sees it there, and has a statement refused that would change nothing."""
        begun, table, name, ratio = time.time(), _table(undo["at"]), undo["id"], undo["ratio"]
        until = datetime.fromtimestamp(undo["until"], UTC).isoformat()
        with connected(undo["at"], name) as database, database.transaction():
            database.execute(f"SET LOCAL lock_timeout = {int(_LOCK_S * 1000)}")
            called = _called(database, undo)
            # Each statement counts, whichever role it comes from.
            database.execute(f"CREATE SEQUENCE {called}; GRANT USAGE ON SEQUENCE {called} TO PUBLIC")
            database.execute(
                f"CREATE FUNCTION {called}() RETURNS trigger LANGUAGE plpgsql AS $drill$ DECLARE n bigint; BEGIN "
                f"IF clock_timestamp() >= '{until}'::timestamptz THEN RETURN NULL; END IF; "
                f"IF current_setting('application_name') <> '{_LOOK}' THEN n := nextval($at${called}$at$); "
                f"IF floor(n * {ratio}) = floor((n - 1) * {ratio}) THEN RETURN NULL; END IF; END IF; "
                f"RAISE EXCEPTION 'refused for a drill ({name})'; END $drill$"
            )
            database.execute(
                f"CREATE TRIGGER {name} BEFORE {undo['operation'].upper()} ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {called}()"
            )
        if why := self.lapse(undo):
            raise FaultError(f"PostgreSQL has the trigger, and {why}")
        share = "every" if ratio == 1 else f"{ratio:.3g} of each"
        return Seen((begun, time.time()), f"{share} {undo['operation']} on {undo['at']['table']} is refused")

    def lapse(self, undo: Undo) -> str:
        """Why the fault lapsed: the trigger is gone or switched off, or lets a statement pass."""
        with connected(undo["at"]) as database:
            found = database.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = %s", (undo["id"],)).fetchone()
            if found is None:
                return f"the trigger on {undo['at']['table']} is gone"
            return _passes(database, undo)

    def stop(self, undo: Undo) -> Seen:
        """Ends what still makes the trigger, drops it with its function and its sequence, and sees none left."""

        def drop() -> str:
            with connected(undo["at"]) as database:
                _end_sessions(database, undo)
                database.execute(f"SET lock_timeout = {int(_LOCK_S * 1000)}")
                table = database.execute("SELECT to_regclass(%s)", (_table(undo["at"]),)).fetchone()[0]
                if table is not None:
                    database.execute(f"DROP TRIGGER IF EXISTS {undo['id']} ON {_table(undo['at'])}")
                    called = _called(database, undo)
                    database.execute(f"DROP FUNCTION IF EXISTS {called}(); DROP SEQUENCE IF EXISTS {called}")
                left = database.execute(
                    "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname = %(id)s) "
                    "+ (SELECT count(*) FROM pg_proc WHERE proname = %(id)s) "
                    "+ (SELECT count(*) FROM pg_class WHERE relname = %(id)s)",
                    {"id": undo["id"]},
                ).fetchone()[0]
                if left:
                    raise FaultError(f"{undo['id']} was dropped, and PostgreSQL still has it; drop it by hand")
            return f"{undo['at']['table']} takes every {undo['operation']} again"

        return undone(drop)

    def vouch(self, undo: Undo, made: Made) -> str:
        return f"drops the trigger, the function and the sequence {vouched(undo, made)} in PostgreSQL"


def _called(database: Any, undo: Undo) -> str:
    """The name of function and sequence beside their table: the search path may begin elsewhere."""
    found = database.execute(
        "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE pg_class.oid = %s::regclass",
        (_table(undo["at"]),),
    )
    return f"{found.fetchone()[0]}.{undo['id']}"


def _passes(database: Any, undo: Undo) -> str:
    """Why it is not our trigger that refuses a statement which, where it passes, changes nothing; else empty."""
    table, error = _table(undo["at"]), client("psycopg", "postgres").Error
    column = database.execute(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a' LIMIT 1",
        (table,),
    ).fetchone()[0]
    statement = {
        "insert": f"INSERT INTO {table} ({column}) SELECT {column} FROM {table} WHERE false",
        "update": f"UPDATE {table} SET {column} = {column} WHERE false",
        "delete": f"DELETE FROM {table} WHERE false",
    }[undo["operation"]]
    try:
        database.execute(statement)
    except error as refusal:
        return "" if undo["id"] in str(refusal) else f"the trigger's test statement fails otherwise: {refusal}"
    return f"a statement on {undo['at']['table']} passes"
