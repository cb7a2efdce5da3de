"""The cost of a prune set on a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import PruneSet
from entviz.progress import Progress
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class Evaluate(TextStudy["Evaluation"]):
    """Measure what a prune set costs. The partial result is the evaluation of the windows so far.

    Attributes:
        drop: the prune set.
        dtype: the number type to evaluate in, or ``auto`` for the fastest on this device.
    """

    drop: PruneSet
    dtype: str = "float32"

    kind = "evaluation"
    title = "Evaluation"
    result = "entviz.evaluation.loss:Evaluation"
    numbers: ClassVar[Mapping[str, str]] = {
        "perplexity": "perplexity",
        "dense_perplexity": "dense",
        "kl": "KL",
        "top1_agreement": "top-1",
    }
    page = Page("prune")
    urgent = True

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {"drop": str(self.drop), "dtype": self.dtype}

    def compute(self, material: Material, progress: Progress) -> Evaluation:
        from entviz.evaluation.loss import evaluate

        return evaluate(
            material.loaded,
            material.windows,
            self.drop,
            dtype=self.dtype,
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Evaluation) -> dict[str, Any]:
        return {
            "perplexity": result.perplexity,
            "dense_perplexity": result.dense_perplexity,
            "kl": result.kl,
            "top1_agreement": result.top1_agreement,
            "parameters": {"dense": result.parameters_dense, "pruned": result.parameters_pruned},
        }

    @classmethod
    def token_rows(cls, result: Evaluation) -> list[list[int]]:
        rows: list[list[int]] = result.token_ids.tolist()
        return rows

    @classmethod
    def report(
        cls,
        result: Evaluation,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_evaluation

        return of_evaluation(result, pieces, about)

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        return {"prune.float32": run.options.get("dtype") == "float32"}
