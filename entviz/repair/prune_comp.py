"""Prune&Comp: after each hole the stream is scaled to the length that it has in the dense model."""

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
class PruneComp(Method):
    """The factor of the stream x after a hole: the mean over tokens of |t| / |x|, t the dense stream there."""

    name = "prune-comp"
    title = "Prune&Comp"
    purpose = "the stream is scaled after each hole to the length that it has in the dense model"
    source = "Chen et al. 2025, arXiv 2507.18212: magnitude compensation"
    weighted = False
    ridge = False
    intercept = True

    window_length = 64

    @classmethod
    def windows(cls, width: int, inner: int) -> int:
        """Few: a mean needs no more, and is there while a person waits."""
        return 6

    def places(self, way: Way) -> list[Place]:
        return [Place(place.end, place.end, None, place.hole) for place in way.holes]

    def features(self, seen: Seen) -> Tensor:
        return seen.after[:, :0]

    def errors(self, seen: Seen) -> Tensor:
        """(tokens, 1) the ratio of lengths: the fitted constant is then its mean."""
        return seen.target.norm(dim=1, keepdim=True) / seen.after.norm(dim=1, keepdim=True).clamp_min(1e-12)

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        from entviz.decoder.patches import Correction

        return Correction(place.site, scale=float(bias))
