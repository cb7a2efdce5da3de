"""Take a layer apart into its attention and its MLP, and run it with one of them or none.

    plan = plan_for(layer, call, hidden)           # runs the layer on a few tokens; it is not changed
    middle, after = plan.step(layer).trace(hidden, call)

See :mod:`entviz.decoder.anatomy` for what is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from entviz.decoder.stand_in import StandIn
from entviz.decoder.views import replaced
from entviz.errors import ModelError


@dataclass(frozen=True)
class Call:
    """All arguments of a layer besides its hidden states: masks, positions, caches and any others."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, module: nn.Module, hidden: Tensor) -> Tensor:
        """Call ``module`` on hidden states (windows, tokens, width) the way the model calls its layer."""
        output = module(hidden, *self.args, **self.kwargs)
        return output[0] if isinstance(output, (tuple, list)) else output


@dataclass(frozen=True, eq=False)
class SplitLayer:
    """One layer and its two halves. ``parallel`` tells whether both halves read the layer's input."""

    layer: nn.Module
    attention_half: nn.Module
    mlp_half: nn.Module
    parallel: bool
    attention_modules: tuple[nn.Module, ...]
    mlp_modules: tuple[nn.Module, ...]

    def trace(
        self, hidden: Tensor, call: Call, *, attention: bool = True, mlp: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Run the layer with only the given blocks.

        Returns the hidden states after the attention (site attn.i) and after the MLP (layer.i). Where nothing changes
        the stream they are the very tensor that was there before.
        """
        middle = call.run(self.attention_half, hidden) if attention else hidden
        if not mlp:
            return middle, middle
        if self.parallel and attention:
            return middle, call.run(self.mlp_half, hidden) + (middle - hidden)
        return middle, call.run(self.mlp_half, middle)

    def run(self, hidden: Tensor, call: Call, *, attention: bool = True, mlp: bool = True) -> Tensor:
        """Run the layer with only the given blocks; a dropped block is not computed."""
        if attention and mlp:
            return call.run(self.layer, hidden)
        if attention:
            return call.run(self.attention_half, hidden)
        if mlp:
            return call.run(self.mlp_half, hidden)
        return hidden

    def half(self, hidden: Tensor, call: Call, kind: str, *, run: bool = True) -> Tensor:
        """Run attention (``kind`` attn) or MLP (mlp) of a sequential layer alone, or nothing in its place."""
        if not run:
            return hidden
        return call.run(self.attention_half if kind == "attn" else self.mlp_half, hidden)


class _Nothing(nn.Module):
    """Replaces a block and adds nothing. It returns zero, or the residual if the block itself adds the residual."""

    def __init__(self, style: str, outputs: int) -> None:
        super().__init__()
        self.style, self.outputs = style, outputs

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        tensors = [
            value for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim >= 2
        ]
        if self.style == "residual":
            result = kwargs["residual"] if "residual" in kwargs else tensors[1]
        elif self.style == "scalar":  # broadcasting spares the memory traffic of a whole tensor of zeros
            result = tensors[0].new_zeros(())
        else:
            result = torch.zeros_like(tensors[0])
        return (result, *[None] * (self.outputs - 1)) if self.outputs else result


@dataclass(frozen=True)
class LayerPlan:
    """How to make the halves of every layer with the same structure as an examined layer."""

    parallel: bool
    attention: tuple[str, ...]  # what is removed with the attention: itself, and the norms that only it uses
    mlp: tuple[str, ...]
    without_attention: dict[str, nn.Module] = field(default_factory=dict)
    without_mlp: dict[str, nn.Module] = field(default_factory=dict)

    def step(self, layer: nn.Module) -> SplitLayer:
        """The halves of a layer."""
        return SplitLayer(
            layer,
            attention_half=replaced(layer, self.without_mlp),
            mlp_half=replaced(layer, self.without_attention),
            parallel=self.parallel,
            attention_modules=tuple(layer.get_submodule(name) for name in self.attention),
            mlp_modules=tuple(layer.get_submodule(name) for name in self.mlp),
        )


def plan_for(layer: nn.Module, call: Call, hidden: Tensor) -> LayerPlan:
    """How to split a layer, checked by running it on ``hidden`` (windows, tokens, width).

    Raises ``ModelError`` if it is not an attention and an MLP that each add to the stream.
    """
    attention, mlp = _find_blocks(layer)
    flow = _flow(layer, call, hidden, {*attention, *mlp})
    whole = call.run(layer, hidden)
    for attention_style in ("scalar", "full", "residual"):
        for mlp_style in ("scalar", "full", "residual"):
            without_attention = _without(attention, attention_style, flow, others=mlp)
            without_mlp = _without(mlp, mlp_style, flow, others=attention)
            try:
                plan = _checked(layer, call, hidden, whole, without_attention, without_mlp)
            except (RuntimeError, IndexError, TypeError, AttributeError):
                continue  # this way of standing in for a block does not fit how the layer adds its output
            if plan is not None:
                return plan
    raise ModelError(
        f"The layers of this model ({type(layer).__name__}) are not an attention and an MLP that each add to the "
        "residual stream, so entviz cannot drop one without the other."
    )


def _checked(
    layer: nn.Module,
    call: Call,
    hidden: Tensor,
    whole: Tensor,
    without_attention: dict[str, nn.Module],
    without_mlp: dict[str, nn.Module],
) -> LayerPlan | None:
    neither = replaced(layer, {**without_attention, **without_mlp})
    if not _same(call.run(neither, hidden), hidden, hidden):
        return None
    names = tuple(without_attention), tuple(without_mlp)
    for parallel in (False, True):
        plan = LayerPlan(parallel, *names, without_attention, without_mlp)
        middle, after = plan.step(layer).trace(hidden, call)
        if (
            after.shape == whole.shape
            and _same(after, whole, whole - hidden)
            and middle.shape == hidden.shape
        ):
            return plan
    return None


def _same(one: Tensor, other: Tensor, scale: Tensor) -> bool:
    tolerance = 1e-3 if one.dtype in (torch.float32, torch.float64) else 5e-2
    largest = (one.float() - other.float()).abs().max()
    return one.shape == other.shape and bool(largest <= tolerance * scale.float().abs().max() + 1e-6)


def _find_blocks(layer: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a layer's attention and MLP. They are the children with matrices, distinguished by their names."""
    heavy = [
        name
        for name, child in layer.named_children()
        if any(parameter.ndim >= 2 for parameter in child.parameters()) and "cross" not in name
    ]
    attention = tuple(name for name in heavy if "attn" in name.lower() or "attention" in name.lower())
    mlp = tuple(name for name in heavy if name not in attention)
    if len(attention) != 1 or not mlp:
        raise ModelError(
            f"The layers of this model ({type(layer).__name__}) hold {', '.join(heavy) or 'nothing'}; entviz needs "
            "one attention and one MLP in each."
        )
    return attention, mlp


def _flow(
    layer: nn.Module, call: Call, hidden: Tensor, blocks: set[str]
) -> dict[str, tuple[list[int], int, Any]]:
    """Run the layer once. Return for each child the ids of its input tensors, the id of its output, and the output."""
    notes: dict[str, tuple[list[int], int, Any]] = {}
    alive: list[Any] = []  # ids stay distinct only while the tensors live

    def spy(name: str, child: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        output = child(*args, **kwargs)
        given = output[0] if isinstance(output, tuple) else output
        taken = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        alive.extend([*taken, given])
        notes[name] = ([id(value) for value in taken], id(given), output)
        return output

    spied = {
        name: StandIn(child, partial(spy, name))
        for name, child in layer.named_children()
        if not isinstance(child, nn.ModuleList)
    }
    call.run(replaced(layer, spied), hidden)
    return notes


def _without(
    block: tuple[str, ...], style: str, flow: dict[str, tuple[list[int], int, Any]], others: tuple[str, ...]
) -> dict[str, nn.Module]:
    """Replacements that remove a block from a layer, with the norms that only serve its input or its output."""
    gone: dict[str, nn.Module] = {}
    for name in block:
        output = flow[name][2]
        gone[name] = _Nothing(style, len(output) if isinstance(output, tuple) else 0)
    light = [name for name in flow if name not in block and name not in others]
    taken_by_others = {tensor for name in others for tensor in flow[name][0]}
    for name in light:
        taken, given, _ = flow[name]
        feeds_only_this = any(given in flow[part][0] for part in block) and given not in taken_by_others
        follows = style != "residual" and any(flow[part][1] in taken for part in block)
        if feeds_only_this or (follows and given not in taken_by_others):
            gone[name] = nn.Identity()
    return gone
