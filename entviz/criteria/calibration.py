"""What a choice is made on: a model, calibration windows, and what is known about them already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.cost_model import CostModel, KnownCosts
    from entviz.decoder.states import StateCache
    from entviz.models.loaded import LoadedModel
    from entviz.text.windows import Windows


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model and the text by which criteria choose.

    Attributes:
        loaded: the model.
        windows: the calibration text.
        dtype: the number type in which criteria that try prune sets run the model.
        analysis: a measurement of the same model and windows, where there is one.
        cache: hidden states and dense predictions to start from, where there are any.
        tried: what was run with this model before, which is not run again, by windows and number type; what is run
            is added. A search for a large budget so resumes from one for a small budget.
    """

    loaded: LoadedModel
    windows: Windows
    dtype: str = "float32"
    analysis: Analysis | None = None
    cache: StateCache | None = None
    tried: dict[str, KnownCosts] = field(default_factory=dict)

    def analysis_of(self, metrics: Sequence[str], progress: Progress = silent) -> Analysis:
        """The analysis that is there, if it has these metrics, or else a new one of them."""
        from entviz.analysis import analyze

        if self.analysis is not None and set(metrics) <= set(self.analysis.metrics):
            return self.analysis
        return analyze(self.loaded, self.windows, tuple(metrics), progress=progress)

    def cost_model(self, by: str, dtype: str | None = None) -> CostModel:
        """Costs of prune sets on the calibration text: ``nll``, ``kl``, or ``both`` for their sum; nats a token."""
        from entviz.criteria.cost_model import CostModel, KnownCosts
        from entviz.evaluation.precision import resolved

        dtype = self.dtype if dtype is None else dtype
        key = f"{self.windows.fingerprint} {resolved(dtype, self.loaded.device)}"
        tried = self.tried.setdefault(key, KnownCosts())
        return CostModel(self.loaded, self.windows, by=by, dtype=dtype, cache=self.cache, tried=tried)
