"""What a criterion is: a rule that chooses blocks, with all that others need to know of it.

    EntroDrop(estimator="knn").rank(calibration, candidates)

A criterion is a frozen dataclass: its fields are its options, its class attributes describe it. To add one, write such
a class in a file of its own and put it into ``CRITERIA`` of ``registry.py``: the command line, the pages, comparisons
and reports list what is there. Nothing here needs torch.
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
        name: as it is written in the shell.
        title: its name for a reader; ``short_title`` where there is little room.
        source: where it was published.
        level: the level that it was published for, used unless another is asked for.
        levels: the levels at which it makes sense.
        needs: what it chooses by: an ``analysis``, ``trials`` (the model run without blocks, which takes much longer),
            the ``model`` in a way of its own, or ``nothing``.
        order: for which budgets one order of blocks serves: ``all``; ``smaller`` ones than that it was made for; or
            ``none``, since each budget has a set of its own.
        protection: how many layers at the start and at the end it leaves alone unless told otherwise.
        score_title, score_unit: what its scores are; empty where it gives blocks none.
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
        """Choose from the candidates by what the calibration text says.

        Args:
            progress: a search reports its best ranking so far as partial result.

        Raises:
            OptionError: for a budget that cannot be reached, or where the calibration text does not do.
            BlockError: for a budget that leaves nothing of the model.
        """

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of its options."""
        return tuple(field.name for field in fields(cls))

    def with_options(self, **options: Any) -> Self:
        """The same criterion with those of these options that it has."""
        return replace(self, **{name: value for name, value in options.items() if name in self.options()})

    @classmethod
    def tries(cls) -> bool:
        """Whether it runs the model without blocks."""
        return cls.needs == "trials"

    def evaluations(self, blocks: int, largest: int) -> int:
        """How many prune sets it runs to choose up to ``largest`` of ``blocks`` blocks; for estimates of time."""
        return 0

    @property
    def seconds_a_budget(self) -> float:
        """How long it takes for each budget, whatever the model; 0 where the model decides."""
        return 0.0


@dataclass(frozen=True)
class ByAnalysis(Criterion):
    """A criterion whose scores an analysis holds, so that it needs nothing else."""

    needs = "analysis"

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric whose value for a block is its score."""

    def first_layer(self, analysis: Analysis) -> int:
        """The first layer whose blocks may be dropped, for a reason that lies in the analysis."""
        return 0

    def rank_by(self, analysis: Analysis, candidates: Candidates) -> Ranking:
        """Rank by what an analysis measured.

        Raises ``OptionError`` where it did not measure the metric at this level.
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
