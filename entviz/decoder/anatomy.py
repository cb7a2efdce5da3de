"""Find the layers, attentions and MLPs in any Hugging Face decoder by running it, not by names.

    anatomy = examine(model)                       # runs a few tokens; the model is not changed
    hidden, calls = anatomy.begin(token_ids)       # the input of layer 0, and the arguments of each layer
    for step, call in zip(anatomy.split_layers, calls):
        middle, hidden = step.trace(hidden, call)  # the sites attn.i and layer.i
    logits = anatomy.head.logits(hidden)

A layer is split into two halves: the layer without its MLP, and the layer without its attention. Both are views that
share the layer's weights (see :mod:`entviz.decoder.views`). In a sequential layer, the second half applied to the
output of the first equals the layer. In a parallel layer (GPT-NeoX, GPT-J, Falcon, Phi), both halves read the layer's
input, and what they add to it sums to what the layer adds. Before anything is measured, :func:`examine` checks on real
hidden states that one of the two is true, and that a layer without both blocks changes nothing. Other models are
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from entviz.blocks import Block, PruneSet
from entviz.decoder.head import Head, examine_head
from entviz.decoder.offloading import running_device
from entviz.decoder.stand_in import StandIn
from entviz.decoder.views import replaced, with_own_buffers
from entviz.errors import ModelError, TextError


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


@dataclass(frozen=True, eq=False)
class Anatomy:
    """How to run a decoder layer by layer. It holds no state of a run, so threads can share it."""

    model: PreTrainedModel
    layers_path: str
    split_layers: tuple[SplitLayer, ...]
    head: Head
    tuple_outputs: bool
    resumable: bool  # False if layers pass on more than hidden states, so that a run cannot start midway
    most_tokens: (
        int | None
    )  # the length of its table of positions; None if it computes positions of any length
    changes: tuple[tuple[int, str], ...] = ()  # a layer and what was patched in it, see decoder.patches

    @property
    def layers(self) -> int:
        """The number of transformer layers."""
        return len(self.split_layers)

    def changes_before(self, layer: int) -> frozenset[tuple[int, str]]:
        """What was patched before ``layer``, for keys of hidden states that enter it."""
        return frozenset(change for change in self.changes if change[0] < layer)

    def begin(self, token_ids: Tensor, cache: Any = None) -> tuple[Tensor, list[Call]]:
        """Embed token ids (windows, tokens); return the input of layer 0 and each layer's :class:`Call`.

        With a KV ``cache``, the token ids continue the cached sequence. Raises ``TextError`` if there are more tokens
        than the model has positions, or for an id without an embedding.
        """
        vocabulary = self.model.get_input_embeddings().weight.shape[0]
        lowest, highest = (int(value) for value in token_ids.aminmax())
        if lowest < 0 or highest >= vocabulary:
            raise TextError(
                f"Token id {lowest if lowest < 0 else highest} is outside the vocabulary: the model knows ids 0 to "
                f"{vocabulary - 1}. Were the ids made by another model's tokenizer?"
            )
        if self.most_tokens is not None and token_ids.shape[1] > self.most_tokens:
            raise TextError(
                f"This model reads at most {self.most_tokens} tokens at once, but {token_ids.shape[1]} were given: "
                "use shorter windows."
            )
        return _begin(self.model, self.layers_path, token_ids, cache, self.tuple_outputs)

    def run(self, token_ids: Tensor, drop: PruneSet, cache: Any = None) -> Tensor:
        """Final hidden states (windows, tokens, width) of the model without ``drop``, before the last norm."""
        hidden, calls = self.begin(token_ids, cache)
        for i, (step, call) in enumerate(zip(self.split_layers, calls, strict=True)):
            hidden = step.run(hidden, call, attention=i not in drop.attention, mlp=i not in drop.mlp)
        return hidden

    def parameters(self, drop: PruneSet | Sequence[Block] = ()) -> dict[int, nn.Parameter]:
        """The parameters that removing ``drop`` physically would remove, by ``id`` (tied parameters count once)."""
        gone: list[nn.Module] = []
        for block in PruneSet(drop):
            step = self.split_layers[block.index]
            gone += {"layer": (step.layer,), "attn": step.attention_modules, "mlp": step.mlp_modules}[
                block.kind
            ]
        return {id(parameter): parameter for module in gone for parameter in module.parameters()}


def examine(model: PreTrainedModel) -> Anatomy:
    """Find the parts of a causal language model, and check each result by running a few tokens.

    Raises ``ModelError`` if the model does not consist of layers with one attention and one MLP that add to a residual
    stream.
    """
    try:
        return _examine(model)
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # layers that pass on more than hidden states fail in different ways
        raise ModelError(
            f"The layers of {type(model).__name__} cannot be run one at a time ({error}), so entviz cannot measure "
            "them. Choose a model of the Llama, GPT, Qwen or a similar family."
        ) from error


def _examine(model: PreTrainedModel) -> Anatomy:
    path, layers = find_layers(model)
    vocabulary = model.get_input_embeddings().num_embeddings
    token_ids = (
        (torch.arange(7, device=running_device(model.get_input_embeddings())) * 37 + 11)
        .remainder(vocabulary)
        .unsqueeze(0)
    )
    with torch.inference_mode():
        tuple_outputs = _outputs_are_tuples(model, path, token_ids)
        hidden, calls = _begin(model, path, token_ids, None, tuple_outputs)
        if hidden.ndim != 3:
            raise ModelError(
                f"{type(model).__name__} has hidden states of {hidden.ndim} dimensions, but entviz needs 3: a single "
                "residual stream."
            )
        known: dict[object, _Plan] = {}
        steps = []
        for layer, call in zip(layers, calls, strict=True):
            signature = (type(layer), tuple((name, type(child)) for name, child in layer.named_children()))
            if signature not in known:
                known[signature] = _plan(layer, call, hidden)
            steps.append(known[signature].step(layer))
        head = examine_head(model, path, lambda: _recorders(layers, tuple_outputs), token_ids, hidden)
    mutable = any(isinstance(value, dict) for value in calls[0].kwargs.values())
    return Anatomy(
        model, path, tuple(steps), head, tuple_outputs, resumable=not mutable, most_tokens=_most_tokens(model)
    )


# --- running the model's own code around the layers ---------------------------------------------------------------


class _Recorder(StandIn):
    """Records the arguments of a layer and returns the layer's input."""

    def __init__(self, layer: nn.Module, tuple_output: bool) -> None:
        super().__init__(layer)
        self.__dict__.update(note=None, _tuple_output=tuple_output)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            hidden, args = args[0], args[1:]
        else:
            hidden = kwargs.pop("hidden_states")
        self.__dict__["note"] = (hidden, Call(args, kwargs))
        return (hidden, None, None) if self.__dict__["_tuple_output"] else hidden


