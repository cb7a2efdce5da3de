"""The estimators the plain way, as a baseline: one-hot counting, one window at a time, no work shared.

Every block measures the site before it and the site after it again, which is how the formulas read when they are
written down block by block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entviz.blocks import all_blocks, sites_of
from entviz.models import LoadedModel


def analyze_plainly(loaded: LoadedModel, token_ids: Tensor) -> None:
    """Bucket and knn entropy before and after every block, and its cosine importance; results are thrown away."""
    with torch.inference_mode():
        for window in token_ids:
            states = _sites(loaded, window[None])
            for block in all_blocks(loaded.layers):
                before, after = (states[site] for site in sites_of(block))
                for site in (before, after):
                    bucket(site)
                    knn(site)
                1 - torch.cosine_similarity(before, after, dim=-1).mean()


def bucket(states: Tensor, buckets: int = 20) -> Tensor:
    """Bucket entropy of (tokens, width) in nats, by one-hot counting."""
    low, high = states.min(0).values, states.max(0).values
    edges = low + (high - low) * torch.linspace(0, 1, buckets + 1)[:-1, None]
    index = (edges[None] <= states[:, None]).sum(1) - 1
    p = torch.nn.functional.one_hot(index, buckets).float().mean(0)
    return -(p * p.clamp_min(1e-30).log()).sum()


def knn(states: Tensor, k: int = 25) -> Tensor:
    """Kozachenko-Leonenko entropy of (tokens, width) in nats, by sorting all distances."""
    tokens, width = states.shape
    distances = torch.cdist(states, states)
    r = distances.sort(-1).values[:, k]
    ball = width / 2 * math.log(math.pi) - math.lgamma(width / 2 + 1)
    return width * (r + 1e-10).log().mean() + ball + math.log(tokens) - math.log(k)


def _sites(loaded: LoadedModel, token_ids: Tensor) -> dict[str, Tensor]:
    hidden, calls = loaded.anatomy.begin(token_ids)
    states = {"embed": hidden[0]}
    for i, (step, call) in enumerate(zip(loaded.anatomy.split_layers, calls, strict=True)):
        middle, hidden = step.trace(hidden, call)
        states[f"attn.{i}"], states[f"layer.{i}"] = middle[0], hidden[0]
    return states
