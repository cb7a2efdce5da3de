"""The criterion interface: a rule that chooses blocks, and everything that the rest of entviz needs to know about it.

    EntroDrop(estimator="knn").rank(calibration, candidates)

A criterion is a frozen dataclass: its fields are its options, its class attributes describe it. To add a criterion,
write such a class in a file of its own and add it to ``CRITERIA`` in ``registry.py``. The command line, the pages,
comparisons and reports list what the registry holds. This module does not import torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from entviz.criteria.ranking import LEVELS
from entviz.errors import OptionError
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking


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
            ``model`` with its own kind of measurement, or ``nothing``.
        order: the budgets for which one order of blocks is valid: ``all``; ``smaller`` for all budgets up to the one it
            was made for; or ``none`` if each budget has its own prune set.
        protection: how many layers at the start and at the end it never drops by default.
        score_title, score_unit: what its scores are; empty if it gives no scores.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    short_title: ClassVar[str]
    source: ClassVar[str]
    level: ClassVar[str] = "attn"
    levels: ClassVar[tuple[str, ...]] = LEVELS
    needs: ClassVar[Literal["analysis", "trials", "model", "nothing"]]
    order: ClassVar[Literal["all", "smaller", "none"]] = "all"
    protection: ClassVar[tuple[int, int]] = (0, 0)
    score_title: ClassVar[str] = ""
    score_unit: ClassVar[str] = ""

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
    def tries(cls) -> bool:
        """Whether it runs pruned models."""
        return cls.needs == "trials"

    def evaluations(self, blocks: int, largest: int) -> int:
        """How many prune sets it runs to choose up to ``largest`` of ``blocks`` blocks; for estimates of time."""
        return 0

    @property
    def seconds_a_budget(self) -> float:
        """The seconds it takes for each budget whatever the model; 0 if the time depends on the model."""
        return 0.0


@dataclass(frozen=True)
class ByAnalysis(Criterion):
    """A criterion that takes its scores from an analysis and needs nothing else."""

    needs = "analysis"

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric whose value for a block is its score."""

    def first_layer(self, analysis: Analysis) -> int:
        """The first layer whose blocks may be dropped, according to the analysis."""
        return 0

    def rank_by(self, analysis: Analysis, candidates: Candidates) -> Ranking:
        """Rank by the values of an analysis.

        Raises ``OptionError`` if the analysis does not have the metric at this level.
        """
        from entviz.criteria.ranking import kinds_of

        table = analysis.blocks
        table = table[(table["metric"] == self.metric) & table["kind"].isin(kinds_of(candidates.level))]
        if table.empty:
            raise OptionError(
                f"'{self.metric}' at level {candidates.level} was not measured as {self.name} needs it; analyze with "
                "it first."
            )
        scores = dict(zip(table["block"], table["value"], strict=True))
        return candidates.by_score(self.name, scores, self.first_layer(analysis))

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        return self.rank_by(calibration.analysis_of((self.metric,), progress), candidates)
