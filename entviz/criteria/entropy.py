"""EntroDrop: drop the blocks with the lowest entropy increase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.criteria.criterion import ByAnalysis
from entviz.criteria.switches import switch
from entviz.errors import OptionError
from entviz.estimators import entropy_of

if TYPE_CHECKING:
    from entviz.analysis import Analysis


@dataclass(frozen=True)
class EntroDrop(ByAnalysis):
    """Drop the block with the lowest entropy increase first (Yang et al. 2025, arXiv 2504.03794, section 3).

    Args:
        estimator: the entropy estimator, with any options that differ from the defaults: ``knn(k=5)``.
        stage: 2 drops only blocks after the turning point of the estimator's curve, as the paper describes.

    Raises:
        OptionError: for an unknown estimator or stage.
    """

    estimator: str = "knn"
    stage: int | None = switch(
        None,
        2,
        "stage-2",
        "Only after the turning point (stage 2)",
        "stage 2",
        "As in the paper: blocks of stage 1 compress, so a low entropy increase does not mean that they are useless.",
    )

    name = "entrodrop"
    title = "EntroDrop"
    short_title = "EntroDrop"
    source = "Yang et al. 2025, arXiv:2504.03794"
    protection = (2, 1)  # the first two layers and the last, as in the authors' code
    score_title = "Entropy increase"
    score_unit = "nats"

    def __post_init__(self) -> None:
        super().__post_init__()
        # Canonical, because it is part of the keys of stored results.
        object.__setattr__(self, "estimator", entropy_of(self.estimator).spec)
        if self.stage not in (None, 2):
            raise OptionError(
                f"Stage {self.stage} is not known: use 2 to keep to blocks after the turning point."
            )

    @property
    def metric(self) -> str:
        return self.estimator

    def first_layer(self, analysis: Analysis) -> int:
        return analysis.turning_point(self.estimator) + 1 if self.stage == 2 else 0
