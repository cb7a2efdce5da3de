"""Angular distance across every run of consecutive layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entviz.progress import Progress
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.pair.pair import Angles
    from entviz.report import About


@dataclass(frozen=True)
class MeasureAngles(TextStudy["Angles"]):
    """Measure the angular distance across every run of consecutive layers."""

    kind = "angles"
    title = "Angular distance"
    result = "entviz.comparison.pair.pair:Angles"
    page = Page("compare", "Criteria")

    def compute(self, material: Material, progress: Progress) -> Angles:
        from entviz.comparison.pair.pair import Angles
        from entviz.criteria.angular import angular_distances
        from entviz.models.notes import notes_on

        distances = angular_distances(material.loaded, material.windows, progress=progress)
        return Angles(distances, notes_on(material.loaded, material.windows))

    def summarize(self, result: Angles) -> dict[str, Any]:
        return {"runs": len(result.distances)}

    @classmethod
    def report(
        cls,
        result: Angles,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_angles

        return of_angles(result, about, options["windows"], options["window_length"])
