"""How long the missing cells of a model take here and now, counted as for a comparison and timed for a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from entviz.comparison.grid.choosing import Chooser
from entviz.comparison.grid.contenders import contenders
from entviz.comparison.grid.measuring import Measurer
from entviz.comparison.grid.plan import GridPlan, plan_of
from entviz.decoder.precision import resolved
from entviz.decoder.states import StateCache
from entviz.evaluation.pace import Pace, pace
from entviz.evaluation.work import NOTHING, Work
from entviz.models.loaded import LoadedModel
from entviz.part_cache import NoPartCache
from entviz.sweep.cells import TASK, TEXT, Cell
from entviz.sweep.config import SweepConfig
from entviz.tasks import Task, read_task


@dataclass(frozen=True)
class Seconds:
    """Seconds of one worker.

    Attributes:
        choosing: to choose blocks for every criterion and budget.
        texts: to measure the missing cells on texts.
        tasks: to measure the missing cells on tasks.
    """

    choosing: float
    texts: float
    tasks: float

    @property
    def total(self) -> float:
        return self.choosing + self.texts + self.tasks


def seconds_of(config: SweepConfig, model: str, missing: Sequence[Cell]) -> Seconds:
    """The time for the missing cells of a model, which is loaded.

    Every text is taken to cost as much as the first, as they are read in windows of one length. Raises ``EntvizError``
    if the model or a text cannot be used.
    """
    from entviz.models.loading import load

    loaded = load(model, dtype=config.weights, device=config.device)
    counting = _Counting(config, loaded)
    plan = counting.plan(None)
    found = counting.pace()
    measuring = sum(found.seconds(_untimed(piece.measuring)) for piece in plan.pieces)
    dense = found.seconds(plan.dense)
    choosing = found.seconds(sum((piece.choosing for piece in plan.pieces), start=plan.analysis))
    on_texts = {cell.on for cell in missing if cell.kind == TEXT}
    all_cells = plan.prune_sets
    text_cells = sum(cell.kind == TEXT for cell in missing)
    tasks = 0.0
    for name in {cell.on for cell in missing if cell.kind == TASK}:
        task = next(each for each in config.tasks if _name(each) == name)
        share = sum(cell.on == name for cell in missing) / all_cells
        tasks += share * counting.task_seconds(plan, task, found)
    return Seconds(choosing, len(on_texts) * dense + text_cells * measuring / all_cells, tasks)


class _Counting:
    """Counts the work of every criterion, budget and repair on the first text."""

    def __init__(self, config: SweepConfig, loaded: LoadedModel) -> None:
        self.config, self.loaded = config, loaded
        self.dtype = resolved(config.dtype, loaded.device)
        length, begin = config.window_length, config.begin
        self.calibration = loaded.windows(
            config.calibration.text, windows=config.calibration_windows, window_length=length, begin=begin
        )
        self.measured = loaded.windows(
            config.texts[0].text, windows=config.windows, window_length=length, begin=begin
        )
        entries, _ = contenders(config.criteria, config.levels, seeds=config.seeds)
        self.entries = [replace(entry, repair=repair) for repair in config.repairs for entry in entries]

    def pace(self) -> Pace:
        """The parts of a pass, timed."""
        estimators = sorted({entry.estimator for entry in self.entries if entry.estimator})
        return pace(self.loaded, self.measured, dtype=self.dtype, metrics=estimators or None)

    def plan(self, task: Task | None) -> GridPlan:
        """The work of a comparison of the same criteria, budgets and repairs."""
        kept, cache = NoPartCache(), StateCache()
        measurer = Measurer(
            self.loaded,
            self.measured,
            self.calibration,
            task=task,
            begin=self.config.begin,
            dtype=self.dtype,
            cache=cache,
            kept=kept,
        )
        chooser = Chooser(
            self.loaded,
            self.calibration,
            self.calibration,
            self.config.budgets,
            dtype=self.dtype,
            analysis=None,
            cache=cache,
            kept=kept,
            leave_out=lambda *_: None,
            only_known=True,
        )
        return plan_of(chooser, measurer, self.entries, self.config.budgets)

    def task_seconds(self, plan: GridPlan, task: Task | str, found: Pace) -> float:
        """What the items of a task add to a comparison without one."""
        items = read_task(task) if isinstance(task, str) else task
        with_task = self.plan(items.first(self.config.task_limit))
        both = [sum((piece.measuring for piece in each.pieces), start=NOTHING) for each in (with_task, plan)]
        return found.seconds(_untimed(both[0])) - found.seconds(_untimed(both[1]))


def _untimed(work: Work) -> Work:
    """A comparison times how fast each prune set reads; a sweep does not."""
    return replace(work, alone=0.0)


def _name(task: Task | str) -> str:
    return task if isinstance(task, str) else task.name
