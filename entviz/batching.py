"""How many windows go through the model at once: enough to keep the processor busy, few enough to fit."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Matrix products on a processor reach full speed at a few hundred rows; larger batches only cost memory and make
# progress, cancelling and the first number coarser. An accelerator wants as many as fit.
_ENOUGH_TOKENS_ON_CPU = 512


def windows_per_batch(device: torch.device, width: int, window_length: int) -> int:
    """How many windows of ``window_length`` tokens to run together on ``device``.

    On an accelerator the free memory is asked for: a layer's temporaries are taken to be 64 vectors of ``width``
    4-byte numbers a token (the inner activations of the MLP and the attention), of which a quarter of it may be used.
    """
    if device.type == "cpu":
        tokens = _ENOUGH_TOKENS_ON_CPU
    else:
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 2**30
        tokens = max(_ENOUGH_TOKENS_ON_CPU, free // 4 // (64 * 4 * width))
    return max(1, tokens // window_length)


def batches(token_ids: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    """Runs of ``size`` windows of ``token_ids`` (windows, tokens), each with the number of its first window."""
    for first in range(0, token_ids.shape[0], size):
        yield first, token_ids[first : first + size]
