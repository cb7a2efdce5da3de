"""Refit: the last kept block before each hole gets the output projection that leads best to where the hole ends."""

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
class Refit(Method):
    """The W and b of the least sum D |A WT + b + r - t|^2 + ridge |W - W0|^2.

    A is what the projection W0 reads, r the repaired stream before the block adds to it, t the dense stream after the
    hole, and D of each token 1 / mean t^2.
    """

    name = "refit"
    title = "Refitted projections"
    purpose = "the last kept block before each hole gets another output projection, by least squares"
    source = (
        "Least squares on the projection that a hole follows; the idea of ReplaceMe (Shopkhoev et al. 2025, arXiv "
        "2505.02819) with all of the projection free, weighted tokens and a ridge"
    )
    projects = True
    intercept = True

    @classmethod
    def unknowns(cls, width: int, inner: int) -> int:
        return inner

    def places(self, way: Way) -> list[Place]:
        return [place for place in way.holes if place.block is not None]

    def features(self, seen: Seen) -> Tensor:
        return seen.inputs

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        from entviz.decoder.patches import Projection

        old = projection.bias if projection.bias is not None else 0
        return Projection(place.changed, projection.path, projection.weight.double() + matrix.T, old + bias)


@dataclass(frozen=True)
class RefitAll(Refit):
    """The same for every kept block after the first hole, each led to the dense stream behind it."""

    name = "refit-all"
    title = "Refitted projections, all after the first hole"
    purpose = "every kept block after the first hole gets another output projection"
    source = "As refit, for every kept block after the first hole"

    def places(self, way: Way) -> list[Place]:
        return [place for place in way.kept_after_first_hole if place.block is not None]
