"""NBL: an affine map of the normed stream stands where each dropped block was."""

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
class BlockLinearization(Method):
    """M and b of the least sum D |n(x) M + b + x - t|^2 + ridge |M|^2: n(x) the stream over its root mean square."""

    name = "nbl"
    title = "Linear blocks"
    purpose = "an affine map of its normed input stands where each dropped block was"
    source = (
        "Neural Block Linearization (Erdogan et al. 2025, arXiv 2505.21077): the linear least-squares estimate of a "
        "block's output from its normed input; here of what is missing to the dense stream, with ridge and weights"
    )
    intercept = True

    def places(self, way: Way) -> list[Place]:
        return way.gaps

    def features(self, seen: Seen) -> Tensor:
        from entviz.decoder.patches import normed

        return normed(seen.before)

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        from entviz.decoder.patches import Substitute

        return Substitute(place.changed, matrix, bias)
