"""Checkpoints: loaded by plain transformers, they compute what entviz computed without the blocks."""

import copy
import json
import re
import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

import entviz
from entviz.blocks import PruneSet
from entviz.errors import BlockError, ExportError
from entviz.export import export
from entviz.export.generating import valid_generation_config
from entviz.export.recipe import read_recipe
from entviz.export.shrinking import smaller_config
from entviz.models import LoadedModel
from tests.export.conftest import LAYERS, plain_losses
from tests.tiny import OPTIONS, build

MIXED = PruneSet.parse("attn.0,layer.1,mlp.3,layer.4")
WHOLE = PruneSet.parse("layer.0,layer.3")


def tensors(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("drop", [MIXED, WHOLE], ids=["mixed", "whole"])
@pytest.mark.parametrize("architecture", OPTIONS)
def test_plain_transformers_computes_the_same(tiny, windows, tmp_path, architecture, drop):
    loaded = tiny(architecture)
    before, config = tensors(loaded.model), loaded.model.config.to_dict()
    found = export(loaded, drop, "hf", tmp_path / "out")
    model, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    removed = [block.index for block in drop if block.kind == "layer"]
    assert model.config.num_hidden_layers == LAYERS - len(removed)
    assert list(found.removed) == removed
    wanted = entviz.evaluate(loaded, windows, drop).per_window_nll
    assert plain_losses(model.eval(), windows).tolist() == pytest.approx(wanted, abs=1e-4)
    assert found.check.difference < 1e-4
    # Only whole layers make it smaller, and nothing but output projections is zero.
    size = sum(weight.numel() for weight in model.parameters())
    gone = loaded.anatomy.parameters([b for b in drop if b.kind == "layer"]).values()
    assert size == loaded.parameters - sum(weight.numel() for weight in gone)
    state = model.state_dict()
    assert all(not state[name].any() for name in found.zeroed)
    assert len(found.zeroed) in ((2, 3, 4) if drop == MIXED else (0,))
    # The shared model is what it was.
    assert loaded.model.config.to_dict() == config
    assert all(torch.equal(before[name], tensor) for name, tensor in loaded.model.state_dict().items())


@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "bloom"])
def test_generation_with_a_cache_is_the_same(tiny, tmp_path, architecture):
    loaded = tiny(architecture)
    export(loaded, MIXED, "hf", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    prompt = torch.tensor([[5, 9, 2, 44]])
    hidden = loaded.anatomy
    ids = prompt
    with torch.no_grad():
        for _ in range(12):
            best = hidden.head.logits(hidden.run(ids, MIXED))[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, best], dim=1)
        found = model.generate(
            prompt, max_new_tokens=12, min_new_tokens=12, do_sample=False, use_cache=True, eos_token_id=None
        )
    assert found.tolist() == ids.tolist()


def test_a_fresh_process_without_entviz_finds_the_same_losses(tiny, windows, tmp_path):
    loaded = tiny("llama")
    export(loaded, MIXED, "hf", tmp_path / "out")
    script = """
import json, sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto").eval()
ids = torch.tensor(json.loads(sys.argv[2]))
with torch.no_grad():
    print(json.dumps([float(model(input_ids=row[None], labels=row[None]).loss) for row in ids]))
assert not any(name.startswith("entviz") for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path / "out"), json.dumps(windows.token_ids.tolist())],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    wanted = entviz.evaluate(loaded, windows, MIXED).per_window_nll
    assert json.loads(done.stdout) == pytest.approx(wanted, abs=1e-4)


def test_a_post_norm_with_a_bias_is_silenced_too(windows, tmp_path):
    """OLMo 2's norms after the blocks as LayerNorms: zero goes in, and a bias would come out."""
    model = build("olmo2", layers=3)
    for layer in model.model.layers:
        for name in ("post_attention_layernorm", "post_feedforward_layernorm"):
            norm = torch.nn.LayerNorm(32)
            torch.nn.init.normal_(norm.bias)
            setattr(layer, name, norm)
    anatomy = LoadedModel.of(model).anatomy
    from entviz.export.zeroing import silenced

    found = silenced(anatomy, 1, attention=True, mlp=False)
    assert found.zeroed == ("post_attention_layernorm.bias", "self_attn.o_proj.weight")
    hidden, calls = anatomy.begin(windows.token_ids)
    with torch.no_grad():
        wanted = anatomy.split_layers[1].run(hidden, calls[1], attention=False)
        assert torch.allclose(calls[1].run(found.layer, hidden), wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "gpt2", "bloom"])
