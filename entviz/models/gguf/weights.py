"""Check that a GGUF file's tensors match the model that is built for it, before any tensor is unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from entviz.errors import ModelError
from entviz.models.bounded_building import bounded_building, most_parts
from entviz.models.gguf.header import Header
from entviz.models.gguf.positions import TENSORS
from entviz.models.transformers_calls import skeleton
from entviz.progress import Progress, silent

_AHEAD: Final = (
    "qwen35",
    "qwen35moe",
)  # a last block that predicts further tokens; transformers leaves it out


@dataclass(frozen=True)
class Expected:
    """The content of a conversion.

    Attributes:
        elements: the number of weights in the model, shared ones counted once.
        largest: the number of elements in the largest tensor of the file.
        zeros: biases that the architecture requires and the file does not have; they become 0.
    """

    elements: int
    largest: int
    zeros: tuple[str, ...]


def check_weights(
    header: Header, config: Any, values: Mapping[str, Any], progress: Progress = silent
) -> Expected:
    """Compare a file's tensors with the model that is built for it.

    Args:
        header: the file's header.
        config: the config of the model.
        values: the config as plain data.
        progress: called while the model is built without memory; it can raise ``Cancelled``.

    Raises:
        ModelError: if a tensor is missing, has another shape, or would be left out.
    """
    with bounded_building(most_parts(len(header.tensors)), progress):
        model = skeleton(config, progress)
    tensors = {name: tensor for name, tensor in header.tensors.items() if name not in TENSORS}
    if header.architecture in _AHEAD:
        last = f"blk.{config.get_text_config().num_hidden_layers}."
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(last)}
    state = model.state_dict()
    places = _places(header.architecture, model, values)
    zeros: tuple[str, ...] = ()
    if places is not None:
        # Stacked experts are parameters, not modules; transformers names them without the suffix.
        places |= {f"{name}.weight": place for name, place in places.items() if name.endswith("_exps")}
        surplus = sorted(name for name in tensors if name not in places)
        if surplus:
            raise ModelError(
                f"{header.path} holds {_counted(surplus)}, which transformers' {config.model_type} does not have, so "
                "the loaded model would compute something else. Use the model's safetensors."
            )
        held: dict[str, int] = {}
        for name, tensor in tensors.items():
            held[places[name]] = held.get(places[name], 0) + tensor.elements
        absent = sorted(name for name, place in places.items() if place not in held and place in state)
        shared = _shared(model)
        absent = [name for name in absent if not (shared.get(places[name], set()) & held.keys())]
        # One setting creates biases for all projections of an attention; a missing bias is set to 0.
        zeros = tuple(places[name] for name in absent if name.endswith("attn_output.bias"))
        absent = [name for name in absent if places[name] not in zeros]
        if absent:
            raise ModelError(
                f"{header.path} lacks {_counted(absent)}, which its architecture needs. "
                "Use a complete file, or the model's safetensors."
            )
        for place, elements in held.items():
            if place in state and state[place].numel() != elements:
                raise ModelError(
                    f"{header.path} holds {elements:,} numbers for {place}, but its metadata give it the shape "
                    f"{' × '.join(map(str, state[place].shape))}. Convert the model again."
                )
    elements = _elements(model)
    in_file = sum(tensor.elements for tensor in tensors.values()) + sum(state[name].numel() for name in zeros)
    if elements != in_file:
        raise ModelError(
            f"{header.path} holds {in_file:,} weights, but the model that its metadata describe has {elements:,}. "
            "Convert the model again, or use its safetensors."
        )
    return Expected(elements, max(tensor.elements for tensor in tensors.values()), zeros)


def _counted(names: list[str]) -> str:
    return f"the tensor {names[0]}" if len(names) == 1 else f"{len(names)} tensors such as {names[0]}"


def _places(architecture: str, model: Any, values: Mapping[str, Any]) -> dict[str, str] | None:
    """The model's name for each name in the file, by transformers' reader; None for tensors that it reports itself."""
    from transformers import modeling_gguf_pytorch_utils as reading
    from transformers.integrations.gguf import is_gguf_arch_supported

    if is_gguf_arch_supported(architecture):
        return None
    kind = reading.TENSOR_PROCESSORS.get(architecture, reading.TensorProcessor)
    places: dict[str, str] = reading.get_gguf_hf_weights_map(model, kind(config=dict(values)))
    return places


def _shared(model: Any) -> dict[str, set[str]]:
    """All names of a shared weight, by each of its names."""
    names: dict[int, set[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), set()).add(name)
    return {name: group for group in names.values() for name in group}


def _elements(model: Any) -> int:
    saved = model.state_dict().keys()
    return sum(weight.numel() for weight in model.parameters()) + sum(
        buffer.numel() for name, buffer in model.named_buffers() if name in saved
    )
