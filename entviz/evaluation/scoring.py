"""Score next-token predictions of a pruned model against the text and against the dense model.

If the logits are linear in the normed hidden state n, z_v = n . w_v + b_v, they are computed for one tile of the
vocabulary at a time, and only their running log-sum-exp and argmax are kept. So neither the logits of a text nor those
of one position are ever completely in memory, and the unembedding is read once for many positions. The divergence from
the dense model then does not need the dense logits: with p the dense prediction and n' the dense state,

    KL(p || q) = sum_v p_v (z'_v - z_v) + log sum_v exp z_v - log sum_v exp z'_v = (n' - n) . E_p[w] + ...

where the expected unembedding E_p[w] is a vector of the model's width for each position, computed once for a text. So a
pruned model costs one projection, and for each position the dense reference keeps twice the width and 3 numbers instead
of a number for each token of the vocabulary. The identity is exact. Heads that are not linear are run as they are, on a
few positions at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from entviz import kernels
from entviz.decoder.head import Head

# The number of logits in a tile. An evaluation can be cancelled between tiles, and on a processor a tile has to take
# less than a tenth of a second; a dense reference is about twice the work. A tile should also fit into the processor's
# caches.
_TILE_BYTES = 128 * 2**20
_TILE_BYTES_ON_CPU = 16 * 2**20
_SMALLEST_TILE = 1024  # of the vocabulary; if that many do not fit, fewer positions are done together


@dataclass(frozen=True)
class DenseReference:
    """The dense model's prediction at each scored position, as far as a comparison needs it. Shapes (positions, ...).

    ``expected`` is the expected unembedding, float32 (positions, width). If the logits are not linear it is empty,
    (positions, 0), and the dense logits are computed again from the states.
    """

    nll: Tensor  # negative log-likelihood of the token that follows, nats, float64
    best: Tensor  # the most likely token id
    log_total: Tensor  # log of the sum over the vocabulary of exp(logit), float64
    states: Tensor  # after the last norm, as the unembedding reads them (positions, width)
    expected: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors in order, to store them in a cache and create the reference again from them."""
        return self.nll, self.best, self.log_total, self.states, self.expected


@dataclass(frozen=True)
class Scores:
    """For each scored position: loss (nats), divergence from dense (nats), and whether dense has the same likeliest
    token.
    """

    nll: Tensor
    kl: Tensor
    agrees: Tensor


def dense_reference(
    head: Head, hidden: Tensor, targets: Tensor, after_chunk: Callable[[], None] = lambda: None
) -> DenseReference:
    """Score the dense model's last hidden states (positions, width) on the token ids that follow (positions,)."""
    normed = head.normed(hidden)
    if head.unembedding is None:
        one = partial(_dense_by_logits, head)
    else:
        one = partial(_dense_by_tiles, head.unembedding, after_tile=after_chunk)
    return DenseReference(*_in_chunks(head, one, (normed, targets), after_chunk))


def score(
    head: Head,
    hidden: Tensor,
    targets: Tensor,
    dense: DenseReference,
    after_chunk: Callable[[], None] = lambda: None,
) -> Scores:
    """Score a pruned model's last hidden states (positions, width) on the token ids that follow (positions,)."""
    normed = head.normed(hidden)
    if head.unembedding is None:
        one = partial(_score_by_logits, head)
    else:
        one = partial(_score_by_tiles, head.unembedding, after_tile=after_chunk)
    nll, kl, agrees = _in_chunks(head, one, (normed, targets, *dense.tensors()[1:]), after_chunk)
    # Rounding can make a very small divergence negative, which has no meaning.
    return Scores(nll, kl.clamp_min(0), agrees)


def _score_by_tiles(
    unembedding: nn.Linear,
    normed: Tensor,
    targets: Tensor,
    best: Tensor,
    dense_log_total: Tensor,
    dense_states: Tensor,
    expected: Tensor,
    *,
    after_tile: Callable[[], None],
) -> tuple[Tensor, ...]:
    running = _Running(normed)
    for first, weight, bias in _tiles(unembedding, normed):
        running.add(first, nn.functional.linear(normed, weight, bias))
        after_tile()
    log_total = running.log_total(unembedding, normed)
    nll = log_total - _logit_of(unembedding, normed, targets)
    moved = ((dense_states.double() - normed.double()) * expected.double()).sum(-1)
    return nll, moved + log_total - dense_log_total, running.best == best


def _dense_by_tiles(
    unembedding: nn.Linear, normed: Tensor, targets: Tensor, *, after_tile: Callable[[], None]
) -> tuple[Tensor, ...]:
    running = _Running(normed)
    expected = torch.zeros(normed.shape, dtype=torch.float32, device=normed.device)  # times the running total
    for first, weight, bias in _tiles(unembedding, normed, share=0.5):
        logits = nn.functional.linear(normed, weight, bias)
        before = running.maxima.clone()
        running.add(first, logits)
        # Earlier terms were scaled by an earlier maximum.
        expected *= (before - running.maxima).exp_().nan_to_num_(0)[:, None]
        weights = logits.float().sub_(running.maxima[:, None]).exp_()
        if weight.dtype != torch.float16:
            expected += weights.to(weight.dtype) @ weight
        elif weight.device.type == "cpu":  # on a processor a product in float16 takes many times as long
            expected += weights @ weight.float()
        else:  # a mean of unembeddings never leaves the range of float16, and their sum may
            sums = weights.sum(-1, keepdim=True).clamp_min_(torch.finfo(torch.float32).tiny)
            expected += sums * ((weights / sums).to(weight.dtype) @ weight)
        after_tile()
    expected = (expected.double() / running.totals[:, None]).float()
    log_total = running.log_total(unembedding, normed)
    return log_total - _logit_of(unembedding, normed, targets), running.best, log_total, normed, expected


