"""The cells of a sweep, and the studies that answer them.

cells, notes = cells_of(config)
asking = Asking(config)
asking.choice(cells[0])                          # a Rank: which blocks to drop
asking.measurement(cells[0], ranking.drop)       # an Evaluate, EvaluateRepaired or ScoreTask
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from entviz.blocks import PruneSet
from entviz.comparison.grid.contenders import REPAIRS, Contender, contenders
from entviz.criteria.baselines import Random
from entviz.criteria.budget import Budget
from entviz.criteria.criterion import Criterion
from entviz.criteria.entropy import EntroDrop
from entviz.criteria.search import Search
from entviz.criteria.spec import criterion_of, parts, spec_of
from entviz.errors import OptionError
from entviz.repair.choice import RepairChoice
from entviz.repair.registry import METHODS
from entviz.studies import Evaluate, EvaluateRepaired, Loading, Rank, RankingOptions, ScoreTask
from entviz.studies.results import stored_options
from entviz.studies.samples import TaskItems, TextSample
from entviz.studies.study import StoredStudy
from entviz.sweep.config import MOST_CELLS, SweepConfig

DENSE = "dense"
TEXT, TASK = "text", "task"


@dataclass(frozen=True)
class Cell:
    """One number of a sweep's table, as plain data.

    Attributes:
        model: the model's name.
        criterion: the criterion as it is written, with its options; ``dense`` for the model with nothing dropped.
        level: the level of blocks; empty for ``dense``.
        budget: the budget as text; empty for ``dense``.
        repair: the repair's name; empty for none.
        kind: ``text`` or ``task``.
        on: the name of the text or task.
        protect: how many layers at the start and at the end may not be dropped; None for the criterion's own.
    """

    model: str
    criterion: str
    level: str
    budget: str
    repair: str
    kind: str
    on: str
    protect: tuple[int, int] | None = None

    @property
    def title(self) -> str:
        """The cell in a few words: "cosine, attn 4, refit, on news, smollm2-135m"."""
        how = [
            self.criterion,
            f"{self.level} {self.budget}".strip(),
            self.repair,
            f"on {self.on}",
            self.model,
        ]
        return ", ".join(word for word in how if word)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def cells_of(config: SweepConfig) -> tuple[list[Cell], list[str]]:
    """All cells in the order of the table, and a sentence about each criterion that has no blocks at some level.

    Raises ``OptionError`` or ``BlockError`` for a criterion, level, budget or repair that does not exist.
    """
    for name in config.criteria:
        if set(parts(name)[2]) & set(REPAIRS):
            raise OptionError(
                f"'{name[:60]}' names a repair: list it under repairs, which every criterion gets."
            )
    for budget in config.budgets:
        if Budget.parse(budget).amount <= 0:
            raise OptionError(f"A budget of {budget} drops nothing: start from 1.")
    for repair in config.repairs:
        if repair:
            METHODS[repair]
    entries, notes = contenders(config.criteria, config.levels, seeds=config.seeds)
    inputs = [(TEXT, text.name) for text in config.texts] + [(TASK, _name(task)) for task in config.tasks]
    count = len(config.models) * len(entries) * len(config.budgets) * len(config.repairs) * len(inputs)
    if count > MOST_CELLS:
        raise OptionError(f"The sweep has {count:,} cells, more than {MOST_CELLS:,}: split it into several.")
    cells = []
    for model in config.models:
        # An evaluation of a text has the dense model's numbers beside the pruned one's; a task has not.
        cells += [Cell(model, DENSE, "", "", "", kind, on) for kind, on in inputs if kind == TASK]
        cells += [
            Cell(
                *(model, spec_of(entry.criterion), entry.level, budget, repair, kind, on),
                protect=_protection(entry),
            )
            for entry in entries
            for budget in config.budgets
            for repair in config.repairs
            for kind, on in inputs
        ]
    return cells, notes


class Asking:
    """Makes the studies of a sweep's cells."""

    def __init__(self, config: SweepConfig) -> None:
        self.config = config
        self._texts = {text.name: text.text for text in config.texts}
        self._tasks = {_name(task): task for task in config.tasks}
        self._loading = Loading(config.weights, config.device)

    def choice(self, cell: Cell) -> Rank | None:
        """The ranking that chooses a cell's blocks; None if nothing is dropped."""
        if cell.criterion == DENSE:
            return None
        config = self.config
        text = self._sample(cell.model, config.calibration.text, config.calibration_windows)
        return Rank(text, ranking_options(cell))

    def choice_key(self, cell: Cell) -> str | None:
        """What a cell's choice is told apart by: cells with the same one are chosen for by one piece of work."""
        study = self.choice(cell)
        if study is None:
            return None
        whole: StoredStudy[Any] = study if study.basis is None else study.basis.study  # type: ignore[assignment]
        return json.dumps([whole.kind, stored_options(whole)], sort_keys=True)

    def measurement(self, cell: Cell, drop: PruneSet) -> StoredStudy[Any]:
        """The study that measures a cell's blocks."""
        config = self.config
        repair = None
        if cell.repair:
            repair = RepairChoice(cell.repair, (config.calibration.text,), self_written=config.self_written)
        if cell.kind == TASK:
            items = TaskItems(
                cell.model, self._tasks[cell.on], config.task_limit, config.begin, self._loading
            )
            return ScoreTask(items, drop, config.dtype, repair)
        sample = self._sample(cell.model, self._texts[cell.on], config.windows)
        if repair is None:
            return Evaluate(sample, drop, config.dtype)
        return EvaluateRepaired(sample, drop, config.dtype, repair)

    def _sample(self, model: str, text: str, windows: int | None) -> TextSample:
        return TextSample(model, text, windows, self.config.window_length, self.config.begin, self._loading)


def ranking_options(cell: Cell) -> RankingOptions:
    """The ranking that a cell asks for. A number of blocks stays a number, so that all such budgets share one order."""
    given, _ = criterion_of(cell.criterion)
    wanted = Budget.parse(cell.budget)
    own = {each.name: getattr(given, each.name) for each in fields(given)}
    return RankingOptions(
        given.name,
        own.pop("estimator", EntroDrop.estimator),
        cell.level,
        int(wanted.amount) if wanted.unit == "blocks" else cell.budget,
        cell.protect,
        own.pop("stage", None),
        own.pop("seed", Random.seed),
        float(own.pop("seconds", Search.seconds)),
        more=tuple(sorted(own.items())),
    )


def _protection(entry: Contender) -> tuple[int, int] | None:
    usual: type[Criterion] = type(entry.criterion)
    return None if entry.protect == usual.protection else entry.protect


def _name(task: Any) -> str:
    return task if isinstance(task, str) else str(task.name)
