"""Write a GGUF file of a model loaded from safetensors, for architectures with a simple mapping.

    write_gguf(order, Path("pruned.gguf"))

Tensors get the names of llama.cpp, which the ``gguf`` package knows; matrices keep the model's number type, vectors
are float32. Llama's query and key rows are put into llama.cpp's order, which rotates neighbouring dimensions, while
transformers rotates halves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from entviz.decoder.offloading import read
from entviz.errors import ExportError
from entviz.export.request import ExportRequest
from entviz.progress import Progress, silent

ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")
_INSTEAD: Final = "Export a Transformers checkpoint and run llama.cpp's convert_hf_to_gguf.py on it."

# How texts are split before merging, by llama.cpp's name for it.
_LLAMA_3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITTERS: Final = {_LLAMA_3: "llama-bpe", _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}"): "qwen2"}


def write_gguf(
    request: ExportRequest,
    target: Path,
    progress: Progress = silent,
    weights: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write the kept layers into a GGUF file.

    ``progress`` is called with the number of written tensors and can raise ``Cancelled``. ``weights`` are written
    instead of the model's own of the same names.

    Raises ``ExportError`` if the architecture or the tokenizer has no simple equivalent, ``OSError`` if the file cannot
    be written.
    """
    from gguf import GGUFWriter

    config = request.loaded.model.config
    kind = config.model_type
    _check(config)
    names = _tensor_names(request, kind)
    writer = GGUFWriter(target, kind)
    _add_settings(writer, request, config)
    _add_tokenizer(writer, request.loaded.optional_tokenizer)
    state = {**request.loaded.model.state_dict(), **weights}
    try:
        for number, (source, name) in enumerate(names.items()):
            progress(number, len(names))
            weight = state[source]
            if weight.is_meta:
                weight = read(request.loaded.model, source)
            data, raw = as_stored(_reordered(weight, name, config))
            writer.add_tensor(name, data, raw_dtype=raw)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _check(config: Any) -> None:
    kind = config.model_type
    if kind not in ARCHITECTURES:
        raise ExportError(
            f"GGUF files can be written for {', '.join(ARCHITECTURES)}, not for {kind}. {_INSTEAD}"
        )
    rope = getattr(config, "rope_parameters", None) or {}
    plain = (
        rope.get("rope_type", "default") == "default"
        and getattr(config, "hidden_act", "silu") == "silu"
        and all(each == "full_attention" for each in getattr(config, "layer_types", None) or ())
        and not getattr(config, "mlp_bias", False)
        and not (kind != "qwen2" and getattr(config, "attention_bias", False))
    )
    if not plain:
        raise ExportError(
            f"This {kind} model has scaled rotary positions, sliding-window attention, another activation or unusual "
            f"biases, which entviz cannot write to GGUF. {_INSTEAD}"
        )


def _tensor_names(request: ExportRequest, kind: str) -> dict[str, str]:
    """The model's tensors that are kept, and the name of each in the file."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    known = get_tensor_name_map(MODEL_ARCH[kind.upper()], request.loaded.layers)
    model = request.loaded.model
    places = {layer: place for place, layer in enumerate(request.kept)}
    prefix = f"{request.loaded.anatomy.layers_path}."
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    names: dict[str, str] = {}
    for source in model.state_dict():
        renamed = source
        if source.startswith(prefix):
            layer, _, rest = source.removeprefix(prefix).partition(".")
            if int(layer) not in places:
                continue
            renamed = f"{prefix}{places[int(layer)]}.{rest}"
        name = known.get_name(renamed, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ExportError(f"llama.cpp has no name for the tensor {source}. {_INSTEAD}")
        if not (tied and name == "output.weight"):
            names[source] = name
    return names


def _reordered(weight: Tensor, name: str, config: Any) -> Tensor:
    if config.model_type != "llama" or not (".attn_q." in name or ".attn_k." in name):
        return weight
    heads = config.num_attention_heads if ".attn_q." in name else config.num_key_value_heads
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def as_stored(weight: Tensor) -> tuple[np.ndarray, Any]:
    """The numbers of a tensor as the file holds them, and their type if numpy's does not say it."""
    from gguf import GGMLQuantizationType, quants

    weight = weight.detach().cpu()
    if weight.ndim < 2 or weight.dtype == torch.float32:
        return weight.float().contiguous().numpy(), None
    if weight.dtype == torch.float16:
        return weight.contiguous().numpy(), None
    packed = quants.quantize(weight.float().contiguous().numpy(), GGMLQuantizationType.BF16)
    return packed, GGMLQuantizationType.BF16


def _add_settings(writer: Any, request: ExportRequest, config: Any) -> None:
    from gguf import LlamaFileType

    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    types = {
        torch.float32: LlamaFileType.ALL_F32,
        torch.float16: LlamaFileType.MOSTLY_F16,
        torch.bfloat16: LlamaFileType.MOSTLY_BF16,
    }
    writer.add_name(request.loaded.name.rpartition("/")[2])
    writer.add_file_type(types[request.loaded.dtype])
    writer.add_block_count(len(request.kept))
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base((config.rope_parameters or {}).get("rope_theta", 10000.0))
    writer.add_rope_dimension_count(head)
    writer.add_vocab_size(config.vocab_size)
    if head * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head)
        writer.add_value_length(head)


def _add_tokenizer(writer: Any, tokenizer: Any) -> None:
    from gguf import TokenType

    if tokenizer is None:
        writer.add_tokenizer_model("none")
        return
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts = json.loads(backend.to_str()) if backend is not None else {}
    splitter = _splitter(parts.get("pre_tokenizer"))
    if parts.get("model", {}).get("type") != "BPE" or parts.get("normalizer", {"type": "NFC"}) not in (
        None,
        {"type": "NFC"},
    ):
        splitter = None
    if splitter is None:
        raise ExportError(f"The tokenizer is of a kind that entviz cannot write to GGUF. {_INSTEAD}")
    vocabulary: dict[str, int] = parts["model"]["vocab"] | {
        token["content"]: token["id"] for token in parts["added_tokens"]
    }
    special = {token["id"]: token["special"] for token in parts["added_tokens"]}
    by_id = {number: token for token, number in vocabulary.items()}
    count = max(by_id) + 1
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitter)
    writer.add_token_list([by_id.get(number, f"[PAD{number}]") for number in range(count)])
    writer.add_token_types([_token_type(number, by_id, special, TokenType) for number in range(count)])
    merges = parts["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    for name in ("bos", "eos", "pad", "unk"):
        number = getattr(tokenizer, f"{name}_token_id", None)
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id])
    if isinstance(getattr(tokenizer, "chat_template", None), str):
        writer.add_chat_template(tokenizer.chat_template)


def _token_type(number: int, by_id: dict[int, str], special: dict[int, bool], types: Any) -> Any:
    if number not in by_id:
        return types.UNUSED
    if number in special:
        return types.CONTROL if special[number] else types.USER_DEFINED
    return types.NORMAL


def _splitter(pre: Any) -> str | None:
    """llama.cpp's name for the way in which texts are split before merging, or None if it is unknown."""
    steps = pre.get("pretokenizers", [pre]) if isinstance(pre, dict) else []
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        return _SPLITTERS.get(steps[0].get("pattern", {}).get("Regex"))
    return None