class _Running:
    """The log-sum-exp and the argmax of rows of logits that are given one tile at a time."""

    def __init__(self, normed: Tensor) -> None:
        rows, device = len(normed), normed.device
        self.maxima = torch.full((rows,), -torch.inf, dtype=torch.float32, device=device)
        self.totals = torch.zeros(rows, dtype=torch.float64, device=device)  # of exp(logit - maximum)
        self.best = torch.zeros(rows, dtype=torch.long, device=device)

    def add(self, first: int, logits: Tensor) -> None:
        """Add the logits (rows, tile) of the tokens from ``first`` on. The logits are not changed."""
        if kernels.apply_to_logits(logits):
            kernels.add_exponentials(logits, first, self.maxima, self.totals, self.best)
            return
        logits = logits.float()
        largest, place = logits.max(-1)
        self.best = torch.where(largest > self.maxima, place + first, self.best)
        largest = torch.maximum(largest, self.maxima)
        self.totals *= (self.maxima.double() - largest.double()).exp_().nan_to_num_(0)
        self.totals += (logits - largest[:, None]).exp_().sum(-1, dtype=torch.float64)
        self.maxima = largest

    def log_total(self, unembedding: nn.Linear, normed: Tensor) -> Tensor:
        """Log of the sum of the exponentials, float64 (rows,)."""
        totals = self.totals
        if normed.dtype != torch.float32:
            # If logits are rounded to fewer digits, nearly all of the error comes from the likeliest token.
            exact = _logit_of(unembedding, normed, self.best)
            totals = totals - 1 + (exact - self.maxima.double()).exp()
        return self.maxima.double() + totals.log()


def _logit_of(unembedding: nn.Linear, normed: Tensor, targets: Tensor) -> Tensor:
    """The logit of one token at each position, float64 (positions,)."""
    logits = (normed.double() * unembedding.weight[targets].double()).sum(-1)
    return logits if unembedding.bias is None else logits + unembedding.bias[targets].double()


def _dense_by_logits(head: Head, normed: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    log_total, nll, best, _ = _from_logits(head, normed, targets)
    return nll, best, log_total, normed, normed.new_empty(len(normed), 0)


def _score_by_logits(
    head: Head,
    normed: Tensor,
    targets: Tensor,
    dense_best: Tensor,
    dense_log_total: Tensor,
    dense_states: Tensor,
    _: Tensor,
) -> tuple[Tensor, ...]:
    log_total, nll, best, logits = _from_logits(head, normed, targets)
    dense_logits = head.unembed(dense_states).float()
    p = (dense_logits - dense_log_total[:, None].float()).exp_()
    kl = (p * (dense_logits - logits)).sum(-1, dtype=torch.float64) + log_total - dense_log_total
    return nll, kl, best == dense_best


def _from_logits(head: Head, normed: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits = head.unembed(normed).float()
    log_total = logits.logsumexp(-1).double()
    nll = log_total - logits.gather(-1, targets[:, None]).squeeze(-1).double()
    return log_total, nll, logits.argmax(-1), logits


def _in_chunks(
    head: Head,
    one: Callable[..., tuple[Tensor, ...]],
    columns: tuple[Tensor, ...],
    after_chunk: Callable[[], None],
) -> tuple[Tensor, ...]:
    """Apply ``one`` to as many positions at a time as fit in memory, and join the results."""
    tile = _SMALLEST_TILE if head.unembedding is not None else _vocabulary(head)
    size = max(16, _tile_bytes(columns[0]) // (4 * tile))
    parts = []
    for chunk in zip(*(column.split(size) for column in columns), strict=True):
        parts.append(one(*chunk))
        after_chunk()
    return tuple(torch.cat(results) for results in zip(*parts, strict=True))


def _tiles(
    unembedding: nn.Linear, normed: Tensor, share: float = 1.0
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """The tiles of the unembedding: for each its first token, its weights (tile, width) and its bias (tile,)."""
    size = max(_SMALLEST_TILE, int(share * _tile_bytes(normed) / (4 * max(1, len(normed)))))
    for first in range(0, len(unembedding.weight), size):
        here = slice(first, first + size)
        bias = unembedding.bias
        yield first, unembedding.weight[here], None if bias is None else bias[here]


def _vocabulary(head: Head) -> int:
    return int(head.model.get_output_embeddings().weight.shape[0])


def _tile_bytes(states: Tensor) -> int:
    return _TILE_BYTES_ON_CPU if states.device.type == "cpu" else _TILE_BYTES
