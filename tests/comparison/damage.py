"""The real cost of dropping blocks: from a really altered copy of the model, in double precision."""

import torch

from entviz.blocks import PruneSet
from tests.altered import without


def damage(model, token_ids, *blocks):
    """Loss increase and KL from dense of each window, in nats a token, as two tensors of (windows,)."""
    loss, divergence = token_damage(model, token_ids, *blocks)
    return loss.mean(dim=1), divergence.mean(dim=1)


def token_damage(model, token_ids, *blocks):
    """Loss increase and KL from dense of each scored token, in nats, as two tensors of (windows, tokens - 1)."""
    dense = _log_probabilities(model, token_ids)
    altered = _log_probabilities(without(model, PruneSet.parse(",".join(blocks))), token_ids)
    loss = (dense - altered).gather(-1, token_ids[:, 1:, None]).squeeze(-1)
    return loss, (dense.exp() * (dense - altered)).sum(-1)


def _log_probabilities(model, token_ids):
    with torch.no_grad():
        return model(token_ids).logits.double().log_softmax(-1)[:, :-1]
