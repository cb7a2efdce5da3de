"""Check that a config and the tensors beside it belong to one model, before either is loaded.

    check_counts(values, tensors, "my-model")            # no count that the tensors cannot fill
    plan = check_fit(config, tensors, "my-model")        # every name, shape and type

The comparison is done by transformers: it loads tensors without content into a model without memory, with all of its
renaming, merging and tying, and reports missing tensors, tensors left over and other shapes. In addition, every weight
in the files must reach the model: weights without a place in it are refused, unless they are known to have no effect.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from entviz.errors import EntvizError, ModelError
from entviz.models.bounded_building import TooManyPartsError, bounded_building, most_parts
from entviz.models.config_file import counts, short
from entviz.models.headers import TYPES, Tensor
from entviz.models.library_errors import telling_line
from entviz.models.transformers_calls import dry_run
from entviz.progress import Progress, silent

_LEAST_BOUND = 1024  # counts up to it are always plausible
_LEAST_LAYERS = (
    64  # as are numbers of layers up to it, such as those of an image encoder that the files leave out
)
_LAYER_COUNT = re.compile(r"(num_|n_)(hidden_|decoder_)?layers?")

# The first number in a tensor's name is its layer's: model.layers.3.mlp.experts.7.weight
_IN_A_LAYER = re.compile(r"(?P<layers>.*?)\.(?P<index>\d+)\.")
# What wrappers put before the names of the modules inside them, and how to save without it.
_WRAPPERS = {
    "_orig_mod.": "torch.compile: save model._orig_mod",
    "module.": "DataParallel: save model.module",
    "_fsdp_wrapped_module.": "FSDP: gather the full state dict",
    "_forward_module.": "a training framework: save the model inside",
    "base_model.model.": "peft: merge_and_unload, then save_pretrained",
}
# Buffers of older versions, which follow from the config; other heads, other modalities, parts only for training.
_DOES_NOTHING = re.compile(
    r"(^|\.)(rotary_emb|rotary_pos_emb|rotary)\.\w+$"
    r"|(^|\.)(inv_freq|position_ids|masked_bias|causal_mask|cos_cached|sin_cached)$"
    r"|(^|\.)(score|classifier|qa_outputs|v_head|value_head|reward_head|summary)\."
    r"|(^|\.)(vision|visual|image|audio|speech|video)\w*(\.|$)|(^|\.)(multi_modal|mm)_projector"
    r"|(^|\.)mtp(_\w+)?(\.|$)"
)
_MASK = re.compile(
    r"(attn|attention)\.bias$"
)  # of four dimensions: GPT-2's causal mask, once kept as a buffer


@dataclass(frozen=True)
class Plan:
    """The sizes of a model that fits its config.

    Attributes:
        parameters: the number of all weights, shared ones counted once.
        twice: the number of weights that are in memory twice while they are read: the largest tensor, which may be
            cast, or all tensors that are merged from several.
        buffer_bytes: the size of the buffers that the model creates from its config.
        left_out: names of tensors without a place in the model, which have no effect.
    """

    parameters: int
    twice: int
    buffer_bytes: int
    left_out: frozenset[str]


def check_counts(values: Any, tensors: Mapping[str, Tensor], name: str) -> None:
    """Check that every count in a ``config.json`` is possible with its tensors.

    Building a config already creates lists and tables of such lengths.

    Raises:
        ModelError: if a count is negative or too large; the message names it, with the count in the files.
    """
    largest = max((size for tensor in tensors.values() for size in tensor.shape), default=0)
    most = max(_LEAST_BOUND, len(tensors), largest)
    for key, value in counts(values):
        if _LAYER_COUNT.fullmatch(key) and not 1 <= value <= max(len(tensors), _LEAST_LAYERS):
            raise ModelError(
                f"{name} has weights for {_most_layers(tensors)} layers, but its config.json says {short(value)} "
                f"({key}). Restore the model's original file."
            )
        if value > most:
            raise ModelError(
                f"The config.json of {name} says {key} is {short(value)}, but its weights allow at most {most}. "
                "Restore the model's original file."
            )


def check_fit(
    config: Any,
    tensors: Mapping[str, Tensor],
    name: str,
    dtype: torch.dtype = torch.float32,
    progress: Progress = silent,
) -> Plan:
    """Check that each tensor has its place in the model of a config, and each weight of the model its tensor.

    Args:
        config: the transformers config.
        tensors: the tensors in the headers of the weight files, by name.
        name: the model's name for messages.
        dtype: the type in which the weights will be loaded.
        progress: called while the model is built without memory; it can raise ``Cancelled``.

    Raises:
        ModelError: if names, shapes, types or numbers of layers differ; the message gives both sides.
    """
    _check_prefix(tensors, name)
    most = most_parts(len(tensors))
    given = {key: tensor.on_meta() for key, tensor in tensors.items()}
    try:
        with bounded_building(most, progress):
            model, info = dry_run(config, given, dtype, progress)
    except TooManyPartsError as error:
        raise ModelError(
            f"The config.json of {name} describes a model of more than {most:,} modules, but its files hold only "
            f"{len(tensors)} tensors. Restore the model's original file."
        ) from error
    except EntvizError:
        raise
    except Exception as error:  # the code of any architecture, with values that its authors did not expect
        raise ModelError(
            f"{name} cannot be loaded: {telling_line(error)}. Check that its config.json belongs to its weights."
        ) from error
    unexpected = sorted(key for key in info["unexpected_keys"] if not _does_nothing(key, tensors, config))
    missing = sorted(info["missing_keys"])
    _check_layers(unexpected, missing, model, tensors, name)
    for key, found, wanted in sorted(info["mismatched_keys"]):
        raise ModelError(
            f"The tensor {key} of {name} has the shape {tuple(found)}, but its config.json requires {tuple(wanted)}. "
            "Check that the config.json belongs to the weights."
        )
    if unexpected:
        _check_whole_prefix(unexpected, missing, name)
        raise ModelError(
            f"{name} holds {len(unexpected)} tensors that do not belong to the model in its config.json, such as "
            f"{unexpected[0]}, so the loaded model would differ from the saved one. Restore the config.json of these "
            "weights."
        )
    if missing:
        # transformers would fill these with random numbers, and every figure would be about noise.
        raise ModelError(
            f"{name} lacks {len(missing)} of the weights of the model in its config.json, such as {missing[0]}. "
            "Give the complete files of a causal language model."
        )
    _check_types(tensors, name)
    return _plan(model, tensors, frozenset(info["unexpected_keys"]))


def _layers_in(tensors: Iterable[str]) -> dict[str, int]:
    """The paths of layers and the number of layers at each: the highest number in the names of tensors, plus one."""
    layers: dict[str, int] = {}
    for match in map(_IN_A_LAYER.match, tensors):
        if match is not None and len(match["index"]) < 10:
            layers[match["layers"]] = max(layers.get(match["layers"], 0), int(match["index"]) + 1)
    return layers


def _most_layers(tensors: Iterable[str]) -> int:
    return max(_layers_in(tensors).values(), default=0)


def _check_prefix(tensors: Mapping[str, Tensor], name: str) -> None:
    for prefix, origin in _WRAPPERS.items():
        wrapped = next((key for key in tensors if f".{prefix}" in f".{key}"), None)
        if wrapped is not None:
            raise ModelError(
                f"The weights of {name} have the unknown prefix {prefix!r} (as in {wrapped}). It comes from {origin} "
                "and give the new directory."
            )


def _check_whole_prefix(unexpected: list[str], missing: list[str], name: str) -> None:
    """Refuse tensors that are left over and differ from the missing ones only by a prefix."""
    wanted = set(missing)
    for key in unexpected:
        for place in (match.end() for match in re.finditer(r"\.", key)):
            prefix = key[:place]
            fitting = sum(other.startswith(prefix) and other[place:] in wanted for other in unexpected)
            if fitting > len(unexpected) / 2:
                raise ModelError(
                    f"The weights of {name} have the unknown prefix {prefix!r} (as in {key}). Rename the tensors, or "
                    "save the model inside the wrapper that put it there."
                )
        return


def _check_layers(
    unexpected: list[str], missing: list[str], model: Any, tensors: Mapping[str, Tensor], name: str
) -> None:
    """Compare the numbers of layers, for layers after the last that are left over or missing."""
    wanted, found = _layers_in(model.state_dict()), _layers_in([*tensors, *unexpected])
    for key in (*unexpected, *missing):
        match = _IN_A_LAYER.match(key)
        place = match["layers"] if match is not None else ""
        there = next((count for path, count in found.items() if _same_place(path, place)), 0)
        asked = wanted.get(place, 0)
        if match is not None and asked and there and min(asked, there) <= int(match["index"]):
            raise ModelError(
                f"{name} has weights for {there} layers, but its config.json says {asked} (in {place}). Restore the "
                "config.json of these weights, or the missing weights."
            )


def _same_place(found: str, place: str) -> bool:
    """Whether two paths refer to the same layers, with or without the model's own name as a prefix."""
    return found == place or found.endswith(f".{place}") or place.endswith(f".{found}")


