"""Copies of models with blocks really removed, written by hand for each architecture, independent of entviz's anatomy.

    copy = without(model, PruneSet.parse("layer.0,attn.2"))
    copy(token_ids).logits

A dropped layer is deleted from the model. A dropped attention or MLP has its output projection zeroed: it then adds
nothing to the residual stream, which is the definition of dropping it. ``read_sites`` reads the residual stream of the
real model with plain forward hooks.
"""

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from entviz.blocks import PruneSet


@dataclass(frozen=True)
class Parts:
    """Where the parts of an architecture are: paths inside a layer, but for ``layers``.

    ``middle`` is the module whose input is the residual stream after the attention was added; where attention and MLP
    run in parallel there is none, and the site is the layer's input plus what the attention returns.
    """

    attention: str
    attention_output: str
    mlp_output: str
    middle: str | None
    layers: str = "model.layers"


_LLAMA = Parts("self_attn", "self_attn.o_proj", "mlp.down_proj", "post_attention_layernorm")
_GEMMA = Parts("self_attn", "self_attn.o_proj", "mlp.down_proj", "pre_feedforward_layernorm")
PARTS = {
    "llama": _LLAMA,
    "qwen3": _LLAMA,
    "gpt2": Parts("attn", "attn.c_proj", "mlp.c_proj", "ln_2", layers="transformer.h"),
    "gpt_neox": Parts("attention", "attention.dense", "mlp.dense_4h_to_h", None, layers="gpt_neox.layers"),
    "gemma3_text": _GEMMA,
    "bloom": Parts(
        "self_attention",
        "self_attention.dense",
        "mlp.dense_4h_to_h",
        "post_attention_layernorm",
        layers="transformer.h",
    ),
    "gptj": Parts("attn", "attn.out_proj", "mlp.fc_out", None, layers="transformer.h"),
    "phi": Parts("self_attn", "self_attn.dense", "mlp.fc2", None),
    "falcon": Parts(
        "self_attention", "self_attention.dense", "mlp.dense_4h_to_h", None, layers="transformer.h"
    ),
    "olmo2": Parts("self_attn", "self_attn.o_proj", "mlp.down_proj", "mlp"),
    "opt": Parts("self_attn", "self_attn.out_proj", "fc2", "final_layer_norm", layers="model.decoder.layers"),
    "mixtral": Parts("self_attn", "self_attn.o_proj", "mlp.experts", "post_attention_layernorm"),
    "gemma2": _GEMMA,
}


def without(model: Any, drop: PruneSet) -> Any:
    """A copy of ``model`` in which the blocks of ``drop`` are gone."""
    altered, parts = copy.deepcopy(model), PARTS[model.config.model_type]
    layers = altered.get_submodule(parts.layers)
    for index in drop.attention:
        _silence(layers[index].get_submodule(parts.attention_output))
    for index in drop.mlp:
        _silence(layers[index].get_submodule(parts.mlp_output))
    kept = [index for index in range(len(layers)) if index not in drop.attention & drop.mlp]
    names = parts.layers.split(".")
    setattr(
        altered.get_submodule(".".join(names[:-1])), names[-1], nn.ModuleList(layers[index] for index in kept)
    )
    for place, index in enumerate(kept):
        layers[index].get_submodule(parts.attention).layer_idx = place
    if getattr(altered.config, "layer_types", None) is not None:
        altered.config.layer_types = [altered.config.layer_types[index] for index in kept]
    altered.config.num_hidden_layers = len(kept)
    return altered


def _silence(module: nn.Module) -> None:
    """Zero what a projection adds; of fused experts, the projection out of them."""
    for name, weight in module.named_parameters():
        if "gate" not in name:
            weight.zero_()


def losses(model: Any, token_ids: Tensor) -> Tensor:
    """The mean loss of each window (windows,), in float64, from the logits of the whole model."""
    with torch.inference_mode():
        logits = model(input_ids=token_ids, use_cache=False).logits[:, :-1].double()
    per_token = nn.functional.cross_entropy(logits.transpose(1, 2), token_ids[:, 1:], reduction="none")
    return per_token.mean(dim=1)


def read_sites(model: Any, token_ids: Tensor) -> dict[str, Tensor]:
    """The residual stream (windows, tokens, width) of ``model`` at each site, by plain hooks; they are taken off."""
    parts = PARTS[model.config.model_type]
    found: dict[str, Tensor] = {}
    handles = []

    def enters(site: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        found[site] = (args[0] if args else kwargs["hidden_states"]).reshape(*token_ids.shape, -1).clone()

    def leaves(site: str, module: nn.Module, args: tuple, output: Any) -> None:
        found[site] = (output[0] if isinstance(output, tuple) else output).clone()

    layers = model.get_submodule(parts.layers)
    for i, layer in enumerate(layers):
        handles.append(layer.register_forward_pre_hook(partial(enters, f"in.{i}"), with_kwargs=True))
        handles.append(layer.register_forward_hook(partial(leaves, f"layer.{i}")))
        if parts.middle is None:
            attention = layer.get_submodule(parts.attention)
            handles.append(attention.register_forward_hook(partial(leaves, f"attn.{i}")))
        else:
            middle = layer.get_submodule(parts.middle)
            handles.append(middle.register_forward_pre_hook(partial(enters, f"attn.{i}"), with_kwargs=True))
    try:
        with torch.inference_mode():
            model(input_ids=token_ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    found["embed"] = found["in.0"]
    for i in range(len(layers)):
        entered = found.pop(f"in.{i}")
        if parts.middle is None:
            found[f"attn.{i}"] = entered + found[f"attn.{i}"]
    return found


def read_sites_without(model: Any, drop: PruneSet, token_ids: Tensor) -> dict[str, Tensor]:
    """The residual stream of a really pruned copy at each site of the original, a dropped block's as it was before."""
    read = read_sites(without(model, drop), token_ids)
    found, place = {"embed": read["embed"]}, 0
    for i in range(model.config.num_hidden_layers):
        before = found["embed"] if i == 0 else found[f"layer.{i - 1}"]
        gone = i in drop.attention and i in drop.mlp
        found[f"attn.{i}"] = before if i in drop.attention else read[f"attn.{place}"]
        found[f"layer.{i}"] = before if gone else read[f"layer.{place}"]
        place += not gone
    return found
