"""The settings in a GGUF file reach the model, or the file is refused: against the model it was written from."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from entviz.errors import ModelError
from entviz.models import load
from entviz.models.gguf import converted, read_gguf
from tests.models.gguf_files import FURTHER, logits, made, write
from tests.tiny import WIDTH


def read(path: Path) -> Any:
    """The model that entviz makes of a file."""
    return read_gguf(path)[0]


def agrees(path: Path, model: Any, tokens: int = 24) -> bool:
    """Whether entviz makes a model of the file that computes what this one does, also when it is loaded again."""
    expected = logits(model, tokens)
    assert expected.std() > 0.1
    again = AutoModelForCausalLM.from_pretrained(converted(path))
    return all(
        torch.allclose(logits(found, tokens), expected, rtol=1e-4, atol=1e-4) for found in (read(path), again)
    )


@pytest.mark.parametrize(
    "kind",
    [
        "llama",
        "qwen2",
        "gemma3_text",
        "gpt2",
        *(
            pytest.param(kind, marks=pytest.mark.exhaustive)
            for kind in ("qwen3", "gemma2", "bloom", "falcon", *FURTHER)
            if kind != "qwen2"
        ),
    ],
)
def test_file_is_the_model_it_was_written_from(cache, tmp_path, kind):
    model = made(kind)
    assert agrees(write(tmp_path / "tiny.gguf", model), model)


def test_file_that_is_called_mistral_loads(cache, tmp_path):
    model = made("llama")
    assert agrees(write(tmp_path / "tiny.gguf", model, name="mistral"), model)


LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def _factors(model: Any, plain: Any) -> np.ndarray:
    return (plain.model.rotary_emb.inv_freq / model.model.rotary_emb.inv_freq).numpy()


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("factor", [8.0, 2.5])
def test_linear_scaling_of_positions(cache, tmp_path, kind, factor):
    stretched = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": factor}
    model = made(kind, rope_parameters=stretched)
    path = write(
        tmp_path / "tiny.gguf", model, says={"rope.scaling.type": "linear", "rope.scaling.factor": factor}
    )
    assert agrees(path, model, 100)
    assert not torch.allclose(logits(model, 100), logits(made(kind), 100), atol=0.1)


def test_linear_scaling_by_its_old_name_and_none_at_all(cache, tmp_path):
    stretched = made("llama", rope_parameters={"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0})
    assert agrees(write(tmp_path / "old.gguf", stretched, says={"rope.scale_linear": 4.0}), stretched)
    plain = made("llama")
    says = {"rope.scaling.type": "none", "rope.scaling.factor": 4.0}
    assert agrees(write(tmp_path / "none.gguf", plain, says=says), plain)


def test_linear_scaling_reaches_only_the_layers_that_do_not_slide(cache, tmp_path):
    model = made(
        "gemma3_text",
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 50_000.0, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    )
    says = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    assert agrees(write(tmp_path / "tiny.gguf", model, says=says), model, 60)


def test_yarn(cache, tmp_path):
    yarn = {
        "rope_type": "yarn",
        "rope_theta": 10_000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    model = made("qwen2", rope_parameters=yarn)
    says = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 32,
    }
    assert agrees(write(tmp_path / "tiny.gguf", model, says=says), model, 100)


def test_frequencies_of_llama_3(cache, tmp_path):
    model = made("llama", head_dim=16, rope_parameters=LLAMA_3)
    factors = _factors(model, made("llama", head_dim=16))
    path = write(
        tmp_path / "tiny.gguf",
        model,
        says={"attention.key_length": 16, "attention.value_length": 16},
        more={"rope_freqs.weight": factors},
    )
    assert agrees(path, model, 100)
    assert read_config(path)["rope_parameters"]["rope_type"] == "llama3"


def test_frequencies_that_no_rule_gives(cache, tmp_path):
    model = made("llama")
    factors = np.array([1.0, 3.0, 1.5, 7.0], np.float32)
    path = write(tmp_path / "tiny.gguf", model, more={"rope_freqs.weight": factors})
    with torch.no_grad():  # by hand: each frequency divided by its own number
        for name in ("inv_freq", "original_inv_freq"):
            getattr(model.model.rotary_emb, name).div_(torch.from_numpy(factors))
    assert agrees(path, model, 100)


def test_frequencies_and_linear_scaling_together(cache, tmp_path):
    model = made("llama")
    factors = np.array([1.0, 3.0, 1.5, 7.0], np.float32)
    says = {"rope.scaling.type": "linear", "rope.scaling.factor": 2.0}
    path = write(tmp_path / "tiny.gguf", model, says=says, more={"rope_freqs.weight": factors})
    model.model.rotary_emb.inv_freq.div_(torch.from_numpy(factors) * 2)
    assert agrees(path, model, 100)


def test_long_and_short_frequencies_of_phi_3(cache, tmp_path):
    short, long = [1.0, 1.1, 1.2, 1.3], [1.0, 2.0, 4.0, 8.0]
    model = made(
        "phi3",
        original_max_position_embeddings=32,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "short_factor": short,
            "long_factor": long,
            "attention_factor": 1.19,
            "original_max_position_embeddings": 32,
        },
    )
    path = write(
        tmp_path / "tiny.gguf",
        model,
        says={"rope.scaling.original_context_length": 32, "rope.scaling.attn_factor": 1.19},
        more={
            "rope_factors_short.weight": np.array(short, np.float32),
            "rope_factors_long.weight": np.array(long, np.float32),
        },
    )
    assert agrees(path, model, 24)
    assert not torch.allclose(logits(model, 24), logits(made("phi3"), 24), atol=0.1)


def test_part_of_a_head_that_is_turned(cache, tmp_path):
    rope = {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}
    model = made("stablelm", rope_parameters=rope)
    assert agrees(write(tmp_path / "tiny.gguf", model), model)


def read_config(path: Path) -> dict[str, Any]:
    return AutoConfig.from_pretrained(converted(path)).to_dict()


@pytest.mark.parametrize("tensor", ["attn_q", "ffn_down"])
def test_biases_reach_the_model(cache, tmp_path, tensor):
    switch = {"attn_q": "attention_bias", "ffn_down": "mlp_bias"}[tensor]
    model = made("llama", **{switch: True})
    path = write(tmp_path / "tiny.gguf", model)
    assert any(f"{tensor}.bias" in name for name in gguf_names(path))
    assert agrees(path, model)


def gguf_names(path: Path) -> list[str]:
    return [tensor.name for tensor in gguf.GGUFReader(path).tensors]


def test_biases_of_queries_keys_and_values_alone_leave_the_output_without(cache, tmp_path):
    model = made("llama", attention_bias=True)
    for layer in model.model.layers:
        layer.self_attn.o_proj.bias.data.zero_()
    path = write(tmp_path / "tiny.gguf", model, drop=lambda name: name.endswith("attn_output.bias"))
    assert agrees(path, model)


def test_values_that_the_reader_leaves_at_their_usual_ones(cache, tmp_path):
    for kind, options in {
        "gemma2": {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0},
        "falcon": {"layer_norm_epsilon": 0.3},
        "starcoder2": {"rope_parameters": {"rope_type": "default", "rope_theta": 300.0}},
        "qwen3": {"head_dim": 16},
    }.items():
        model = made(kind, **options)
        assert agrees(write(tmp_path / f"{kind}.gguf", model), model), kind


def test_quantized_tensors_are_what_gguf_unpacks(cache, tmp_path):
    model = made("llama")
    kind = gguf.GGMLQuantizationType.Q8_0
    path = write(tmp_path / "tiny.gguf", model, packed=kind)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and weight.shape[1] % 32 == 0:
                # Rows move as wholes and blocks lie within rows, so their order does not matter.
                weight.copy_(
                    torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind))
                )
                assert name
    assert agrees(path, model)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"says": {"block_count": 6}},
            r"weights for 4 layers, but its llama.block_count says 6\. .*gguf-set-metadata",
        ),
        ({"says": {"block_count": 3}}, r"weights for 4 layers, but its llama.block_count says 3"),
        ({"says": {"block_count": 100_000}}, r"block_count = 100000, but a model has 1 to 1000"),
        ({"says": {"block_count": 0}}, "block_count = 0"),
        ({"says": {"block_count": -1}}, "block_count = -1"),
        ({"says": {"block_count": None}}, "block_count = None"),
        ({"drop": lambda name: name.startswith("blk.1.")}, r"weights for 3 layers and none for layer 1"),
        ({"drop": lambda name: name == "blk.2.ffn_up.weight"}, r"lacks the tensor blk.2.ffn_up.weight"),
        ({"drop": lambda name: name == "output_norm.weight"}, r"lacks the tensor output_norm.weight"),
        (
            {"more": {"blk.0.attn_q_norm.weight": np.ones(8)}},
            r"holds the tensor blk.0.attn_q_norm.weight.*does not have",
        ),
        ({"more": {"cls.weight": np.ones(8)}}, r"holds the tensor cls.weight"),
        ({"rename": lambda name: name.replace("ffn_up", "ffn_side")}, r"4 tensors such as blk.0.ffn_side"),
        ({"says": {"feed_forward_length": 64}}, r"numbers for model.layers.0.mlp.*48 × 32|64 × 32"),
        ({"says": {"vocab_size": 2**31}}, "numbers for model.embed_tokens.weight"),
        ({"says": {"attention.head_count": 0}}, "attention.head_count = 0"),
        (
            {"says": {"attention.head_count_kv": [2, 2, 2, 2, 2]}},
            "gives 5 values for llama.attention.head_count_kv.*4",
        ),
        ({"says": {"attention.head_count_kv": [2, 2, 1, 2]}}, "gives each layer a different value"),
        ({"says": {"attention.sliding_window": 8}}, "attention.sliding_window = 8"),
        (
            {"says": {"logit_scale": 0.5}},
            r"llama.logit_scale = 0.5, which transformers' llama does not support",
        ),
        ({"says": {"attention.causal": False}}, "attention.causal"),
        ({"says": {"attention.value_length": 16}}, "attention.value_length = 16"),
        ({"says": {"rope.dimension_count": 4}}, "has rotary positions"),
        ({"says": {"rope.scaling.type": "su"}}, "rope.scaling.type = su"),
        ({"says": {"rope.scaling.type": "longrope"}}, "longrope.*contradict each other"),
        ({"says": {"rope.scaling.factor": float("nan")}}, "rope.scaling.factor = nan"),
        ({"more": {"rope_freqs.weight": np.ones(7) * 2}}, "7 divisors of rotary frequencies"),
        ({"more": {"rope_freqs.weight": np.zeros(4)}}, "not finite or not above 0"),
        ({"says": {"expert_count": 8, "expert_used_count": 2}}, "expert_count = 8"),
    ],
)
def test_what_cannot_reach_the_model_is_refused_by_name(cache, tmp_path, options, sentence):
    path = write(tmp_path / "tiny.gguf", made("llama"), **options)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)
    assert not list((cache / "models").glob("*[!k]"))  # but the lock


def test_values_that_change_nothing_are_taken(cache, tmp_path):
    model = made("llama")
    says = {
        "expert_count": 0,
        "attention.causal": True,
        "tensor_data_layout": "Meta AI original pth",
        "rope.scaling.attn_factor": 1.0,
        "attention.sliding_window": 4096,
        "attention.head_count_kv": 2,
    }
    assert agrees(write(tmp_path / "tiny.gguf", model, says=says), model)


def test_file_without_a_tokenizer_is_a_model_without_one(cache, tmp_path):
    loaded = load(str(write(tmp_path / "tiny.gguf", made("llama"), tokenizer=False)))
    assert loaded.optional_tokenizer is None
    assert loaded.width == WIDTH


def test_unknown_architecture_is_refused(cache, tmp_path):
    model = made("gpt_neox")
    path = tmp_path / "tiny.gguf"
    model.config.model_type = "gptneox"
    write(path, model)
    with pytest.raises(ModelError, match="gptneox"):
        load(str(path))


def test_memory_is_compared_before_anything_is_unpacked(cache, tmp_path, monkeypatch):
    path = write(tmp_path / "tiny.gguf", made("llama"))
    monkeypatch.setattr("entviz.models.memory.available_bytes", lambda: 100_000)

    def unpacked(*_):
        raise AssertionError("unpacked")

    monkeypatch.setattr("gguf.dequantize", unpacked)
    with pytest.raises(ModelError, match=r"needs 0\.2 MB of memory .* but only 0\.1 MB are free"):
        load(str(path))
