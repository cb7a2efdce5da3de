"""Bias: a constant is added to the stream after each hole."""

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
class Bias(Method):
    """The constant b of the least sum D |x + b - t|^2: x the stream after the hole, t the dense one there."""

    name = "bias"
    title = "Bias"
    purpose = "a constant is added to the stream after each hole; the quickest to fit"
    source = "The mean of what is missing; the constant term alone of the other least squares"
    intercept = True
    ridge = False

    window_length = 64

    @classmethod
    def windows(cls, width: int, inner: int) -> int:
        """Few: a mean needs no more, and is there while a person waits."""
        return 6

    def places(self, way: Way) -> list[Place]:
        return [Place(place.end, place.end, None, place.hole) for place in way.holes]

    def features(self, seen: Seen) -> Tensor:
        return seen.after[:, :0]

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        from entviz.decoder.patches import Correction

        return Correction(place.site, bias=bias)
