"""Entropy at every site and importance of every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entviz.blocks import KINDS, in_order_of_kind
from entviz.estimators import METRICS, base, default_metrics, specs_in_order
from entviz.progress import Progress
from entviz.studies.samples import TextSample
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class Analyze(TextStudy["Analysis"]):
    """Measure entropies and importances.

    Attributes:
        metrics: specs of metrics, see :mod:`entviz.estimators`; by default the metrics that all pages share.
        levels: kinds of block. Levels and metrics are sorted, because their order does not change the result.
        without_massive: measure without tokens that have massive activations; see :mod:`entviz.analysis.massive`.

    Raises:
        OptionError: for an unknown metric.
        BlockError: for an unknown level.
    """

    metrics: tuple[str, ...] = field(default_factory=default_metrics)
    levels: tuple[str, ...] = KINDS
    without_massive: bool = field(default=False, kw_only=True)

    kind = "analysis"
    title = "Analysis"
    result = "entviz.analysis:Analysis"
    page = Page("explore")

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", specs_in_order(self.metrics))
        object.__setattr__(self, "levels", in_order_of_kind(self.levels))

    @property
    def slot(self) -> str:
        """A page shows both analyses, so neither replaces the other."""
        return f"{self.kind} without massive tokens" if self.without_massive else self.kind

    def options(self) -> dict[str, Any]:
        # With all tokens the option is left out, so that results from before it existed keep their keys.
        massive = {"without_massive": True} if self.without_massive else {}
        return self.sample.options() | {"metrics": list(self.metrics), "levels": list(self.levels)} | massive

    def compute(self, material: Material, progress: Progress) -> Analysis:
        from entviz.analysis import analyze

        return analyze(
            material.loaded,
            material.windows,
            self.metrics,
            self.levels,
            without_massive=self.without_massive,
            dense=self._with_all_tokens(material),
            progress=progress,
        )

    def _with_all_tokens(self, material: Material) -> Analysis | None:
        """A stored analysis with all tokens, which has the massive ones; None if it is not needed or not stored."""
        if not self.without_massive:
            return None
        for metrics in dict.fromkeys((self.metrics, default_metrics())):
            study = Analyze(self.sample, metrics)
            if (found := material.results.get(study, material.windows.fingerprint)) is not None:
                return found
        return None

    def summarize(self, result: Analysis) -> dict[str, Any]:
        metrics = dict.fromkeys(result.sites["metric"])
        return {"turning_point": {metric: result.turning_point(metric) for metric in metrics}}

    @classmethod
    def found(cls, run: Run) -> str:
        turning = run.summary.get("turning_point") or {}
        layers = ", ".join(f"{name} {layer}" for name, layer in turning.items())
        without = ", without massive tokens" if run.options.get("without_massive") else ""
        return f"entropy lowest after layer: {layers}{without}" if layers else ""

    @classmethod
    def report(
        cls,
        result: Analysis,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_analysis

        return of_analysis(result, about, options=options)

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        names = {base(spec) for spec in cls.measured(run)}
        return {
            "metrics": tuple(name for name in METRICS if name in names),
            "level": tuple(run.options["levels"]),
            "without_massive": run.options.get("without_massive", False),
        }

    @classmethod
    def measured(cls, run: Run) -> tuple[str, ...]:
        return tuple(run.options["metrics"])

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """Pages always measure the default metrics, each with one set of options, for every kind of block."""
        specs, levels = cls.measured(run), tuple(run.options["levels"])
        names = set(map(base, specs))
        return len(names) == len(specs) and names >= set(default_metrics()) and levels == KINDS


def known_analysis(material: Material, sample: TextSample, tokens: str) -> Analysis | None:
    """The analysis that pages share, or None if it is not stored. ``tokens`` is the fingerprint of the windows."""
    found: Analysis | None = material.results.get(Analyze(sample), tokens)
    return found
