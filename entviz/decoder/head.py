"""From the last hidden states to next-token logits: the final norm and the unembedding of any decoder.

    head = examine_head(...)                 # done by entviz.decoder.anatomy.examine
    logits = head.logits(hidden)             # (..., vocabulary)

In most models the logits are the unembedding matrix times the normed state, and ``head.unembedding`` is that matrix. If
the model scales or caps its logits (Cohere, Granite, Gemma 2), it is None and the model's own code is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from entviz.decoder.stand_in import StandIn
from entviz.decoder.views import replaced
from entviz.errors import ModelError


@dataclass(frozen=True, eq=False)
class Head:
    """The final norm and the unembedding of a model."""

    model: PreTrainedModel
    norms: tuple[nn.Module, ...]  # what the model's body does after its last layer, in order
    unembedding: nn.Linear | None  # None if logits are not a linear function of the normed state

    def normed(self, hidden: Tensor) -> Tensor:
        """Hidden states after the last layer (..., width) in the form that the unembedding reads."""
        for norm in self.norms:
            hidden = norm(hidden)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits (..., vocabulary) of hidden states after the last layer (..., width)."""
        return self.unembed(self.normed(hidden))

    def unembed(self, normed: Tensor) -> Tensor:
        """Next-token logits (..., vocabulary) of states that :meth:`normed` returned."""
        if self.unembedding is not None:
            return self.unembedding(normed)
        return _own_logits(self.model, normed)


class _BodyOutput(BaseModelOutputWithPast):
    """The part of a body's output that a head reads. Values that only a loss needs, such as router logits, are None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class _Body(nn.Module):
    """Replaces a model's body and returns given hidden states."""

    def __init__(self, normed: Tensor) -> None:
        super().__init__()
        self.normed = normed

    def forward(self, *args: Any, **kwargs: Any) -> BaseModelOutputWithPast:
        return _BodyOutput(last_hidden_state=self.normed)


def _own_logits(model: PreTrainedModel, normed: Tensor) -> Tensor:
    flat = normed.reshape(1, -1, normed.shape[-1])
    view = replaced(model, {model.base_model_prefix: _Body(flat)})
    ids = torch.zeros(flat.shape[:2], dtype=torch.long, device=flat.device)
    logits = view(input_ids=ids, use_cache=False).logits
    return logits.reshape(*normed.shape[:-1], logits.shape[-1])


def examine_head(
    model: PreTrainedModel,
    layers_path: str,
    recorders: Callable[[], nn.ModuleList],
    token_ids: Tensor,
    hidden: Tensor,
) -> Head:
    """Find the modules after the last layer, and check them against the model's own logits.

    ``recorders`` makes stand-ins for the layers that return their input; ``hidden`` (windows, tokens, width) is then
    the input of the final norm. Raises ``ModelError`` if the modules found do not give the model's logits.
    """
    parent = layers_path.rpartition(".")[0]
    children = dict(model.get_submodule(parent).named_children())
    order: list[str] = []
    # The factor for the output of each child, with "" for the output of the last layer.
    stretched: dict[str, float] = {}

    def spy(name: str, child: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        order.append(name)
        output = child(*args, **kwargs)
        if name not in stretched:
            return output
        if isinstance(output, tuple):
            return (output[0] * stretched[name], *output[1:])
        return output * stretched[name]

    stand_ins = recorders()
    last = stand_ins[-1]
    layers_name = layers_path.rpartition(".")[2]
    spies: dict[str, nn.Module] = {
        f"{parent}.{name}": StandIn(child, partial(spy, name))
        for name, child in children.items()
        if name != layers_name
        and not isinstance(child, (nn.ModuleList, nn.ModuleDict))  # containers are not called
    }
    stand_ins[-1] = StandIn(last, partial(spy, ""))
    view = replaced(model, {**spies, layers_path: stand_ins})
    expected = view(input_ids=token_ids, use_cache=False).logits
    after = order[len(order) - order[::-1].index("") :]
    norms = tuple(children[name] for name in after)
    # A cap hardly changes small logits, so states that give large logits are tried as well.
    factor = 1000 / max(float(expected.abs().max()), 1e-3)
    stretched[after[-1] if after else ""] = factor
    expected_large = view(input_ids=token_ids, use_cache=False).logits
    unembedding = model.get_output_embeddings()
    candidates = [unembedding, None] if isinstance(unembedding, nn.Linear) else [None]
    for candidate in candidates:
        head = Head(model, norms, candidate)
        normed = head.normed(hidden)
        if _agree(head.unembed(normed), expected) and _agree(head.unembed(normed * factor), expected_large):
            return head
    raise ModelError(
        f"The logits of {type(model).__name__} are not computed from its last hidden states in a way that entviz knows."
    )


def _agree(found: Tensor, expected: Tensor) -> bool:
    tolerance = 1e-3 if expected.dtype == torch.float32 else 5e-2
    return found.shape == expected.shape and torch.allclose(
        found.float(), expected.float(), rtol=tolerance, atol=tolerance * float(expected.abs().max())
    )
