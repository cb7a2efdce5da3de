"""Tasks as JSONL: a line for each item, with ``context``, ``choices`` and ``answer``, the index of the right choice.

    {"context": "The opposite of hot is", "choices": ["cold", "warm"], "answer": 0}

``context`` can also be a list with a text for each choice. Other keys and empty lines are ignored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from entviz.errors import TextError
from entviz.reading import parse_json, read_bytes
from entviz.tasks.items import MOST_ITEMS, Item, Task

MOST_BYTES = 256 * 2**20
_FORM = 'Write {"context": "...", "choices": ["...", "..."], "answer": 0}.'


def read_jsonl(path: str | Path) -> Task:
    """Read a task file; the task is named after it.

    Raises:
        TextError: if the file is not valid; the message names the file and the line.
    """
    path = Path(path)
    try:
        data = read_bytes(path, MOST_BYTES, streams=True)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TextError(f"{path} cannot be read: {reason}.") from error
    return parse_jsonl(data, path.name)


def parse_jsonl(data: bytes, name: str) -> Task:
    """Make a task from the bytes of a JSONL file called ``name``; raises ``TextError``, which names file and line."""
    items: list[Item] = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not line.strip():
            continue
        if len(items) == MOST_ITEMS:
            raise TextError(f"{name} has more than {MOST_ITEMS} items; split it into several tasks.")
        try:
            items.append(_item(line))
        except TextError as error:
            raise TextError(f"{name}, line {number}: {error}") from error
    if not items:
        raise TextError(f"{name} has no items. On each line: {_FORM}")
    return Task(Path(name).stem, tuple(items))


def to_jsonl(task: Task) -> str:
    """The task as the text of a JSONL file."""
    return "".join(json.dumps(item.to_json(), ensure_ascii=False) + "\n" for item in task.items)


def _item(line: bytes) -> Item:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise TextError(f"This is not JSON in UTF-8 ({error}). {_FORM}") from error
    if not isinstance(row, dict):
        raise TextError(f"This is not a JSON object. {_FORM}")
    missing = [key for key in ("context", "choices", "answer") if key not in row]
    if missing:
        raise TextError(f"'{missing[0]}' is missing. {_FORM}")
    context, choices, answer = row["context"], row["choices"], row["answer"]
    if not _are_texts(choices):
        raise TextError("'choices' must be a list of texts.")
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise TextError("'answer' must be a whole number, the index of the right choice from 0.")
    if isinstance(context, str):
        return Item.ask(context, choices, answer)
    if not _are_texts(context):
        raise TextError("'context' must be a text, or a list with a text for each choice.")
    return Item(tuple(context), tuple(choices), answer)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
