"""Nearest-neighbour entropy: how far each token is from its k-th nearest other token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.estimators.metric import Entropy
from entviz.estimators.option import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NearestNeighbours(Entropy):
    """The Kozachenko-Leonenko estimate of differential entropy.

    With n tokens of d dimensions and r_i the Euclidean distance of token i to its k-th nearest other token,

        H = d * mean_i log(r_i + 1e-10) + (d/2) log(pi) - log Gamma(d/2 + 1) + log n - log k

    so that H(cX) = H(X) + d log c. It is a differential entropy: it can be negative.

    Source: Kozachenko and Leonenko 1987, "Sample estimate of the entropy of a random vector", with log n - log k
    instead of digamma(n) - digamma(k), as in Yang et al. 2025 (arXiv 2504.03794), section 3.2.

    Args:
        k: the rank of the neighbour, from 1 to 65536.

    Raises:
        OptionError: ``k`` is out of range or not a whole number.

    Example:
        >>> import torch
        >>> from entviz.estimators.knn import NearestNeighbours
        >>> line = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1)  # every nearest neighbour is 1 away
        >>> round(NearestNeighbours(k=1)(line).item(), 4)  # log(2 * 4 / 1), 2 the length of [-1, 1]
        2.0794
    """

    k: int = option(25, 1, 65536, "which neighbour's distance is taken")

    name = "knn"
    title = "KNN"
    word = "KNN"
    about = "From each token's distance to its k-th nearest token, k = {k}: the further apart tokens lie, the higher."
    source = "Kozachenko and Leonenko 1987; Yang et al. 2025, arXiv 2504.03794, section 3.2"
    remedy = "use longer windows or a smaller k"

    @property
    def minimum_tokens(self) -> int:
        """k + 1, because a token is not its own neighbour."""
        return self.k + 1

    def __call__(self, states: Tensor) -> Tensor:
        from entviz.estimators.states import windows_of_states

        states = windows_of_states(states)
        self.check_tokens(states.shape[1])
        tokens, width = states.shape[1:]
        radii = kth_distance(states, self.k)
        volume = width / 2 * math.log(math.pi) - math.lgamma(width / 2 + 1)
        return width * radii.add_(1e-10).log_().mean(dim=1) + (volume + math.log(tokens) - math.log(self.k))


def kth_distance(states: Tensor, k: int) -> Tensor:
    """Distance of each token to its k-th nearest other token.

    Args:
        states: float32, shape (windows, tokens, width).
        k: the rank of the neighbour, at least 1 and less than the number of tokens.

    Returns:
        float64, shape (windows, tokens); NaN if the window holds a state that is not finite. Distances have the
        accuracy of the float32 states, even between tokens that are very close to each other.
    """
    squares, doubtful = _kth_squared_distance(states, k)
    radii = squares.double().sqrt_()
    if bool(doubtful.any()):
        # Tokens usually share large values in a few dimensions. Subtracting these leaves little that can cancel.
        chosen = doubtful.any(dim=1).nonzero().flatten()
        centred = states[chosen] - states[chosen].double().mean(dim=1, keepdim=True).float()
        squares, doubtful = _kth_squared_distance(centred, k)
        again = squares.double().sqrt_()
        _measure_differences(centred, k, again, doubtful)
        radii[chosen] = again
    return radii


def _kth_squared_distance(states: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The squared distances, float32 (windows, tokens), and whether each has lost digits to cancellation, bool."""
    from entviz import kernels
    from entviz.estimators.states import CANCELLATION, gram

    products = gram(states)
    measure = kernels.kth_squared_distance if kernels.apply_to(states) else kth_squared_distance_by_torch
    squares = measure(products, k)
    return squares, squares <= 2 * CANCELLATION * products.diagonal(dim1=1, dim2=2)


def kth_squared_distance_by_torch(products: Tensor, k: int) -> Tensor:
    """Squared distance to the k-th nearest other token, on any device.

    products: Gram matrices, float32 (windows, tokens, tokens) -> float32 (windows, tokens), NaN in a window that holds
    a state that is not finite.
    """
    import torch

    from entviz.estimators.states import squared_distances

    distances = squared_distances(products)
    finite = distances.diagonal(dim1=1, dim2=2).isfinite().all(dim=1, keepdim=True)
    distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    squares = distances.topk(k, dim=2, largest=False, sorted=True).values[..., -1]
    return torch.where(finite, squares, torch.nan)


def _measure_differences(states: Tensor, k: int, radii: Tensor, doubtful: Tensor) -> None:
    """Recompute doubtful radii from coordinate differences, which is accurate and slow.

    Args:
        states: float32, shape (windows, tokens, width).
        k: the rank of the neighbour, at least 1.
        radii: float64, shape (windows, tokens); changed in place.
        doubtful: bool, shape (windows, tokens).
    """
    import torch

    rows_at_once = max(1, 2**22 // states.shape[1])
    for window in doubtful.any(dim=1).nonzero().flatten().tolist():
        for rows in doubtful[window].nonzero().flatten().split(rows_at_once):
            here = states[window]
            distances = torch.cdist(here[rows], here, compute_mode="donot_use_mm_for_euclid_dist")
            distances[torch.arange(len(rows), device=rows.device), rows] = torch.inf
            radii[window, rows] = distances.kthvalue(k, dim=1).values.double()
