"""The config of a model with fewer layers: counts are lowered, and lists with one value per layer are shortened.

    smaller_config(model.config, kept=[0, 1, 3])      # a new config; the model's own is not changed

Nothing here depends on an architecture, except a few fields that hold indices of layers instead of one value per layer.
Errors in other cases are found when the exported checkpoint is loaded back and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Names of the number of layers in different architectures.
_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
# Lists of indices of layers that differ from the others.
_INDICES = ("mlp_only_layers", "moe_layers", "attn_layer_indices", "hybrid_layer_ids")
# How many of the first layers are different.
_LEADING = ("first_k_dense_replace", "max_window_layers")
# Lists that may happen to be as long as there are layers.
_NOT_A_VALUE_A_LAYER = ("architectures", "eos_token_id", "bos_token_id", "suppress_tokens")
# Describe files, not the model.
_OF_THE_FILES = ("quantization_config", "_name_or_path", "auto_map")


def smaller_config(config: Any, kept: Sequence[int]) -> Any:
    """A transformers config for the layers ``kept``, renumbered from 0.

    Args:
        config: the config of the whole model; a text model inside another config is found.
        kept: the indices of the kept layers, ascending.

    Raises ``ValueError`` (and the errors of config classes) if the result is not a valid config of that class.
    """
    text = config.get_text_config(decoder=True)
    layers: int = text.num_hidden_layers
    values = config.to_dict()
    for name in _OF_THE_FILES:
        values.pop(name, None)
    nested = next((name for name, value in vars(config).items() if value is text), None)
    inner = values if nested is None else values[nested]
    for name, value in inner.items():
        inner[name] = _smaller(name, value, layers, kept)
    return type(config).from_dict(values)


def _smaller(name: str, value: Any, layers: int, kept: Sequence[int]) -> Any:
    if name in _COUNTS and value == layers:
        return len(kept)
    if name in _LEADING and isinstance(value, int):
        return sum(layer < value for layer in kept)
    if name in _INDICES and isinstance(value, (list, tuple)):
        return [place for place, layer in enumerate(kept) if layer in value]
    if name == "attention_types":  # GPT-Neo: [[["global", "local"], 12]], a pattern and how often it repeats
        kinds = [kind for pattern, times in value for kind in list(pattern) * times]
        return [[[kinds[layer] for layer in kept], 1]]
    if isinstance(value, (list, tuple)) and len(value) == layers and name not in _NOT_A_VALUE_A_LAYER:
        return [value[layer] for layer in kept]
    return value
