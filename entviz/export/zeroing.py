"""Make a block add nothing in any program: set its output projection to zero, which is found by trying.

    view = without_blocks(anatomy, 5, attention=False, mlp=True)      # layer 5 with its attention silenced

Which weights of a block come last differs by architecture, and some architectures have a norm after a block, or biases.
So nothing is looked up by name. First all weights of a block are set to zero, so that it adds nothing. Then weights are
restored one by one, from the first on, as long as the block still adds nothing. The remaining zero weights are as few
as possible and come last: in Llama ``self_attn.o_proj.weight`` or ``mlp.down_proj.weight``. All other weights of the
block are kept, so training can make it active again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from entviz.decoder.anatomy import Anatomy
from entviz.decoder.offloading import resident, running_device
from entviz.decoder.splitting import Call, SplitLayer
from entviz.decoder.views import replaced
from entviz.errors import ExportError


@dataclass(frozen=True, eq=False)
class Silenced:
    """A view of a layer with blocks silenced, and the names of the weights in it that are zero."""

    layer: nn.Module
    zeroed: tuple[str, ...]


def silenced(anatomy: Anatomy, index: int, *, attention: bool, mlp: bool) -> Silenced:
    """Layer ``index`` with the blocks that are True silenced. Everything else is shared with the model, which is not
    changed.

    Raises ``ExportError`` if no zero weights make the layer equal to the layer without the block.
    """
    step = anatomy.split_layers[index]
    with torch.inference_mode(), resident(step.layer):
        token_ids = probe(anatomy, windows=1, tokens=7)
        hidden, calls = anatomy.begin(token_ids)
        names: list[str] = []
        if attention:
            names += _fewest(step, calls[index], hidden, step.attention_modules, attention=False, mlp=True)
        if mlp:
            names += _fewest(step, calls[index], hidden, step.mlp_modules, attention=True, mlp=False)
        return Silenced(_with_zeros(step.layer, names), tuple(names))


def probe(anatomy: Anatomy, *, windows: int, tokens: int) -> Tensor:
    """Token ids (windows, tokens) spread over the vocabulary, always the same."""
    device = running_device(anatomy.model.get_input_embeddings())
    vocabulary = anatomy.model.get_input_embeddings().num_embeddings
    ids = torch.arange(windows * tokens, device=device) * 7919 + 11
    return ids.remainder(vocabulary).reshape(windows, tokens)


def _fewest(
    step: SplitLayer, call: Call, hidden: Tensor, block: Iterable[nn.Module], *, attention: bool, mlp: bool
) -> list[str]:
    """The names, within the layer, of the fewest of a block's weights that must be zero."""
    wanted = step.run(hidden, call, attention=attention, mlp=mlp)

    def does(names: list[str]) -> bool:
        found = call.run(_with_zeros(step.layer, names), hidden)
        scale = wanted.float().abs().max()
        return bool((found.float() - wanted.float()).abs().max() <= 1e-5 * scale)

    groups = _groups(step.layer, block)
    names = [name for group in groups for name in group]
    if not does(names):
        raise ExportError(
            f"Zero weights do not silence a block of {type(step.layer).__name__}: it still adds something. "
            "Drop whole layers of this model, or export the prune set as a recipe."
        )
    for group in groups:
        fewer = [name for name in names if name not in group]
        if does(fewer):
            names = fewer
    return names


def _groups(layer: nn.Module, block: Iterable[nn.Module]) -> list[list[str]]:
    """The block's weights in the order in which to restore them; the same weight of all experts forms a group.

    Otherwise an expert that no token of the probe used would seem to need no zeros.
    """
    modules = list(block)
    norms = {id(weight) for module in modules[1:] for weight in module.parameters() if weight.ndim < 2}
    ours = {id(weight) for module in modules for weight in module.parameters()}
    named = [(name, weight) for name, weight in layer.named_parameters() if id(weight) in ours]
    named.sort(
        key=lambda item: id(item[1]) not in norms
    )  # norms first; otherwise in the order they were made in
    groups: dict[str, list[str]] = {}
    for name, _ in named:
        groups.setdefault(re.sub(r"\.\d+\.", ".#.", name), []).append(name)
    return list(groups.values())


def _with_zeros(layer: nn.Module, names: Iterable[str]) -> nn.Module:
    """A view of a layer in which the named weights are zero."""
    by_owner: dict[str, list[str]] = {}
    for name in names:
        owner, _, weight = name.rpartition(".")
        by_owner.setdefault(owner, []).append(weight)
    views = {}
    for owner, weights in by_owner.items():
        module = layer.get_submodule(owner)
        view = replaced(module, {})
        view.__dict__["_parameters"] = module._parameters | {
            weight: nn.Parameter(torch.zeros_like(module.get_parameter(weight)), requires_grad=False)
            for weight in weights
        }
        views[owner] = view
    return replaced(layer, views)
