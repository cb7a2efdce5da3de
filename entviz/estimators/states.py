"""The check of every estimator's input, and the two matrix products that several estimators need."""

from __future__ import annotations

import torch
from torch import Tensor

from entviz.errors import OptionError

# A squared distance below this share of the two squared norms (which are then nearly equal) has lost too many of
# float32's digits in the subtraction |x|^2 + |y|^2 - 2<x, y>, and has to be computed again.
CANCELLATION = 1e-3


def windows_of_states(states: Tensor) -> Tensor:
    """Check hidden states and return them in the form that estimators compute on.

    Args:
        states: hidden states, shape (windows, tokens, width), of any floating-point type and memory layout.

    Returns:
        The same numbers as float32, contiguous, without a gradient, on the same device. States that already have this
        form are not copied.

    Raises:
        OptionError: the tensor is not three-dimensional floating point, or a window holds no tokens.
    """
    if states.dim() != 3 or not states.is_floating_point():
        raise OptionError(
            "Hidden states must be a floating-point tensor of shape (windows, tokens, width); "
            f"these are {str(states.dtype).removeprefix('torch.')} of shape {tuple(states.shape)}."
        )
    if 0 in states.shape[1:]:
        raise OptionError(f"These windows hold no hidden states: their shape is {tuple(states.shape)}.")
    return states.detach().to(torch.float32).contiguous()


def gram(states: Tensor) -> Tensor:
    """Inner products of all pairs of tokens.

    Args:
        states: float32, shape (windows, tokens, width).

    Returns:
        float32, shape (windows, tokens, tokens). It is always computed in full float32: neither autocast nor a reduced
        matrix-product precision (TF32, bf16) set in the process affects it.
    """
    result = upper_gram(states)
    for strip in _strips(states):
        result[:, strip.stop :, strip] = result[:, strip, strip.stop :].mT
    return result


def upper_gram(states: Tensor) -> Tensor:
    """``gram`` on and above the diagonals; values below the diagonals are undefined.

    The matrix is symmetric, so this saves nearly half of the work.
    """
    result = states.new_empty(states.shape[0], states.shape[1], states.shape[1])
    for strip in _strips(states):
        result[:, strip, strip.start :] = _products(states[:, strip], states[:, strip.start :])
    return result


def _strips(states: Tensor) -> list[slice]:
    """Ranges of neighbouring tokens, each multiplied with all later tokens at once; few enough to be efficient."""
    tokens = states.shape[1]
    count = max(1, min(8, tokens // 32)) if states.device.type == "cpu" else 1
    return [slice(tokens * part // count, tokens * (part + 1) // count) for part in range(count)]


def _products(rows: Tensor, columns: Tensor) -> Tensor:
    with torch.autocast(rows.device.type, enabled=False):
        if torch.get_float32_matmul_precision() != "highest":
            return (rows.double() @ columns.double().mT).float()
        return torch.bmm(rows, columns.mT)


def squared_distances(products: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs of tokens: |x - y|^2 = <x, x> + <y, y> - 2 <x, y>.

    The subtraction loses digits if tokens are far closer to each other than to the origin. A caller that needs those
    digits has to compute such pairs again.

    Args:
        products: the Gram matrices, float32, shape (windows, tokens, tokens).

    Returns:
        float32, same shape, never negative, zero on the diagonal, NaN if a state is not finite.
    """
    norms = products.diagonal(dim1=1, dim2=2)
    distances = (products * -2).add_(norms.unsqueeze(2)).add_(norms.unsqueeze(1)).clamp_(min=0)
    distances.diagonal(dim1=1, dim2=2).copy_(norms - norms)  # 0, or NaN if the state is not finite
    return distances
