"""Renyi entropy: how similar tokens are to each other under a Gaussian kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.estimators.metric import Entropy
from entviz.estimators.option import option

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SIMILARITY = 1e-10


@dataclass(frozen=True)
class Renyi(Entropy):
    """Kernel estimate of Renyi's entropy of order alpha.

    Every dimension is standardized (unbiased deviation + 1e-10). With D the distances of all n^2 pairs of tokens,
    including each token with itself, and sigma their median, K = exp(-D^2 / (2 sigma^2)), clamped below at 1e-10, and

        H = log(mean(K^(alpha - 1))) / (1 - alpha)

    For alpha = 1 the rows of K are normalized to distributions p, and H = -sum(p log p) / n, the mean of their
    Shannon entropies. The median of an even number of distances is the lower of the middle two.

    Source: Renyi 1961, "On measures of entropy and information"; Yang et al. 2025 (arXiv 2504.03794), section 3.2.

    Args:
        alpha: the order, above 0 and at most 10.

    Raises:
        OptionError: ``alpha`` is out of range or not a number.

    Example:
        >>> import torch
        >>> from entviz.estimators.renyi import Renyi
        >>> one_point = torch.ones(1, 4, 3)
        >>> abs(Renyi()(one_point).item())  # four times the same token: no uncertainty
        0.0
    """

    alpha: float = option(4.0, 0, 10, "the order of the entropy")

    name = "renyi"
    title = "Rényi"
    word = "Rényi"
    about = "Rényi entropy of order {alpha} from all pairwise distances between tokens, each dimension standardized."
    shown = False
    source = "Rényi 1961; Yang et al. 2025, arXiv 2504.03794, section 3.2"

    @property
    def minimum_tokens(self) -> int:
        """2, because a standard deviation needs two tokens."""
        return 2

    def __call__(self, states: Tensor) -> Tensor:
        import torch

        from entviz import kernels
        from entviz.estimators.states import (
            CANCELLATION,
            gram,
            squared_distances,
            upper_gram,
            windows_of_states,
        )

        states = windows_of_states(states)
        self.check_tokens(states.shape[1])
        if kernels.apply_to(states):
            states = kernels.standardized(states)
            products = upper_gram(states)
            entropies, medians = kernels.renyi(products, float(self.alpha), SMALLEST_SIMILARITY)
        else:
            states = standardized_by_torch(states)
            products = gram(states)
            entropies, medians = renyi_by_torch(squared_distances(products), float(self.alpha))
        # If most pairs of tokens are far closer to each other than to the origin, the subtraction has lost most digits.
        doubtful = medians <= 2 * CANCELLATION * products.diagonal(dim1=1, dim2=2).mean(dim=1)
        for window in doubtful.nonzero().flatten().tolist():
            here = states[window].unsqueeze(0)
            distances = torch.cdist(here, here, compute_mode="donot_use_mm_for_euclid_dist")
            entropies[window] = renyi_by_torch(distances.square(), float(self.alpha))[0].squeeze()
        return entropies


def standardized_by_torch(states: Tensor) -> Tensor:
    """Scale every dimension of every window to mean 0 and deviation 1. Input and output: float32 (windows, tokens,
    width).
    """
    # The mean is taken over differences from one token, which are exactly zero in a constant dimension.
    shifted = states - states[:, :1]
    shifted = shifted - shifted.mean(dim=1, keepdim=True)
    deviation = (shifted.square().sum(dim=1, keepdim=True) / (states.shape[1] - 1)).sqrt_()
    return shifted / (deviation + 1e-10)


def renyi_by_torch(squares: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The entropy of ``Renyi`` on any device.

    Args:
        squares: squared distances of standardized states, float32, shape (windows, tokens, tokens).
        alpha: the order.

    Returns:
        The entropies, float64, and the medians of the squared distances, float32; both of shape (windows,).
    """
    import torch

    # Squaring keeps the order, so the median of the squares is the square of the median.
    medians = squares.flatten(1).median(dim=1).values
    exponent = squares / (2 * medians.clamp(min=torch.finfo(torch.float32).tiny))[:, None, None]
    exponent = exponent.clamp_(max=-math.log(SMALLEST_SIMILARITY)).double()
    if alpha == 1:
        similarity = exponent.neg().exp_()
        total = similarity.sum(dim=2)
        return (total.log() + (similarity * exponent).sum(dim=2) / total).mean(dim=1), medians
    return exponent.mul_(1 - alpha).exp_().mean(dim=(1, 2)).log_() / (1 - alpha), medians
