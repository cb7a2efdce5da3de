"""What a sweep would take, told without doing it: cells counted, bytes of models and results, hours at this pace.

plan = plan_of(config, open_store(), workers=4)
plan.in_words()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from entviz.errors import EntvizError
from entviz.models.here import is_here
from entviz.store import Store
from entviz.sweep.cells import TASK, Asking, Cell
from entviz.sweep.config import SweepConfig
from entviz.sweep.hours import Seconds, seconds_of
from entviz.sweep.memory import model_need, worker_bytes
from entviz.sweep.sweep import begun
from entviz.sweep.table import DONE
from entviz.words.phrases import counted, duration

_BYTES_A_TOKEN = 24  # of a stored evaluation: three numbers in double precision, hardly compressible
_BYTES_A_RESULT = 10_000  # of a stored result beside its tokens: its description, its summary
_WINDOWS = 24  # windows that a text is taken to have if the file does not say how many are read


@dataclass(frozen=True)
class ModelPlan:
    """What the cells of one model take.

    Attributes:
        model: the model's name.
        cells, done: how many cells it has, and how many of them are stored.
        choices: how many times blocks have to be chosen for what is missing.
        weights_bytes: the bytes of its weights that each worker loads; None if unknown.
        worker_bytes: the memory that each worker is placed by; 0 if unknown.
        seconds: how long one worker takes for what is missing, at this machine's pace; None if the model is not here.
    """

    model: str
    cells: int
    done: int
    choices: int
    weights_bytes: int | None
    worker_bytes: int
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a sweep takes: a part for each model, and what they have in common.

    Attributes:
        workers: the number of workers that the time is told for.
        result_bytes: roughly what the results that are missing will take in the database.
        store_bytes: how much the database keeps at most.
    """

    models: tuple[ModelPlan, ...]
    workers: int
    result_bytes: int
    store_bytes: int

    @property
    def seconds(self) -> float | None:
        """How long all workers take together; None if no model is on this machine. Models elsewhere are left out."""
        times = [each.seconds for each in self.models if each.seconds is not None]
        return sum(times) / self.workers if times else None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {
            "cells": sum(each.cells for each in self.models),
            "done": sum(each.done for each in self.models),
            "seconds": self.seconds,
        }

    def in_words(self) -> list[str]:
        """Sentences for a reader."""
        cells, done = (sum(getattr(each, name) for each in self.models) for name in ("cells", "done"))
        said = [f"{counted(cells, 'cell')}, {done:,} of them known, {cells - done:,} to measure."]
        said += [_of_model(each) for each in self.models]
        said.append(
            f"The results will take about {_size(self.result_bytes)} in the database, which keeps "
            f"{_size(self.store_bytes)}."
        )
        if self.result_bytes > self.store_bytes:
            said.append(
                "That is more than it keeps: set ENTVIZ_STORE_MB higher, or the first results are gone before the last."
            )
        if self.seconds is not None and cells > done:
            unknown = sum(each.seconds is None for each in self.models)
            left_out = f", without {counted(unknown, 'model')} that are not here" if unknown else ""
            said.append(
                f"With {counted(self.workers, 'worker')} as fast as this machine is now: "
                f"{duration(self.seconds)}, and loading{left_out}."
            )
        return said


def plan_of(config: SweepConfig, store: Store, workers: int, *, told: Callable[[str], None]) -> Plan:
    """The plan of a sweep. Each model on this machine with something to measure is loaded and timed for a few seconds.

    Args:
        told: called with a sentence for each criterion that is left out and each model that cannot be timed.

    Raises:
        OptionError: for a criterion, level, budget or repair that does not exist.
    """
    table = begun(config, store, told=told)
    asking = Asking(config)
    plans, results = [], 0
    for model in config.models:
        rows = [row for row in table.rows if row.cell.model == model]
        missing = [row.cell for row in rows if row.state != DONE]
        results += sum(_result_bytes(config, cell) for cell in missing)
        choices = {key for cell in missing if (key := asking.choice_key(cell)) is not None}
        plans.append(
            ModelPlan(
                model,
                len(rows),
                len(rows) - len(missing),
                len(choices),
                _weights_bytes(config, model),
                worker_bytes(config, model),
                _seconds(config, model, missing, told),
            )
        )
    return Plan(tuple(plans), workers, results, store.disk_bytes)


def _seconds(
    config: SweepConfig, model: str, missing: list[Cell], told: Callable[[str], None]
) -> float | None:
    if not missing:
        return 0.0
    if not is_here(model):
        told(f"{model} is not on this machine, so its time is not known.")
        return None
    try:
        found: Seconds = seconds_of(config, model, missing)
    except EntvizError as error:
        told(f"{model} cannot be timed. {error}")
        return None
    return found.total


def _weights_bytes(config: SweepConfig, model: str) -> int | None:
    try:
        need = model_need(model, config.weights)
    except EntvizError:
        return None
    return None if need is None else need.weights


def _result_bytes(config: SweepConfig, cell: Cell) -> int:
    if cell.kind == TASK:
        return _BYTES_A_RESULT
    tokens = (config.windows or _WINDOWS) * config.window_length
    return _BYTES_A_RESULT + tokens * _BYTES_A_TOKEN * (2 if cell.repair else 1)


def _of_model(each: ModelPlan) -> str:
    weights = "of unknown size" if each.weights_bytes is None else f"{_size(each.weights_bytes)} of weights"
    placed = f", {_size(each.worker_bytes)} of memory a worker" if each.worker_bytes else ""
    time = "" if each.seconds is None else f"; {duration(each.seconds)} for one worker"
    return (
        f"- {each.model}: {each.cells - each.done:,} of {counted(each.cells, 'cell')} to measure, chosen in "
        f"{counted(each.choices, 'piece')} of work; {weights}{placed}{time}."
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 100_000_000 else f"{count / 1e6:.1f} MB"
