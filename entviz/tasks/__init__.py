"""Multiple-choice tasks: built-in tasks, tasks of the hub, and users' own.

    read_task("common-sense")                 # built in, 50 items
    read_task("piqa")                         # from the Hugging Face hub
    read_task("questions.jsonl")              # a line for each item: context, choices, answer

Reading a task needs neither a model nor torch.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from entviz.errors import OptionError
from entviz.tasks.items import Item, Task
from entviz.tasks.jsonl import parse_jsonl, read_jsonl

# Fifty items each, written for entviz.
BUILT_IN: dict[str, str] = {
    "common-sense": "Common sense",
    "word-meaning": "Word meaning",
    "arithmetic-in-words": "Arithmetic in words",
    "grammar": "Grammatical minimal pairs",
}

__all__ = ["BUILT_IN", "Item", "Task", "parse_jsonl", "read_jsonl", "read_task", "task_titles"]


def read_task(name_or_file: str | Path) -> Task:
    """Return the task of that name, or the task in that JSONL file.

    Raises:
        OptionError: if there is neither a task nor a file of that name.
        TextError: if the file is not a task file (the message names the line), or if the hub cannot be reached.
    """
    name = str(name_or_file)
    if name in BUILT_IN:
        data = files("entviz.tasks").joinpath("built_in", f"{name}.jsonl").read_bytes()
        return parse_jsonl(data, f"{name}.jsonl")
    from entviz.tasks.hub import HUB_TASKS

    if name in HUB_TASKS:
        return HUB_TASKS[name].read()
    if not Path(name).exists() and not name.endswith((".jsonl", ".json")):
        raise OptionError(
            f"There is no task '{name[:60]}'. Give a JSONL file, or one of {', '.join(task_titles())}."
        )
    return read_jsonl(name)


def task_titles() -> dict[str, str]:
    """The names that :func:`read_task` knows, with titles; built-in tasks first."""
    from entviz.tasks.hub import HUB_TASKS

    return {**BUILT_IN, **{name: task.title for name, task in HUB_TASKS.items()}}
