"""The store: results by key, first in memory, then in the database, both bounded."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
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
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from entviz.blocks import PruneSet
from entviz.limits import limit
from entviz.store.codec import UnreadableError, pack, unpack
from entviz.store.database import is_damage, open_database, requests, runs, texts
from entviz.store.keys import program
from entviz.store.memory import Memory

T = TypeVar("T")
log = logging.getLogger("entviz")

_LISTED = [column for column in runs.c if column.name not in ("result", "used", "text_key")]
_REQUEST_BYTES = 200  # roughly what a key that leads to another takes in memory
_AT_ONCE = 500  # rows in one statement
_USED_PRECISION = 60.0  # seconds; reading again within a minute is not worth a write


@dataclass(frozen=True)
class Run:
    """What a stored result is of.

    Attributes:
        kind: analysis, evaluation, ...
        model: the name the model was asked for by.
        fingerprint: of its config and weights.
        description: a few words about the text.
        options: what was asked for besides, as plain data.
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
        url: of the database; None for ``ENTVIZ_DATABASE``, or else a SQLite file in the cache directory.
        memory_bytes: what results in memory may take.
        disk_bytes: what results and texts in the database may take; the least recently used are removed. None for
            ``ENTVIZ_STORE_MB`` megabytes, or else 500 MB.

    Raises:
        OptionError: where ``ENTVIZ_STORE_MB`` is not a whole number above 0.
    """

    def __init__(
        self, url: str | None = None, *, memory_bytes: int = 64_000_000, disk_bytes: int | None = None
    ) -> None:
        # Every program that writes keeps to the bound, as each makes room down to its own.
        self.disk_bytes = limit("ENTVIZ_STORE_MB", 500) * 10**6 if disk_bytes is None else disk_bytes
        self._url = url
        self._memory = Memory(memory_bytes)
        self._requests = Memory(2_000_000)  # request key -> result key
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._opened = False

    def get(self, key: str) -> Any:
        """The result kept under a key, or None."""
        result = self._memory.get(key)
        return result if result is not None else self._read(key)

    def answer(self, request: str) -> Any:
        """The result that a request led to before, or None."""
        key = self._requests.get(request)
        if key is None:
            query = select(requests.c.run_key).where(requests.c.key == request)
            key = self._attempt(lambda connection: connection.scalar(query), None)
        if key is None:
            return None
        self._requests.put(request, key, _REQUEST_BYTES)
        return self.get(key)

    def put(self, key: str, run: Run, result: Any, *, text: str | None = None) -> None:
        """Keep a result under a key. ``text`` is what was measured, so that the run can be opened again."""
        try:
            data, size = pack(run.kind, result)
        except TypeError:
            log.exception("a result of the kind %s cannot be stored", run.kind)
            return
        self._memory.put(key, result, size)
        if len(data) > self.disk_bytes:
            return
        now = time.time()
        text_key = hashlib.sha256(text.encode()).hexdigest()[:40] if text is not None else None
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
            if text is not None:
                # In one statement, as another process may keep the same text, or remove it, just now.
                content = select(literal(text_key), literal(text, Text), literal(len(text.encode())))
                missing = content.where(~exists().where(texts.c.key == text_key))
                connection.execute(insert(texts).from_select(["key", "text", "bytes"], missing))
            connection.execute(insert(runs).values(row))
            self._make_room(connection)

        self._attempt(write, None)

    def link(self, request: str, key: str) -> None:
        """Remember that a request leads to the result under a key."""
        self._requests.put(request, key, _REQUEST_BYTES)

        def write(connection: Connection) -> None:
            connection.execute(delete(requests).where(requests.c.key == request))
            connection.execute(insert(requests).values(key=request, run_key=key))

        self._attempt(write, None)

    def runs(
        self,
        *,
        kind: str | Sequence[str] | None = None,
        model: str | None = None,
        contains: str = "",
        drop: PruneSet | None = None,
        limit: int = 200,
    ) -> list[Run]:
        """Stored runs, the newest first.

        Args:
            kind: only this one, or one of these.
            model: only this one.
            contains: only runs whose model, description or text contains this, whatever the case.
            drop: only runs in which at least these blocks were dropped; with an empty set, the dense model's.
            limit: at most so many.
        """
        query = select(*_LISTED).order_by(runs.c.created.desc()).limit(limit)
        if kind is not None:
            query = query.where(runs.c.kind.in_([kind] if isinstance(kind, str) else list(kind)))
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

        return self._attempt(read, [])

    def models(self) -> list[str]:
        """The names of the models that there are runs of, in order."""
        query = select(runs.c.model).distinct().order_by(runs.c.model)
        return self._attempt(lambda connection: list(connection.scalars(query)), [])

    def text(self, key: str) -> str | None:
        """The text that the run under a key measured, or None."""
        query = select(texts.c.text).join(runs, runs.c.text_key == texts.c.key).where(runs.c.key == key)
        return self._attempt(lambda connection: connection.scalar(query), None)

    def remove(self, *keys: str) -> None:
        """Remove results, from memory and from the database."""
        for key in keys:
            self._memory.forget(key)
        self._attempt(lambda connection: _remove(connection, list(keys)), None)

    def forget_memory(self) -> None:
        """Let go of what is in memory; the database keeps it."""
        self._memory.clear()

    def close(self) -> None:
        """Close the database; it is opened again when needed."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
            self._engine, self._opened = None, False

    # Inside

    def _read(self, key: str) -> Any:
        query = select(runs.c.kind, runs.c.result, runs.c.used).where(runs.c.key == key)
        row = self._attempt(lambda connection: connection.execute(query).first(), None)
        if row is None:
            return None
        try:
            result, size = unpack(row.kind, row.result)
        except UnreadableError as error:
            log.warning("a stored %s cannot be read (%s); it is computed again", row.kind, error)
            self.remove(key)
            return None
        self._memory.put(key, result, size)
        now = time.time()
        if now - row.used > _USED_PRECISION:
            used = update(runs).where(runs.c.key == key).values(used=now)
            self._attempt(lambda connection: connection.execute(used), None)
        return result

    def _attempt(self, action: Callable[[Connection], T], otherwise: T) -> T:
        """What ``action`` returns in a transaction of its own, or ``otherwise`` where the database fails."""
        engine = self._connected()
        if engine is None:
            return otherwise
        for _ in range(2):
            try:
                with engine.begin() as connection:
                    return action(connection)
            except IntegrityError:
                # Another thread or process has written the same first: all of it, or only the same text, which a
                # second try then finds.
                continue
            except SQLAlchemyError as error:
                log.warning("the database failed (%s)", str(error).partition("\n")[0])
                if is_damage(error):
                    with self._opening:
                        engine.dispose()
                        if self._engine is engine:
                            self._engine = open_database(self._url, suspected=True)
                return otherwise
        return otherwise

    def _connected(self) -> Engine | None:
        with self._opening:
            if not self._opened:
                self._engine, self._opened = open_database(self._url), True
            return self._engine

    def _make_room(self, connection: Connection) -> None:
        """Remove the least recently used runs until runs and texts fit."""
        while True:
            total = sum(connection.scalar(select(func.sum(table.c.bytes))) or 0 for table in (runs, texts))
            excess, keys = total - self.disk_bytes, []
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
                excess -= row.bytes  # less comes free where others share the text; the next round sees that
                if excess <= 0:
                    break
            if not keys:
                return
            _remove(connection, keys)


def _drops(drop: PruneSet) -> ColumnElement[bool]:
    """Whether a run's prune set has all blocks of ``drop``; it is kept in canonical form, ``attn.5,layer.7``."""
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


def _remove(connection: Connection, keys: list[str]) -> None:
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        connection.execute(delete(requests).where(requests.c.run_key.in_(some)))
        connection.execute(delete(runs).where(runs.c.key.in_(some)))
    connection.execute(delete(texts).where(~exists().where(runs.c.text_key == texts.c.key)))


def _finite(value: Any) -> Any:
    """Plain data for a JSON column: what JSON has no number for becomes null, as some databases insist."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
