"""Open the database of results.

``ENTVIZ_DATABASE`` names any database that SQLAlchemy can open. Without it, the database is a SQLite file in the cache
directory. If that file is damaged, it is set aside and everything readable in it is copied (``mending.py``). A database
that the user named is never changed in this way.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchTableError
from sqlalchemy.pool import StaticPool

from entviz.cache_directory import cache_directory
from entviz.store import mending
from entviz.store.faults import NO_ADDRESS, DamageError, Fault, FaultError, is_damage, is_locked
from entviz.store.schema import metadata

FILE = "runs.sqlite"
_BUSY_SECONDS = 10.0  # how long one process waits for another's write
_CONNECT_SECONDS = 10  # how long a server may take to answer
# The statement by which a transaction makes others with the same statement wait, by dialect. The number is arbitrary.
_ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(20250403794)"}


_SETTINGS = (
    "auto_vacuum=FULL",  # what is removed makes the file smaller; takes effect in a new file only
    "journal_mode=WAL",  # readers do not wait for a writer
    "synchronous=NORMAL",
    "journal_size_limit=16777216",
)

Identity = tuple[int, ...]


@dataclass(frozen=True)
class Opened:
    """An engine with the tables in place.

    Attributes:
        engine: the engine; its owner has to dispose of it.
        path: the path of entviz's own file; None for a database that the user named.
        identity: the identity of that file when it was opened, to notice if another file replaces it.
        notice: a sentence that says what was repaired; empty if nothing was.
        refusal: the error raised when the file was opened for writing, if it can only be read; None if it can be
            written.
    """

    engine: Engine
    path: Path | None = None
    identity: Identity | None = None
    notice: str = ""
    refusal: Exception | None = None

    @property
    def replaced(self) -> bool:
        """Whether the file was set aside or removed after it was opened, so that new rows would be lost."""
        if self.path is None:
            return False
        # A file that can only be read is opened as if no process writes to it.
        return identity(self.path, content=self.refusal is not None) != self.identity


@dataclass(frozen=True)
class Address:
    """The address of a database: a URL, or entviz's own file. ``place`` names it without a password."""

    url: URL | None
    place: str


def address(named: str | None = None) -> Address:
    """The given address, otherwise the one in ``ENTVIZ_DATABASE``, otherwise that of the file in the cache directory.

    Raises ``FaultError`` if the address is not valid. The parser's message is not repeated, because it may contain part
    of a password.
    """
    named = named or os.environ.get("ENTVIZ_DATABASE")
    if not named:
        return Address(None, str(cache_directory() / FILE))
    try:
        url = make_url(named)
    except (ArgumentError, ValueError):
        raise FaultError(NO_ADDRESS) from None
    if url.host and "@" in url.host:
        # Otherwise a part of the password would be read as part of the host name.
        raise FaultError(
            Fault("ENTVIZ_DATABASE has two @", "write an @ in the user's name or password as %40")
        )
    if url.get_backend_name() != "sqlite":
        return Address(url, f"the {url.get_backend_name()} database on {url.host or 'this computer'}")
    if url.database in (None, "", ":memory:"):
        return Address(url, "the database in memory")
    path = str(url.database)
    return Address(url, path if path.startswith("file:") else str(Path(path).absolute()))


def open_database(named: str | None = None, *, suspect: Identity | None = None) -> Opened:
    """The database, opened, with its tables in place.

    Args:
        named: its URL; see :func:`address`.
        suspect: the identity of entviz's own file, if using it has just failed as if it were damaged. The whole file is
            then checked, which takes a while, unless another process has replaced it in the meantime.

    Raises the errors of SQLAlchemy, the driver or the system; ``faults.explain`` explains them.
    """
    where = address(named)
    if where.url is not None:
        return Opened(_ready(_engine_of(where.url)))
    path = Path(where.place)
    try:
        return _open_file(path, suspect)
    except Exception as error:
        wal = Path(f"{path}-wal")
        if (
            is_damage(error)
            or is_locked(error)
            or not path.is_file()
            or (wal.exists() and wal.stat().st_size)
        ):
            raise
        try:
            engine = _checked(_engine_of_file(path, "mode=ro&immutable=1", ()))
        except Exception:  # noqa: BLE001 - it cannot be read either
            raise error from None
        return Opened(engine, path, identity(path, content=True), refusal=error)


