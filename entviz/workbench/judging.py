"""The kinds of work behind "which criterion to trust" and "interactions"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entviz.criteria.ranking import kinds_of
from entviz.progress import Progress
from entviz.workbench.tasks import Material, OnText, explored

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions
    from entviz.comparison.trust.trust import Trust


@dataclass(frozen=True)
class OnLevel(OnText):
    """What tasks on the blocks of one level have in common."""

    level: str

    def __post_init__(self) -> None:
        kinds_of(self.level)  # an unknown level is said before anything is loaded

    def options(self) -> dict[str, Any]:
        return self.request.options() | {"level": self.level}


@dataclass(frozen=True)
class JudgeCriteria(OnLevel):
    """Compare what each criterion says of every block with what leaving the block out costs."""

    kind = "trust"

    def compute(self, material: Material, progress: Progress) -> Trust:
        from entviz.comparison.trust.trust import trust

        return trust(
            material.loaded,
            material.windows,
            self.level,
            analysis=explored(material, self.request, material.windows.fingerprint),
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Trust) -> dict[str, Any]:
        from entviz.comparison.trust.verdict import verdict

        return {"level": self.level, "verdict": verdict(result)[0]}


@dataclass(frozen=True)
class MeasurePairs(OnLevel):
    """Measure what dropping two blocks costs beyond the sum of the two, for every pair."""

    kind = "interactions"

    def compute(self, material: Material, progress: Progress) -> Interactions:
        from entviz.comparison.interactions.interactions import interactions

        return interactions(
            material.loaded, material.windows, self.level, cache=material.states, progress=progress
        )

    def summarize(self, result: Interactions) -> dict[str, Any]:
        return {"level": self.level, "pairs": result.pairs}
