"""Explain why a database cannot be used, from the type of its error.

    fault = explain(error, place)
    print(f"The runs cannot be listed because {fault}")

SQLite reports "disk I/O error" for a full disk, a quota, a limit on file sizes, and a network share without locks. None
of these means damage: only the result codes CORRUPT and NOTADB do (https://www.sqlite.org/rescode.html).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError

_PROBE_BYTES = 262_144  # bytes; enough to see the same full disk as SQLite
_ELSEWHERE = "or set ENTVIZ_CACHE to a folder that can be written"
# The names under which pip installs drivers, if they differ from the names under which they are imported.
_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "PyMySQL",
    "mysql": "mysql-connector-python",
    "cx_Oracle": "cx-Oracle",
}


@dataclass(frozen=True)
class Fault:
    """What is wrong and what to do: ``the disk of /x/runs.sqlite is full`` and ``free some room``."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}."


NO_ADDRESS = Fault(
    "ENTVIZ_DATABASE is not the address of a database that SQLAlchemy knows",
    "write it like postgresql+psycopg://user:password@host/name, with %40 for an @ in the password",
)


class FaultError(Exception):
    """A database cannot be used, for a known reason."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class DamageError(Exception):
    """A file is not a database of entviz: it is damaged, or has other tables."""


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is damaged, instead of locked, full or not writable."""
    return isinstance(error, DamageError) or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_doubtful(error: BaseException) -> bool:
    """Whether the file may be damaged: for example, a row holds invalid JSON or UTF-8."""
    cause = _cause(error)
    return isinstance(cause, ValueError) or (
        isinstance(cause, sqlite3.Error) and _code(cause) in (None, sqlite3.SQLITE_ERROR)
    )


def is_locked(error: BaseException) -> bool:
    """Whether another program has locked the file."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def is_of_value(error: BaseException) -> bool:
    """Whether a database refuses a value and would refuse it again, for example a text with a NUL character."""
    return isinstance(error, DataError | ValueError) or _code(error) == sqlite3.SQLITE_TOOBIG


def explain(error: BaseException, place: str, url: URL | None = None) -> Fault:
    """What is wrong with the database at ``place``, a path or an address without a password.

    ``url`` is its address if the user named it; the explanation never contains a secret from it.
    """
    cause = _cause(error)
    if isinstance(error, FaultError):
        return error.fault
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = _PACKAGES.get(error.name.partition(".")[0], error.name.partition(".")[0])
        return Fault(
            f"the package {package}, which this database needs, is not installed", f'pip install "{package}"'
        )
    if isinstance(error, ArgumentError):  # NoSuchModuleError too: a kind of database that it does not know
        return NO_ADDRESS
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, place, url)
    if isinstance(error, DamageError):
        if url is None:
            return Fault(
                f"{place} is damaged and no file can be written beside it", f"move it away, {_ELSEWHERE}"
            )
        return Fault(f"{place} has tables of another version of entviz ({error})", "name an empty database")
    if isinstance(cause, OSError) and url is None:
        return _of_system(cause, place)
    return Fault(
        f"{place} cannot be used ({_quoted(cause, url)})",
        "start the database server, or correct ENTVIZ_DATABASE",
    )


def _cause(error: BaseException) -> BaseException:
    """The driver's own error."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _code(error: BaseException) -> int | None:
    """SQLite's primary result code, the low byte of the extended code."""
    code: int | None = getattr(_cause(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _of_sqlite(error: sqlite3.Error, place: str, url: URL | None) -> Fault:
    code, name = _code(error), getattr(error, "sqlite_errorname", type(error).__name__)
    elsewhere = _ELSEWHERE if url is None else "or name another one"
    if is_locked(error):
        return Fault(f"another program has locked {place}", "wait until it has finished, or close it")
    if is_damage(error):
        return Fault(f"{place} is damaged or not a database", f"move it away, {elsewhere}")
    if code == sqlite3.SQLITE_FULL:
        return Fault(f"the disk of {place} is full", f"free some space, {elsewhere}")
    # SQLite does not report the system's error. Writing a little beside the file causes the same error again.
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        met = _probed(Path(place)) if Path(place).is_absolute() else None
        if met is not None:
            return _of_system(met, place, elsewhere)
    if code == sqlite3.SQLITE_READONLY:
        return Fault(f"{place} cannot be written", f"make it writable, {elsewhere}")
    return Fault(f"{place} cannot be used ({error}, {name})", f"check its disk, {elsewhere}")


def _of_system(error: OSError, place: str, elsewhere: str = _ELSEWHERE) -> Fault:
    words = {
        errno.ENOSPC: ("the disk of {} is full", "free some space"),
        errno.EDQUOT: ("the quota for the disk of {} is used up", "free some space"),
        errno.EFBIG: ("{} has reached a limit on the size of files", "raise it (ulimit -f)"),
        errno.EROFS: ("the disk of {} is read-only", "make it writable"),
        errno.EACCES: ("you may not write to {}", "give yourself write permission"),
        errno.EPERM: ("you may not write to {}", "give yourself write permission"),
        errno.ENOENT: ("the folder of {} does not exist", "create it"),
        errno.EISDIR: ("{} is a folder", "move it away"),
        errno.ENOTDIR: ("a folder in the path {} is a file", "move that file away"),
        errno.EEXIST: ("a folder in the path {} is a file", "move that file away"),
    }
    reason, remedy = words.get(
        error.errno or 0, (f"{{}} cannot be used ({error.strerror or error})", "check its disk")
    )
    return Fault(reason.format(place), f"{remedy}, {elsewhere}")


def _probed(path: Path) -> OSError | None:
    """The system's error when something is written beside a file and to it, if there is one."""
    try:
        if path.exists():
            os.close(os.open(path, os.O_RDWR))
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(b"x" * _PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def _quoted(error: BaseException, url: URL | None) -> str:
    """The first line of a driver's error, without secrets."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    for secret in _secrets(url):
        for written in (secret, quote(secret), quote_plus(secret), repr(secret)[1:-1]):
            line = line.replace(written, "***")
    return line[:200]


def _secrets(url: URL | None) -> list[str]:
    """The password, and everything after the question mark of the address."""
    if url is None:
        return []
    values = [value for several in url.normalized_query.values() for value in several]
    return [secret for secret in (url.password, *values) if secret]
