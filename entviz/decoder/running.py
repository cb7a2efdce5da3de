"""Run a model without the blocks of a prune set, from the first layer where that differs from an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.states import StateCache, prefix_key


def run_pruned(
    anatomy: Anatomy,
    token_ids: Tensor,
    drop: PruneSet,
    *,
    cache: StateCache | None = None,
    text: Hashable = None,
    after_layer: Callable[[int], None] = lambda layer: None,
) -> Tensor:
    """Hidden states (windows, tokens, width) after the last layer of the model without ``drop``.

    With a ``cache``, ``text`` names the model, number type and token ids; the run starts from the deepest state
    known there and leaves its own. A dropped block is not computed. ``after_layer`` is called as layers are done, and
    may raise to stop the run.
    """
    hidden, calls = anatomy.begin(token_ids)
    first = 0
    if cache is not None and anatomy.resumable:
        for layer in range(anatomy.layers, 0, -1):
            known = cache.get(prefix_key(text, drop, layer))
            if known is not None:
                hidden, first = known, layer
                break
    for i in range(first, anatomy.layers):
        attention, mlp = i not in drop.attention, i not in drop.mlp
        hidden = anatomy.steps[i].run(hidden, calls[i], attention=attention, mlp=mlp)
        if cache is not None and anatomy.resumable and (attention or mlp):
            cache.put(prefix_key(text, drop, i + 1), hidden)
        after_layer(i)
    return hidden
