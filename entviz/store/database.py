"""The tables that results are kept in, and opening the database that has them.

``ENTVIZ_DATABASE`` names any database that SQLAlchemy can open; without it, it is a SQLite file in the cache
directory. That file is entviz's own and is made anew where it is damaged. A database that was named is never removed.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from entviz.models.cache import cache_directory

log = logging.getLogger("entviz")

FILE = "runs.sqlite"
_BUSY_SECONDS = 10.0  # how long one process waits for another's write
# How a transaction makes others wait that begin in the same way, by dialect; the number is ours and means nothing.
_ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(20250403794)"}

metadata = MetaData()

texts = Table(
    "entviz_texts",
    metadata,
    Column("key", String(40), primary_key=True, comment="hash of the text"),
    Column("text", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
)

runs = Table(
    "entviz_runs",
    metadata,
    Column("key", String(40), primary_key=True, comment="hash of all that the result depends on"),
    Column("kind", String(40), nullable=False, index=True, comment="analysis, evaluation, ..."),
    Column("created", Float, nullable=False, index=True, comment="seconds since 1970, UTC"),
    Column("used", Float, nullable=False, comment="the same, when it was last asked for"),
    Column("model", Text, nullable=False, comment="the name it was asked for by"),
    Column("fingerprint", String(64), nullable=False, comment="of the model's config and weights"),
    Column("description", Text, nullable=False, comment="of the text, in a few words"),
    Column("options", JSON, nullable=False, comment="what was asked for"),
    Column("summary", JSON, nullable=False, comment="the main numbers"),
    Column("program", Text, nullable=False, comment="what computed it"),
    Column("text_key", String(40), ForeignKey("entviz_texts.key"), nullable=True, index=True),
    Column("bytes", Integer, nullable=False, comment="of the result"),
    Column("result", LargeBinary, nullable=False),
)
# All that is asked to make room, so that it is read from the index and not past the results.
Index("entviz_runs_by_use", runs.c.used, runs.c.created, runs.c.key, runs.c.bytes)

requests = Table(
    "entviz_requests",
    metadata,
    Column(
        "key", String(40), primary_key=True, comment="hash of what was asked for, before a model was loaded"
    ),
    Column("run_key", String(40), ForeignKey("entviz_runs.key"), nullable=False, index=True),
)


def open_database(url: str | None = None, *, suspected: bool = False) -> Engine | None:
    """An engine with the tables in place, or None (and a line in the log) where the database cannot be used.

    With ``suspected`` all of entviz's own file is checked, which takes a while.
    """
    named = url or os.environ.get("ENTVIZ_DATABASE")
    if named:
        try:
            return _opened(named)
        except Exception as error:  # noqa: BLE001 - missing drivers, wrong addresses, refused connections, ...
            # The address may hold a password, so it is not repeated.
            log.warning("The database cannot be used (%s); results are kept in memory.", type(error).__name__)
            return None
    path = cache_directory() / FILE
    for last_try in (False, True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _opened(URL.create("sqlite", database=str(path)), suspected)
        except (SQLAlchemyError, OSError) as error:
            if last_try or not is_damage(error):
                log.warning("%s cannot be used (%s); results are kept in memory.", path, error)
                return None
            log.warning("%s is damaged or from another version; it is made anew.", path)
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    return None


def is_damage(error: Exception) -> bool:
    """Whether a database says that its file is spoilt, rather than busy, full or not ours to write."""
    words = (
        "not a database",
        "malformed",
        "no such column",
        "no such table",
        "disk i/o error",
        "has no column",
    )
    return isinstance(error, DatabaseError) and any(word in str(error.orig).lower() for word in words)


def _opened(url: str | URL, suspected: bool = False) -> Engine:
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        _create_tables(engine)
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                connection.execute(select(table).limit(1)).fetchall()
            if suspected:
                found = connection.scalar(text("PRAGMA quick_check(1)"))
                if found != "ok":
                    raise DatabaseError("quick_check", None, Exception(f"malformed: {found}"))
    except BaseException:
        engine.dispose()
        raise
    return engine


def _create_tables(engine: Engine) -> None:
    """Create the tables that are missing, all or none, and one process at a time.

    Looking and then creating would fail for all but the first of several processes that start together.
    """
    if set(metadata.tables) <= set(inspect(engine).get_table_names()):
        return
    with engine.begin() as connection:
        if engine.dialect.name in _ALONE:
            connection.exec_driver_sql(_ALONE[engine.dialect.name])
        metadata.create_all(connection)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for setting in (
        f"busy_timeout={int(_BUSY_SECONDS * 1000)}",
        "auto_vacuum=FULL",  # what is removed makes the file smaller; takes effect in a new file only
        "journal_mode=WAL",  # readers do not wait for the one who writes
        "synchronous=NORMAL",
        "journal_size_limit=16777216",
    ):
        _set(cursor, setting)
    cursor.close()


def _set(cursor: Any, setting: str) -> None:
    """Set one of SQLite's settings, waiting for others that are opening the same file.

    Turning a new file's journal into a write-ahead log needs the file alone, and where two connections want that at
    once SQLite gives up on one of them without the wait that ``busy_timeout`` asks for.
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
