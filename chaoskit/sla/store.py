"""The evidence on disk: six tables and a view, in one SQLite file or in PostgreSQL.

Evidence cannot be fetched again, so nothing is edited: a slice gives way only to one that saw at least as much of the
same time. Writing is idempotent, a day of data is one transaction, and two recorders at once wait for each other: so
the rows are the same however often, and wherever in between, a recorder was killed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from chaoskit.errors import BadInput, ChaoskitError, EquipmentError, Place, Problem
from chaoskit.files import make_private
from chaoskit.sla.model import SLICE_S, Buckets, Episode, Planned, Result, Slice

DEFAULT_DB = "sla/levels.db"
BUSY_S = 30.0
"""How long a writer waits for another one."""

schema = sa.MetaData()


def _at(name: str, *, key: bool = False, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=null, autoincrement=False)


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=key, nullable=False)


def _number(name: str, *, null: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=null)


meta = sa.Table("sla_meta", schema, _text("name", key=True), _text("content"))
slice_ = sa.Table(
    "sla_slice",
    schema,
    _text("environment", key=True),
    _text("level", key=True),
    _at("starts_at", key=True),
    _at("ends_at"),
    *map(_number, ("up_s", "down_s", "unknown_s", "good", "total")),
    _number("coverage", null=False),
    _text("source"),
    _at("recorded_at"),
)
buckets = sa.Table(
    "sla_buckets",
    schema,
    _text("environment", key=True),
    _text("level", key=True),
    _at("starts_at", key=True),
    _at("ends_at"),
    sa.Column("counts", sa.JSON, nullable=False),
)
result = sa.Table(
    "sla_result",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    _at("created_at"),
    _text("environment"),
    _text("sla_type"),
    _number("target", null=False),
    _number("actual"),
    sa.Column("compliant", sa.Boolean),
    _text("span"),
    _at("starts_at"),
    _at("ends_at"),
    _text("zone"),
    _text("basis"),
    *map(_number, ("worst", "best", "coverage", "budget", "budget_left", "burn")),
    _text("spec_hash"),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.UniqueConstraint("environment", "sla_type", "span", "starts_at", "ends_at", "basis", "spec_hash"),
)
planned = sa.Table(
    "sla_planned",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    _text("environment"),
    _at("starts_at"),
    _at("ends_at"),
    _text("kind"),
    _text("reason"),
    _text("declared_by"),
    _at("declared_at"),
    _text("run_id"),
    _at("revoked_at", null=True),
)
episode = sa.Table(
    "sla_episode",
    schema,
    _text("environment", key=True),
    _text("fingerprint", key=True),
    _at("active_at", key=True),
    _at("fired_at"),
    _at("last_at"),
    _at("resolved_at", null=True),
    _text("alertname"),
    _text("severity"),
    sa.Column("labels", sa.JSON, nullable=False),
)
_INSTANT = {"sqlite": "datetime(created_at, 'unixepoch')", "postgresql": "to_timestamp(created_at)"}


def _first(connection: sa.Connection) -> None:
    """Schema 1: everything."""
    schema.create_all(connection)
    connection.execute(
        sa.text(
            f"CREATE VIEW sla_compliance AS SELECT {_INSTANT[connection.dialect.name]} AS timestamp, sla_type, target, "
            "actual, compliant FROM sla_result WHERE basis = 'contract'"
        )
    )


MIGRATIONS: list[Callable[[sa.Connection], None]] = [_first]
"""The n-th leads from schema n-1 to n; none drops or rewrites evidence."""


class Store:
    """One open store; a context manager. Raises EquipmentError where the database does not do what it is asked."""

    def __init__(self, engine: sa.Engine, shown: str) -> None:
        self.url = shown
        self._engine = engine
        self._reader = engine.execution_options(reading=True)
        self._kept: dict[tuple[str, str], tuple[int, int, list[Slice]]] | None = None
        self._insert: Any = (postgresql if engine.dialect.name == "postgresql" else sqlite).insert

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def write(
        self,
        environment: str | Iterable[str],
        slices: Iterable[Slice] = (),
        counts: Iterable[Buckets] = (),
        episodes: Iterable[Episode] = (),
        recorded_at: int | None = None,
    ) -> None:
        """Stores evidence of these environments in one transaction; what is there already, as good or better, stays."""
        now = int(time.time()) if recorded_at is None else recorded_at
        names = [environment] if isinstance(environment, str) else sorted(environment)
        with self._writing(*names) as connection:
            self._upsert(connection, slice_, [{**_row(one), "recorded_at": now} for one in slices], "recorded_at")
            if histograms := [_row(one) for one in counts]:
                connection.execute(self._insert(buckets).on_conflict_do_nothing(), histograms)
            self._upsert(connection, episode, [_row(one) for one in episodes])

    def environments(self) -> list[str]:
        """The environments of which the store has evidence."""
        return [str(one) for (one,) in self._read(sa.select(slice_.c.environment).distinct().order_by(sa.text("1")))]

    def levels(self, environment: str) -> list[str]:
        """The keys of levels that an environment has evidence of, those of their parts (`errors/agent`) included."""
        query = sa.select(slice_.c.level).distinct().where(slice_.c.environment == environment)
        return sorted(str(one) for (one,) in self._read(query))

    def slices(self, environment: str, level: str, starts_at: int, ends_at: int) -> list[Slice]:
        """The slices that touch this time, in order. Of a row that spans a gap and rows within it, the latter count."""
        begin, end, rows = (self._kept or {}).get((environment, level), (0, 0, []))
        if not begin <= starts_at <= ends_at <= end:
            columns = [column for column in slice_.c if column.name != "recorded_at"]
            query = sa.select(*columns).where(
                slice_.c.environment == environment,
                slice_.c.level == level,
                slice_.c.ends_at > starts_at,
                slice_.c.starts_at < ends_at,
            )
            rows = _apart(Slice(*row) for row in self._read(query.order_by(slice_.c.starts_at)))
            if self._kept is not None:
                self._kept[environment, level] = starts_at, ends_at, rows
        return [one for one in rows if one.ends_at > starts_at and one.starts_at < ends_at]

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Keeps what is read of slices in here, so that the months of a quarter are not read again."""
        self._kept = {}
        try:
            yield
        finally:
            self._kept = None

    def buckets(self, environment: str, level: str, starts_at: int, ends_at: int) -> list[Buckets]:
        """The histograms that lie within this time."""
        query = sa.select(buckets).where(
            buckets.c.environment == environment,
            buckets.c.level == level,
            buckets.c.starts_at >= starts_at,
            buckets.c.ends_at <= ends_at,
        )
        return [Buckets(*row) for row in self._read(query.order_by(buckets.c.starts_at))]

    def recorded(self, environment: str, level: str | None = None) -> tuple[int, int] | None:
        """Begin and end of what was looked at, gaps included, of a level or of any; None where nothing was."""
        query = sa.select(sa.func.min(slice_.c.starts_at), sa.func.max(slice_.c.ends_at))
        query = query.where(slice_.c.environment == environment)
        if level is not None:
            query = query.where(slice_.c.level == level)
        ((begin, end),) = self._read(query)
        return None if begin is None else (int(begin), int(end))

    def last_light(self, environment: str, level: str, before: int) -> int | None:
        """The end of the last slice up to this instant that anything was seen of; None where there is none."""
        query = sa.select(slice_.c.ends_at).where(
            slice_.c.environment == environment,
            slice_.c.level == level,
            slice_.c.starts_at < before,
            slice_.c.ends_at <= before,
            slice_.c.coverage > 0,
        )
        rows = self._read(query.order_by(slice_.c.starts_at.desc()).limit(1))
        return int(rows[0][0]) if rows else None

    def first_seen(self, environment: str) -> int | None:
        """When the first evidence begins that says anything; None where there is none."""
        query = sa.select(sa.func.min(slice_.c.starts_at)).where(
            slice_.c.environment == environment, slice_.c.coverage > 0
        )
        ((found,),) = self._read(query)
        return None if found is None else int(found)

    def plan(self, one: Planned) -> int:
        """Adds a planned window and returns its number; the same run of the same environment only once."""
        with self._writing(one.environment) as connection:
            if one.run_id:
                same = sa.select(planned.c.id).where(
                    planned.c.environment == one.environment,
                    planned.c.run_id == one.run_id,
                    planned.c.revoked_at.is_(None),
                )
                known = connection.scalar(same)
                if known is not None:
                    return int(known)
            row = {key: value for key, value in _row(one).items() if key != "id"}
            return int(connection.execute(sa.insert(planned).values(row).returning(planned.c.id)).scalar_one())

    def revoke(self, number: int, at: int) -> bool:
        """Takes a planned window back; False where there is none of this number that still stands."""
        with self._writing("") as connection:
            stands = (planned.c.id == number) & planned.c.revoked_at.is_(None)
            return connection.execute(sa.update(planned).where(stands).values(revoked_at=at)).rowcount > 0

    def planned(self, environment: str | None, starts_at: int, ends_at: int, *, revoked: bool = False) -> list[Planned]:
        """The planned windows that touch this time, oldest first; those that were revoked only if asked for."""
        query = sa.select(planned).where(planned.c.ends_at > starts_at, planned.c.starts_at < ends_at)
        if environment is not None:
            query = query.where(planned.c.environment == environment)
        if not revoked:
            query = query.where(planned.c.revoked_at.is_(None))
        rows = self._read(query.order_by(planned.c.starts_at, planned.c.id))
        return [Planned(**row._mapping) for row in rows]

    def episodes(self, environment: str, starts_at: int, ends_at: int) -> list[Episode]:
        """The episodes that touch this time, in the order in which they became pending."""
        query = sa.select(episode).where(
            episode.c.environment == environment,
            episode.c.active_at < ends_at,
            sa.func.coalesce(episode.c.resolved_at, episode.c.last_at) > starts_at,
        )
        return [Episode(*row) for row in self._read(query.order_by(episode.c.active_at, episode.c.fingerprint))]

    def write_results(self, results: Iterable[Result], created_at: int) -> None:
        """Keeps results; a window judged again by the same targets replaces what was said of it."""
        rows = [_result_row(one, created_at) for one in results]
        with self._writing("") as connection:
            unique = next(one for one in result.constraints if isinstance(one, sa.UniqueConstraint))
            self._upsert(connection, result, rows, on=[column.name for column in unique.columns])

    def results(self, environment: str | None = None) -> list[dict[str, Any]]:
        """Rows of sla_result, oldest window first."""
        query = sa.select(result).order_by(result.c.starts_at, result.c.id)
        if environment is not None:
            query = query.where(result.c.environment == environment)
        names = [column.name for column in result.c]
        return [dict(zip(names, row, strict=True)) for row in self._read(query)]

    def meta(self, key: str) -> str | None:
        """The text that is kept under this key; None where there is none."""
        rows = self._read(sa.select(meta.c.content).where(meta.c.name == key))
        return str(rows[0][0]) if rows else None

    def metas(self, prefix: str) -> dict[str, str]:
        """The texts under keys with this prefix, by the rest of the key."""
        rows = self._read(sa.select(meta.c.name, meta.c.content).where(meta.c.name.startswith(prefix, autoescape=True)))
        return {str(key)[len(prefix) :]: str(value) for key, value in rows}

    def set_meta(self, key: str, value: str, *, keep: bool = False) -> None:
        """Keeps a text under a key; with `keep`, one that is there already stays."""
        with self._writing("") as connection:
            insert = self._insert(meta).values(name=key, content=value)
            done = (
                insert.on_conflict_do_nothing()
                if keep
                else insert.on_conflict_do_update(index_elements=["name"], set_={"content": value})
            )
            connection.execute(done)

    def prune(self, before: int, *, dry_run: bool = False) -> int:
        """Removes evidence that ended by then and returns how many rows; results and planned windows are kept."""
        olds = [(slice_, slice_.c.ends_at), (buckets, buckets.c.ends_at), (episode, episode.c.resolved_at)]
        if dry_run:
            queries = [sa.select(sa.func.count()).select_from(table).where(end <= before) for table, end in olds]
            return sum(int(self._read(query)[0][0]) for query in queries)
        with self._writing("") as connection:
            return sum(connection.execute(sa.delete(table).where(end <= before)).rowcount for table, end in olds)

    def _read(self, query: Any) -> Sequence[Any]:
        with _said(self.url), self._reader.connect() as connection:
            return connection.execute(query).all()

    @contextlib.contextmanager
    def _writing(self, *environments: str) -> Iterator[sa.Connection]:
        with _said(self.url), self._engine.begin() as connection:
            _lock(connection, *environments)
            yield connection

    def _upsert(
        self,
        connection: sa.Connection,
        table: sa.Table,
        rows: list[dict[str, Any]],
        stamp: str = "",
        on: Sequence[str] = (),
    ) -> None:
        """Inserts rows or updates those that differ; `stamp` alone is no difference."""
        if not rows:
            return
        insert = self._insert(table)
        keys = list(on) or [column.name for column in table.primary_key]
        others = [name for name in rows[0] if name not in keys]
        # JSON has no comparison in PostgreSQL; its rows are written again as they were.
        told = [name for name in others if name != stamp and not isinstance(table.c[name].type, sa.JSON)]
        differs = sa.or_(*(table.c[name].is_distinct_from(insert.excluded[name]) for name in told))
        if "coverage" in told and stamp:
            differs = sa.and_(insert.excluded.coverage >= table.c.coverage, differs)
        update = {name: insert.excluded[name] for name in others}
        where = differs if stamp else None
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=update, where=where), rows)


