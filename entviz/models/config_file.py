"""Read and validate a ``config.json``. It is refused if it does not describe a decoder-only language model."""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from entviz.errors import ModelError
from entviz.models.headers import WEIGHTS
from entviz.models.library_errors import telling_line
from entviz.models.transformers_calls import config_from

_Name = Annotated[str, StringConstraints(max_length=200)]
# Lists with one value per layer. Lists that a config class creates by itself are found by creating a config.
_A_VALUE_A_LAYER = re.compile(r"(\w+_)?layer_types|layers_block_type|no_rope_layers|\w+_per_layer")
# Counts of modules, heads, rows or table entries that are built.
_COUNT = re.compile(
    r"(?!\w*(position|ctx|embd|inner|param|token|train|step|sample))"
    r"((num|n)_\w+|\w*_(layers|heads|experts|labels|groups|blocks))"
)
_MOST = 1_000_000  # largest count of anything if there are no tensors that limit it
_NOT_A_VALUE_A_LAYER = ("architectures", "eos_token_id", "bos_token_id", "suppress_tokens")


class _Described(BaseModel):
    """What entviz itself reads of a ``config.json``. transformers reads the rest, each architecture its own."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model_type: _Name
    architectures: Annotated[list[_Name], Field(max_length=100)] | None = None
    is_encoder_decoder: bool | None = None
    is_decoder: bool | None = None
    auto_map: Any = None
    transformers_weights: Any = None
    quantization_config: Any = None


def check_values(values: Any, name: str) -> dict[str, Any]:
    """Check that a ``config.json`` describes a decoder-only causal language model of transformers, and return it.

    No config object is created yet.

    Raises:
        ModelError: if it describes anything else, or a value has the wrong type.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
    )

    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str):
        raise ModelError(
            f"The config.json of {name} names no model_type. Give a model that transformers can load."
        )
    try:
        described = _Described.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ModelError(
            f"The config.json of {name} cannot be used: {fault['loc'][0]}: {fault['msg'].lower()}. Restore the "
            "model's original file."
        ) from error
    kind = described.model_type
    if kind not in CONFIG_MAPPING:
        if described.auto_map:
            raise ModelError(
                f"{name} needs program code that comes with it, which entviz never runs. "
                "Choose a model whose architecture is part of transformers."
            )
        raise ModelError(
            f"{name} is of the type {kind!r}, which this version of transformers does not know. "
            "Choose another model, or update transformers."
        )
    architectures = described.architectures or []
    causal = CAUSAL.get(kind)
    heads = {causal} if isinstance(causal, str) else set(causal or ())
    # A body without a head ("LlamaModel") is valid if the head is the embedding; missing weights are found later.
    fits = not architectures or any(a in heads or a.endswith("Model") for a in architectures)
    both_ways = described.is_encoder_decoder or (kind in MASKED and not described.is_decoder)
    if not heads or not fits or both_ways:
        what = architectures[0] if architectures else f"{kind} model"
        raise ModelError(
            f"{name} is a {what}, not a causal language model. Choose a decoder-only model that predicts the next "
            "token, such as Llama, Qwen, Gemma or GPT-2."
        )
    if described.transformers_weights:
        raise ModelError(
            f"The config.json of {name} names a weight file (transformers_weights), which entviz does not read. "
            f"Save the model again, so that its weights are in {WEIGHTS}."
        )
    if described.quantization_config or any(
        key == "quantization_config" and value for key, value in _all(values)
    ):
        raise ModelError(
            f"{name} has quantized weights, whose hidden states cannot be measured as they are. "
            "Choose the original model, or a GGUF file of it."
        )
    odd = next((key for key, value in _all(values) if isinstance(value, float) and math.isnan(value)), None)
    if odd is not None:
        raise ModelError(
            f"The config.json of {name} gives NaN as the value of {odd[:100]}. Restore the model's original file."
        )
    return values


def counts(values: Any) -> Iterator[tuple[str, int]]:
    """Every count in a config, at any depth: numbers of things that are built or listed one by one, with its key."""
    if isinstance(values, dict):
        for key, value in values.items():
            inner = value if isinstance(value, list) else [value]
            if isinstance(key, str) and _COUNT.fullmatch(key):
                yield from (
                    (key, number)
                    for number in inner
                    if isinstance(number, int) and not isinstance(number, bool)
                )
            else:
                for nested in inner:
                    yield from counts(nested)


def check_config(values: Any, name: str) -> Any:
    """Turn the content of a ``config.json`` into a transformers config of a decoder-only causal language model.

    If the tensors are known, call :func:`entviz.models.fitting.check_counts` first: creating a config can take as much
    memory as its counts ask for.

    Raises:
        ModelError: for the reasons given for :func:`check_values`; if the architecture does not accept a value; or if a
            list with one value per layer does not have as many values as there are layers.
    """
    values = check_values(values, name)
    for key, value in counts(values):
        if value > _MOST:
            raise ModelError(
                f"The config.json of {name} says {key} is {short(value)}, but no model has such a count above "
                f"{_MOST:,}. Restore the model's original file."
            )
    try:
        config = config_from(values)
        _check_layer_lists(config, name)
    except ModelError:
        raise
    except Exception as error:  # config classes validate in many ways, all of which mean the same here
        raise ModelError(
            f"The config.json of {name} cannot be used: {telling_line(error)}. Restore the model's original file."
        ) from error
    return config


def short(value: int) -> str:
    """Return a whole number as text, or the number of its digits if it is long."""
    return f"{value:,}" if abs(value) < 10**15 else f"a number of {len(str(abs(value)))} digits"


def _check_layer_lists(config: Any, name: str) -> None:
    text = config.get_text_config(decoder=True)
    layers = getattr(text, "num_hidden_layers", None)
    if not isinstance(layers, int):
        return
    ahead = getattr(
        text, "num_nextn_predict_layers", None
    )  # layers that transformers leaves out may be listed too
    lengths = {layers, layers + ahead} if isinstance(ahead, int) else {layers}
    usual = type(text)()
    for key, value in vars(text).items():
        default = getattr(usual, key, None)
        made = isinstance(default, list) and len(default) == usual.num_hidden_layers
        if (
            isinstance(value, list)
            and (made or _A_VALUE_A_LAYER.fullmatch(key))
            and key not in _NOT_A_VALUE_A_LAYER
            and len(value) not in lengths
        ):
            raise ModelError(
                f"The config.json of {name} has {len(value)} values in {key} for {layers} layers "
                "(num_hidden_layers). Restore the model's original file, or give one value for each layer."
            )


def _all(values: Any) -> Iterator[tuple[str, Any]]:
    """Every value at any depth, with its key."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield key, value
            yield from ((inner or key, found) for inner, found in _all(value))
    elif isinstance(values, list):
        for value in values:
            yield "", value
            yield from _all(value)
