"""Accuracy on a multiple-choice task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import PruneSet
from entviz.progress import Progress
from entviz.studies.samples import TaskItems
from entviz.studies.study import Material, Page, StoredStudy
from entviz.studies.summaries import without_cut

if TYPE_CHECKING:
    from entviz.evaluation.tasks import TaskResult
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class ScoreTask(StoredStudy["TaskResult"]):
    """Measure accuracy on a multiple-choice task. The partial result covers the items so far.

    Attributes:
        drop: the prune set.
        dtype: the number type to evaluate in, or ``auto`` for the fastest on this device.
    """

    sample: TaskItems
    drop: PruneSet
    dtype: str = "float32"

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

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {"drop": str(self.drop), "dtype": self.dtype}

    def compute(self, material: Material, progress: Progress) -> TaskResult:
        from entviz.evaluation.tasks import evaluate_task

        return evaluate_task(
            material.loaded,
            material.windows,
            self.drop,
            dtype=self.dtype,
            limit=self.sample.limit,
            begin=self.sample.begin,
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

        return of_score(result, about, options.get("limit"))
