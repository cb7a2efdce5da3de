"""The criterion interface: a rule that chooses blocks, and everything that the rest of entviz needs to know about it.

    EntroDrop(estimator="knn").rank(calibration, candidates)

A criterion is a frozen dataclass: its fields are its options, its class attributes describe it. To add a criterion,
write such a class in a file of its own and add it to ``CRITERIA`` in ``registry.py``. The command line, the pages,
comparisons and reports list what the registry holds. This module does not import torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from entviz.criteria.ranking import LEVELS
from entviz.criteria.switches import Switch, switch, switches_of
from entviz.errors import OptionError
from entviz.progress import Progress, silent
from entviz.repair.registry import METHODS

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking

Needs = Literal["analysis", "trials", "model", "nothing"]
Order = Literal["all", "smaller", "none"]


@dataclass(frozen=True)
class Criterion(ABC):
    """A rule for choosing blocks.

    Attributes:
        name: its name in the shell.
        title: its name for a reader; ``short_title`` is used if there is little space.
        source: the paper that published it.
        level: the level that it was published for, which is the default.
        levels: the levels at which it can be used.
        needs: what it uses: an ``analysis``, ``trials`` (runs of the pruned model, which take much longer), the
            ``model`` with its own kind of measurement, or ``nothing``. It may depend on its options.
        order: the budgets for which one order of blocks is valid: ``all``; ``smaller`` for all budgets up to the one it
            was made for; or ``none`` if each budget has its own prune set. It may depend on its options.
        protection: how many layers at the start and at the end it never drops by default.
        score_title, score_unit: what its scores are; empty if it gives no scores.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    short_title: ClassVar[str]
    source: ClassVar[str]
    level: ClassVar[str] = "attn"
    levels: ClassVar[tuple[str, ...]] = LEVELS
    protection: ClassVar[tuple[int, int]] = (0, 0)
    score_title: ClassVar[str] = ""
    score_unit: ClassVar[str] = ""

    @property
    @abstractmethod
    def needs(self) -> Needs: ...

    @property
    def order(self) -> Order:
        return "all"

    @abstractmethod
    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        """Choose among the candidates, using the calibration text.

        Args:
            progress: a search reports its best ranking so far as its partial result.

        Raises:
            OptionError: for a budget that cannot be reached, or a calibration text that is not suitable.
            BlockError: for a budget that leaves no block in the model.
        """

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of its options."""
        return tuple(field.name for field in fields(cls))

    def with_options(self, **options: Any) -> Self:
        """The same criterion with these options; options that it does not have are ignored."""
        return replace(self, **{name: value for name, value in options.items() if name in self.options()})

    @classmethod
    def switches(cls) -> tuple[Switch, ...]:
        """Its options that can be switched on."""
        return switches_of(cls)

    def tries(self) -> bool:
        """Whether it runs pruned models."""
        return self.needs == "trials"

    def evaluations(self, blocks: int, largest: int) -> int:
        """How many prune sets it runs to choose up to ``largest`` of ``blocks`` blocks; for estimates of time."""
        return 0

    @property
    def seconds_a_budget(self) -> float:
        """The seconds it takes for each budget whatever the model; 0 if the time depends on the model."""
        return 0.0


@dataclass(frozen=True)
class ByAnalysis(Criterion):
    """A criterion that takes its scores from an analysis and needs nothing else.

    Args:
        iterative: after each drop, measure the pruned model again and drop the next lowest. It needs an analysis a
            block, and its scores are those at the time when a block was dropped.
        without_massive: measure without tokens that have massive activations (:mod:`entviz.analysis.massive`).
        repair: after each drop, repair the pruned model by this method before it is measured again; a name in
            :data:`entviz.repair.registry.METHODS`, or empty for no repair. It is fitted on the calibration windows.

    Raises:
        OptionError: for an unknown repair, or one without ``iterative``.
    """

    _: KW_ONLY  # options of its own come first
    iterative: bool = switch(
        False,
        True,
        "iterative",
        "Measure again after each drop",
        "measured again",
        "After each drop the pruned model is measured again, and the block that is then the lowest goes next.",
    )
    without_massive: bool = switch(
        False,
        True,
        "without-massive",
        "Without massive tokens",
        "without massive tokens",
        "Measured without the tokens that have massive activations, which can set the range of a histogram alone.",
    )
    repair: str = ""

    def __post_init__(self) -> None:
        if self.repair:
            known = METHODS[self.repair]
            if not self.iterative:
                raise OptionError(
                    f"{self.name} measures a repaired model only if it measures again after each drop: add iterative "
                    f"to repair={known.name}."
                )

    @property
    def needs(self) -> Needs:
        return "trials" if self.iterative else "analysis"

    @property
    def order(self) -> Order:
        return "smaller" if self.iterative else "all"

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric whose value for a block is its score."""

    def first_layer(self, analysis: Analysis) -> int:
        """The first layer whose blocks may be dropped, according to the analysis."""
        return 0

    def scores(self, analysis: Analysis, level: str) -> dict[str, float]:
        """The score of each block of a level, by name, from the values of an analysis.

        Raises ``OptionError`` if the analysis does not have the metric at this level, or for these tokens.
        """
        from entviz.criteria.ranking import kinds_of

        if analysis.without_massive != self.without_massive:
            asked = "without massive tokens" if self.without_massive else "with all tokens"
            raise OptionError(f"{self.name} ranks here by what was measured {asked}; analyze so first.")
        table = analysis.blocks
        table = table[(table["metric"] == self.metric) & table["kind"].isin(kinds_of(level))]
        if table.empty:
            raise OptionError(
                f"'{self.metric}' at level {level} was not measured as {self.name} needs it; analyze with it first."
            )
        return dict(zip(table["block"], table["value"], strict=True))

    def rank_by(self, analysis: Analysis, candidates: Candidates) -> Ranking:
        """Rank by what one analysis measured; raises as :meth:`scores` does."""
        found = self.scores(analysis, candidates.level)
        return candidates.by_score(self.name, found, self.first_layer(analysis))

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        if self.iterative:
            from entviz.criteria.remeasuring import rank_again

            return rank_again(self, calibration, candidates, progress)
        analysis = calibration.analysis_of((self.metric,), progress, without_massive=self.without_massive)
        return replace(self.rank_by(analysis, candidates), notes=analysis.left_out)

    def evaluations(self, blocks: int, largest: int) -> int:
        return largest if self.iterative else 0
