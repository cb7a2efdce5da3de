"""The output projection of an attention or MLP, found by watching which linear map's result is what the block adds.

    find(anatomy, Block("mlp", 3))           # Projected("mlp.down_proj", weight, bias), or None

A block has none whose output goes through a norm before it is added (Gemma 2, OLMo 2), or that adds up several
(experts): a change of one matrix is then not a linear change of the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from entviz.blocks import Block
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.offloading import resident, running_device
from entviz.decoder.splitting import SplitLayer
from entviz.decoder.stand_in import StandIn
from entviz.decoder.views import replaced
from entviz.repair.method import Projected

_TOLERANCE = 1e-4  # of the largest number that the block adds


def find(anatomy: Anatomy, block: Block) -> Projected | None:
    """The projection of a block, in float32 on the processor; None where no linear map gives what the block adds."""
    step = anatomy.split_layers[block.index]
    half = half_of(step, block)
    device = running_device(anatomy.model.get_input_embeddings())
    vocabulary = anatomy.model.get_input_embeddings().num_embeddings
    with torch.inference_mode(), resident(step.layer):
        ids = (torch.arange(8, device=device) * 7919 + 11).remainder(vocabulary).unsqueeze(0)
        hidden, calls = anatomy.begin(ids)
        hidden = hidden.to(running_device(step.layer))
        results: dict[str, Tensor] = {}
        watched = {
            path: StandIn(half.get_submodule(path), partial(_note, results, path))
            for path in linear_maps(step, block)
        }
        added = calls[block.index].run(replaced(half, watched), hidden) - hidden
        close = _TOLERANCE if added.dtype == torch.float32 else 5e-2
        for path, result in results.items():
            if result.shape == added.shape or result.numel() == added.numel():
                apart = (result.reshape(added.shape).float() - added.float()).abs().max()
                # The sum with the stream rounds what was added to the stream's own precision.
                if apart <= close * max(added.float().abs().max(), hidden.float().abs().max()):
                    return _projected(path, step.layer.get_submodule(path))
    return None


def half_of(step: SplitLayer, block: Block) -> nn.Module:
    """The view of a layer in which a block is the only one."""
    return step.attention_half if block.kind == "attn" else step.mlp_half


def linear_maps(step: SplitLayer, block: Block) -> list[str]:
    """The paths inside a layer of all linear maps of one of its blocks."""
    modules = step.attention_modules if block.kind == "attn" else step.mlp_modules
    ours = {id(inner) for module in modules for inner in module.modules()}
    return [
        path
        for path, module in step.layer.named_modules()
        if id(module) in ours and isinstance(module, (nn.Linear, Conv1D))
    ]


def reading(half: nn.Module, path: str, note: Callable[[Tensor], None]) -> nn.Module:
    """A view of a half of a layer that hands what the linear map at ``path`` reads to ``note``."""

    def look(module: nn.Module, given: Tensor) -> Any:
        note(given)
        return module(given)

    return replaced(half, {path: StandIn(half.get_submodule(path), look)})


def _note(results: dict[str, Tensor], path: str, module: nn.Module, given: Tensor) -> Tensor:
    result: Tensor = nn.Module.__call__(module, given)
    results[path] = result
    return result


def _projected(path: str, module: nn.Module) -> Projected:
    weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
    if not isinstance(weight, Tensor):
        raise TypeError(f"{path} has no weight")
    return Projected(
        path,
        (weight.T if isinstance(module, Conv1D) else weight).float().cpu(),
        None if bias is None else bias.detach().float().cpu(),
    )
