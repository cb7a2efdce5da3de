"""The cost of a prune set with a repair that was fitted on other text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.progress import Progress, part
from entviz.repair.choice import RepairChoice
from entviz.studies.evaluation import Evaluate
from entviz.studies.study import Material

if TYPE_CHECKING:
    from entviz.evaluation.repaired import RepairedEvaluation
    from entviz.report import About

_FITTING = 0.8  # the usual share of the time that the fit takes


@dataclass(frozen=True)
class EvaluateRepaired(Evaluate):
    """Fit a repair, and measure what the prune set costs with it and without it.

    Attributes:
        repair: which repair, and the text it is fitted on.
    """

    repair: RepairChoice = field(default_factory=lambda: RepairChoice("refit"))

    kind = "repaired evaluation"
    title = "Repaired evaluation"
    result = "entviz.evaluation.repaired:RepairedEvaluation"
    numbers: ClassVar[Mapping[str, str]] = {
        "perplexity": "perplexity",
        "plain_perplexity": "without repair",
        "dense_perplexity": "dense",
        "recovered": "recovered",
    }

    def check(self) -> None:
        self.repair.check(self.drop, self.sample.text)

    def options(self) -> dict[str, Any]:
        return super().options() | self.repair.options()

    def compute(self, material: Material, progress: Progress) -> RepairedEvaluation:
        from entviz.evaluation.repaired import evaluate_repaired
        from entviz.repair.fitted import fitted

        repair = fitted(
            self.repair,
            material.loaded,
            self.drop,
            begin=self.sample.begin,
            progress=part(progress, 0, _FITTING),
        )
        return evaluate_repaired(
            material.loaded,
            material.windows,
            repair,
            dtype=self.dtype,
            cache=material.states,
            progress=part(progress, _FITTING, 1),
        )

    def summarize(self, result: Any) -> dict[str, Any]:
        return super().summarize(result) | {
            "plain_perplexity": result.plain_perplexity,
            "recovered": result.recovered,
        }

    @classmethod
    def report(
        cls,
        result: Any,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_repaired_evaluation

        return of_repaired_evaluation(result, pieces, about, options)
