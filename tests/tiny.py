"""Tiny, randomly initialised models of every kind of architecture that entviz must handle.

``build("gemma3_text")`` returns a transformers model of width 32 with a vocabulary of 101 ids. The same arguments
always give the same weights. Weights are drawn wider than usual, so that every block makes a visible difference.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

VOCABULARY_SIZE = 101
WIDTH = 32
HEADS = 4

_COMMON = {
    "vocab_size": VOCABULARY_SIZE,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_LLAMA = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
_GPT = {"n_embd": WIDTH, "n_head": HEADS, "n_positions": 128, "initializer_range": 0.2}
_PLAIN = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}

# What each architecture needs beyond the above; how it differs from Llama is why it is here.
OPTIONS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "qwen3": {**_LLAMA, "head_dim": 8},  # norms on queries and keys
    "gpt2": _GPT,  # learned positions, Conv1D
    "gpt_neox": _PLAIN,  # attention and MLP in parallel, two norms
    "gemma3_text": {**_LLAMA, "head_dim": 8, "sliding_window": 8},  # post-norms
    "bloom": {"hidden_size": WIDTH, "n_head": HEADS, "initializer_range": 0.2},  # residual added inside
    "gptj": {**_GPT, "rotary_dim": 4},  # parallel, one shared norm
    "phi": {**_PLAIN, "num_key_value_heads": HEADS},  # parallel, one shared norm, partial rotary
    "falcon": {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "initializer_range": 0.2,
    },  # parallel, multi-query
    "olmo2": _LLAMA,  # post-norms only
    "opt": {
        "hidden_size": WIDTH,
        "ffn_dim": 64,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 128,
        "word_embed_proj_dim": WIDTH,
        "init_std": 0.2,
    },  # learned positions with an offset, MLP without a module of its own
    "mixtral": {**_LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2},  # a mixture of experts
    "gemma2": {
        **_LLAMA,
        "head_dim": 8,
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
    },  # soft caps, post-norms
}


def build(architecture: str, layers: int = 4, seed: int = 0, **options: Any) -> Any:
    """Build a tiny causal language model in evaluation mode.

    Args:
        architecture: a transformers model type, one of :data:`OPTIONS`.
        layers: number of transformer layers.
        seed: of the random weights.
        options: config values that override the defaults.
    """
    if "sliding_window" in OPTIONS[architecture]:
        # Both kinds of attention, whatever the number of layers.
        kinds = ("sliding_attention", "full_attention")
        options.setdefault("layer_types", [kinds[index % 2] for index in range(layers)])
    settings = {**_COMMON, **OPTIONS[architecture], "num_hidden_layers": layers, **options}
    config = AutoConfig.for_model(architecture, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for weight in model.parameters():
                # Norm weights and biases start constant, which would hide a norm that is skipped or applied twice.
                if weight.dim() == 1:
                    weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval().requires_grad_(False)
