"""Run a model without the blocks of a prune set, from the first layer that differs from an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.splitting import Call
from entviz.decoder.states import StateCache, prefix_key


def states_before(
    layer: int,
    anatomy: Anatomy,
    hidden: Tensor,
    calls: Sequence[Call],
    drop: PruneSet,
    *,
    cache: StateCache | None = None,
    text: Hashable = None,
    after_layer: Callable[[int], None] = lambda layer: None,
) -> Tensor:
    """Hidden states (windows, tokens, width) at the input of ``layer`` in the model without ``drop``.

    Args:
        layer: from 0; the number of layers gives the output of the last layer.
        hidden, calls: the result of ``anatomy.begin``.
        cache: hidden states to start from. The run starts from the deepest cached state and adds its own states.
        text: identifies the model, the number type and the token ids in the cache.
        after_layer: called after each layer; it can raise to stop the run.
    """
    first = 0
    if cache is not None and anatomy.resumable:
        for depth in range(layer, 0, -1):
            known = cache.get(prefix_key(text, drop, depth, anatomy.changes_before(depth)))
            if known is not None:
                hidden, first = known, depth
                break
    for i in range(first, layer):
        attention, mlp = i not in drop.attention, i not in drop.mlp
        hidden = anatomy.split_layers[i].run(hidden, calls[i], attention=attention, mlp=mlp)
        if cache is not None and anatomy.resumable and (attention or mlp):
            cache.put(prefix_key(text, drop, i + 1, anatomy.changes_before(i + 1)), hidden)
        after_layer(i)
    return hidden


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

    A dropped block is not computed. See :func:`states_before` for the other arguments.
    """
    hidden, calls = anatomy.begin(token_ids)
    return states_before(
        anatomy.layers, anatomy, hidden, calls, drop, cache=cache, text=text, after_layer=after_layer
    )
