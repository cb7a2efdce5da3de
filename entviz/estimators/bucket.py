"""Bucket entropy: a histogram in every dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.estimators.metric import Entropy
from entviz.estimators.option import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bucket(Entropy):
    """Sum over dimensions of the Shannon entropy of a histogram.

    Every dimension gets ``buckets`` equal-width buckets from its smallest to its largest value in the window. With
    p_b the share of the window's tokens in bucket b, H is the sum over dimensions of -sum_b p_b log p_b: the
    joint entropy of the dimensions if they were independent. The largest value falls in the last bucket. A constant
    dimension has entropy 0, and so does a dimension whose range is so small that ``buckets / range`` overflows
    float32.

    Source: Yang et al. 2025, "Entropy-Based Block Pruning for Efficient Large Language Models"
    (arXiv 2504.03794), section 3.2, bucket-based estimation; the plug-in estimate of Shannon entropy.

    Args:
        buckets: the number of buckets in each dimension, from 2 to 4096.

    Raises:
        OptionError: ``buckets`` is out of range or not a whole number.

    Example:
        >>> import torch
        >>> from entviz.estimators.bucket import Bucket
        >>> two_values = torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(1, 4, 1)
        >>> round(Bucket()(two_values).item(), 4)  # log 2
        0.6931
    """

    buckets: int = option(20, 2, 4096, "how many buckets a dimension gets")

    name = "bucket"
    title = "Bucket"
    word = "bucket"
    about = (
        "Each dimension's values are counted in {buckets} buckets of equal width; the entropies of the counts are "
        "added up over dimensions."
    )
    source = "Yang et al. 2025, arXiv 2504.03794, section 3.2"

    def __call__(self, states: Tensor) -> Tensor:
        from entviz import kernels
        from entviz.estimators.states import windows_of_states

        states = windows_of_states(states)
        if kernels.apply_to(states):
            return kernels.bucket(states, self.buckets)
        return bucket_by_torch(states, self.buckets)


def bucket_by_torch(states: Tensor, buckets: int) -> Tensor:
    """The entropy of ``Bucket`` on any device. states: float32 (windows, tokens, width) -> float64 (windows,)."""
    import torch

    windows, tokens, width = states.shape
    lowest, highest = states.aminmax(dim=1, keepdim=True)
    extent = highest - lowest
    scale = buckets / extent
    scale = torch.where(scale.isfinite(), scale, 0.0)
    index = ((states - lowest) * scale).to(torch.int64).clamp_(0, buckets - 1)
    counts = torch.zeros(windows, buckets, width, dtype=torch.int32, device=states.device)
    one = torch.ones((), dtype=torch.int32, device=states.device)
    counts.scatter_add_(1, index, one.expand_as(index))
    occupied = counts.to(torch.float64)
    entropy = width * math.log(tokens) - torch.xlogy(occupied, occupied).sum(dim=(1, 2)) / tokens
    finite = extent.isfinite().all(dim=2).squeeze(1)
    return torch.where(finite, entropy, torch.nan)
