"""Matrix-based entropy: how evenly a window's tokens spread over directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.estimators.metric import Entropy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MatrixEntropy(Entropy):
    """Von Neumann entropy of the Gram matrix.

    With lambda_j the eigenvalues of X X^T / trace(X X^T), H = -sum_j lambda_j log lambda_j, from 0 (all tokens lie
    on one line through the origin) to log min(tokens, width). States that are all zero have entropy 0.

    Source: Skean et al. 2025, "Layer by Layer: Uncovering Hidden Representations in Language Models"
    (arXiv 2502.02013), equation 1 in the limit alpha -> 1, which is von Neumann's entropy; see also Giraldo,
    Rao and Principe 2015, "Measures of Entropy from Data Using Infinitely Divisible Kernels".

    Example:
        >>> import torch
        >>> from entviz.estimators.matrix import MatrixEntropy
        >>> round(MatrixEntropy()(torch.eye(8).unsqueeze(0)).item(), 4)  # log 8
        2.0794
    """

    name = "matrix"
    title = "Matrix"
    word = "matrix"
    about = (
        "Von Neumann entropy of the tokens' Gram matrix: how evenly tokens spread over directions, whatever their "
        "distances."
    )
    source = "Skean et al. 2025, arXiv 2502.02013; Giraldo et al. 2015"
    optional = "measuring takes about 3.5 times as long as running the model"
    shown = False

    def __call__(self, states: Tensor) -> Tensor:
        import torch

        from entviz.estimators.states import windows_of_states

        eigenvalues, finite = _gram_eigenvalues(windows_of_states(states))
        return torch.where(finite, _entropy_of_shares(eigenvalues), torch.nan)


def effective_rank(states: Tensor) -> Tensor:
    """The effective number of directions that a window's tokens occupy, as a real number.

    This is the exponential of the Shannon entropy of the singular values of X, normalized to add up to 1.
    ``MatrixEntropy`` normalizes the squares of the singular values instead; its exponential is a rank too, and lower.

    Source: Roy and Vetterli 2007, "The effective rank: a measure of effective dimensionality", definition 1.

    Args:
        states: hidden states, shape (windows, tokens, width), any floating-point type.

    Returns:
        float64, shape (windows,), without unit, from 1 to min(tokens, width). A window that holds NaN or an
        infinity has rank NaN.

    Raises:
        OptionError: the states have the wrong number of dimensions or type, or hold no tokens.

    Example:
        >>> import torch
        >>> from entviz.estimators.matrix import effective_rank
        >>> round(effective_rank(torch.eye(8).unsqueeze(0)).item(), 4)
        8.0
    """
    import torch

    from entviz.estimators.states import windows_of_states

    eigenvalues, finite = _gram_eigenvalues(windows_of_states(states))
    return torch.where(finite, _entropy_of_shares(eigenvalues.sqrt()).exp(), torch.nan)


def _gram_eigenvalues(states: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of X X^T, float64 (windows, min(tokens, width)), and which windows are finite, bool (windows,)."""
    import torch

    finite = states.isfinite().all(dim=2).all(dim=1)
    # Scaling does not change the shares and keeps the squares far from overflow. The smaller of the two products has
    # all non-zero eigenvalues.
    precise = torch.where(finite[:, None, None], states, 0).double()
    precise = precise / precise.abs().amax(dim=(1, 2), keepdim=True).clamp(
        min=torch.finfo(torch.float64).tiny
    )
    tokens, width = states.shape[1:]
    products = precise @ precise.mT if tokens <= width else precise.mT @ precise
    return torch.linalg.eigvalsh(products).clamp(min=0), finite


def _entropy_of_shares(amounts: Tensor) -> Tensor:
    """Shannon entropy in nats of non-negative amounts (windows, n) as shares of their sum; 0 if all are zero."""
    import torch

    total = amounts.sum(dim=1, keepdim=True)
    shares = amounts / torch.where(total > 0, total, 1.0)
    return -torch.xlogy(shares, shares).sum(dim=1)
