"""Refit without constants, for a checkpoint of an architecture that has no biases where they would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.repair.places import Place
from entviz.repair.refit import Refit, RefitAll

if TYPE_CHECKING:
    from torch import Tensor

    from entviz.decoder.patches import Patch
    from entviz.repair.method import Projected


@dataclass(frozen=True)
class RefitWithoutBias(Refit):
    """The W of the least sum D |A WT + r - t|^2 + ridge |W - W0|^2; see :class:`entviz.repair.refit.Refit`."""

    name = "refit-without-bias"
    title = "Refitted projections without biases"
    purpose = "as by refit, without constants: for a checkpoint of a model that has no biases there"
    source = "As refit, without b"
    intercept = False

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        return _new_weight(place, matrix, projection)


@dataclass(frozen=True)
class RefitAllWithoutBias(RefitAll):
    """The same for every kept block after the first hole, each led to the dense stream behind it."""

    name = "refit-all-without-bias"
    title = "Refitted projections without biases, all after the first hole"
    purpose = "as by refit-all, without constants: for a checkpoint of a model that has no biases there"
    source = "As refit-all, without b"
    intercept = False

    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        return _new_weight(place, matrix, projection)


def _new_weight(place: Place, matrix: Tensor, projection: Projected) -> Patch:
    from entviz.decoder.patches import Projection

    weight = projection.weight.double() + matrix.T
    return Projection(place.changed, projection.path, weight, projection.bias)
