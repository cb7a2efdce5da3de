"""Entropy at every site and importance of every block of a model without some of its blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entviz.blocks import PruneSet
from entviz.progress import Progress
from entviz.studies.analysis import Analyze
from entviz.studies.study import Material, Page

if TYPE_CHECKING:
    from entviz.analysis import Analysis


@dataclass(frozen=True)
class AnalyzePruned(Analyze):
    """Measure the stream of a pruned model.

    Where the same is known of the dense model, what lies before the first dropped block is taken from there.

    Attributes:
        drop: the blocks to do without.
    """

    drop: PruneSet = field(default_factory=PruneSet)

    kind = "pruned analysis"
    title = "Analysis of a pruned model"
    page = Page("prune")

    @property
    def dense(self) -> Analyze:
        """The same of the dense model."""
        return Analyze(self.sample, self.metrics, self.levels)

    def options(self) -> dict[str, Any]:
        return super().options() | {"drop": str(self.drop)}

    def compute(self, material: Material, progress: Progress) -> Analysis:
        from entviz.analysis import analyze

        return analyze(
            material.loaded,
            material.windows,
            self.metrics,
            self.levels,
            drop=self.drop,
            dense=material.results.get(self.dense, material.windows.fingerprint),
            cache=material.states,
            progress=progress,
        )
