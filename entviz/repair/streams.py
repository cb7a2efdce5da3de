"""The residual stream of a whole calibration text, carried along from position to position.

    stream = Stream(anatomy, groups)
    stream.advance(anatomy, way, 12)         # the stream of the model without the prune set, 12 blocks on
    stream.hidden(0)                         # of the first group of windows

So that each block is run once for a repair however many places it has. The memory is that of one hidden state for each
token of the calibration text; from ``_MOST_BYTES`` on they are kept in a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from entviz.decoder.anatomy import Anatomy, Call
from entviz.repair.places import Way

_MOST_BYTES = 10**9


class Stream:
    """Hidden states (windows, tokens, width) of groups of windows, all at one position.

    Args:
        anatomy: the model.
        groups: token ids (windows, tokens) of each group.
    """

    def __init__(self, anatomy: Anatomy, groups: Sequence[Tensor]) -> None:
        self.position = 0
        self._groups = groups
        started = [anatomy.begin(group)[0] for group in groups[:1]]
        width, dtype = started[0].shape[-1], started[0].dtype
        tokens = sum(group.numel() for group in groups)
        self._states = _room(tokens * width, dtype).view(tokens, width)
        self._starts = [0]
        for group in groups:
            self._starts.append(self._starts[-1] + group.numel())
        for number, group in enumerate(groups):
            self.put(number, anatomy.begin(group)[0])

    def hidden(self, number: int) -> Tensor:
        """(windows, tokens, width) of one group."""
        windows, tokens = self._groups[number].shape
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
        for number, group in enumerate(self._groups):
            calls = anatomy.begin(group)[1]
            self.put(number, walk(anatomy, way, self.hidden(number), calls, self.position, end))
            tick()
        self.position = end


def walk(anatomy: Anatomy, way: Way, hidden: Tensor, calls: Sequence[Call], start: int, end: int) -> Tensor:
    """Hidden states (windows, tokens, width) at ``end``, from those at ``start``, without what ``way`` drops."""
    position = start
    while position < end:
        layer = position // 2
        step, call = anatomy.split_layers[layer], calls[layer]
        hidden = hidden.to(next(step.layer.parameters()).device)
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
    return hidden


def _room(numbers: int, dtype: torch.dtype) -> Tensor:
    if numbers * dtype.itemsize <= _MOST_BYTES:
        return torch.empty(numbers, dtype=dtype)
    # The file has no name any more once it is mapped, so that it goes with the tensor.
    with tempfile.NamedTemporaryFile() as file:
        return torch.from_file(file.name, shared=True, size=numbers, dtype=dtype)