def _does_nothing(key: str, tensors: Mapping[str, Tensor], config: Any) -> bool:
    if _DOES_NOTHING.search(key):
        return True
    if _MASK.search(key):
        stored = next((tensor for other, tensor in tensors.items() if other.endswith(key)), None)
        return stored is not None and len(stored.shape) == 4
    # Layers after the last that predict several tokens ahead; transformers leaves them out for some architectures.
    text = config.get_text_config(decoder=True)
    ahead, match = getattr(text, "num_nextn_predict_layers", None), _IN_A_LAYER.match(key)
    if not isinstance(ahead, int) or match is None or not isinstance(text.num_hidden_layers, int):
        return False
    return text.num_hidden_layers <= int(match["index"]) < text.num_hidden_layers + ahead


def _check_types(tensors: Mapping[str, Tensor], name: str) -> None:
    for key, tensor in tensors.items():
        packed = TYPES[tensor.dtype].itemsize == 1 and tensor.dtype != "BOOL"
        if packed and len(tensor.shape) == 2 and not _DOES_NOTHING.search(key):
            raise ModelError(
                f"The tensor {key} of {name} is stored as {tensor.dtype}, so its weights are quantized, and their "
                "hidden states cannot be measured as they are. Choose the original model, or a GGUF file of it."
            )


def _plan(model: Any, tensors: Mapping[str, Tensor], left_out: frozenset[str]) -> Plan:
    weights = dict(model.named_parameters())
    # Experts that the file holds one by one are all read, and then put together.
    merged = sum(weight.numel() for key, weight in weights.items() if weight.dim() > 2 and key not in tensors)
    buffers: dict[int, torch.Tensor] = {id(buffer): buffer for buffer in model.buffers()}
    return Plan(
        parameters=sum(weight.numel() for weight in weights.values()),
        twice=max(merged, *(weight.numel() for weight in weights.values())),
        buffer_bytes=sum(buffer.numel() * buffer.element_size() for buffer in buffers.values()),
        left_out=left_out,
    )
