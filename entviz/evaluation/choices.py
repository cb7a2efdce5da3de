"""The likelihoods of the choices of multiple-choice items. What choices share is computed only once.

    pairs = [(context, " " + choice) for ...]
    item = in_tokens(loaded, pairs)
    for group in plan([item, ...], most_tokens=512):
        log_likelihoods(anatomy, drop, [items[i] for i in group])    # a list of nats for each item

The choices of an item begin with the same tokens: the context, and often more. This common beginning goes through the
model once, in one batch for several items, with a KV cache. The cache's rows are then repeated for the choices, and
only the rest of each choice is run. All items of a batch are cut at the same length, that of the shortest common
beginning, so nothing is padded on the left; padding on the right does not affect earlier tokens. If choices differ only
in their last token, like the letters of an exam, only the beginning has to be run. Only positions that predict a token
of a choice are projected to the vocabulary, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.head import Head
from entviz.decoder.offloading import running_device
from entviz.errors import TextError
from entviz.evaluation.generation import fill_holes
from entviz.models.loaded import LoadedModel
from entviz.text.beginning import beginning_of

# The fixed cost of a pass, expressed in tokens: all weights are read from memory once.
_PASS = 16
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ChoiceIds:
    """A context and a choice in token ids. The last ``scored`` ids are the choice's."""

    ids: tuple[int, ...]
    scored: int

    @property
    def inputs(self) -> int:
        """The number of ids that go into the model: the last id is only predicted."""
        return len(self.ids) - 1

    @property
    def positions(self) -> range:
        """The inputs after which the model predicts a token of the choice."""
        return range(self.inputs - self.scored, self.inputs)


@dataclass(frozen=True)
class ItemIds:
    """An item in token ids."""

    choices: tuple[ChoiceIds, ...]

    @cached_property
    def shared(self) -> int:
        """The number of inputs in the common beginning of all choices."""
        first, shortest = self.choices[0].ids, min(choice.inputs for choice in self.choices)
        return next(
            (i for i in range(shortest) if any(choice.ids[i] != first[i] for choice in self.choices)),
            shortest,
        )

    @cached_property
    def longest(self) -> int:
        """The number of inputs of the longest choice."""
        return max(choice.inputs for choice in self.choices)


# --- in tokens -----------------------------------------------------------------------------------------------------


def in_tokens(loaded: LoadedModel, pairs: Sequence[tuple[str, str]], *, begin: bool = True) -> ItemIds:
    """Encode an item's (context, continuation) pairs as lm-evaluation-harness does.

    Spaces at the end of a context move to the continuation. Context and continuation are encoded together as one text.
    The tokens after the length of the context encoded alone are the continuation's. If there is no context, a beginning
    token takes its place. A sequence longer than the model's training length loses its first tokens.

    Args:
        begin: False leaves out the tokenizer's beginning token. If there is no context, it is always read, because a
            prediction needs at least one token before it.

    Raises:
        TextError: if there is no context and the tokenizer has no beginning token, if a continuation has no tokens or
            is too long for the model, or for a token that the model does not know.
    """
    return ItemIds(tuple(_choice(loaded, context, continuation, begin) for context, continuation in pairs))


def _choice(loaded: LoadedModel, context: str, continuation: str, begin: bool) -> ChoiceIds:
    stripped = context.rstrip()
    continuation, context = context[len(stripped) :] + continuation, stripped
    if context:
        before = loaded.tokenize(context, begin=begin).token_ids
        after = loaded.tokenize(context + continuation, begin=begin).token_ids[len(before) :]
    else:
        before = _start(loaded.tokenizer)
        after = loaded.tokenize(continuation, begin=False).text
        if after[: len(before)] == before:
            after = after[len(before) :]
    longest = loaded.trained_positions
    if not after:
        raise TextError(f"The choice '{continuation.strip()[:40]}' has no tokens after its context.")
    if longest is not None and len(after) > longest:
        raise TextError(
            f"The choice '{continuation.strip()[:40]}' has {len(after)} tokens, but the model reads at most {longest}."
        )
    ids = [*before, *after]
    return ChoiceIds(tuple(ids if longest is None else ids[-(longest + 1) :]), len(after))


def _start(tokenizer: Any) -> list[int]:
    """The token ids before a continuation without a context."""
    if beginning := beginning_of(tokenizer):
        return list(beginning)
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return [token_id]
    raise TextError("This model's tokenizer has no beginning-of-text token: give each item a context.")


# --- in batches ----------------------------------------------------------------------------------------------------


def plan(items: Sequence[ItemIds], most_tokens: int) -> list[list[int]]:
    """Group items, by index, so that all groups together need the fewest tokens.

    A group has at most ``most_tokens`` tokens in each of its two passes, unless it is a single item.
    """
    order = sorted(range(len(items)), key=lambda i: (items[i].shared, items[i].longest))
    groups: list[list[int]] = []
    for i in order:
        if groups:
            joined = [items[j] for j in (*groups[-1], i)]
            apart = _cost(joined[:-1]) + _cost(joined[-1:])
            if max(_passes(joined, _cut(joined))) <= most_tokens and _cost(joined) <= apart:
                groups[-1].append(i)
                continue
        groups.append([i])
    return groups


