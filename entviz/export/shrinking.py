"""The config of a model with fewer layers: counts lowered, and every list that has a value a layer shortened.

    smaller_config(model.config, kept=[0, 1, 3])      # a new config; the model's own is not changed

Nothing here knows an architecture by name, but a few fields that hold layers' numbers rather than one value a layer.
What this does not foresee is found when the exported checkpoint is loaded back and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Counts of layers, under the names that architectures give it.
_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
# Numbers of layers: the layers that are different, by their index.
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
        config: the whole model's; a text model inside another config is found.
        kept: the indices of the layers that stay, ascending.

    Raises ``ValueError`` (and what config classes raise) where the result is not a config of that class.
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
