"""ReplaceMe: what the last kept block before each hole adds goes through a square matrix."""

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
class ReplaceMe(Method):
    """With m what the block adds and r the stream that it adds to: T of the least sum |m T + r - t|^2.

    As published: no weights, no ridge, no constant. T is folded into the block's output projection.
    """

    name = "replaceme"
    title = "ReplaceMe"
    purpose = "what the last kept block before each hole adds goes through a square matrix"
    source = "Shopkhoev et al. 2025, arXiv 2505.02819, the least-squares form"
    projects = True
    weighted = False
    ridge = False

    def places(self, way: Way) -> list[Place]:
        return [place for place in way.holes if place.block is not None]

    def features(self, seen: Seen) -> Tensor:
        return seen.inputs @ seen.weight.to(seen.inputs.dtype).T

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        from entviz.decoder.patches import Projection

        weight = projection.weight.double()
        return Projection(place.changed, projection.path, weight + matrix.T @ weight, projection.bias)
