"""Weighted least squares from sums that grow with the number of unknowns and not with the text.

    rows = Rows.of(features, errors, weights, intercept=True)
    moments = rows.moments()
    moments.add(Rows.of(more_features, more_errors, more_weights, intercept=True))       # as often as there is text
    coefficients = moments.solve(ridge=1e-2)
    moments.error(coefficients)                    # of what was added, for any coefficients

Sums are float64: a Gram matrix squares the condition number of the features. Rows of hidden states in 16 bits are
float32, which holds all that they say and every product of two of them. A few rows say the same as their sums and are
quicker to judge coefficients by, so that what is held out stays :class:`Rows` while it is few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from entviz.errors import ModelError

_ROWS = 4096  # that are kept as they are
_STRIPS = 4  # of a Gram matrix, each from its diagonal down
_KEPT = 8 * 10**6  # numbers of a factor; larger ones are made again


@dataclass(frozen=True, eq=False)
class Rows:
    """Tokens of calibration text: features f (with a one for an intercept) and errors e, times the root of a weight.

    Attributes:
        features: (rows, inputs + intercept).
        errors: (rows, outputs).
        intercept: whether the last feature is the constant one.
    """

    features: Tensor
    errors: Tensor
    intercept: bool

    @classmethod
    def of(cls, features: Tensor, errors: Tensor, weights: Tensor, intercept: bool) -> Rows:
        """Of features (rows, inputs), errors (rows, outputs) and weights (rows,)."""
        root = weights.double().sqrt()[:, None]
        weighted = features.double() * root
        return cls(
            torch.cat([weighted, root], 1) if intercept else weighted, errors.double() * root, intercept
        )

    def __len__(self) -> int:
        return len(self.features)

    def and_more(self, others: Rows) -> Rows | Moments:
        """With more rows; from where that takes more memory their sums."""
        if len(self) + len(others) > max(_ROWS, self.features.shape[1]):
            moments = self.moments()
            moments.add(others)
            return moments
        return joined([self, others])

    def of_windows(self, chosen: Sequence[int], windows: int) -> Rows:
        """Those of some of the ``windows`` of one length that the rows are of, one after another."""
        if len(chosen) == windows:
            return self
        numbers = torch.arange(len(self), device=self.features.device).unflatten(0, (windows, -1))
        rows = numbers[list(chosen)].flatten()
        return Rows(self.features[rows], self.errors[rows], self.intercept)

    def moments(self) -> Moments:
        """Their sums."""
        inputs, outputs = self.features.shape[1], self.errors.shape[1]
        zeros = partial(torch.zeros, dtype=torch.float64, device=self.features.device)
        made = Moments(zeros(inputs, inputs), zeros(inputs, outputs), zeros(()), 0, self.intercept)
        self.added_to(made)
        return made

    def added_to(self, moments: Moments) -> None:
        """Add these to the sums of others."""
        columns = self.features.T.contiguous()
        step = math.ceil(len(columns) / _STRIPS)
        for first in range(0, len(columns), step):
            strip = columns[first:] @ columns[first : first + step].T
            moments.lower[first:, first : first + step] += strip
        moments.cross += columns @ self.errors
        moments.square += self.errors.double().square().sum()
        moments.rows += len(self)
        moments.factors.clear()

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        return bool(self.features.isfinite().all() and self.errors.isfinite().all())

    @property
    def size(self) -> float:
        """The weighted sum of squared errors without a change; never zero."""
        return max(float(self.errors.square().sum(dtype=torch.float64)), 1e-300)

    def error(self, coefficients: Tensor) -> float:
        """The weighted sum of squared errors that is left with ``coefficients``."""
        return float((self.errors - self.features @ coefficients.to(self.features)).square().sum())

    def gain(self, coefficients: Tensor) -> float:
        """By how much ``coefficients`` lower the weighted sum of squared errors."""
        fitted = self.features @ coefficients.to(self.features)
        return float(((2 * self.errors - fitted) * fitted).sum(dtype=torch.float64))

    def sketched(self, sketch: Tensor) -> Rows:
        """The same of the errors' projections on the columns of ``sketch`` (outputs, directions)."""
        return replace(self, errors=self.errors @ sketch.to(self.errors))