def _cut(group: Sequence[ItemIds]) -> int:
    """The length at which to cut a group's choices: that of the shortest common beginning, or 0 if that is cheaper."""
    shortest = min(item.shared for item in group)
    return min((shortest, 0), key=lambda cut: sum(tokens + _PASS for tokens in _passes(group, cut) if tokens))


def _passes(group: Sequence[ItemIds], cut: int) -> tuple[int, int]:
    """The numbers of tokens, including padding, in the beginnings and in the rests of a group's choices."""
    rest = [choice.inputs - cut for item in group for choice in item.choices if choice.inputs > cut]
    return len(group) * cut, len(rest) * max(rest, default=0)


def _cost(group: Sequence[ItemIds]) -> int:
    return sum(tokens + _PASS for tokens in _passes(group, _cut(group)) if tokens)


# --- through the model ---------------------------------------------------------------------------------------------


def log_likelihoods(
    anatomy: Anatomy, drop: PruneSet, group: Sequence[ItemIds], tick: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """The log-likelihood (nats) of each choice given its context, for each item, without the blocks of ``drop``.

    ``tick`` is called between passes, and can raise to stop.
    """
    cut = _cut(group)
    rows = [(i, choice) for i, item in enumerate(group) for choice in item.choices if choice.inputs > cut]
    hidden: list[Tensor] = []  # (positions, width): the beginnings' states, then those of the rest
    device = running_device(anatomy.model.get_input_embeddings())
    cache = DynamicCache(config=anatomy.model.config) if cut and rows else None
    if cut:
        states = anatomy.run(_padded([item.choices[0].ids[:cut] for item in group], device), drop, cache)
        hidden.append(states.flatten(0, 1))
        tick()
    if cache is not None:
        fill_holes(cache, drop, anatomy.layers, states)
        cache.batch_select_indices(torch.tensor([i for i, _ in rows], device=device))
    if rows:
        ids = _padded([choice.ids[cut : choice.inputs] for _, choice in rows], device)
        hidden.append(anatomy.run(ids, drop, cache).flatten(0, 1))
        tick()
    places, targets, owners = _scored(group, cut)
    known: dict[int, int] = {}
    pairs = torch.tensor([known.setdefault(place, len(known)) for place in places], device=device)
    states = torch.cat(hidden)[torch.tensor(list(known), device=device)]
    found = _log_probabilities(anatomy.head, states, pairs, torch.tensor(targets, device=device), tick)
    sums = torch.zeros(owners[-1] + 1, dtype=torch.float64)
    values = iter(sums.index_add(0, torch.tensor(owners), found.cpu()).tolist())
    return [[next(values) for _ in item.choices] for item in group]


def _padded(rows: Sequence[tuple[int, ...]], device: torch.device) -> Tensor:
    """Token ids (rows, longest), padded on the right with an id that does not affect any scored position."""
    length = max(map(len, rows))
    return torch.tensor([(*row, *[0] * (length - len(row))) for row in rows], device=device)


def _scored(group: Sequence[ItemIds], cut: int) -> tuple[list[int], list[int], list[int]]:
    """For each token of each choice: the index of the state that predicts it, its id, and the choice's number.

    States are numbered first through the beginnings (items, cut), then through the rests (rows, longest), flattened.
    """
    rest = max(item.longest for item in group) - cut
    places, targets, owners = [], [], []
    row = owner = 0
    for i, item in enumerate(group):
        for choice in item.choices:
            for position in choice.positions:
                in_rest = len(group) * cut + row * rest + position - cut
                places.append(i * cut + position if position < cut else in_rest)
                targets.append(choice.ids[position + 1])
                owners.append(owner)
            row += choice.inputs > cut
            owner += 1
    return places, targets, owners


def _log_probabilities(
    head: Head, hidden: Tensor, pairs: Tensor, targets: Tensor, tick: Callable[[], None]
) -> Tensor:
    """The log-probability (pairs,) of token ``targets[i]`` after state ``pairs[i]`` of ``hidden`` (states, width)."""
    normed = head.normed(hidden)
    found = torch.empty(len(pairs), dtype=torch.float64, device=hidden.device)
    for first, states in _chunks(head, normed):
        here = (pairs >= first) & (pairs < first + len(states))
        logits = head.unembed(states).float()
        row = pairs[here] - first
        found[here] = logits[row, targets[here]].double() - logits.logsumexp(-1)[row].double()
        tick()
    return found


def _chunks(head: Head, normed: Tensor) -> Iterator[tuple[int, Tensor]]:
    vocabulary = head.model.get_output_embeddings().weight.shape[0]
    size = max(16, _CHUNK_BYTES // (4 * vocabulary))
    for first in range(0, len(normed), size):
        yield first, normed[first : first + size]
