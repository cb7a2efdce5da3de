"""Repair a damaged file of results: set it aside, and copy every readable result into a new file.

    with alone(path) as locked:              # one process at a time; False if the file cannot be locked
        go_on(path)                          # finish the repair of a process that was killed
        check(path)                          # raises DamageError if the file is damaged
        print(mend(path))                    # 39 of 40 results were saved ...

Nothing is ever deleted here. The damaged file is renamed to ``runs.sqlite.damaged-TIME`` together with its log files.
It is then copied row by row to ``runs.sqlite.saving-TIME``, which takes its place once it is complete. If the process
is killed at any point, the next process continues: copying again adds the rows that are still missing. At most ``MOST``
damaged files are kept beside the good one. With that many, nothing is repaired until the user has moved them away.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from sqlalchemy import URL, create_engine

from entviz.store import salvage
from entviz.store.faults import DamageError, Fault, FaultError, is_damage
from entviz.store.schema import metadata

MOST = 3
_WAIT_SECONDS = 60.0  # seconds to wait while another process mends
_SUFFIXES = ("-wal", "-shm", "-journal")  # files that SQLite keeps beside a database
_TIME = r"\d{8}T\d{6}\.\d{6}Z"


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the lock beside a file. Yields False if no lock is possible, for example in a read-only folder.

    Raises ``FaultError`` if another process has held it for a minute.
    """
    lock = FileLock(f"{path}.lock", timeout=_WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise FaultError(
            Fault(f"another program is opening {path}", "wait until it has finished, or close it")
        ) from None
    except (OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def check(path: Path) -> None:
    """Check a whole file.

    Raises ``DamageError`` if it is damaged, and SQLite's error if it cannot be read.
    """
    with closing(reading(path)) as connection:
        try:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise DamageError(found)
            for table in metadata.sorted_tables:
                for row in salvage.all_rows(connection, table, without="result"):
                    if not salvage.is_sound(table, row):
                        raise DamageError(f"a row of {table.name} differs from what was written")
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is None:  # raised by Python: the text is not UTF-8
                raise DamageError(str(error)) from error
            if code != sqlite3.SQLITE_ERROR:  # a missing table or column, which opening the database handles
                raise


def mend(path: Path) -> str:
    """Set a damaged file aside and replace it by a copy of its readable rows; returns a sentence that says so.

    Raises ``FaultError`` if too many files were set aside before, and the error of SQLite or the system if the copy
    cannot be written; :func:`go_on` can then continue it.
    """
    if len(set_aside(path)) >= MOST:
        raise FaultError(
            Fault(
                f"{path} is damaged, and {MOST} older damaged files are beside it",
                "move the older files away",
            )
        )
    return _mend(path, _now())


def go_on(path: Path) -> str:
    """Finish a repair that a killed process had begun; returns a sentence that says so, or empty if there was none."""
    notice = ""
    for saving in _named(path, f"saving-({_TIME})"):
        notice = _mend(path, saving.name.rpartition("-")[2])
    return notice


def set_aside(path: Path) -> list[Path]:
    """The damaged files beside a good one, the oldest first."""
    return _named(path, f"damaged-{_TIME}")


def reading(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)


def _mend(path: Path, stamp: str) -> str:
    saving, aside = _beside(path, "saving", stamp), _beside(path, "damaged", stamp)
    _make_tables(saving)  # from here on, another process can continue if this one is killed
    sources = [aside]
    if path.exists() and aside.exists():  # a process has started a new file since the old one was set aside
        sources.append(_beside(path, "damaged", _now()))
    if path.exists():
        path.rename(sources[-1])
    for suffix in _SUFFIXES:
        if (belonging := Path(f"{path}{suffix}")).exists():
            belonging.rename(f"{sources[-1]}{suffix}")
    # Only now, because rows that another process writes before the renaming are in the file, and it writes later rows
    # again (``Access.write``).
    counts = [_copy(source, saving) for source in sources if source.exists()]
    saved, total = (sum(count) for count in zip(*counts, strict=True)) if counts else (0, 0)
    saving.rename(path)
    said = f"{saved} of {total} results were saved" if total else "No result was found in it"
    return f"{path} was damaged or of another version. {said}; the damaged file is kept as {aside}."


def _copy(source: Path, saving: Path) -> tuple[int, int]:
    """Copy all readable rows; returns how many results were readable, and how many there are."""
    size = sum(each.stat().st_size for each in (source, Path(f"{source}-wal")) if each.exists())
    with closing(sqlite3.connect(saving)) as target, closing(reading(source)) as connection:
        try:
            return salvage.copy(connection, target, most_rows=size // 8)
        except sqlite3.Error as error:
            if is_damage(error):  # not even its list of tables can be read
                return 0, 0
            raise


def _make_tables(saving: Path) -> None:
    engine = create_engine(URL.create("sqlite", database=str(saving)))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA auto_vacuum=FULL")
            metadata.create_all(connection)
            connection.commit()
    finally:
        engine.dispose()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _beside(path: Path, what: str, stamp: str) -> Path:
    return path.with_name(f"{path.name}.{what}-{stamp}")


def _named(path: Path, what: str) -> list[Path]:
    pattern = re.compile(rf"{re.escape(path.name)}\.{what}")
    return sorted(each for each in path.parent.iterdir() if pattern.fullmatch(each.name))
