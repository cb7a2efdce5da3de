"""The meaning of each metadata value of a GGUF file for the model, and the equivalent config.

transformers' reader uses some values and silently drops the others. Here every value under the architecture's name is
either written to the config, compared with it, or known to have no effect; any other value is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from entviz.errors import ModelError
from entviz.models.gguf import positions
from entviz.models.gguf.header import MOST_LAYERS, Header, Strings
from entviz.models.gguf.positions import Turning

_EPSILON: Final = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")
# The file's key and its names in configs; the first name that a config has is set.
_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "context_length": ("max_position_embeddings",),
    "embedding_length": ("hidden_size",),
    "feed_forward_length": ("intermediate_size", "ffn_hidden_size", "n_inner"),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.layer_norm_rms_epsilon": _EPSILON,
    "attention.layer_norm_epsilon": _EPSILON,
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "expert_weights_norm": ("norm_topk_prob",),
    "use_parallel_residual": ("use_parallel_residual",),
    "vocab_size": ("vocab_size",),
}
# The shapes of tensors show these values, so a config does not need a name for them.
_SHOWN_BY_SHAPES: Final = (
    "context_length",
    "feed_forward_length",
    "vocab_size",
    "expert_feed_forward_length",
)
# Values with which a key has no effect; 0, false and an empty value never have one.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "attention.causal": (True,),
    "attention.max_alibi_bias": (8.0,),
    "expert_weights_scale": (1.0,),
    "expert_gating_func": (1,),
    "tensor_data_layout": ("Meta AI original pth", "reference"),
}
# Architectures whose keys transformers reads one by one, and which it reads.
_QWEN_35: Final = """attention.key_length attention.value_length ssm.time_step_rank nextn_predict_layers context_length
    embedding_length attention.head_count attention.head_count_kv attention.layer_norm_rms_epsilon
    full_attention_interval ssm.conv_kernel ssm.state_size ssm.group_count ssm.inner_size rope.dimension_sections
    feed_forward_length expert_feed_forward_length expert_shared_feed_forward_length expert_count expert_used_count
    vocab_size"""
_LFM_2: Final = """context_length embedding_length feed_forward_length attention.head_count attention.head_count_kv
    attention.layer_norm_rms_epsilon shortconv.l_cache vocab_size"""
_MAMBA: Final = """context_length embedding_length attention.layer_norm_rms_epsilon ssm.conv_kernel ssm.state_size
    ssm.time_step_rank ssm.inner_size vocab_size"""
_READ_BY_TRANSFORMERS: Final = {
    name: frozenset(keys.split())
    for name, keys in (("lfm2", _LFM_2), ("qwen35", _QWEN_35), ("qwen35moe", _QWEN_35), ("mamba", _MAMBA))
}
_SAFETENSORS: Final = "Use the model's safetensors."


def layer_count(header: Header) -> int:
    """The number of layers that the file states; exactly these layers have weights.

    Raises:
        ModelError: if the numbers differ, a layer between others is missing, or there are more than any model has.
    """
    said = header.value("block_count")
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= MOST_LAYERS:
        raise ModelError(
            f"{header.path} says {header.architecture}.block_count = {str(said)[:40]}, but a model has 1 to "
            f"{MOST_LAYERS} layers. Convert the model again."
        )
    found = {int(name.split(".")[1]) for name in header.tensors if _in_layer(name)}
    if found != set(range(said)):
        gap = next((layer for layer in range(max(found, default=0)) if layer not in found), None)
        remedy = (
            f"Convert the model again{'' if gap is not None else ', or if its tensors are right, correct the count'}"
            f"{'' if gap is not None else f': gguf-set-metadata FILE {header.architecture}.block_count {len(found)}'}."
        )
        lacking = "" if gap is None else f" and none for layer {gap}"
        raise ModelError(
            f"{header.path} has weights for {len(found)} layers{lacking}, but its {header.architecture}.block_count "
            f"says {said}. {remedy}"
        )
    for key, value in header.own.items():
        if isinstance(value, list) and len(value) != said and key != "rope.dimension_sections":
            raise ModelError(
                f"{header.path} gives {len(value)} values for {header.architecture}.{key}, but it has {said} layers. "
                "Convert the model again."
            )
    return said


def settings(header: Header, values: Mapping[str, Any], said: Turning) -> dict[str, Any]:
    """The config values that make the config match the file.

    Args:
        header: the file's header.
        values: the config as created by transformers' reader.
        said: the file's settings for rotary positions.

    Raises:
        ModelError: if a value cannot be given to this architecture.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    found = dict(values)
    if header.architecture == "llama":
        found["model_type"] = (
            "llama"  # also for a file that is called mistral, whose tensors transformers' reader cannot name
        )
    kind = CONFIG_MAPPING[found["model_type"]]
    read = _READ_BY_TRANSFORMERS.get(header.architecture)
    found.pop("_model_name_or_path", None)
    usual = kind()
    layers = header.value("block_count")

    def name_of(*names: str) -> str | None:
        names = tuple(kind.attribute_map.get(name, name) for name in names)
        return next((name for name in names if _settable(usual, name)), None)

    done = {"block_count", *positions.KEYS, "attention.key_length", "attention.value_length", *(read or ())}
    for key, value in header.own.items():
        if key in done:
            continue
        if isinstance(value, list) and key != "attention.sliding_window_pattern":
            raise ModelError(
                f"{header.path} gives each layer a different value of {header.architecture}.{key} "
                f"({str(value)[:60]}), which transformers does not support. {_SAFETENSORS}"
            )
        if key == "attention.sliding_window_pattern":
            found["layer_types"] = _layer_types(header, key, value, layers)
            continue
        attribute = name_of(*_ATTRIBUTES.get(key, ()))
        if attribute is not None:
            found[attribute] = None if key == "attention.sliding_window" and not value else value
        elif not (key in _SHOWN_BY_SHAPES or _changes_nothing(header, key, value)):
            raise ModelError(
                f"{header.path} says {header.architecture}.{key} = {str(value)[:40]}, which transformers' "
                f"{found['model_type']} does not support, so the loaded model would compute something else. "
                f"{_SAFETENSORS}"
            )
    if read is not None:
        _check_read(header, said)
        return found
    found[name_of("num_hidden_layers") or "num_hidden_layers"] = layers
    embedding = header.tensors.get("token_embd.weight")
    if embedding is not None and header.value("vocab_size") is None:
        found["vocab_size"] = embedding.shape[0]
    _set_heads(header, found, name_of)
    _set_from_tensors(header, found, usual)
    if (scalar := name_of("query_pre_attn_scalar")) is not None:
        found[scalar] = _gemma_scale(header, found)
    for name in ("rope_theta", "rope_scaling", "rope_parameters"):
        found.pop(name, None)
    turned = positions.rope_parameters(said, header, kind(**found))
    if turned is not None:
        found["rope_parameters"] = turned
        if name_of("original_max_position_embeddings") and "original_max_position_embeddings" in turned:
            found["original_max_position_embeddings"] = turned["original_max_position_embeddings"]
    return found


