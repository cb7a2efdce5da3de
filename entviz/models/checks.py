"""Whether a directory holds a causal language model that can be read safely, before anything large is read.

Only safetensors are accepted, because unpickling a ``.bin`` or ``.pth`` file runs whatever code its author put there;
code of the model's own is refused for the same reason.
"""

import json
import math
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from entviz.errors import ModelError
from entviz.models.library_errors import telling_line
from entviz.models.transformers_calls import config_from

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pth", ".pt", ".ckpt", ".pkl", ".pickle")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "tiktoken.model",
)
_MAX_JSON_BYTES = 100_000_000


def check_files(files: Iterable[str], name: str) -> list[str]:
    """Check by file names alone that a model can be read, and return the names of its weight files or their index.

    Args:
        files: names of the files at the top of the model's directory or repository.
        name: what to call the model in a message.

    Raises:
        ModelError: if there is no config, an adapter instead of a model, only pickled weights, or none at all.
    """
    files = set(files)
    if "adapter_config.json" in files:
        raise ModelError(
            f"{name} holds an adapter, not a whole model. Merge it into its base model (peft: merge_and_unload, "
            "save_pretrained) and load the result."
        )
    weights = WEIGHTS if WEIGHTS in files else WEIGHTS_INDEX if WEIGHTS_INDEX in files else None
    if weights is not None and "config.json" in files:
        return [weights]
    if any(file.endswith(PICKLES) for file in files) and weights is None:
        raise ModelError(
            f"{name} has its weights as a pickle, which can run code when it is read, so only safetensors and GGUF "
            "are loaded. Convert it where you trust it: from_pretrained(...), then save_pretrained(...)."
        )
    if any(file.endswith(".gguf") for file in files) and weights is None:
        raise ModelError(f"{name} holds GGUF files. Name one of them: a path that ends in .gguf.")
    if "config.json" not in files:
        raise ModelError(
            f"{name} has no config.json, so it is not a transformers model. "
            "Give a directory that save_pretrained wrote, or a .gguf file."
        )
    raise ModelError(
        f"{name} has a config.json but no weights. Put its {WEIGHTS} there, or choose another directory."
    )


def check_directory(directory: Path, name: str) -> Any:
    """Check that a directory can be loaded as a causal language model, and return its transformers config.

    Raises:
        ModelError: if files are missing, damaged or pickled; if the model is not a decoder-only causal language
            model, is quantized, or needs code of its own; or if its files are cut short.
    """
    check_files((file.name for file in directory.iterdir()), name)
    config = check_config(read_json(directory / "config.json", name), name)
    for file in named_weights(directory, name):
        if file != WEIGHTS_INDEX:
            safetensors_header(directory / file, name)
    return config


def check_config(values: Any, name: str) -> Any:
    """Turn the content of a ``config.json`` into a transformers config of a decoder-only causal language model.

    Raises:
        ModelError: if it describes anything else.
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
    kind: str = values["model_type"]
    if kind not in CONFIG_MAPPING:
        if values.get("auto_map"):
            raise ModelError(
                f"{name} needs program code that comes with it, which entviz never runs. "
                "Choose a model whose architecture is part of transformers."
            )
        raise ModelError(
            f"{name} is of the type {kind!r}, which this version of transformers does not know. "
            "Choose another model, or update transformers."
        )
    architectures = [str(architecture) for architecture in values.get("architectures") or ()]
    causal = CAUSAL.get(kind)
    heads = {causal} if isinstance(causal, str) else set(causal or ())
    # A body without a head ("LlamaModel") is fine where the head is the embedding; missing weights show up later.
    fits = not architectures or any(a in heads or a.endswith("Model") for a in architectures)
    both_ways = values.get("is_encoder_decoder") or (kind in MASKED and not values.get("is_decoder"))
    if not heads or not fits or both_ways:
        what = architectures[0] if architectures else f"{kind} model"
        raise ModelError(
            f"{name} is a {what}, not a causal language model. Choose a decoder-only model that predicts the next "
            "token, such as Llama, Qwen, Gemma or GPT-2."
        )
    if values.get("transformers_weights"):
        raise ModelError(
            f"The config.json of {name} names a weight file of its own choice, which is not followed. "
            f"Save the model again, so that its weights are in {WEIGHTS}."
        )
    if values.get("quantization_config"):
        raise ModelError(
            f"{name} has quantized weights, whose hidden states cannot be measured as they are. "
            "Choose the original model, or a GGUF file of it."
        )
    try:
        return config_from(values)
    except Exception as error:  # config classes validate in many ways, all of which mean the same here
        raise ModelError(
            f"The config.json of {name} cannot be used: {telling_line(error)}. Restore the model's own file."
        ) from error


def count_parameters(directory: Path, name: str) -> int:
    """Return how many numbers the weight files of a checked directory hold, reading only their headers."""
    return sum(
        math.prod(entry["shape"])
        for file in named_weights(directory, name)
        if file != WEIGHTS_INDEX
        for entry in safetensors_header(directory / file, name).values()
    )


def safetensors_header(path: Path, name: str) -> dict[str, Any]:
    """Return what a safetensors file says about its tensors: name to ``{"dtype", "shape", "data_offsets"}``.

    Raises:
        ModelError: if it is not a safetensors file, or its size is not what its header says.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _MAX_JSON_BYTES):
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if size != 8 + length + end:
            raise ValueError(f"it has {size} bytes instead of {8 + length + end}")
    except (
        OSError,
        struct.error,
        ValueError,
        RecursionError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise ModelError(
            f"The weight file {path.name} of {name} is damaged ({telling_line(error)}). Download or save it again."
        ) from error
    return dict(header)


def read_json(path: Path, name: str) -> Any:
    """Return the content of one of a model's JSON files.

    Raises:
        ModelError: if it cannot be read, is huge, or is not JSON.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError("the file is too large")
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"The {path.name} of {name} cannot be read ({telling_line(error)}). Download or save it again."
        ) from error


def named_weights(directory: Path, name: str) -> list[str]:
    """Return the names of the weight files that transformers reads, and of their index if they have one.

    Raises:
        ModelError: if the index is damaged, or a file that it names is missing or lies elsewhere.
    """
    if (directory / WEIGHTS).is_file():
        return [WEIGHTS]
    places = read_json(directory / WEIGHTS_INDEX, name)
    places = places.get("weight_map") if isinstance(places, dict) else None
    if not isinstance(places, dict) or not places:
        raise ModelError(f"The {WEIGHTS_INDEX} of {name} names no files. Download or save it again.")
    shards = sorted({str(place) for place in places.values()})
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(
                f"The {WEIGHTS_INDEX} of {name} points to {shard!r}, which is not a safetensors file beside it. "
                "Use a model whose weights lie in its own directory."
            )
        if not (directory / shard).is_file():
            raise ModelError(f"{name} lacks its weight file {shard}. Download or save it again.")
    return [*shards, WEIGHTS_INDEX]