def open_store(where: str | Path, *, create: bool = True) -> Store:
    """The store in this file, or at this URL (`postgresql://USER@HOST/NAME`), brought to this schema.

    Raises BadInput for a place that cannot be one, or a schema newer than this chaoskit; EquipmentError where the
    database does not answer. Without `create` a missing file is an error.
    """
    url, shown = _url(str(where))
    file = Path(url.database or "") if url.drivername.startswith("sqlite") else None
    if file is not None:
        if not file.exists() and not create:
            raise BadInput(Problem(Place(shown), "there is no store here", "fill it with `chaoskit sla record`"))
        if file.is_dir():
            raise BadInput(Problem(Place(shown), "is a folder", "name a file"))
        if not file.parent.is_dir():
            make_private(file.parent)
    engine = _engine(url, shown)
    try:
        with _said(shown):
            _migrate(engine, file, shown)
    except ChaoskitError:
        engine.dispose()
        raise
    return Store(engine, shown)


def _url(where: str) -> tuple[sa.URL, str]:
    if "://" not in where:
        return sa.URL.create("sqlite", database=where), where
    try:
        url = sa.make_url(where)
    except (ArgumentError, ValueError):
        raise BadInput(
            Problem(None, "--db: this is no URL of a database", "write postgresql://USER@HOST/NAME")
        ) from None
    if url.drivername == "sqlite" and url.database:
        return url, url.database
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg"), url.render_as_string(hide_password=True)
    hint = "name a file (SQLite) or postgresql://USER@HOST/NAME"
    raise BadInput(Problem(None, f"--db: {url.drivername} is no database that chaoskit can use", hint))