def _in_layer(name: str) -> bool:
    start, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return start == "blk" and number.isascii() and number.isdigit() and len(number) < 10


def _settable(config: Any, name: str) -> bool:
    derived = getattr(type(config), name, None)
    return hasattr(config, name) and not (isinstance(derived, property) and derived.fset is None)


def _changes_nothing(header: Header, key: str, value: Any) -> bool:
    if key == "attention.sliding_window":
        return bool(value >= (header.value("context_length") or 0))
    if key == "attention.causal":
        return value is True
    return not value or value in _NEUTRAL.get(key, ()) or (isinstance(value, Strings) and not value.count)


def _layer_types(header: Header, key: str, value: Any, layers: int) -> list[str]:
    """Which layers use sliding attention: one value per layer, or every n-th layer does not (llama.cpp's pattern)."""
    if isinstance(value, list):
        slides = [bool(each) for each in value]
    elif isinstance(value, int) and value > 0:
        slides = [(layer + 1) % value != 0 for layer in range(layers)]
    else:
        raise ModelError(
            f"{header.path} says {header.architecture}.{key} = {str(value)[:40]}. Convert it again."
        )
    return ["sliding_attention" if each else "full_attention" for each in slides]


def _set_heads(header: Header, found: dict[str, Any], name_of: Any) -> None:
    heads, width = header.value("attention.head_count"), header.value("embedding_length")
    heads = heads[0] if isinstance(heads, list) and heads else heads
    if not isinstance(heads, int) or not isinstance(width, int) or not 1 <= heads <= width <= 1 << 24:
        raise ModelError(
            f"{header.path} says attention.head_count = {str(heads)[:20]} and embedding_length = "
            f"{str(width)[:20]}, which is impossible. Convert it again."
        )
    key, value = header.value("attention.key_length", width // heads), header.value("attention.value_length")
    if value not in (None, key):
        raise ModelError(
            f"{header.path} says attention.key_length = {str(key)[:20]} and attention.value_length = "
            f"{str(value)[:20]}, which must be equal here. {_SAFETENSORS}"
        )
    attribute = name_of("head_dim")
    if attribute is not None:
        found[attribute] = key
    elif key != width // heads:
        raise ModelError(
            f"{header.path} says attention.key_length = {str(key)[:20]}, but transformers would use {width // heads} "
            f"({width} dimensions over {heads} heads). {_SAFETENSORS}"
        )


def _set_from_tensors(header: Header, found: dict[str, Any], usual: Any) -> None:
    """Settings that follow from the tensors: whether the unembedding is a separate matrix, and which biases exist."""
    found["tie_word_embeddings"] = "output.weight" not in header.tensors

    biased = {name.split(".")[2] for name in header.tensors if _in_layer(name) and name.endswith(".bias")}

    def any_of(*names: str) -> bool:
        return not biased.isdisjoint(names)

    attention = any_of("attn_q", "attn_k", "attn_v", "attn_output", "attn_qkv")
    mlp = any_of("ffn_gate", "ffn_up", "ffn_down")
    switches = {
        "attention_bias": attention,
        "qkv_bias": attention,
        "mlp_bias": mlp,
        "use_bias": attention or mlp,
    }
    found |= {name: value for name, value in switches.items() if _settable(usual, name)}


def _gemma_scale(header: Header, found: Mapping[str, Any]) -> int:
    """The divisor of Gemma's attention: the width of a head, except in the 27B models of two generations.

    No key gives it; llama.cpp recognises these models by their number of layers.
    """
    heads, width = found["num_attention_heads"], found["hidden_size"]
    is_27b = (header.architecture, header.value("block_count")) in {("gemma2", 46), ("gemma3", 62)}
    return int(width // heads if is_27b else found["head_dim"])


def _check_read(header: Header, said: Turning) -> None:
    if said.kind != "default" or said.short is not None or said.length != 1:
        raise ModelError(
            f"{header.path} scales its rotary positions (rope.scaling), which transformers ignores for "
            f"{header.architecture}. {_SAFETENSORS}"
        )
