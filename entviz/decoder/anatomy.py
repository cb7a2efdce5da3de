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
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from entviz.blocks import Block, PruneSet
from entviz.decoder.head import Head, examine_head
from entviz.decoder.offloading import running_device
from entviz.decoder.splitting import Call, LayerPlan, SplitLayer, plan_for
from entviz.decoder.stand_in import StandIn
from entviz.decoder.views import replaced, with_own_buffers
from entviz.errors import ModelError, TextError


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
        known: dict[object, LayerPlan] = {}
        steps = []
        for layer, call in zip(layers, calls, strict=True):
            signature = (type(layer), tuple((name, type(child)) for name, child in layer.named_children()))
            if signature not in known:
                known[signature] = plan_for(layer, call, hidden)
            steps.append(known[signature].step(layer))
        head = examine_head(model, path, lambda: _recorders(layers, tuple_outputs), token_ids, hidden)
    mutable = any(isinstance(value, dict) for value in calls[0].kwargs.values())
    return Anatomy(
        model, path, tuple(steps), head, tuple_outputs, resumable=not mutable, most_tokens=_most_tokens(model)
    )


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