def test_other_number_types_are_written_as_they_are_and_checked_as_sharply(
    tiny, windows, tmp_path, architecture, dtype
):
    loaded = tiny(architecture).in_dtype(dtype)
    evaluation = entviz.evaluate(loaded, windows, MIXED, dtype=dtype)
    found = export(loaded, MIXED, "hf", tmp_path / "out", evaluation=evaluation, text="random ids")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert str(model.dtype) == f"torch.{dtype}"
    assert found.check.difference < 1e-5
    # What rounding costs, from what plain transformers computes in float32 with the same weights.
    exact = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    ids = windows.token_ids
    with torch.no_grad():
        logits = exact(input_ids=ids).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    rounding = abs(evaluation.token_nll - losses.reshape(len(ids), -1).numpy()).mean()
    assert found.check.rounding == pytest.approx(rounding, rel=1e-2)
    assert found.check.rounding > 100 * found.check.difference
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"instead of float32 changes the loss of a token by {found.check.rounding:.1e} nats" in card


def test_a_small_mistake_in_bfloat16_is_noticed(tiny, windows, tmp_path, monkeypatch):
    """One that changes losses by less than computing one and the same model in bfloat16 and in float32 can."""
    from entviz.export import checkpoint

    plain = checkpoint.save

    def save(order, replacements, kept, directory, settings):
        norm = copy.deepcopy(order.loaded.model.model.norm)
        norm.weight.data *= 1.008
        return plain(order, replacements | {"model.norm": norm}, kept, directory, settings)

    monkeypatch.setattr(checkpoint, "save", save)
    loaded = tiny("llama").in_dtype("bfloat16")
    evaluation = entviz.evaluate(loaded, windows, MIXED, dtype="bfloat16")
    with pytest.raises(ExportError, match="losses differ by") as caught:
        export(loaded, MIXED, "hf", tmp_path / "out", evaluation=evaluation)
    assert 1e-4 < float(re.search(r"differ by (\S+) nats", str(caught.value))[1]) < 2e-2
    assert "Llama" not in str(caught.value), "why they differ is not known"
    assert list(tmp_path.iterdir()) == []


def test_a_generation_config_loses_only_what_cannot_be_written(tmp_path):
    """As many chat models have it: stop tokens beside a temperature that transformers refuses to write."""
    model = build("llama", layers=2)
    model.generation_config = GenerationConfig(
        eos_token_id=[7, 9], pad_token_id=3, temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.05
    )
    before = model.generation_config.to_dict()
    found = export(LoadedModel.of(model, name="chat"), PruneSet.parse("attn.1"), "hf", tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out").generation_config
    assert (again.eos_token_id, again.pad_token_id, again.repetition_penalty) == ([7, 9], 3, 1.05)
    assert not again.do_sample
    assert again.temperature is None
    (note,) = [note for note in found.notes if "generation config" in note]
    assert "without temperature 0.6, top_k 20, top_p 0.9:" in note
    assert note in (tmp_path / "out" / "README.md").read_text()
    assert model.generation_config.to_dict() == before


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({"eos_token_id": [7, 9], "do_sample": True, "temperature": 0.6}, set()),
        ({"num_return_sequences": 3, "num_beams": 4, "temperature": 0.5}, {"temperature"}),
        ({"num_return_sequences": 3, "eos_token_id": 5}, {"num_return_sequences"}),
        ({"pad_token_id": -1, "eos_token_id": 5}, {"pad_token_id"}),
        ({"forced_eos_token_id": 5, "suppress_tokens": [5], "top_k": 7}, {"suppress_tokens", "top_k"}),
        ({"early_stopping": "<b>", "eos_token_id": 5}, {"early_stopping"}),
    ],
)
def test_settings_that_go_together_are_kept(given, left_out):
    config = GenerationConfig()
    for name, value in given.items():
        setattr(config, name, value)
    written, note = valid_generation_config(config)
    written.validate(strict=True)
    kept = {name for name, value in given.items() if getattr(written, name) == value}
    assert given.keys() - kept == left_out
    assert all(name in note for name in left_out)
    assert bool(note) == bool(left_out)
    assert "<b>" not in note


def test_without_a_tokenizer_nothing_says_that_there_is_one(tiny, tmp_path):
    for name in ("hf", "llm-drop", "llama.cpp"):
        found = export(tiny("llama"), WHOLE, name, tmp_path / name)
        assert found.check is not None
        assert "AutoTokenizer" not in found.loading
        assert "AutoTokenizer" not in (tmp_path / name / "README.md").read_text()


