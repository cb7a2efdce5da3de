"""GGUF files as llama.cpp's converter writes them, of tiny transformers models, written with the gguf package.

``write(path, model)`` gives a file of the model that computes the same; its options leave things out or add some. What
llama.cpp does to tensors (rows of queries and keys in another order, norms plus one, transposed matrices) is done here
by hand, so that files are independent of the code that reads them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.models.files import TOKENS
from tests.tiny import OPTIONS, build

# transformers' model type, and llama.cpp's name for it.
NAMES = {
    "gemma3_text": "gemma3",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
    "mistral": "llama",
}
_NORMS_PLUS_ONE = ("gemma2", "gemma3_text", "nemotron")


_LLAMA = OPTIONS["llama"]
_MOE = {**_LLAMA, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
# What transformers' reader knows and tests.tiny does not, and what files cannot say otherwise.
FURTHER: dict[str, dict[str, Any]] = {
    "qwen2": _LLAMA,
    "phi3": {**_LLAMA, "original_max_position_embeddings": 128},
    "starcoder2": _LLAMA,
    "stablelm": _LLAMA,
    "nemotron": {**_LLAMA, "head_dim": 8},
    "qwen2_moe": {**_MOE, "shared_expert_intermediate_size": 40},
    "qwen3_moe": {**_MOE, "head_dim": 8, "norm_topk_prob": True},
    "lfm2": {
        **_LLAMA,
        "layer_types": ["conv", "full_attention", "conv", "full_attention"],
        "block_auto_adjust_ff_dim": False,
    },
}


def made(kind: str, **options: Any) -> Any:
    """A tiny model of any kind, with weights that make every part of it count."""
    if kind == "gemma3_text":
        options.setdefault("query_pre_attn_scalar", OPTIONS[kind]["head_dim"])  # as llama.cpp has it
    if kind in OPTIONS:
        return build(kind, **options)
    common = {
        "vocab_size": 101,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "num_hidden_layers": 4,
    }
    config = AutoConfig.for_model(kind, **{**common, **FURTHER[kind], **options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 1:
                    weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval()


def metadata(model: Any) -> dict[str, Any]:
    """What a file says of a model under its architecture's name, as plain numbers."""
    c = model.config
    kind = c.model_type
    heads, width = c.num_attention_heads, c.hidden_size
    said: dict[str, Any] = {
        "block_count": c.num_hidden_layers,
        "embedding_length": width,
        "attention.head_count": heads,
        "context_length": getattr(c, "max_position_embeddings", 128),
    }
    wide = getattr(c, "intermediate_size", None) or getattr(c, "ffn_hidden_size", None)
    said["feed_forward_length"] = wide or getattr(c, "n_inner", None) or 4 * width
    kv = getattr(c, "num_key_value_heads", None) or getattr(c, "num_kv_heads", None)
    if kind == "lfm2":
        said["attention.head_count_kv"] = [kv if t == "full_attention" else 0 for t in c.layer_types]
        said["shortconv.l_cache"] = c.conv_L_cache
    elif kv is not None:
        said["attention.head_count_kv"] = 1 if kind == "falcon" else kv
    for name in ("rms_norm_eps", "norm_eps"):
        if hasattr(c, name):
            key = "layer_norm_epsilon" if kind == "nemotron" else "layer_norm_rms_epsilon"
            said[f"attention.{key}"] = getattr(c, name)
    for name in ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"):
        if hasattr(c, name):
            said["attention.layer_norm_epsilon"] = getattr(c, name)
    if getattr(c, "head_dim", None) and kind not in ("llama", "nemotron"):
        said["attention.key_length"] = said["attention.value_length"] = c.head_dim
    rope = getattr(c, "rope_parameters", None)
    if rope:
        rope = rope.get("full_attention", rope)
        said["rope.freq_base"] = float(rope["rope_theta"])
        if kind not in ("gemma2", "gemma3_text"):
            head = getattr(c, "head_dim", None) or width // heads
            said["rope.dimension_count"] = int(head * rope.get("partial_rotary_factor", 1.0))
    if "gemma" in kind:
        said["attention.sliding_window"] = c.sliding_window
        said["attention.sliding_window_pattern"] = [each == "sliding_attention" for each in c.layer_types]
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if getattr(c, name, None):
            said[name] = getattr(c, name)
    if kind.endswith("_moe"):
        said["expert_count"], said["expert_used_count"] = c.num_experts, c.num_experts_per_tok
        said["expert_feed_forward_length"] = c.moe_intermediate_size
        if kind == "qwen2_moe":
            said["expert_shared_feed_forward_length"] = c.shared_expert_intermediate_size
    if kind == "stablelm":
        said["use_parallel_residual"] = c.use_parallel_residual
    return said


