"""Nearest-neighbour entropy: how far each token is from its k-th nearest other token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entviz.estimators.options import whole_number
from entviz.estimators.states import squared_distances, windows_of_states

# A squared distance below this share of the two squared norms has lost too many of float32's digits to the
# subtraction in |x|^2 + |y|^2 - 2<x, y>, and is measured again from the difference x - y.
CANCELLATION = 1e-3


@dataclass(frozen=True)
class NearestNeighbours:
    """The Kozachenko-Leonenko estimate of differential entropy.

    With n tokens of d dimensions and r_i the Euclidean distance of token i to its k-th nearest other token,

        H = d * mean_i log(r_i + 1e-10) + (d/2) log(pi) - log Gamma(d/2 + 1) + log n - log k

    so that H(cX) = H(X) + d log c. It is a differential entropy: it can be negative.

    Source: Kozachenko and Leonenko 1987, "Sample estimate of the entropy of a random vector", with log n - log k
    in the place of digamma(n) - digamma(k), as in Yang et al. 2025 (arXiv 2504.03794), section 3.2.

    Args:
        k: which neighbour, from 1 to 65536.

    Raises:
        OptionError: ``k`` is not such a number.

    Example:
        >>> import torch
        >>> from entviz.estimators.knn import NearestNeighbours
        >>> line = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1)  # every nearest neighbour is 1 away
        >>> round(NearestNeighbours(k=1)(line).item(), 4)  # log(2 * 4 / 1), 2 the length of [-1, 1]
        2.0794
    """

    k: int = 25

    name: ClassVar[str] = "knn"
    title: ClassVar[str] = "k nearest neighbours"
    unit: ClassVar[str] = "nats"
    source: ClassVar[str] = "Kozachenko and Leonenko 1987; Yang et al. 2025, arXiv 2504.03794, section 3.2"

    def __post_init__(self) -> None:
        whole_number("k", self.k, 1, 65536)

    @property
    def minimum_tokens(self) -> int:
        """One token more than k, for a token is not its own neighbour."""
        return self.k + 1

    def __call__(self, states: Tensor) -> Tensor:
        """Entropy of each window.

        Args:
            states: shape (windows, tokens, width), any floating-point type.

        Returns:
            float64, shape (windows,), in nats. A window that holds NaN or an infinity has entropy NaN.

        Raises:
            OptionError: the states are not such a tensor, or there are no more than k tokens in a window.
        """
        states = windows_of_states(
            states,
            self.minimum_tokens,
            f"use longer windows or a k below {max(states.shape[1:2], default=0)}",
        )
        tokens, width = states.shape[1:]
        squares, doubtful = kth_squared_distance_by_torch(states, self.k)
        radii = squares.double().sqrt_()
        if bool(doubtful.any()):
            measure_again(states, self.k, radii, doubtful)
        volume = width / 2 * math.log(math.pi) - math.lgamma(width / 2 + 1)
        return width * radii.add_(1e-10).log_().mean(dim=1) + (volume + math.log(tokens) - math.log(self.k))


def kth_squared_distance_by_torch(states: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distance of each token to its k-th nearest other token, on any device.

    Args:
        states: float32, shape (windows, tokens, width).
        k: which neighbour, from 1.

    Returns:
        The squares, float32, and whether each has lost digits to cancellation (see ``CANCELLATION``), bool; both
        of shape (windows, tokens). A square is NaN where the window holds a state that is not finite.
    """
    distances = squared_distances(states)
    finite = distances.diagonal(dim1=1, dim2=2).isfinite().all(dim=1, keepdim=True)
    distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest = distances.topk(k, dim=2, largest=False, sorted=True)
    squares, neighbour = nearest.values[..., -1], nearest.indices[..., -1]
    norms = states.square().sum(dim=2)
    doubtful = finite & (squares <= CANCELLATION * (norms + norms.gather(1, neighbour)))
    return torch.where(finite, squares, torch.nan), doubtful


def measure_again(states: Tensor, k: int, radii: Tensor, doubtful: Tensor) -> None:
    """Replace doubtful radii by ones measured from coordinate differences, which is slow and exact.

    Args:
        states: float32, shape (windows, tokens, width).
        k: which neighbour, from 1.
        radii: float64, shape (windows, tokens); changed in place.
        doubtful: bool, shape (windows, tokens).
    """
    tokens = states.shape[1]
    for window in doubtful.any(dim=1).nonzero().flatten().tolist():
        for rows in doubtful[window].nonzero().flatten().split(max(1, 2**22 // tokens)):
            distances = torch.cdist(
                states[window, rows], states[window], compute_mode="donot_use_mm_for_euclid_dist"
            )
            distances[torch.arange(len(rows), device=rows.device), rows] = torch.inf
            radii[window, rows] = distances.kthvalue(k, dim=1).values.double()
