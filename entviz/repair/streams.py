"""The residual stream of a whole calibration text, carried along from position to position.

    stream = Stream(anatomy, Beginnings(anatomy, [token_ids, other_token_ids]))
    stream.advance(anatomy, way, 12)         # the stream of the model without the prune set, 12 blocks on
    stream.hidden(0)                         # of the first group of windows

So that each block is run once for a repair however many places it has. The memory is that of one hidden state for each
token of the calibration text; from ``_MOST_BYTES`` on they are kept in a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import accumulate

import torch
from cachetools import LRUCache
from torch import Tensor

from entviz.decoder.anatomy import Anatomy
from entviz.decoder.offloading import running_device
from entviz.decoder.splitting import Call
from entviz.decoder.states import StateCache, prefix_key
from entviz.repair.places import Way

_MOST_BYTES = 10**9
_KEPT_CALLS = 64  # groups; a call has the masks and positions of its tokens


class Beginnings:
    """What a run of each group of windows begins with, and how the model's own code then calls its layers.

    Both are the same with every prune set and every repair.

    Args:
        anatomy: the model.
        token_ids: (windows, tokens) of each group.
    """

    def __init__(self, anatomy: Anatomy, token_ids: Sequence[Tensor]) -> None:
        self.token_ids = token_ids
        self._anatomy = anatomy
        self._calls: LRUCache[int, list[Call]] = LRUCache(_KEPT_CALLS)

    def embedded(self, number: int) -> Tensor:
        """(windows, tokens, width) what enters layer 0."""
        hidden, calls = self._anatomy.begin(self.token_ids[number])
        if self._anatomy.resumable:
            self._calls[number] = calls
        return hidden

    def calls(self, number: int) -> list[Call]:
        """One for each layer."""
        known = self._calls.get(number)
        return self._anatomy.begin(self.token_ids[number])[1] if known is None else known


class Stream:
    """Hidden states (windows, tokens, width) of groups of windows, all at one position.

    Args:
        anatomy: the model.
        groups: what goes through it.
        cache: hidden states at the ends of layers, to start from and to add to; None for none.
        texts: what identifies the model and the token ids of each group in the cache.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        groups: Beginnings,
        cache: StateCache | None = None,
        texts: Sequence[Hashable] = (),
    ) -> None:
        self.position = 0
        self._groups = groups
        self._cache = cache if anatomy.resumable else None
        self._texts = texts
        sizes = [ids.numel() for ids in groups.token_ids]
        self._starts = list(accumulate(sizes, initial=0))
        for number in range(len(sizes)):
            embedded = groups.embedded(number)
            if not number:
                room = _room(sum(sizes) * embedded.shape[-1], embedded.dtype)
                self._states = room.view(sum(sizes), -1)
            self.put(number, embedded)

    def hidden(self, number: int) -> Tensor:
        """(windows, tokens, width) of one group."""
        windows, tokens = self._groups.token_ids[number].shape
        return self._states[self._starts[number] : self._starts[number + 1]].view(windows, tokens, -1)

    def put(self, number: int, hidden: Tensor) -> None:
        """Replace what is known of one group."""
        self._states[self._starts[number] : self._starts[number + 1]] = hidden.flatten(0, 1).to(
            self._states.device
        )

    def advance(self, anatomy: Anatomy, way: Way, end: int, tick: Callable[[], None] = lambda: None) -> None:
        """Run the blocks up to a position that lies ahead, without those that ``way`` drops."""
        if end <= self.position:
            return
        for number in range(len(self._groups.token_ids)):
            hidden, start = self._deepest(anatomy, way, number, end)
            keep = partial(self._keep, anatomy, way, number)
            self.put(number, walk(anatomy, way, hidden, self._groups.calls(number), start, end, keep))
            tick()
        self.position = end

    def _deepest(self, anatomy: Anatomy, way: Way, number: int, end: int) -> tuple[Tensor, int]:
        """The hidden states of a group to start from, and their position: cached ones where they are further on."""
        if self._cache is not None:
            for layer in range(end // 2, self.position // 2, -1):
                known = self._cache.get(self._key(anatomy, way, number, layer))
                if known is not None:
                    return known, 2 * layer
        return self.hidden(number), self.position

    def _keep(self, anatomy: Anatomy, way: Way, number: int, layer: int, hidden: Tensor) -> None:
        if self._cache is not None:
            self._cache.put(self._key(anatomy, way, number, layer), hidden)

    def _key(self, anatomy: Anatomy, way: Way, number: int, layer: int) -> Hashable:
        return prefix_key(self._texts[number], way.drop, layer, anatomy.changes_before(layer))


def walk(
    anatomy: Anatomy,
    way: Way,
    hidden: Tensor,
    calls: Sequence[Call],
    start: int,
    end: int,
    keep: Callable[[int, Tensor], None] = lambda layer, hidden: None,
) -> Tensor:
    """Hidden states (windows, tokens, width) at ``end``, from those at ``start``, without what ``way`` drops.

    ``keep`` is given the number of each layer that is come to, with the hidden states that it reads.
    """
    position = start
    while position < end:
        layer = position // 2
        step, call = anatomy.split_layers[layer], calls[layer]
        hidden = hidden.to(running_device(step.layer))
        keeps = {"attention": layer not in way.drop.attention, "mlp": layer not in way.drop.mlp}
        if position % 2 == 0 and end >= position + 2:
            hidden = step.run(hidden, call, **keeps)
            position += 2
        elif position % 2 == 0:
            hidden = step.half(hidden, call, "attn", run=keeps["attention"])
            position += 1
        else:
            hidden = step.half(hidden, call, "mlp", run=keeps["mlp"])
            position += 1
        if position % 2 == 0 and any(keeps.values()):  # otherwise they may be those that it began with
            keep(position // 2, hidden)
    return hidden


def _room(numbers: int, dtype: torch.dtype) -> Tensor:
    if numbers * dtype.itemsize <= _MOST_BYTES:
        return torch.empty(numbers, dtype=dtype)
    # The file has no name any more once it is mapped, so that it goes with the tensor.
    with tempfile.NamedTemporaryFile() as file:
        return torch.from_file(file.name, shared=True, size=numbers, dtype=dtype)