def tensors(model: Any) -> dict[str, np.ndarray]:
    """A model's weights by llama.cpp's names and in its order."""
    kind = model.config.model_type
    name = NAMES.get(kind, kind)
    architecture = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == name)
    known = gguf.get_tensor_name_map(architecture, model.config.num_hidden_layers)
    found: dict[str, np.ndarray] = {}
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for source, weight in model.state_dict().items():
        if tied and source == "lm_head.weight":
            continue
        values = weight.float().numpy()
        if source.endswith("experts.gate_up_proj"):
            layer = source.split(".")[2]
            half = values.shape[1] // 2
            found[f"blk.{layer}.ffn_gate_exps.weight"] = values[:, :half]
            found[f"blk.{layer}.ffn_up_exps.weight"] = values[:, half:]
            continue
        if source.endswith("experts.down_proj"):
            found[f"blk.{source.split('.')[2]}.ffn_down_exps.weight"] = values
            continue
        endings = (".weight", ".bias")
        # llama.cpp converts BLOOM without its outer module.
        target = known.get_name(source, endings) or known.get_name(
            source.removeprefix("transformer."), endings
        )
        assert target is not None, source
        found[target] = _as_llama_cpp(target, values, model.config)
    return found


def write(
    path: Path,
    model: Any,
    *,
    says: Mapping[str, Any] | None = None,
    more: Mapping[str, np.ndarray] | None = None,
    drop: Callable[[str], bool] = lambda name: False,
    rename: Callable[[str], str] = lambda name: name,
    packed: gguf.GGMLQuantizationType | None = None,
    name: str = "tiny",
    tokenizer: bool = True,
    other: Mapping[str, Any] | None = None,
) -> Path:
    """Write a GGUF file of a model.

    Args:
        path: the file.
        model: a tiny transformers model; its vocabulary is that of :data:`TOKENS`, or larger.
        says: values under the architecture's name that replace or add to those of the model; None leaves one out.
        more: tensors that it has besides.
        drop: names of tensors to leave out.
        rename: another name for a tensor.
        packed: how matrices of 32 columns are quantized.
        name: general.name.
        tokenizer: whether it has one.
        other: whole keys and values, such as ``split.no``.
    """
    architecture = NAMES.get(model.config.model_type, model.config.model_type)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    for key, value in {**metadata(model), **(says or {})}.items():
        if value is not None:
            _add(writer, f"{architecture}.{key}", value)
    for key, value in (other or {}).items():
        _add(writer, key, value)
    if tokenizer:
        count = model.config.vocab_size
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([*TOKENS, *(f"[PAD{i}]" for i in range(len(TOKENS), count))][:count])
        writer.add_token_types(([3, 3, 3] + [1] * count)[:count])
        writer.add_token_merges(["a b"])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_pad_token_id(0)
    for target, values in {**tensors(model), **(more or {})}.items():
        if drop(target):
            continue
        values = np.ascontiguousarray(values, np.float32)
        if packed is not None and values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(rename(target), gguf.quants.quantize(values, packed), raw_dtype=packed)
        else:
            writer.add_tensor(rename(target), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_int64(key, value) if value < 0 else writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _as_llama_cpp(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    kind = config.model_type
    if kind in ("llama", "mistral") and (".attn_q." in name or ".attn_k." in name):
        heads = config.num_attention_heads if ".attn_q." in name else config.num_key_value_heads
        halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        return halves.swapaxes(1, 2).reshape(values.shape)
    if kind in _NORMS_PLUS_ONE and name.endswith("norm.weight"):
        return values + 1
    if kind == "gpt2" and values.ndim == 2 and name.startswith("blk."):
        return values.T
    if kind == "bloom" and ".attn_qkv." in name:
        heads, width = config.n_head, config.hidden_size
        each = values.reshape(heads, 3, width // heads, *values.shape[1:])
        return each.swapaxes(0, 1).reshape(values.shape)
    if kind == "lfm2" and values.ndim == 3:
        return values.squeeze(1)
    if kind == "qwen2_moe" and "ffn_gate_inp_shexp" in name:
        return values.reshape(-1)
    return values


def logits(model: Any, tokens: int = 24) -> torch.Tensor:
    """A model's logits on fixed token ids, shape (1, tokens, vocabulary), by its own forward pass."""
    ids = torch.arange(tokens).unsqueeze(0) * 7 % 90 + 3
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits
