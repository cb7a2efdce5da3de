"""The store: results by key, first in memory, then in the database. Both are bounded."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from entviz.blocks import PruneSet
from entviz.limits import limit
from entviz.store.access import RETRY_SECONDS, Access, remove_runs
from entviz.store.codec import ResultTypes, UnreadableError, pack, unpack
from entviz.store.keys import program
from entviz.store.memory import Memory
from entviz.store.schema import requests, runs, texts

T = TypeVar("T")
log = logging.getLogger("entviz")

_LISTED = [column for column in runs.c if column.name not in ("result", "used", "text_key")]
_REQUEST_BYTES = 200  # roughly the memory for a key that leads to another
_AT_ONCE = 500  # runs that are considered when making room
_USED_PRECISION = 60.0  # seconds; reading again within a minute is not worth a write


@dataclass(frozen=True)
class Run:
    """The description of a stored result.

    Attributes:
        kind: analysis, evaluation, ...
        model: the name of the model, as the user gave it.
        fingerprint: the fingerprint of its config and weights.
        description: a short description of the text.
        options: all other options of the study, as plain data.
        summary: the result's main numbers, as plain data.
        key, created, bytes, program: set by the store. ``created`` is in seconds since 1970, UTC.
    """

    kind: str
    model: str
    fingerprint: str = ""
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    created: float = 0.0
    bytes: int = 0
    program: str = ""


class Store:
    """Results by key. Safe to use from many threads, and by several processes on one database.

    Args:
        types: the class of each kind of result; see :func:`entviz.store.codec.unpack`.
        url: the URL of the database; None for ``ENTVIZ_DATABASE``, or a SQLite file in the cache directory if that is
            not set.
        memory_bytes: the largest total size of results in memory.
        disk_bytes: the largest total size of results and texts in the database; the least recently used are removed.
            None for ``ENTVIZ_STORE_MB`` megabytes, or 500 MB if that is not set.
        retry_seconds: how long to wait after a failure before the database is tried again.
        announce: called with a sentence when the database cannot be used, can be used again, or was repaired.

    Raises:
        OptionError: if ``ENTVIZ_STORE_MB`` is not a whole number above 0.
    """

    def __init__(
        self,
        types: ResultTypes,
        url: str | None = None,
        *,
        memory_bytes: int = 64_000_000,
        disk_bytes: int | None = None,
        retry_seconds: float = RETRY_SECONDS,
        announce: Callable[[str], None] = log.warning,
    ) -> None:
        # The database stays within the bound, because every program that writes makes room down to its own bound.
        self.disk_bytes = limit("ENTVIZ_STORE_MB", 500) * 10**6 if disk_bytes is None else disk_bytes
        self._types = types
        self._memory = Memory(memory_bytes)
        self._requests = Memory(2_000_000)  # request key -> result key
        self._access = Access(
            url, _make_room, self.disk_bytes, retry_seconds=retry_seconds, announce=announce
        )

    @property
    def trouble(self) -> str | None:
        """Why results are in memory only, and what to do, as a sentence; None if they are in the database."""
        fault = self._access.fault
        return (
            None
            if fault is None
            else f"Results are kept in memory only, until the program ends, because {fault}"
        )

    @property
    def unreadable(self) -> str | None:
        """Why stored runs cannot be listed now, and what to do, as a sentence; None if they can."""
        fault = self._access.fault
        return (
            None
            if fault is None or self._access.readable
            else f"What was kept cannot be read because {fault}"
        )

    @property
    def notices(self) -> list[str]:
        """All repairs since the program started, as sentences."""
        return list(self._access.notices)

    @property
    def held(self) -> int:
        """The number of results that are only in memory."""
        return self._access.holds

    def get(self, key: str) -> Any:
        """The result stored under a key, or None."""
        result = self._memory.get(key)
        return result if result is not None else self._read(key)

    def answer(self, request: str) -> Any:
        """The stored result of a request, or None."""
        key = self._requests.get(request)
        if key is None:
            query = select(requests.c.run_key).where(requests.c.key == request)
            key = self._first(lambda connection: connection.scalar(query))
        if key is None:
            return None
        self._requests.put(request, key, _REQUEST_BYTES)
        return self.get(key)

    def put(self, key: str, run: Run, result: Any, *, text: str | None = None) -> None:
        """Store a result under a key. ``text`` is the measured text, so that the run can be opened again."""
        try:
            data, size = pack(run.kind, result)
        except TypeError:
            log.exception("a result of the kind %s cannot be stored", run.kind)
            return
        self._memory.put(key, result, size)
        if len(data) > self.disk_bytes:
            return
        now = time.time()
        text_key = _text_key(text) if text is not None else None
        row = {
            "key": key,
            "kind": run.kind,
            "created": now,
            "used": now,
            "model": run.model,
            "fingerprint": run.fingerprint,
            "description": run.description,
            "options": _finite(run.options),
            "summary": _finite(run.summary),
            "program": program(),
            "text_key": text_key,
            "bytes": len(data),
            "result": data,
        }

        def write(connection: Connection) -> None:
            kept = connection.execute(select(runs.c.kind, runs.c.result).where(runs.c.key == key)).first()
            if kept is not None and self._is_readable(kept.kind, kept.result):
                return
            if text is not None:
                # In one statement, because another process may store or remove the same text at the same time.
                content = select(literal(text_key), literal(text, Text), literal(len(text.encode())))
                missing = content.where(~exists().where(texts.c.key == text_key))
                connection.execute(insert(texts).from_select(["key", "text", "bytes"], missing))
            if kept is None:
                connection.execute(insert(runs).values(row))
            else:
                connection.execute(update(runs).where(runs.c.key == key).values(row))

        self._access.write(write)

    def link(self, request: str, key: str) -> None:
        """Store that a request leads to the result under a key."""
        self._requests.put(request, key, _REQUEST_BYTES)

        def write(connection: Connection) -> None:
            connection.execute(delete(requests).where(requests.c.key == request))
            connection.execute(insert(requests).values(key=request, run_key=key))

        self._access.write(write)

    def runs(
        self,
        *,
        kind: str | Sequence[str] | None = None,
        without: Sequence[str] = (),
        model: str | None = None,
        contains: str = "",
        drop: PruneSet | None = None,
        limit: int = 200,
    ) -> list[Run]:
        """Stored runs, the newest first.

        Args:
            kind: only runs of this kind, or of one of these kinds.
            without: no runs of these kinds.
            model: only runs of this model.
            contains: only runs whose model, description or text contains this text, ignoring case.
            drop: only runs in which at least these blocks were dropped; for an empty set, only runs of the dense model.
            limit: the largest number of runs to return.
        """
        query = select(*_LISTED).order_by(runs.c.created.desc()).limit(limit)
        if kind is not None:
            query = query.where(runs.c.kind.in_([kind] if isinstance(kind, str) else list(kind)))
        if without:
            query = query.where(runs.c.kind.not_in(list(without)))
        if model is not None:
            query = query.where(runs.c.model == model)
        if contains:
            columns = (runs.c.model, runs.c.description, texts.c.text)
            query = query.outerjoin(texts, runs.c.text_key == texts.c.key)
            query = query.where(or_(*(column.icontains(contains, autoescape=True) for column in columns)))
        if drop is not None:
            query = query.where(_drops(drop))

        def read(connection: Connection) -> list[Run]:
            return [Run(**row) for row in connection.execute(query).mappings()]

        lists = self._access.read(read)
        if len(lists) < 2:
            return lists[0] if lists else []
        merged = {run.key: run for several in lists for run in several}
        return sorted(merged.values(), key=lambda run: run.created, reverse=True)[:limit]

    def models(self) -> list[str]:
        """The names of all models with stored runs, in alphabetical order."""
        query = select(runs.c.model).distinct()
        return sorted(set().union(*self._access.read(lambda connection: list(connection.scalars(query)))))

    def text(self, key: str) -> str | None:
        """The text that the run under a key measured, or None."""
        query = select(texts.c.key, texts.c.text).join(runs, runs.c.text_key == texts.c.key)
        row = self._first(lambda connection: connection.execute(query.where(runs.c.key == key)).first())
        if row is None or row.key != _text_key(row.text):  # not what was written
            return None
        return str(row.text)

    def remove(self, *keys: str) -> None:
        """Remove results, from memory and from the database."""
        for key in keys:
            self._memory.forget(key)
        self._access.change(lambda connection: remove_runs(connection, list(keys)))

    def forget_memory(self) -> None:
        """Remove from memory all results that are also in the database."""
        self._memory.clear()

    def close(self) -> None:
        """Try to write the results that are only in memory, and close the database. It is opened again when needed."""
        self._access.close()

    # Inside

    def _read(self, key: str) -> Any:
        query = select(runs.c.kind, runs.c.result, runs.c.used).where(runs.c.key == key)
        row = self._first(lambda connection: connection.execute(query).first())
        if row is None:
            return None
        try:
            result, size = unpack(row.kind, row.result, self._types)
        except UnreadableError as error:
            # Damaged, or of another version. It stays until it is computed again, or room is made.
            log.warning("a stored %s cannot be read (%s)", row.kind, error)
            return None
        self._memory.put(key, result, size)
        now = time.time()
        if now - row.used > _USED_PRECISION and self._access.fault is None:
            used = update(runs).where(runs.c.key == key).values(used=now)
            self._access.change(lambda connection: connection.execute(used))
        return result

    def _is_readable(self, kind: str, data: bytes) -> bool:
        try:
            unpack(kind, data, self._types)
        except UnreadableError:
            return False
        return True

    def _first(self, action: Callable[[Connection], T | None]) -> T | None:
        """The row that ``action`` finds in the database, otherwise the row it finds in the database in memory."""
        return next((found for found in self._access.read(action) if found is not None), None)


def _make_room(connection: Connection, most: int) -> None:
    """Remove the least recently used runs until runs and texts take no more than ``most`` bytes."""
    while True:
        total = sum(connection.scalar(select(func.sum(table.c.bytes))) or 0 for table in (runs, texts))
        excess, keys = total - most, []
        if excess <= 0:
            return
        with_text = runs.c.bytes + func.coalesce(texts.c.bytes, 0)
        oldest = (
            select(runs.c.key, with_text.label("bytes"))
            .outerjoin(texts, runs.c.text_key == texts.c.key)
            .order_by(runs.c.used, runs.c.created)
            .limit(_AT_ONCE)
        )
        for row in connection.execute(oldest):
            keys.append(row.key)
            excess -= row.bytes  # less is freed if other runs share the text; the next round sees that
            if excess <= 0:
                break
        if not keys:
            return
        remove_runs(connection, keys)


def _text_key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _drops(drop: PruneSet) -> ColumnElement[bool]:
    """Whether a run's prune set has all blocks of ``drop``; it is stored in canonical form, ``attn.5,layer.7``."""
    dropped = runs.c.options["drop"].as_string()
    if not drop:
        return dropped == ""
    listed = literal(",").concat(dropped).concat(",")
    return and_(
        *(
            or_(
                *(
                    listed.contains(f",{name},", autoescape=True)
                    for name in {str(block), f"layer.{block.index}"}
                )
            )
            for block in drop
        )
    )


def _finite(value: Any) -> Any:
    """Plain data for a JSON column. Numbers that are not finite become null, because some databases refuse them."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
