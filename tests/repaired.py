"""Copies of models that are really pruned and really repaired: new weights in them, or hooks with the formulas.

    copy = repaired_copy(model, PruneSet.parse("layer.1,mlp.2"), repair)
    copy(token_ids).logits

Independent of entviz's views. Attentions are dropped with their layers only.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from entviz.blocks import PruneSet
from entviz.decoder.patches import Correction, Projection, Substitute
from entviz.repair.repair import Repair
from tests.altered import PARTS, without


def repaired_copy(model: Any, drop: PruneSet, repair: Repair) -> Any:
    """A copy without the blocks of ``drop`` that computes with ``repair``."""
    copy = without(model, drop)
    parts = PARTS[model.config.model_type]
    whole = drop.attention & drop.mlp
    assert drop.attention == whole
    kept = [i for i in range(model.config.num_hidden_layers) if i not in whole]
    layers = copy.get_submodule(parts.layers)
    for place, index in enumerate(kept):
        layer = layers[place]
        for patch in repair.patches:
            if isinstance(patch, Projection) and patch.block.index == index:
                _set(layer.get_submodule(patch.path), patch)
        gone = range(kept[place - 1] + 1 if place else 0, index)
        layer.register_forward_pre_hook(partial(_enter, model, repair, gone), with_kwargs=True)
        if index in drop.mlp:
            layer.register_forward_hook(partial(_leave, model, repair, index), with_kwargs=True)
    return copy


def through_gap(model: Any, repair: Repair, index: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """The stream at attn.i and layer.i of a layer that is dropped whole, from the stream before it."""
    parallel = PARTS[model.config.model_type].middle is None
    middle = _corrected(repair, f"attn.{index}", x + _substitute(repair, f"attn.{index}", x))
    added = _substitute(repair, f"mlp.{index}", x if parallel else middle)
    return middle, _corrected(repair, f"layer.{index}", middle + added)


def greedy(model: Any, token_ids: list[int], count: int) -> list[int]:
    """The ids with ``count`` further ones, each the likeliest by a pass of the whole model over all before it."""
    ids = list(token_ids)
    with torch.inference_mode():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids


def _set(module: nn.Module, patch: Projection) -> None:
    weight = patch.weight.T if type(module).__name__ == "Conv1D" else patch.weight
    module.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if patch.bias is not None:
        module.bias = nn.Parameter(patch.bias, requires_grad=False)


def _enter(model: Any, repair: Repair, gone: range, layer: nn.Module, args: tuple, kwargs: dict) -> Any:
    def change(x: Tensor) -> Tensor:
        for index in gone:
            x = through_gap(model, repair, index, x)[1]
        return x

    if args:
        return (change(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}


def _leave(
    model: Any, repair: Repair, index: int, layer: nn.Module, args: tuple, kwargs: dict, output: Any
) -> Any:
    parallel = PARTS[model.config.model_type].middle is None
    entered = args[0] if args else kwargs["hidden_states"]

    def change(x: Tensor) -> Tensor:
        added = _substitute(repair, f"mlp.{index}", entered if parallel else x)
        return _corrected(repair, f"layer.{index}", x + added)

    return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)


def _of(repair: Repair, wanted: Callable[[Any], bool]) -> Any:
    return next((patch for patch in repair.patches if wanted(patch)), None)


def _substitute(repair: Repair, block: str, x: Tensor) -> Tensor:
    patch = _of(repair, lambda patch: isinstance(patch, Substitute) and str(patch.block) == block)
    if patch is None:
        return torch.zeros_like(x)
    normed = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return normed @ patch.matrix + patch.bias


def _corrected(repair: Repair, site: str, x: Tensor) -> Tensor:
    patch = _of(repair, lambda patch: isinstance(patch, Correction) and patch.site == site)
    if patch is None:
        return x
    changed = patch.scale * x
    if patch.matrix is not None:
        changed = changed + x @ patch.matrix
    return changed if patch.bias is None else changed + patch.bias
