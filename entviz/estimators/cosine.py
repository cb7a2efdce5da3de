"""Cosine importance: how much a block changes the direction of the hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.errors import OptionError
from entviz.estimators.metric import Importance

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_NORM = 1e-8


@dataclass(frozen=True)
class CosineImportance(Importance):
    """``cosine_importance`` of a layer and of its two blocks.

    Source: He et al. 2024 (arXiv 2406.15786), equation 1; Men et al. 2024 (arXiv 2403.03853), equation 1.
    """

    name = "cosine"
    title = "Cosine"
    word = "cosine"
    about = (
        "1 − cosine similarity of a block's input and output, mean over tokens: how far the block turns what it "
        "gets."
    )
    source = "Men et al. 2024, arXiv 2403.03853; He et al. 2024, arXiv 2406.15786"
    unit = "1 − cosine"
    axis_title = "1 − cosine similarity"
    complement = "Cosine similarity"

    def __call__(self, before: Tensor, middle: Tensor | None, after: Tensor) -> dict[str, Tensor]:
        return block_importances(before, middle, after)


def cosine_importance(before: Tensor, after: Tensor) -> Tensor:
    """One minus the mean cosine similarity of a block's input and output.

    A state of norm 0 has no direction; its cosine similarity with every state is taken as 0.

    Source: He et al. 2024, "What Matters in Transformers? Not All Attention is Needed" (arXiv 2406.15786),
    equation 1; also the Block Influence of Men et al. 2024, "ShortGPT" (arXiv 2403.03853), equation 1.

    Args:
        before: hidden states before the block, shape (windows, tokens, width), any floating-point type.
        after: hidden states after it, of the same shape.

    Returns:
        float64, shape (windows,), without unit, from 0 (same directions) to 2 (opposite). A window that holds NaN
        or an infinity has importance NaN.

    Raises:
        OptionError: the states have the wrong number of dimensions or type, differ in shape, or hold no tokens.

    Example:
        >>> import torch
        >>> from entviz.estimators.cosine import cosine_importance
        >>> states = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> cosine_importance(states, states @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]])).item()  # a right angle
        1.0
    """
    return 1 - _mean_cosines(before, after)[0]


def block_importances(before: Tensor, middle: Tensor | None, after: Tensor) -> dict[str, Tensor]:
    """``cosine_importance`` of a layer and of its two blocks. Each site is read only once.

    Args:
        before: hidden states before the layer, shape (windows, tokens, width), any floating-point type.
        middle: hidden states between its attention and its MLP, of the same shape; or None.
        after: hidden states after it, of the same shape.

    Returns:
        Importance of ``attn``, ``mlp`` and ``layer``, or only of ``layer`` if ``middle`` is None; each float64
        (windows,).

    Raises:
        OptionError: as ``cosine_importance`` does.

    Example:
        >>> import torch
        >>> from entviz.estimators.cosine import block_importances
        >>> states = torch.eye(3).unsqueeze(0)
        >>> {kind: value.item() for kind, value in block_importances(states, states, -states).items()}
        {'attn': 0.0, 'mlp': 2.0, 'layer': 2.0}
    """
    if middle is None:
        return {"layer": 1 - _mean_cosines(before, after)[0]}
    cosines = _mean_cosines(before, middle, after)
    return {kind: 1 - cosine for kind, cosine in zip(("attn", "mlp", "layer"), cosines, strict=True)}


def _mean_cosines(*sites: Tensor) -> list[Tensor]:
    """Mean cosines over tokens: [xy] for two sites x, y; [xy, yz, xz] for three. Each is float64 (windows,)."""
    from entviz import kernels
    from entviz.estimators.states import windows_of_states

    if len({site.shape for site in sites}) > 1:
        shapes = " and ".join(str(tuple(site.shape)) for site in sites)
        raise OptionError(
            f"Cosine importance compares hidden states of equal shapes; these have the shapes {shapes}."
        )
    checked = [windows_of_states(site) for site in sites]
    if all(kernels.apply_to(site) for site in checked):
        return kernels.mean_cosines(*checked)
    return mean_cosines_by_torch(*checked)


def mean_cosines_by_torch(*sites: Tensor) -> list[Tensor]:
    """Mean cosines of two or three sites, as ``kernels.mean_cosines``, on any device."""
    import torch

    norms = [torch.linalg.vector_norm(site, dim=2).double().clamp(min=SMALLEST_NORM) for site in sites]
    pairs = [(0, 1)] if len(sites) == 2 else [(0, 1), (1, 2), (0, 2)]
    return [((sites[i] * sites[j]).sum(dim=2).double() / (norms[i] * norms[j])).mean(dim=1) for i, j in pairs]
