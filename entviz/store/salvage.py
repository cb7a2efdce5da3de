"""Read all readable rows of a damaged SQLite file.

    saved, total = copy(source, target, most_rows=10**6)

Rows are found by walking the table and each of its indexes from both ends until damage stops the walk. Each row is then
read separately. It is copied only if its content is intact: a result's archive has checksums, and a text has a hash.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Float, Integer, LargeBinary, Table

from entviz.store import codec
from entviz.store.faults import is_damage
from entviz.store.schema import requests, runs, texts

Row = dict[str, Any]

_GAP = 100_000  # how many more row numbers are tried between found rows
_AT_ONCE = 50  # rows in one transaction
# Columns that a row of another version may lack, with the values that replace them.
_INSTEAD: Mapping[str, Any] = {
    **dict.fromkeys(("model", "fingerprint", "description", "program"), ""),
    **dict.fromkeys(("options", "summary"), "{}"),
    **dict.fromkeys(("created", "used"), 0.0),
    "text_key": None,
}


def copy(source: sqlite3.Connection, target: sqlite3.Connection, *, most_rows: int) -> tuple[int, int]:
    """Copy all readable rows that are not in ``target`` yet, which already has the tables.

    Args:
        most_rows: the largest number of rows to look for, because a damaged tree can contain a cycle.

    Returns:
        The number of results that could be read, and the number of results in the file.

    Raises:
        sqlite3.Error: if the list of tables cannot be read for another reason than damage, or the copy cannot be
            written.
    """
    counts: dict[str, tuple[int, int]] = {}
    for table in (texts, runs, requests):
        names = [column.name for column in table.columns]
        put = (
            f"INSERT OR IGNORE INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        )
        found, total = _rowids(source, table, most_rows)
        saved = 0
        for row in _readable(source, table, found):
            target.execute(put, [row[name] for name in names])
            saved += 1
            if saved % _AT_ONCE == 0:
                target.commit()
        target.commit()
        counts[table.name] = saved, max(saved, total)
    # References to lost texts and lost runs are removed.
    target.execute(
        "UPDATE entviz_runs SET text_key = NULL WHERE text_key NOT IN (SELECT key FROM entviz_texts)"
    )
    target.execute("DELETE FROM entviz_requests WHERE run_key NOT IN (SELECT key FROM entviz_runs)")
    target.commit()
    return counts[runs.name]


def all_rows(connection: sqlite3.Connection, table: Table, *, without: str) -> Iterator[Row]:
    """Every row of an undamaged table, without one column."""
    names = [column.name for column in table.columns if column.name != without]
    for values in connection.execute(f"SELECT {', '.join(names)} FROM {table.name}"):  # noqa: S608
        yield dict(zip(names, values, strict=True))


def is_sound(table: Table, row: Row) -> bool:
    """Whether the values have the table's types, and are intact as far as checksums and hashes can tell."""
    for name, value in row.items():
        kind = table.c[name].type
        if value is None:
            good = bool(table.c[name].nullable)
        elif isinstance(kind, Float):
            good = isinstance(value, int | float) and math.isfinite(value)
        elif isinstance(kind, Integer):
            good = isinstance(value, int)
        elif isinstance(kind, LargeBinary):
            good = isinstance(value, bytes)
        else:
            good = isinstance(value, str) and (not isinstance(kind, JSON) or _is_object(value))
        if not good:
            return False
    if table is texts:
        return hashlib.sha256(row["text"].encode()).hexdigest()[:40] == row["key"]
    return "result" not in row or codec.is_intact(row["kind"], row["result"])


def _readable(source: sqlite3.Connection, table: Table, rowids: list[int]) -> Iterator[Row]:
    there = {name for _, name, *_ in source.execute(f"PRAGMA table_info({table.name})")}
    names = [column.name for column in table.columns if column.name in there]
    if not names:
        return
    query = f"SELECT {', '.join(names)} FROM {table.name} NOT INDEXED WHERE rowid = ?"  # noqa: S608
    for rowid in rowids:
        try:
            values = source.execute(query, (rowid,)).fetchone()
        except sqlite3.Error as error:
            if _stops(error):
                raise
            continue
        if values is None:
            continue
        row = dict(zip(names, values, strict=True))
        for column in table.columns:
            if column.name == "bytes":
                content = row.get("result", row.get("text", b""))
                row["bytes"] = len(content.encode() if isinstance(content, str) else content or b"")
            elif column.name not in row:
                row[column.name] = _INSTEAD.get(column.name)
        if set(row) == set(table.columns.keys()) and is_sound(table, row):
            yield row


def _rowids(source: sqlite3.Connection, table: Table, most: int) -> tuple[list[int], int]:
    """The numbers of the rows that may exist, in order, and their count."""
    walks = [("NOT INDEXED", "rowid")]
    for _, index, *_ in source.execute(f"PRAGMA index_list({table.name})").fetchall():
        quoted = '"' + str(index).replace('"', '""') + '"'
        walks += [
            (f"INDEXED BY {quoted}", first) for *_, first in source.execute(f"PRAGMA index_info({quoted})")
        ][:1]
    found: set[int] = set()
    whole: list[int] = []
    parts = [0]
    for how, order in walks:
        seen: set[int] = set()
        for direction in ("ASC", "DESC"):
            query = f"SELECT rowid FROM {table.name} {how} ORDER BY {order} {direction}"  # noqa: S608
            try:
                for (rowid,) in islice(source.execute(query), most):
                    seen.add(rowid)
            except sqlite3.Error as error:
                if _stops(error):
                    raise
            else:
                whole.append(len(seen))
                break  # the walk has reached the end
        parts.append(len(seen))
        found |= seen
    if found and max(found) - min(found) <= _GAP:
        tried = range(min(found), max(found) + 1)
        return list(tried), max(whole or parts)
    return sorted(found), max(whole or parts)


def _stops(error: sqlite3.Error) -> bool:
    """Whether an error concerns more than the row that was read: a full disk, a lock, an interrupted read."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and not is_damage(error) and code & 0xFF != sqlite3.SQLITE_ERROR


def _is_object(written: str) -> bool:
    try:
        return isinstance(json.loads(written), dict)
    except (ValueError, RecursionError):
        return False
