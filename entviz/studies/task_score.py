"""Accuracy on a multiple-choice task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import PruneSet
from entviz.progress import Progress, part
from entviz.repair.choice import RepairChoice
from entviz.studies.samples import TaskItems
from entviz.studies.study import Material, Page, StoredStudy
from entviz.studies.summaries import without_cut

if TYPE_CHECKING:
    from entviz.evaluation.tasks import TaskResult
    from entviz.report import About
    from entviz.store import Run

_FITTING = 0.5  # the usual share of the time that fitting a repair takes


@dataclass(frozen=True)
class ScoreTask(StoredStudy["TaskResult"]):
    """Measure accuracy on a multiple-choice task. The partial result covers the items so far.

    Attributes:
        drop: the prune set.
        dtype: the number type to evaluate in, or ``auto`` for the fastest on this device.
        repair: which repair the pruned model runs with, and the text that it is fitted on; None for none.
    """

    sample: TaskItems
    drop: PruneSet
    dtype: str = "float32"
    repair: RepairChoice | None = None

    kind = "score"
    title = "Task accuracy"
    result = "entviz.evaluation.tasks:TaskResult"
    numbers: ClassVar[Mapping[str, str]] = {
        "accuracy": "accuracy",
        "accuracy_normalized": "length-normalized",
    }
    page = Page("prune")
    needs_text = False

    @property
    def slot(self) -> None:
        return None

    def check(self) -> None:
        if self.repair is not None:
            self.repair.check(self.drop)

    def options(self) -> dict[str, Any]:
        repair = {} if self.repair is None else self.repair.options()
        return self.sample.options() | {"drop": str(self.drop), "dtype": self.dtype} | repair

    def compute(self, material: Material, progress: Progress) -> TaskResult:
        from entviz.evaluation.tasks import evaluate_task
        from entviz.repair.fitted import fitted

        repair = None
        if self.repair is not None:
            repair = fitted(
                self.repair,
                material.loaded,
                self.drop,
                begin=self.sample.begin,
                progress=part(progress, 0, _FITTING),
            )
            progress = part(progress, _FITTING, 1)
        return evaluate_task(
            material.loaded,
            material.windows,
            self.drop,
            dtype=self.dtype,
            limit=self.sample.limit,
            begin=self.sample.begin,
            repair=repair,
            progress=progress,
        )

    def summarize(self, result: TaskResult) -> dict[str, Any]:
        return {"accuracy": result.accuracy, "accuracy_normalized": result.accuracy_normalized}

    @classmethod
    def text_title(cls, run: Run, text: str | None) -> str:
        return f"the task {without_cut(run.description)}"

    @classmethod
    def report(
        cls,
        result: TaskResult,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_score

        return of_score(result, about, options)
