"""Weighted least squares from sums that grow with the number of unknowns and not with the text.

    moments = Moments(inputs=576, outputs=576, intercept=True)
    moments.add(features, errors, weights)         # as often as there is text
    matrix, bias = moments.solve(ridge=1e-2)
    moments.error(matrix, bias)                    # of what was added, for any matrix and bias

Everything is float64: a Gram matrix squares the condition number of the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from entviz.errors import ModelError


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over rows w f fT, w f eT and w |e|^2, of features f (with a one for an intercept) and errors e.

    Attributes:
        gram: (inputs + intercept, inputs + intercept).
        cross: (inputs + intercept, outputs).
        square: the weighted sum of squared errors, of shape ().
        rows: how many rows were added.
        intercept: whether the last feature is the constant one.
    """

    gram: Tensor
    cross: Tensor
    square: Tensor
    rows: int
    intercept: bool

    @classmethod
    def of(cls, features: Tensor, errors: Tensor, weights: Tensor, intercept: bool) -> Moments:
        """Of features (rows, inputs), errors (rows, outputs) and weights (rows,)."""
        features, errors, weights = (one.double() for one in (features, errors, weights))
        if intercept:
            features = torch.cat([features, features.new_ones(len(features), 1)], 1)
        weighted = features * weights[:, None]
        return cls(
            weighted.T @ features,
            weighted.T @ errors,
            (errors.square().sum(1) * weights).sum(),
            len(features),
            intercept,
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.square + other.square,
            self.rows + other.rows,
            self.intercept,
        )

    def __mul__(self, times: float) -> Moments:
        """The same of rows that count so many times."""
        return replace(self, gram=self.gram * times, cross=self.cross * times, square=self.square * times)

    @property
    def scale(self) -> float:
        """The mean square of a feature, which a ridge is a share of."""
        inputs = len(self.gram) - self.intercept
        return float(self.gram.diagonal()[:inputs].mean()) if inputs else 0.0

    @property
    def size(self) -> float:
        """:attr:`square`, and never zero."""
        return max(float(self.square), 1e-300)

    def solve(self, ridge: float) -> Tensor:
        """The coefficients (inputs + intercept, outputs) of the least squared error.

        ``ridge`` times :attr:`scale` times the squared coefficients is added to the error; the intercept is free.
        Raises ``ModelError`` if there is no solution in float64.
        """
        penalty = torch.full(
            (len(self.gram),), ridge * self.scale, dtype=torch.float64, device=self.gram.device
        )
        if self.intercept:
            penalty[-1] = 0
        factor, failed = torch.linalg.cholesky_ex(self.gram + penalty.diag())
        if failed.item():
            raise ModelError(
                "The least squares have no single solution: the calibration text leaves some directions of the hidden "
                "states without a token. Calibrate on more text."
            )
        return torch.cholesky_solve(self.cross, factor)

    def error(self, coefficients: Tensor) -> float:
        """The weighted sum of squared errors that is left with ``coefficients``."""
        return float(self.square) - self.gain(coefficients)

    def gain(self, coefficients: Tensor) -> float:
        """By how much ``coefficients`` lower the weighted sum of squared errors."""
        fitted = self.gram @ coefficients
        return float(((2 * self.cross - fitted) * coefficients).sum())

    def sketched(self, sketch: Tensor) -> Moments:
        """The same of the errors' projections on the columns of ``sketch`` (outputs, directions); not their square."""
        return replace(self, cross=self.cross @ sketch)


def total(moments: Sequence[Moments]) -> Moments:
    """The sum of several, of which there is at least one."""
    first, *others = moments
    for other in others:
        first = first + other
    return first
