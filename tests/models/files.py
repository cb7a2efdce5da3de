"""Small copies of model files as users have them: directories, tokenizers, GGUF files."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from tests.tiny import WIDTH, build

# Bytes as byte-level tokenizers write them, so that any text can be read; printable ones only.
LETTERS = [
    letter for letter in sorted(pre_tokenizers.ByteLevel.alphabet()) if letter.isascii() or letter == "Ġ"
]
TOKENS = ["<pad>", "<s>", "</s>", *LETTERS, "ab"]


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of single letters."""
    core = Tokenizer(BPE(vocab={token: index for index, token in enumerate(TOKENS)}, merges=[("a", "b")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def saved(
    directory: Path, architecture: str = "llama", *, with_tokenizer: bool = True, **options: Any
) -> Any:
    """Save a tiny model as a directory, and return the model."""
    model = build(architecture, **options)
    model.save_pretrained(directory)
    if with_tokenizer:
        tokenizer().save_pretrained(directory)
    return model


def saved_loud(directory: Path, letter: str = ",", times: float = 300.0) -> Any:
    """Save a tiny model in which a letter's hidden states are many times as long as those of other letters."""
    model = saved(directory)
    with torch.no_grad():
        model.get_input_embeddings().weight[TOKENS.index(letter)] *= times
    model.save_pretrained(directory)
    return model


def snapshot(cache: Path, hub_id: str) -> Path:
    """The directory, still empty, in which the hub's own library keeps a model in its cache."""
    kept = cache / f"models--{hub_id.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    directory = kept / "snapshots" / ("0" * 40)
    directory.mkdir(parents=True)
    return directory


def edit_config(directory: Path, **changes: Any) -> None:
    """Change values of a saved config; None removes one."""
    path = directory / "config.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def write_gguf(path: Path, layers: int = 2, seed: int = 0) -> None:
    """Write a tiny Llama as a GGUF file, half its matrices quantized to 8 bits."""
    random = np.random.default_rng(seed)
    hidden = 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3] + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)

    def add(name: str, *shape: int, packed: bool = False) -> None:
        values = (random.standard_normal(shape) * 0.2 + (len(shape) == 1)).astype(np.float32)
        if packed:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)

    add("token_embd.weight", len(TOKENS), WIDTH)
    add("output.weight", len(TOKENS), WIDTH, packed=True)
    add("output_norm.weight", WIDTH)
    for index in range(layers):
        layer = f"blk.{index}"
        add(f"{layer}.attn_norm.weight", WIDTH)
        add(f"{layer}.ffn_norm.weight", WIDTH)
        add(f"{layer}.attn_q.weight", WIDTH, WIDTH, packed=True)
        add(f"{layer}.attn_k.weight", WIDTH // 2, WIDTH)
        add(f"{layer}.attn_v.weight", WIDTH // 2, WIDTH)
        add(f"{layer}.attn_output.weight", WIDTH, WIDTH, packed=True)
        add(f"{layer}.ffn_gate.weight", hidden, WIDTH, packed=True)
        add(f"{layer}.ffn_up.weight", hidden, WIDTH)
        add(f"{layer}.ffn_down.weight", WIDTH, hidden, packed=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
