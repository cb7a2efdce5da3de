"""The file that describes a sweep: YAML, read into plain data, with every value checked before anything is loaded.

    config = read_config("sweep.yaml")
    config.criteria, config.budgets

A file or model that it names is looked for in the file's own folder.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from entviz.errors import OptionError
from entviz.reading import read_bytes
from entviz.sweep.values import names, number, one_of, switch, word
from entviz.tasks import BUILT_IN, Task, read_task, task_titles
from entviz.text.files import read_text
from entviz.text.passages import passages

MOST_BYTES = 1_000_000
MOST_CELLS = 1_000_000
NO_REPAIR = "none"
DTYPES = ("float32", "bfloat16", "float16")
_NEEDED = ("models", "texts", "criteria", "budgets")


@dataclass(frozen=True)
class NamedText:
    """A text and what a table calls it."""

    name: str
    text: str


@dataclass(frozen=True)
class SweepConfig:
    """Everything that a sweep measures.

    Attributes:
        name: what lists call it.
        models: catalog names, hub ids, or absolute paths.
        texts: the texts that prune sets are measured on.
        calibration: the text that criteria choose by and repairs are fitted on.
        criteria: criteria as in ``entviz compare``.
        budgets: budgets as in ``entviz rank``, as text.
        levels: some of layer, attn, mlp, attn+mlp; empty for each criterion's own.
        repairs: names of repairs; empty text for none.
        tasks: multiple-choice tasks: what they hold, or the name of a task of the hub.
        task_limit: the number of items of a task to use; None for all.
        windows: the number of windows of each text; None for as many as it fills.
        window_length: tokens in a window.
        calibration_windows: the number of windows of the calibration text; None for as many as it fills.
        seeds: the number of random prune sets for each budget.
        begin: whether texts and items begin with the tokenizer's beginning token.
        self_written: whether repairs are also fitted on text that the model writes itself.
        dtype: number type to evaluate in, or ``auto``.
        weights: number type of the loaded weights.
        device: the device of each worker; None for the best one that it sees.
        cpus: processor cores of each worker.
        gpus: GPUs of each worker; a share such as 0.5 lets two workers use one.
        memory_gb: memory of each worker in GB; None for what its model needs.
    """

    name: str
    models: tuple[str, ...]
    texts: tuple[NamedText, ...]
    calibration: NamedText
    criteria: tuple[str, ...]
    budgets: tuple[str, ...]
    levels: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ("",)
    tasks: tuple[Task | str, ...] = ()
    task_limit: int | None = None
    windows: int | None = None
    window_length: int = 256
    calibration_windows: int | None = None
    seeds: int = 3
    begin: bool = True
    self_written: bool = True
    dtype: str = "float32"
    weights: str = "float32"
    device: str | None = None
    cpus: int = 1
    gpus: float = 0.0
    memory_gb: float | None = None

    def about(self) -> dict[str, Any]:
        """What it measures as plain data, in which texts and tasks are named and told apart by hashes."""
        plain = {name: value for name, value in asdict(self).items() if name not in _OF_WORKERS}
        return plain | {
            "texts": {each.name: _hash(each.text) for each in self.texts},
            "calibration": {self.calibration.name: _hash(self.calibration.text)},
            "tasks": [
                task if isinstance(task, str) else [task.name, task.fingerprint] for task in self.tasks
            ],
        }


_OF_WORKERS = ("cpus", "gpus", "memory_gb", "device")  # nothing that is measured depends on them


def read_config(path: str | Path) -> SweepConfig:
    """Read and check a sweep's file.

    Raises:
        OptionError: if it is no such file, lacks something, or holds an unknown key or a value that cannot be used; the
            message names it.
        TextError: if a text that it names cannot be read.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(read_bytes(path, MOST_BYTES, streams=True))
    except FileNotFoundError:
        raise OptionError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise OptionError(f"{path} cannot be read: {reason}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise OptionError(f"{path} is not YAML{_place(error)}: correct it there.") from None
    return config_of(values, path)


def config_of(values: Any, path: Path) -> SweepConfig:
    """The sweep that the content of a file describes; raises as :func:`read_config`."""
    if not isinstance(values, Mapping):
        raise OptionError(f"{path} must hold keys and values, such as models: [smollm2-135m].")
    _check_keys(values, path)
    folder, known = path.absolute().parent, passages()
    texts = tuple(_text(each, folder, "texts") for each in names(values, "texts", mappings=True))
    chosen_by = values.get("calibration")
    if chosen_by is None:
        free = [name for name in known if name not in {text.name for text in texts}]
        chosen_by = free[0] if free else "story"
    calibration = _text(chosen_by, folder, "calibration")
    repairs = names(values, "repairs", [NO_REPAIR])
    config = SweepConfig(
        name=word(values, "name", path.stem),
        models=tuple(_model(name, folder) for name in names(values, "models")),
        texts=_distinct(texts),
        calibration=calibration,
        criteria=tuple(names(values, "criteria")),
        budgets=tuple(names(values, "budgets", numbers=True)),
        levels=tuple(names(values, "levels", [])),
        repairs=tuple("" if name == NO_REPAIR else name for name in repairs),
        tasks=tuple(_task(name, folder) for name in names(values, "tasks", [])),
        task_limit=number(values, "task_limit", None),
        windows=number(values, "windows", None),
        window_length=number(values, "window_length", 256) or 256,
        calibration_windows=number(values, "calibration_windows", None),
        seeds=number(values, "seeds", 3) or 3,
        begin=switch(values, "begin", True),
        self_written=switch(values, "self_written", True),
        dtype=one_of(values, "dtype", ("auto", *DTYPES), "float32"),
        weights=one_of(values, "weights", DTYPES, "float32"),
        device=word(values, "device", "") or None,
        cpus=number(values, "cpus", 1) or 1,
        gpus=float(number(values, "gpus", 0, whole=False, least=0) or 0),
        memory_gb=number(values, "memory_gb", None, whole=False),
    )
    if any(config.repairs) and calibration.text in {text.text for text in texts}:
        raise OptionError(
            f"Repairs would be fitted on {calibration.name}, which is also measured on: name another text as "
            "calibration."
        )
    return config


def _check_keys(values: Mapping[Any, Any], path: Path) -> None:
    known = [each.name for each in fields(SweepConfig)]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Choose from {', '.join(known)}."
            raise OptionError(f"{path} has the key '{str(key)[:60]}', which no sweep knows. {hint}")
    for key in _NEEDED:
        if key not in values:
            raise OptionError(f"{path} has no {key}: list at least one, such as {_EXAMPLES[key]}.")


_EXAMPLES = {
    "models": "models: [smollm2-135m]",
    "texts": "texts: [news]",
    "criteria": "criteria: [cosine]",
    "budgets": "budgets: [4, 8]",
}


def _text(value: Any, folder: Path, key: str) -> NamedText:
    """A built-in text by name, or ``{file: F, encoding: E}``."""
    known = passages()
    if isinstance(value, str) and value in known:
        return NamedText(value, known[value].text)
    if isinstance(value, Mapping) and "file" in value and set(value) <= {"file", "encoding", "name"}:
        file = folder / str(value["file"])
        text = read_text(file, str(value.get("encoding", "utf-8")))
        return NamedText(str(value.get("name", file.name)), text)
    raise OptionError(
        f"{key} has {str(value)[:60]!r}: write {{file: F}}, or the name of a built-in text: {', '.join(known)}."
    )


def _distinct(texts: tuple[NamedText, ...]) -> tuple[NamedText, ...]:
    seen = [text.name for text in texts]
    twice = next((name for name in seen if seen.count(name) > 1), None)
    if twice is not None:
        raise OptionError(
            f"Two texts are called {twice}: give one of them another name, {{file: F, name: N}}."
        )
    return texts


def _model(name: str, folder: Path) -> str:
    """A model's name; a path is absolute, so that every worker finds the same."""
    from entviz.models import CATALOG

    if name in CATALOG:
        return name
    try:
        path = folder / Path(name).expanduser()
        return str(path.absolute()) if path.exists() else name
    except (OSError, RuntimeError, ValueError):  # not a possible file name
        return name


def _task(name: str, folder: Path) -> Task | str:
    if name in task_titles():
        return read_task(name) if name in BUILT_IN else name
    return read_task(folder / name if (folder / name).exists() else name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