@dataclass(eq=False)
class Moments:
    """Sums over rows w f fT, w f eT and w |e|^2, of features f (with a one for an intercept) and errors e.

    Attributes:
        lower: (inputs + intercept, inputs + intercept) the Gram matrix, of which only the lower triangle holds.
        cross: (inputs + intercept, outputs).
        square: the weighted sum of squared errors, of shape ().
        rows: how many rows were added.
        intercept: whether the last feature is the constant one.
        factors: of :attr:`lower` with each ridge that was tried, if they are small.
    """

    lower: Tensor
    cross: Tensor
    square: Tensor
    rows: int
    intercept: bool
    factors: dict[float, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, features: Tensor, errors: Tensor, weights: Tensor, intercept: bool) -> Moments:
        """Of features (rows, inputs), errors (rows, outputs) and weights (rows,)."""
        return Rows.of(features, errors, weights, intercept).moments()

    def __len__(self) -> int:
        return self.rows

    def moments(self) -> Moments:
        """Themselves."""
        return self

    def copied(self) -> Moments:
        """The same sums, to add others to."""
        return Moments(self.lower.clone(), self.cross.clone(), self.square.clone(), self.rows, self.intercept)

    def add(self, more: Rows | Moments) -> None:
        """Add what others give."""
        more.added_to(self)

    def and_more(self, others: Rows) -> Moments:
        """With more rows."""
        self.add(others)
        return self

    def added_to(self, moments: Moments) -> None:
        """Add these to other sums."""
        moments.lower += self.lower
        moments.cross += self.cross
        moments.square += self.square
        moments.rows += self.rows
        moments.factors.clear()

    @property
    def finite(self) -> bool:
        """Whether all that was added is: a number that is not is on the diagonal too, squared."""
        return bool(self.lower.diagonal().isfinite().all() and self.cross.isfinite().all())

    @property
    def gram(self) -> Tensor:
        """(inputs + intercept, inputs + intercept) the sum of w f fT."""
        return self.lower.tril() + self.lower.tril(-1).T

    @property
    def scale(self) -> float:
        """The mean square of a feature, which a ridge is a share of."""
        inputs = len(self.lower) - self.intercept
        return float(self.lower.diagonal()[:inputs].mean()) if inputs else 0.0

    @property
    def size(self) -> float:
        """:attr:`square`, and never zero."""
        return max(float(self.square), 1e-300)

    def solve(self, ridge: float) -> Tensor:
        """The coefficients (inputs + intercept, outputs) of the least squared error.

        ``ridge`` times :attr:`scale` times the squared coefficients is added to the error; the intercept is free.
        Raises ``ModelError`` if there is no solution in float64.
        """
        factor = self.factors.get(ridge)
        if factor is None:
            factor = self._factor(ridge)
            if factor.numel() <= _KEPT:
                self.factors[ridge] = factor
        return torch.cholesky_solve(self.cross, factor)

    def _factor(self, ridge: float) -> Tensor:
        raised = self.lower.clone()
        inputs = len(raised) - self.intercept
        raised.diagonal()[:inputs] += ridge * self.scale
        factor, failed = torch.linalg.cholesky_ex(raised)
        if failed.item():
            raise ModelError(
                "The least squares have no single solution: the calibration text leaves some directions of the hidden "
                "states without a token. Calibrate on more text."
            )
        return factor

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


def joined(rows: Sequence[Rows]) -> Rows:
    """All rows of several, of which there is at least one."""
    features, errors = (torch.cat([getattr(one, name) for one in rows]) for name in ("features", "errors"))
    return Rows(features, errors, rows[0].intercept)