def _open_file(path: Path, suspect: Identity | None) -> Opened:
    """Entviz's own file, created or repaired if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mending.alone(path) as locked:
        notice = mending.go_on(path) if locked else ""
        path.touch()
        try:
            if suspect is not None and identity(path) == suspect:
                mending.check(path)
            engine = _ready(_engine_of_file(path))
        except Exception as error:
            if not is_damage(error) or not locked:
                raise
            notice = mending.mend(path)
            engine = _ready(_engine_of_file(path))
        return Opened(engine, path, identity(path), notice)


def in_memory() -> Engine:
    """A database in memory with a single connection. The caller has to make sure that only one thread uses it."""
    options = {"check_same_thread": False}
    return _ready(create_engine("sqlite://", poolclass=StaticPool, connect_args=options))


def identity(path: Path, *, content: bool = False) -> Identity | None:
    """The identity of a file, which changes if another file replaces it; with ``content``, also if it is written to.

    None if there is no file.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    more = (status.st_size, status.st_mtime_ns) if content else ()
    return status.st_dev, status.st_ino, *more


def _engine_of(url: URL) -> Engine:
    options: dict[str, Any] = {}
    if (
        url.get_driver_name() in ("psycopg", "psycopg2", "pymysql", "mysqldb")
        and "connect_timeout" not in url.query
    ):
        options["connect_timeout"] = _CONNECT_SECONDS
    engine = create_engine(url, pool_pre_ping=True, connect_args=options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _engine_of_file(path: Path, mode: str = "mode=rw", settings: tuple[str, ...] = _SETTINGS) -> Engine:
    """An engine whose connections never create the file, so that none is created while it is being replaced."""
    place = f"file:{quote(str(path))}?{mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, check_same_thread=False)

    engine = create_engine(URL.create("sqlite", database=str(path)), creator=connect, pool_pre_ping=True)
    event.listen(engine, "connect", partial(_prepare_sqlite, settings=settings))
    return engine


def _ready(engine: Engine) -> Engine:
    """The engine, after creating missing tables; raises the errors of :func:`_checked`."""
    try:
        _create_tables(engine)
    except BaseException:
        engine.dispose()
        raise
    return _checked(engine)


def _checked(engine: Engine) -> Engine:
    """The engine. Raises ``DamageError`` if a table lacks columns."""
    try:
        inspector = inspect(engine)
        for table in metadata.sorted_tables:
            try:
                there = {column["name"] for column in inspector.get_columns(table.name)}
            except NoSuchTableError:
                there = set()
            missing = {column.name for column in table.columns} - there
            if missing:
                raise DamageError(f"{table.name} lacks {', '.join(sorted(missing))}")
    except BaseException:
        engine.dispose()
        raise
    return engine


def _create_tables(engine: Engine) -> None:
    """Create the missing tables, all or none, in one process at a time.

    Without this, all but the first of several processes that start together would fail.
    """
    if set(metadata.tables) <= set(inspect(engine).get_table_names()):
        return
    with engine.begin() as connection:
        if engine.dialect.name in _ALONE:
            connection.exec_driver_sql(_ALONE[engine.dialect.name])
        metadata.create_all(connection)


def _prepare_sqlite(connection: Any, _record: Any, settings: tuple[str, ...] = _SETTINGS) -> None:
    cursor = connection.cursor()
    for setting in (f"busy_timeout={int(_BUSY_SECONDS * 1000)}", *settings):
        _set(cursor, setting)
    cursor.close()


def _set(cursor: Any, setting: str) -> None:
    """Set one of SQLite's settings, waiting for others that are opening the same file.

    Changing a new file's journal to a write-ahead log needs exclusive access. If two connections try this at the same
    time, SQLite fails in one of them without waiting for ``busy_timeout``.
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute(f"PRAGMA {setting}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