def test_what_depends_on_the_layers_numbers_is_refused(tmp_path):
    """GPT-2 can divide attention scores by a layer's number: without layer 1, layer 2 would become layer 1."""
    loaded = LoadedModel.of(build("gpt2", layers=4, scale_attn_by_inverse_layer_idx=True), name="scaled")
    with pytest.raises(ExportError, match="losses differ"):
        export(loaded, PruneSet.parse("layer.1"), "hf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert export(loaded, PruneSet.parse("layer.3"), "hf", tmp_path / "out").check.difference < 1e-4


def test_a_wrong_checkpoint_is_noticed(tiny, tmp_path, monkeypatch):
    """The check is worth something: a layer kept that should have gone fails it."""
    from entviz.export import checkpoint

    plain = checkpoint.save
    monkeypatch.setattr(
        checkpoint,
        "save",
        lambda order, replacements, kept, directory, settings: plain(
            order, {"model.layers": order.loaded.model.model.layers[: len(kept)]}, kept, directory
        ),
    )
    with pytest.raises(ExportError, match="losses differ"):
        export(tiny("llama"), PruneSet.parse("layer.0"), "hf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_default_model(smollm2, tmp_path):
    """Its weights were quantized: nothing of that reaches the checkpoint, which entviz itself loads again."""
    drop = PruneSet.parse("layer.12,attn.20,mlp.3")
    text = entviz.windows_from_text(
        "The rain fell on the town. " * 30, smollm2.tokenizer, windows=2, window_length=32
    )
    evaluation = entviz.evaluate(smollm2, text, drop)
    found = export(
        smollm2, drop, "hf", tmp_path / "out", evaluation=evaluation, text="rain | <b>", criterion="by *eye*"
    )
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["num_hidden_layers"] == 29
    assert "quantization_config" not in config
    assert {"tokenizer.json", "tokenizer_config.json", "generation_config.json"} <= set(found.files)
    again = entviz.load(str(tmp_path / "out"))
    assert again.tokenizer("The rain").input_ids == smollm2.tokenizer("The rain").input_ids
    dense = entviz.evaluate(again, text, PruneSet())
    assert dense.per_window_nll == pytest.approx(evaluation.per_window_nll, abs=1e-4)
    recipe = read_recipe(tmp_path / "out" / "recipe.json")
    assert recipe.drop == drop
    assert recipe.measured.perplexity == evaluation.perplexity
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| Perplexity | {evaluation.dense_perplexity:.2f} | {evaluation.perplexity:.2f} |" in card
    assert r"rain \| \<b\>" in card
    assert r"by \*eye\*" in card
    assert 'base_model: "HuggingFaceTB/SmolLM2-135M-Instruct"' in card
    assert str(tmp_path) not in card


def test_a_prune_set_must_fit_the_model(tiny, tmp_path):
    with pytest.raises(BlockError, match="does not exist"):
        export(tiny("llama"), PruneSet.parse("layer.9"), "hf", tmp_path / "out")
    with pytest.raises(BlockError, match="keep at least one"):
        export(
            tiny("llama"), PruneSet.parse("layer.0 layer.1 layer.2 layer.3 layer.4"), "hf", tmp_path / "out"
        )
    with pytest.raises(ExportError, match="'onnx' is not an export format"):
        export(tiny("llama"), WHOLE, "onnx", tmp_path / "out")


def test_configs_shrink_whatever_their_lists_are_called():
    gpt_neo = AutoConfig.for_model(
        "gpt_neo", num_layers=6, attention_types=[[["global", "local"], 3]], hidden_size=32, num_heads=4
    )
    smaller = smaller_config(gpt_neo, [0, 1, 3, 5])
    assert smaller.num_layers == 4
    assert smaller.attention_layers == ["global", "local", "local", "local"]
    moe = AutoConfig.for_model("qwen2_moe", num_hidden_layers=6, mlp_only_layers=[0, 4], max_window_layers=3)
    before = copy.deepcopy(moe.to_dict())
    smaller = smaller_config(moe, [0, 2, 4, 5])
    assert (smaller.mlp_only_layers, smaller.max_window_layers) == ([0, 2], 2)
    assert moe.to_dict() == before
    llama = AutoConfig.for_model("llama", num_hidden_layers=4, eos_token_id=[5, 6, 7, 8])
    assert smaller_config(llama, [0, 1]).eos_token_id == [5, 6, 7, 8]
    nested = AutoConfig.for_model("gemma3")
    layers = nested.text_config.num_hidden_layers
    smaller = smaller_config(nested, list(range(3, layers)))
    assert smaller.text_config.num_hidden_layers == layers - 3
    assert smaller.text_config.layer_types == nested.text_config.layer_types[3:]
    assert smaller.vision_config.num_hidden_layers == nested.vision_config.num_hidden_layers