def _engine(url: sa.URL, shown: str) -> sa.Engine:
    if not url.drivername.startswith("sqlite"):
        try:
            return sa.create_engine(url, connect_args={"connect_timeout": 10})
        except (ImportError, NoSuchModuleError):
            hint = "pip install 'chaoskit[postgres]'"
            raise BadInput(Problem(Place(shown), "PostgreSQL needs a package that is not installed", hint)) from None
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_S})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _migrate(engine: sa.Engine, file: Path | None, shown: str) -> None:
    found = _version(engine)
    newest = len(MIGRATIONS)
    if found > newest:
        hint = f"install a newer chaoskit; this one knows schema {newest}. Nothing was changed"
        raise BadInput(Problem(Place(shown), f"this store has schema {found}, made by a newer chaoskit", hint))
    if found == newest:
        return
    if found and file is not None:
        copy = file.with_name(f"{file.name}.schema-{found}")
        if not copy.exists():
            with contextlib.closing(engine.raw_connection()) as raw:  # no transaction has begun
                raw.cursor().execute("VACUUM INTO ?", (str(copy),))
    with engine.begin() as connection:
        _lock(connection, "")
        for number in range(_version_in(connection), newest):  # another process may have been quicker
            MIGRATIONS[number](connection)
            connection.execute(sa.delete(meta).where(meta.c.name == "schema"))
            connection.execute(sa.insert(meta).values(name="schema", content=str(number + 1)))


