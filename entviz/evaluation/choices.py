"""How likely a model finds the choices of multiple-choice items, computing what choices share once.

    pairs = [(context, " " + choice) for ...]
    item = in_tokens(loaded, pairs)
    for group in plan([item, ...], most_tokens=512):
        log_likelihoods(anatomy, drop, [items[i] for i in group])    # a list of nats for each item

The choices of an item begin with the same tokens: the context, and often more. Those go through the model once, in
one batch for several items, with a KV cache; the cache's rows are then repeated for the choices, of which only the
rest is run. Items of a batch are cut at one length, the shortest beginning of any, so nothing is padded on the left;
padding on the right cannot be seen by what comes before it. Where choices differ in their last token only, as the
letters of an exam do, the beginning is all there is to run. Only positions that predict a choice's token are
projected to the vocabulary, each one once.
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
from entviz.errors import TextError
from entviz.evaluation.generation import fill_holes
from entviz.models.loaded import LoadedModel
from entviz.text.beginning import beginning_of

# What a pass costs however few tokens go through, in tokens: all weights are read from memory once.
_PASS = 16
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ChoiceIds:
    """A context and a choice in token ids. The last ``scored`` ids are the choice's."""

    ids: tuple[int, ...]
    scored: int

    @property
    def inputs(self) -> int:
        """How many ids go into the model: the last one is only predicted."""
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
        """How many inputs all choices begin with."""
        first, shortest = self.choices[0].ids, min(choice.inputs for choice in self.choices)
        return next(
            (i for i in range(shortest) if any(choice.ids[i] != first[i] for choice in self.choices)),
            shortest,
        )

    @cached_property
    def longest(self) -> int:
        """The most inputs of a choice."""
        return max(choice.inputs for choice in self.choices)


# --- in tokens -----------------------------------------------------------------------------------------------------


def in_tokens(loaded: LoadedModel, pairs: Sequence[tuple[str, str]], *, begin: bool = True) -> ItemIds:
    """Encode an item's (context, continuation) pairs as lm-evaluation-harness does.

    Spaces at the end of a context move to the continuation. Context and continuation are encoded as one text, of
    which the continuation has the tokens past the length of the context encoded alone; without a context, a
    beginning-of-text token takes its place. What is longer than the model was trained to read loses its beginning.

    Args:
        begin: False leaves out what the tokenizer puts before a text, except if there is no context: something
            has to be read before the first prediction.

    Raises:
        TextError: if there is no context and the tokenizer has no token for the beginning of a text, where a
            continuation is of no tokens or too long for the model, and for a token that the model does not know.
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
            f"The choice '{continuation.strip()[:40]}' has {len(after)} tokens; the model reads {longest}."
        )
    ids = [*before, *after]
    return ChoiceIds(tuple(ids if longest is None else ids[-(longest + 1) :]), len(after))


def _start(tokenizer: Any) -> list[int]:
    """What stands before a continuation that has no context."""
    if beginning := beginning_of(tokenizer):
        return list(beginning)
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return [token_id]
    raise TextError("This model's tokenizer has no token that begins a text: give each item a context.")


# --- in batches ----------------------------------------------------------------------------------------------------


def plan(items: Sequence[ItemIds], most_tokens: int) -> list[list[int]]:
    """Group items, by index, so that together they run through the model in the fewest tokens.

    A group holds at most ``most_tokens`` tokens in either of its two passes, unless it is a single item.
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
    """At what length to cut a group's choices: where the first of them parts, or not at all if that is cheaper."""
    shortest = min(item.shared for item in group)
    return min((shortest, 0), key=lambda cut: sum(tokens + _PASS for tokens in _passes(group, cut) if tokens))


def _passes(group: Sequence[ItemIds], cut: int) -> tuple[int, int]:
    """How many tokens, padding included, the beginnings and the rest of a group's choices are."""
    rest = [choice.inputs - cut for item in group for choice in item.choices if choice.inputs > cut]
    return len(group) * cut, len(rest) * max(rest, default=0)


def _cost(group: Sequence[ItemIds]) -> int:
    return sum(tokens + _PASS for tokens in _passes(group, _cut(group)) if tokens)


# --- through the model ---------------------------------------------------------------------------------------------


def log_likelihoods(
    anatomy: Anatomy, drop: PruneSet, group: Sequence[ItemIds], tick: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """The log-likelihood (nats) of each choice given its context, for each item, without the blocks of ``drop``.

    ``tick`` is called between passes, and may raise to stop.
    """
    cut = _cut(group)
    rows = [(i, choice) for i, item in enumerate(group) for choice in item.choices if choice.inputs > cut]
    hidden: list[Tensor] = []  # (positions, width): the beginnings' states, then those of the rest
    device = anatomy.model.get_input_embeddings().weight.device
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
    """Token ids (rows, longest), filled on the right with an id that nothing scored can see."""
    length = max(map(len, rows))
    return torch.tensor([(*row, *[0] * (length - len(row))) for row in rows], device=device)


def _scored(group: Sequence[ItemIds], cut: int) -> tuple[list[int], list[int], list[int]]:
    """For each token of each choice: where its prediction lies among the states, its id, and the choice's number.

    States are counted through the beginnings (items, cut) and then through the rest (rows, longest), flattened.
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
