"""The database, and the database in memory that replaces it while it cannot be used.

    access = Access(None, room=lambda connection, most: None)
    access.read(lambda connection: connection.scalar(query))    # from the database and from the one in memory
    access.write(lambda connection: connection.execute(insert(...)))
    access.fault                                                # why the database cannot be used now, or None

While the disk is full, or a server cannot be reached, writes go to a database in memory. After a pause the next call
tries the real database again. Once that works, the held rows are written to it and the database in memory is removed.
No method raises an error because of the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, delete, exists, insert, select
from sqlalchemy.exc import IntegrityError

from entviz.store.database import Address, Opened, address, in_memory, open_database
from entviz.store.faults import Fault, explain, is_damage, is_doubtful, is_of_value
from entviz.store.schema import requests, runs, texts

T = TypeVar("T")
log = logging.getLogger("entviz")

RETRY_SECONDS = 10.0  # after a failure, before the next try
_AT_ONCE = 500  # rows in one statement
HELD_BYTES = 64_000_000  # bytes held in memory meanwhile


class Access:
    """A database by its URL, or None for the one in the environment. Safe to use from many threads.

    Args:
        url: see ``database.address``.
        make_room: called after each write with a connection and ``most_bytes``, to keep the database below that size.
        most_bytes: the largest size of the database's content.
        retry_seconds: how long to wait after a failure before the database is tried again.
        announce: called with a sentence when the database cannot be used, can be used again, or was repaired.
    """

    def __init__(
        self,
        url: str | None,
        make_room: Callable[[Connection, int], None],
        most_bytes: int,
        *,
        retry_seconds: float = RETRY_SECONDS,
        announce: Callable[[str], None] = log.warning,
    ) -> None:
        self.fault: Fault | None = None
        self.notices: list[str] = []
        self._url = url
        self._make_room = make_room
        self._most = most_bytes
        self._retry = retry_seconds
        self._announce = announce
        self._trying = threading.Lock()  # held by the thread that opens, mends, or writes held rows
        self._holding = threading.RLock()  # held by the thread that uses the database in memory
        self._opened: Opened | None = None
        self._held: Engine | None = None
        self._next = 0.0  # when to try again, by the monotonic clock

    @property
    def holds(self) -> int:
        """The number of results that are only in memory."""
        return len(self._held_keys())

    @property
    def readable(self) -> bool:
        """Whether the database itself is open. It can then be read, even if it cannot be written."""
        return self._opened is not None

    def read(self, action: Callable[[Connection], T]) -> list[T]:
        """The values that ``action`` returns for the database and for the one in memory, for each that is open."""
        found = []
        opened = self._usable(writing=False)
        for again in (False, True):
            if opened is None:
                break
            try:
                with opened.engine.begin() as connection:
                    found.append(action(connection))
                break
            except Exception as error:  # noqa: BLE001 - every driver fails in its own ways
                opened = self._after(opened, error, keep=False, again=again)
        held = self._in_memory(action)
        return found if held is None else [*found, held]

    def write(self, action: Callable[[Connection], None]) -> None:
        """Run ``action`` in its own transaction; in memory if the database cannot be written. It may run twice.

        Raises ``UnicodeError`` if a text has characters that databases cannot store.
        """
        if self._write(action, room=True):
            return
        with self._holding:
            if self._held is None:
                self._held = in_memory()
            with self._held.begin() as connection:
                action(connection)
                self._make_room(connection, min(self._most, HELD_BYTES))

    def change(self, action: Callable[[Connection], Any]) -> None:
        """Run ``action``, which changes or removes rows, in the database and in the one in memory."""
        self._in_memory(action)
        self._write(action, room=False)

    def close(self) -> None:
        """Try once more to write the held rows, and close. The database is opened again when needed."""
        with self._trying:
            if self._held is not None and self.holds:
                self._try()
            if self._opened is not None:
                self._opened.engine.dispose()
                self._opened = None

    # Inside

    def _write(self, action: Callable[[Connection], Any], *, room: bool) -> bool:
        """Whether ``action`` was done in the database, or can never be done there."""
        opened = self._usable(writing=True)
        again, failure = False, None
        for _ in range(4):
            if opened is None:
                return False
            used = opened
            try:
                with used.engine.begin() as connection:
                    action(connection)
                    if room:
                        self._make_room(connection, self._most)
                if not used.replaced:
                    return True
                opened = self._usable(writing=True)  # it was written to a file that has just been set aside
            except IntegrityError as error:
                # Another thread or process wrote the same rows first: either all of them, or only the same text, which
                # a second try then finds.
                failure = error
            except Exception as error:
                if is_of_value(error):
                    if isinstance(error, UnicodeError):
                        raise
                    log.warning("a result cannot be stored (%s)", str(error).partition("\n")[0])
                    return True
                opened, again = self._after(used, error, keep=True, again=again), True
        if failure is not None:
            with self._trying:
                self._failed(failure)
        return False

    def _usable(self, *, writing: bool) -> Opened | None:
        """The database, or None if it cannot be used now. It is opened, or tried again, if it is time to do so."""
        opened = self._opened
        if self.fault is None and opened is not None and not opened.replaced:
            return opened
        # A thread that finds a fault does not wait if another thread is already handling it.
        if self._trying.acquire(blocking=self.fault is None):
            try:
                if self._opened is not None and self._opened.replaced:
                    self._drop()
                if (self.fault is not None and time.monotonic() >= self._next) or (
                    self.fault is None and self._opened is None
                ):
                    self._try()
            finally:
                self._trying.release()
        return None if writing and self.fault is not None else self._opened

    def _after(self, failed: Opened, error: Exception, *, keep: bool, again: bool) -> Opened | None:
        """The database to try again after an error, repaired if necessary; None if it cannot be used for now.

        With ``keep`` it stays open for reading; with ``again`` it has just been checked.
        """
        with self._trying:
            if self._opened is failed:  # otherwise another thread has met the same error
                doubt = not again and (is_damage(error) or is_doubtful(error))
                doubt = doubt and failed.path is not None and failed.refusal is None
                if doubt or failed.replaced:
                    self._drop()
                    self._try(failed)
                else:
                    if not keep:
                        self._drop()
                    self._failed(error)
            return self._opened if self.fault is None else None

    def _try(self, suspect: Opened | None = None) -> None:
        """Open the database if it is not open, and write the held rows. The caller holds the lock."""
        begun = time.monotonic()
        try:
            if self._opened is None or self._opened.refusal is not None:
                self._drop()
                self._opened = open_database(self._url, suspect=suspect.identity if suspect else None)
                if self._opened.notice:
                    self.notices.append(self._opened.notice)
                    self._announce(self._opened.notice)
                if self._opened.refusal is not None:
                    raise self._opened.refusal
            self._write_held(self._opened.engine)
        except Exception as error:  # noqa: BLE001 - missing drivers, wrong addresses, refused connections, ...
            failed = self._opened
            if suspect is None and is_damage(error) and failed is not None and failed.path is not None:
                self._drop()
                self._try(failed)
            else:
                self._failed(error, time.monotonic() - begun)
            return
        if self.fault is not None:
            self.fault = None
            self._announce("The database can be used again; what was held in memory has been written.")

    def _failed(self, error: Exception, took: float = 0.0) -> None:
        try:
            where = address(self._url)
        except Exception:  # noqa: BLE001 - an address that is none, which the error is about
            where = Address(None, "the database")
        fault = explain(error, where.place, where.url)
        # A page waits during each try, so a database that takes long to fail is tried less often.
        self._next = time.monotonic() + self._retry * max(1.0, took / 2)
        if fault != self.fault:
            self.fault = fault
            self._announce(f"Results are kept in memory only, until the program ends, because {fault}")

    def _drop(self) -> None:
        if self._opened is not None:
            self._opened.engine.dispose()
        self._opened = None

    def _write_held(self, engine: Engine) -> None:
        """Write the held rows into the database, one run at a time, and remove them from memory."""
        while keys := self._held_keys():
            for key in keys:
                rows = self._in_memory(partial(_with_its_text, key=key)) or {}
                try:
                    with engine.begin() as connection:
                        _insert(connection, rows)
                        self._make_room(connection, self._most)
                except Exception as error:
                    if not is_of_value(error):
                        raise
                    log.warning("a result cannot be stored (%s)", str(error).partition("\n")[0])
                self._in_memory(partial(remove_runs, keys=[key]))
        with self._holding:
            links = self._in_memory(
                lambda connection: [dict(row) for row in connection.execute(select(requests)).mappings()]
            )
            if links:  # to runs that were in the database already
                with engine.begin() as connection:
                    _insert(connection, {requests: links})
            if self._held is not None and not self._held_keys():
                self._held.dispose()
                self._held = None

    def _in_memory(self, action: Callable[[Connection], T]) -> T | None:
        with self._holding:
            if self._held is None:
                return None
            with self._held.begin() as connection:
                return action(connection)

    def _held_keys(self) -> list[str]:
        return self._in_memory(lambda connection: list(connection.scalars(select(runs.c.key)))) or []


def remove_runs(connection: Connection, keys: list[str]) -> None:
    """Remove results, the requests that lead to them, and the texts that no other result has."""
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        connection.execute(delete(requests).where(requests.c.run_key.in_(some)))
        connection.execute(delete(runs).where(runs.c.key.in_(some)))
    connection.execute(delete(texts).where(~exists().where(runs.c.text_key == texts.c.key)))


def _with_its_text(connection: Connection, key: str) -> dict[Table, list[dict[str, Any]]]:
    """The rows of a run, in an order in which they can be written."""
    text_key = select(runs.c.text_key).where(runs.c.key == key).scalar_subquery()
    queries = {
        texts: select(texts).where(texts.c.key == text_key),
        runs: select(runs).where(runs.c.key == key),
        requests: select(requests).where(requests.c.run_key == key),
    }
    return {
        table: [dict(row) for row in connection.execute(query).mappings()] for table, query in queries.items()
    }


def _insert(connection: Connection, rows: Mapping[Table, list[dict[str, Any]]]) -> None:
    """Write the rows that are not in the database yet, except requests for a run that is not in the database."""
    for table, some in rows.items():
        for row in some:
            there = exists().where(table.c.key == row["key"])
            missing = table is requests and not connection.scalar(
                select(exists().where(runs.c.key == row["run_key"]))
            )
            if not missing and not connection.scalar(select(there)):
                connection.execute(insert(table).values(row))
