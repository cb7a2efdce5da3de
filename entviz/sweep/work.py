"""What a worker does: choose blocks, measure cells, and store each result before it says that it is done.

worker = CellWorker(config, open_store())
worker.run(task)                      # Outcome("done", {"perplexity": 25.1, ...})
known(asking, cell, store)            # the same numbers, if they are stored; loads no model
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entviz import kernels
from entviz.blocks import PruneSet
from entviz.errors import Cancelled, EntvizError, StoreError
from entviz.failure import in_a_sentence
from entviz.progress import Progress, silent
from entviz.runtime.kept_states import KeptStates
from entviz.runtime.keys import asked_key
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.runner import Runner
from entviz.store import Store
from entviz.studies.study import StoredStudy
from entviz.sweep.cells import Asking, Cell
from entviz.sweep.config import SweepConfig
from entviz.sweep.queue import Task

FINISHED, REFUSED, BROKEN = "finished", "refused", "broken"
_NUMBERS = (
    *("perplexity", "dense_perplexity", "nll", "kl", "top1_agreement", "plain_perplexity", "recovered"),
    *("accuracy", "accuracy_normalized", "chance"),
)


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        state: finished; refused, for a reason that would be the same next time; or broken, which is worth another try.
        numbers: the numbers of a measured cell.
        reason: why it was refused or broke, as a sentence.
    """

    state: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class CellWorker:
    """Does tasks one after the other. It keeps one model in memory: the last one that it needed.

    Args:
        store: where every result is written before :meth:`run` returns.
    """

    def __init__(self, config: SweepConfig, store: Store) -> None:
        self._asking, self._store = Asking(config), store
        self._states = KeptStates()
        self._runner = Runner(store, ModelCache(1), self._states)
        self._model = ""

    def run(self, task: Task, progress: Progress = silent) -> Outcome:
        """Do a task.

        Raises:
            StoreError: if its result could not be stored; going on would lose all that follows.
            Cancelled: if ``progress`` raises it.
        """
        if task.cell.model != self._model:
            # Compiled loops and plain torch round differently; without this, the first cells would depend on what the
            # worker has done before.
            kernels.load()
            self._states.forget()
            self._model = task.cell.model
        try:
            ranking = self._asking.choice(task.cell)
            chosen = None if ranking is None else (ranking if task.choice is None else _whole(ranking))
            choice = None if chosen is None else self._runner.resume(chosen, progress)
            numbers: dict[str, Any] = {}
            if task.choice is None:
                drop = PruneSet() if choice is None else choice.drop
                result = self._runner.resume(self._asking.measurement(task.cell, drop), progress)
                numbers = numbers_of(drop, result)
        except Cancelled:
            raise
        except EntvizError as error:
            return Outcome(REFUSED, reason=str(error))
        except Exception as error:  # noqa: BLE001 - one cell that breaks must not end the others
            return Outcome(BROKEN, reason=str(in_a_sentence(task.cell.title, error)))
        if self._store.held:
            raise StoreError(f"The sweep stops, because nothing more could be kept. {self._store.trouble}")
        return Outcome(FINISHED, numbers)


def known(asking: Asking, cell: Cell, store: Store) -> dict[str, Any] | None:
    """A cell's numbers if they are stored, without loading its model; None if they are not, or if that cannot be told
    here because the model's files are on other machines only.
    """
    drop = PruneSet()
    try:
        ranking = asking.choice(cell)
        if ranking is not None:
            choice = _stored(ranking, store)
            if choice is None:
                return None
            drop = choice.drop
        result = _stored(asking.measurement(cell, drop), store)
    except EntvizError:  # a budget that the order cannot reach; the worker will say so
        return None
    return None if result is None else numbers_of(drop, result)


def numbers_of(drop: PruneSet, result: Any) -> dict[str, Any]:
    """The numbers of a table's row. Numbers that are not finite are left out, as in JSON."""
    found: dict[str, Any] = {"drop": str(drop)}
    for name in _NUMBERS:
        value = getattr(result, name, None)
        if value is not None and math.isfinite(value):
            found[name] = float(value)
    return found


def _stored(study: StoredStudy[Any], store: Store) -> Any:
    if (basis := study.basis) is not None:
        whole = _stored(basis.study, store)  # type: ignore[arg-type]  # what a stored study derives from is stored
        return None if whole is None else basis.derive(whole)
    key, identity = asked_key(study)
    return store.answer(key) if identity is not None else None


def _whole(ranking: StoredStudy[Any]) -> Any:
    """The study that is computed for a ranking, from which that for one budget takes milliseconds."""
    return ranking if ranking.basis is None else ranking.basis.study
