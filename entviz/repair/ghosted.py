"""Ghosted: after each hole the stream goes through a linear map, x becomes x (I + M)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.repair.method import Method
from entviz.repair.places import Place, Way

if TYPE_CHECKING:
    from torch import Tensor

    from entviz.decoder.patches import Patch
    from entviz.repair.method import Projected, Seen


@dataclass(frozen=True)
class Ghosted(Method):
    """The matrix M of the least sum D |x + x M - t|^2 + ridge |M|^2: x the stream after the hole, t the dense one."""

    name = "ghosted"
    title = "Linear map after each hole"
    purpose = "the stream goes through a linear map after each hole"
    source = (
        "Ghosted Layers (2026, arXiv 2605.15491): a linear map of the stream where layers were; ridge and weights are "
        "entviz's"
    )

    def places(self, way: Way) -> list[Place]:
        return [Place(place.end, place.end, None, place.hole) for place in way.holes]

    def features(self, seen: Seen) -> Tensor:
        return seen.after

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        from entviz.decoder.patches import Correction

        return Correction(place.site, matrix=matrix)
