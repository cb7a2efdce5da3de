"""Entropy at every site and importance of every block of a model without some of its blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entviz.blocks import KINDS, PruneSet
from entviz.estimators import METRICS, base, default_metrics, is_entropy
from entviz.progress import Progress, part
from entviz.repair.choice import RepairChoice
from entviz.studies.analysis import Analyze
from entviz.studies.study import Material, Page

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.store import Run

_FITTING = 0.8  # the usual share of the time that fitting a repair takes


@dataclass(frozen=True)
class AnalyzePruned(Analyze):
    """Measure the stream of a pruned model.

    If the same analysis of the dense model is stored, the values before the first dropped block are taken from it.

    Attributes:
        drop: the blocks to drop.
        along: the metrics of the dense analysis to take those values from; None for the same metrics. The result does
            not depend on it.
        repair: which repair the pruned model runs with, and the text that it is fitted on; None for none.
    """

    drop: PruneSet = field(default_factory=PruneSet)
    along: tuple[str, ...] | None = None
    repair: RepairChoice | None = None

    kind = "pruned analysis"
    title = "Pruned analysis"
    page = Page("prune")

    @property
    def dense(self) -> Analyze:
        """The study of the dense model whose result, if it is stored, this analysis starts from."""
        metrics = self.metrics if self.along is None else self.along
        return Analyze(self.sample, metrics, self.levels, without_massive=self.without_massive)

    @property
    def slot(self) -> str:
        """A page shows the curve with the repair and without it."""
        return super().slot + ("" if self.repair is None else " repaired")

    def check(self) -> None:
        if self.repair is not None:
            self.repair.check(self.drop, self.sample.text)

    def options(self) -> dict[str, Any]:
        repair = {} if self.repair is None else self.repair.options()
        return super().options() | {"drop": str(self.drop)} | repair

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        """The page shows one entropy. Metrics that are not defaults, or have other options, are preferred."""
        specs = [spec for spec in cls.measured(run) if is_entropy(spec)]
        specs.sort(key=lambda spec: (base(spec) in default_metrics(), spec in METRICS))
        # The name of the criterion with a choice of entropy. Its package does not compute this result and is not
        # imported.
        massive = {"without_massive": run.options.get("without_massive", False)}
        if not specs:
            return massive
        return {"prune.criterion": "entrodrop", "prune.estimator": base(specs[0])} | massive

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """The page measures one entropy, and takes it from an analysis of the default metrics if there is one."""
        specs = cls.measured(run)
        if len(specs) == 1 and is_entropy(specs[0]):
            return tuple(run.options["levels"]) == KINDS
        # That analysis holds the default metrics and the entropy that the page shows.
        return super().found_by_page(run) and len(specs) <= len(default_metrics()) + 1

    def compute(self, material: Material, progress: Progress) -> Analysis:
        from entviz.analysis import analyze
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
        return analyze(
            material.loaded,
            material.windows,
            self.metrics,
            self.levels,
            drop=self.drop,
            repair=repair,
            without_massive=self.without_massive,
            dense=material.results.get(self.dense, material.windows.fingerprint)
            or self._with_all_tokens(material),
            cache=material.states,
            progress=progress,
        )
