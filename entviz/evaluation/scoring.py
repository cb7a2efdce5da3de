"""Score next-token predictions of a pruned model against the text and against the dense model.

The vocabulary projection is done in chunks of positions, so the logits of a text are never all in memory. Where the
logits are linear in the normed hidden state n, the divergence from the dense model needs none of the dense logits:

    KL(p || q) = sum_v p_v log p_v  -  sum_v p_v z_v  +  log sum_v exp z_v,     z_v = n . w_v + b_v

and the middle term is n . E_p[w] + E_p[b], where the expected unembedding E_p[w] under the dense prediction p is a
vector of the model's width that is computed once a text. So a pruned model costs one projection, and the dense
reference keeps width + 4 numbers a position rather than a vocabulary of them. Both sides are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from entviz.head import Head

# Logits at a time. An evaluation can be cancelled between chunks, which on a processor has to be possible within a
# tenth of a second; a dense reference is about twice the work.
_CHUNK_BYTES = 128 * 2**20
_CHUNK_BYTES_ON_CPU = 24 * 2**20


@dataclass(frozen=True)
class DenseReference:
    """What the dense model predicts at each scored position, as far as a comparison needs it. Shapes (positions, ...).

    ``recall`` is the expected unembedding (positions, width + 1; the last column is the expected bias), or for a model
    with logits that are not linear the normed states (positions, width), from which its logits are made again.
    """

    nll: Tensor  # negative log-likelihood of the token that follows, nats, float64
    best: Tensor  # the most likely token id
    negentropy: Tensor  # sum over the vocabulary of p log p, nats, float64
    recall: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """The parts in order, to keep them in a cache and make this again from them."""
        return self.nll, self.best, self.negentropy, self.recall


@dataclass(frozen=True)
class Scores:
    """Per scored position: loss (nats), divergence from dense (nats), and whether the likeliest token is dense's."""

    nll: Tensor
    kl: Tensor
    agrees: Tensor


def dense_reference(
    head: Head, hidden: Tensor, targets: Tensor, after_chunk: Callable[[], None] = lambda: None
) -> DenseReference:
    """Score the dense model's last hidden states (positions, width) on the token ids that follow (positions,)."""
    normed = head.normed(hidden)
    parts: list[tuple[Tensor, ...]] = []
    for states, ids in _chunks(head, normed, targets, share=0.5):
        logits = head.unembed(states).float()
        log_total = logits.logsumexp(-1, keepdim=True)
        nll = log_total.squeeze(-1).double() - logits.gather(-1, ids[:, None]).squeeze(-1).double()
        best = logits.argmax(-1)
        log_p = logits - log_total
        p = log_p.exp()
        negentropy = (p * log_p).sum(-1, dtype=torch.float64)
        recall = states if head.unembedding is None else _expected_unembedding(head.unembedding, p)
        parts.append((nll, best, negentropy, recall))
        after_chunk()
    return DenseReference(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def score(
    head: Head,
    hidden: Tensor,
    targets: Tensor,
    dense: DenseReference,
    after_chunk: Callable[[], None] = lambda: None,
) -> Scores:
    """Score a pruned model's last hidden states (positions, width) on the token ids that follow (positions,)."""
    normed = head.normed(hidden)
    parts: list[tuple[Tensor, ...]] = []
    done = 0
    for states, ids in _chunks(head, normed, targets):
        here = slice(done, done + len(ids))
        done += len(ids)
        logits = head.unembed(states).float()
        log_total = logits.logsumexp(-1).double()
        nll = log_total - logits.gather(-1, ids[:, None]).squeeze(-1).double()
        if head.unembedding is None:
            p = head.unembed(dense.recall[here]).float().softmax(-1)
            expected = (p * logits).sum(-1, dtype=torch.float64)
        else:
            weights, bias = dense.recall[here, :-1], dense.recall[here, -1]
            expected = (states.double() * weights.double()).sum(-1) + bias.double()
        # Rounding can take a divergence of nearly nothing below zero, where it has no meaning.
        kl = (dense.negentropy[here] - expected + log_total).clamp_min(0)
        parts.append((nll, kl, logits.argmax(-1) == dense.best[here]))
        after_chunk()
    return Scores(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _expected_unembedding(unembedding: nn.Linear, p: Tensor) -> Tensor:
    weights = (p.to(unembedding.weight.dtype) @ unembedding.weight).float()
    bias = p @ unembedding.bias.float() if unembedding.bias is not None else p.new_zeros(len(p))
    return torch.cat([weights, bias[:, None]], dim=-1)


def _chunks(
    head: Head, normed: Tensor, targets: Tensor, share: float = 1.0
) -> Iterator[tuple[Tensor, Tensor]]:
    vocabulary = head.model.get_output_embeddings().weight.shape[0]
    most = share * (_CHUNK_BYTES_ON_CPU if normed.device.type == "cpu" else _CHUNK_BYTES)
    size = max(16, int(most / (4 * vocabulary)))
    yield from zip(normed.split(size), targets.split(size), strict=True)
