"""Cosine importance: how far a block turns the hidden states."""

from __future__ import annotations

import torch
from torch import Tensor

from entviz.errors import OptionError
from entviz.estimators.states import windows_of_states

SMALLEST_NORM = 1e-8


def cosine_importance(before: Tensor, after: Tensor) -> Tensor:
    """One minus the mean cosine similarity of what enters a block and what leaves it.

    A state of norm 0 has no direction and counts as at right angles to everything.

    Source: He et al. 2024, "What Matters in Transformers? Not All Attention is Needed" (arXiv 2406.15786),
    equation 1; also the Block Influence of Men et al. 2024, "ShortGPT" (arXiv 2403.03853), equation 1.

    Args:
        before: hidden states before the block, shape (windows, tokens, width), any floating-point type.
        after: hidden states after it, of the same shape.

    Returns:
        float64, shape (windows,), without unit, from 0 (same directions) to 2 (opposite). A window that holds NaN
        or an infinity has importance NaN.

    Raises:
        OptionError: the states are not such tensors, differ in shape, or hold no tokens.

    Example:
        >>> import torch
        >>> from entviz.estimators.cosine import cosine_importance
        >>> states = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> cosine_importance(states, states @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]])).item()  # a right angle
        1.0
    """
    if before.shape != after.shape:
        raise OptionError(
            "Cosine importance compares states of one shape; "
            f"these are {tuple(before.shape)} and {tuple(after.shape)}."
        )
    before, after = windows_of_states(before, 1), windows_of_states(after, 1)
    return cosine_importance_by_torch(before, after)


def cosine_importance_by_torch(before: Tensor, after: Tensor) -> Tensor:
    """``cosine_importance`` on any device. Both float32 (windows, tokens, width) -> float64 (windows,)."""
    product = (before * after).sum(dim=2).double()
    norms = [torch.linalg.vector_norm(states, dim=2).double() for states in (before, after)]
    return 1 - (product / (norms[0].clamp(min=SMALLEST_NORM) * norms[1].clamp(min=SMALLEST_NORM))).mean(dim=1)