def _version(engine: sa.Engine) -> int:
    with engine.execution_options(reading=True).connect() as connection:
        return _version_in(connection)


def _version_in(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table(meta.name):
        return 0
    return int(connection.scalar(sa.select(meta.c.content).where(meta.c.name == "schema")) or 0)


def _lock(connection: sa.Connection, *environments: str) -> None:
    """SQLite has one writer anyway; PostgreSQL's recorders of one environment wait for each other."""
    if connection.dialect.name == "postgresql":
        for name in environments:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"chaoskit sla {name}"))))


@contextlib.contextmanager
def _said(shown: str) -> Iterator[None]:
    """Turns a database error into BadInput (no database) or EquipmentError that names `shown` and the next step."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0]
        hints = {
            "full": "free some disk space; nothing was lost, and the next `chaoskit sla record` goes on from here",
            "locked": "another program holds the store; try again, or end that program",
            "not a database": "name another file with --db, or restore this one from a copy",
            "readonly": "correct the permissions of the store and of its folder",
            "unable to open": "correct the permissions of the store and of its folder",
            "malformed": "restore it from a copy",
        }
        hint = next((text for word, text in hints.items() if word in said), "see that the database runs and answers")
        if "not a database" in said:
            raise BadInput(Problem(Place(shown), f"this is no store: {said}", hint)) from None
        raise EquipmentError(f"the store {shown}", said, hint) from None


def _row(one: Slice | Buckets | Planned | Episode) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def _result_row(one: Result, created_at: int) -> dict[str, Any]:
    window = one.window
    same = ("environment", "target", "actual", "compliant", "basis", "worst", "best", "coverage", "budget",
            "budget_left", "burn", "spec_hash", "final")  # fmt: skip
    return {
        "created_at": created_at,
        "sla_type": one.level,
        "span": window.span,
        "starts_at": window.starts_at,
        "ends_at": window.ends_at,
        "zone": window.zone,
        **{name: getattr(one, name) for name in same},
    }


def _apart(rows: Iterable[Slice]) -> list[Slice]:
    """Rows in order of their begin: a row that spans a gap or the rows within it, whichever say more."""
    found: list[Slice] = []
    spanned = 0
    for one in rows:
        if one.starts_at < spanned and not one.coverage:
            continue  # dark time that a row spans
        if one.starts_at < spanned:
            found = [other for other in found if other.ends_at <= one.starts_at]
        found.append(one)
        spanned = max(spanned, one.ends_at) if one.ends_at - one.starts_at > SLICE_S else 0
    return found