def _recorders(layers: Sequence[nn.Module], tuple_outputs: bool) -> nn.ModuleList:
    return nn.ModuleList(_Recorder(layer, tuple_outputs) for layer in layers)


def _begin(
    model: PreTrainedModel, path: str, token_ids: Tensor, cache: Any, tuple_outputs: bool
) -> tuple[Tensor, list[Call]]:
    recorders = _recorders(list(_submodule(model, path).children()), tuple_outputs)
    body = _body_with(model, path, recorders)
    body(input_ids=token_ids, past_key_values=cache, use_cache=cache is not None)
    notes = [recorder.__dict__["note"] for recorder in recorders]
    return notes[0][0], [call for _, call in notes]


def _outputs_are_tuples(model: PreTrainedModel, path: str, token_ids: Tensor) -> bool:
    """Whether layers return tuples. The first is run, and the others do as it does."""
    kinds: list[bool] = []

    def look(layer: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        if kinds:
            hidden = args[0] if args else kwargs["hidden_states"]
            return (hidden, None, None) if kinds[0] else hidden
        output = layer(*args, **kwargs)
        kinds.append(isinstance(output, (tuple, list)))
        return output

    looks = nn.ModuleList(StandIn(layer, look) for layer in _submodule(model, path).children())
    _body_with(model, path, looks)(input_ids=token_ids, use_cache=False)
    return kinds[0]


def _body_with(model: PreTrainedModel, path: str, layers: nn.ModuleList) -> nn.Module:
    """A view of the model's body with other layers. One thread can run it while another runs the model."""
    prefix = f"{model.base_model_prefix}."
    parent = path.rpartition(".")[0]
    # Rotary embeddings that scale with the length of the text (dynamic, longrope) write to their buffers in a run.
    stateful = {
        f"{parent}.{name}".removeprefix(prefix): with_own_buffers(child)
        for name, child in _submodule(model, parent).named_children()
        if next(child.parameters(), None) is None and next(child.buffers(), None) is not None
    }
    body = _submodule(model, model.base_model_prefix)
    return replaced(body, {**stateful, path.removeprefix(prefix): layers})


def _submodule(model: nn.Module, path: str) -> nn.Module:
    return model.get_submodule(path)


def find_layers(model: PreTrainedModel) -> tuple[str, list[nn.Module]]:
    """The path of a model's list of layers, and the layers. Raises ``ModelError`` if it has none."""
    count = model.config.get_text_config(decoder=True).num_hidden_layers
    prefix = model.base_model_prefix
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count and name.startswith(f"{prefix}.")
    ]
    if not found:
        raise ModelError(
            f"{type(model).__name__} has no list of {count} decoder layers, so entviz cannot find its blocks."
        )
    name, modules = min(found, key=lambda item: item[0].count("."))
    return name, list(modules)


def _most_tokens(model: PreTrainedModel) -> int | None:
    """The number of positions in a model's table of position embeddings; None if the model computes positions."""
    positions = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if not isinstance(positions, int):
        return None
    sizes = [
        module.num_embeddings
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module is not model.get_input_embeddings()
    ]
    sizes += [size for buffer in model.buffers() for size in buffer.shape]
    # Some tables begin with rows that belong to no position.
    return positions if any(positions <= size <= positions + 2 for size in sizes) else None


# --- taking a layer apart ------------------------------------------------------------------------------------------


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
class _Plan:
    """How to make the halves of every layer with the same structure as an examined layer."""

    parallel: bool
    attention: tuple[str, ...]  # what is removed with the attention: itself, and the norms that only it uses
    mlp: tuple[str, ...]
    without_attention: dict[str, nn.Module] = field(default_factory=dict)
    without_mlp: dict[str, nn.Module] = field(default_factory=dict)

    def step(self, layer: nn.Module) -> SplitLayer:
        return SplitLayer(
            layer,
            attention_half=replaced(layer, self.without_mlp),
            mlp_half=replaced(layer, self.without_attention),
            parallel=self.parallel,
            attention_modules=tuple(layer.get_submodule(name) for name in self.attention),
            mlp_modules=tuple(layer.get_submodule(name) for name in self.mlp),
        )


def _plan(layer: nn.Module, call: Call, hidden: Tensor) -> _Plan:
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
) -> _Plan | None:
    neither = replaced(layer, {**without_attention, **without_mlp})
    if not _same(call.run(neither, hidden), hidden, hidden):
        return None
    names = tuple(without_attention), tuple(without_mlp)
    for parallel in (False, True):
        plan = _Plan(parallel, *names, without_attention, without_mlp)
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
