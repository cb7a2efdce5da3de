"""The cost of a prune set with a repair that was fitted on other text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.errors import OptionError
from entviz.progress import Progress
from entviz.repair.registry import METHODS
from entviz.studies.evaluation import Evaluate
from entviz.studies.study import Material

if TYPE_CHECKING:
    from entviz.evaluation.repaired import RepairedEvaluation
    from entviz.report import About

CALIBRATION_WINDOWS = 32


@dataclass(frozen=True)
class EvaluateRepaired(Evaluate):
    """Fit a repair, and measure what the prune set costs with it and without it.

    Attributes:
        method: the name of the repair.
        calibration: texts to fit on, one for each kind of text. They should be other text than the sample.
        calibration_windows: the number of windows of each, of the sample's length; fewer if the text is shorter.
    """

    method: str = "refit"
    calibration: tuple[str, ...] = ()
    calibration_windows: int = CALIBRATION_WINDOWS

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
        known = METHODS[self.method]  # an unknown one is an error here, before anything is loaded
        if not self.drop:
            raise OptionError(f"Nothing is dropped, so there is nothing that {known.name} could repair.")
        if not self.calibration:
            raise OptionError("A repair is fitted on text of its own: give at least one calibration text.")
        if self.sample.text in self.calibration:
            raise OptionError(
                "The repair would be fitted on the text that it is measured on, which says nothing about other text. "
                "Calibrate on another text."
            )

    def options(self) -> dict[str, Any]:
        texts = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in self.calibration]
        return super().options() | {
            "repair": self.method,
            "calibration": texts,
            "calibration_windows": self.calibration_windows,
        }

    def shell_options(self) -> dict[str, Any]:
        # No page asks for one, so that none finds it by its key.
        return super().shell_options() | {"repair": self.method}

    def compute(self, material: Material, progress: Progress) -> RepairedEvaluation:
        from entviz.evaluation.repaired import evaluate_repaired
        from entviz.repair.calibration import calibration_windows

        length = material.windows.length
        return evaluate_repaired(
            material.loaded,
            material.windows,
            self.drop,
            self.method,
            calibration_windows(
                material.loaded, self.calibration, self.calibration_windows, length, begin=self.sample.begin
            ),
            dtype=self.dtype,
            cache=material.states,
            progress=progress,
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
