"""The other formats: LLM-Drop's lists, mergekit's ranges, GGUF files; and the model card."""

import json

import numpy as np
import pytest
import torch
import yaml
from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import entviz
from entviz.blocks import PruneSet
from entviz.errors import ExportError
from entviz.export import FORMATS, export
from entviz.export.mergekit import kept_ranges
from entviz.export.recipe import read_recipe
from entviz.models import CATALOG, LoadedModel, load
from tests.export.conftest import LAYERS, plain_losses
from tests.models.gguf_files import made, write
from tests.tiny import build

MIXED = PruneSet.parse("attn.0,layer.1,mlp.3")
WHOLE = PruneSet.parse("layer.1,layer.3")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_comes_with_a_card_and_a_recipe(tiny, windows, tmp_path, name):
    loaded = tiny("llama")
    evaluation = entviz.evaluate(loaded, windows, WHOLE)
    found = export(
        loaded, WHOLE, name, tmp_path / "a b", evaluation=evaluation, text="random ids", criterion="cosine"
    )
    assert {path.name: path.stat().st_size for path in found.directory.iterdir()} == found.files
    recipe = read_recipe(found.directory / "recipe.json")
    assert recipe == found.recipe
    assert (recipe.drop, recipe.criterion, recipe.model) == (WHOLE, "cosine", "llama")
    assert (recipe.fingerprint, recipe.layers) == (loaded.fingerprint, LAYERS)
    card = (found.directory / "README.md").read_text()
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["library_name"] == "transformers"
    for part in (
        "`layer.1,layer.3`",
        "cosine",
        "random ids, 3 windows of 24 tokens",
        f"{evaluation.kl:.4f}",
        "```",
    ):
        assert part in body
    assert f"{evaluation.parameters_dense:,} | {evaluation.parameters_pruned:,}" in body
    assert str(tmp_path) in found.loading
    assert str(tmp_path) not in card
    assert found.removed == ((1, 3) if name in ("hf", "llama.cpp") else ())
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("name", ["mergekit", "llama.cpp"])
def test_formats_of_whole_layers_say_what_is_in_their_way(tiny, tmp_path, name):
    with pytest.raises(ExportError, match=r"whole layers only, and the prune set has attn\.0 and mlp\.3"):
        export(tiny("llama"), MIXED, name, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_of_another_prune_set_is_refused(tiny, windows, tmp_path):
    evaluation = entviz.evaluate(tiny("llama"), windows, MIXED)
    with pytest.raises(ExportError, match="another prune set"):
        export(tiny("llama"), WHOLE, "recipe", tmp_path / "out", evaluation=evaluation)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_llm_drop_keeps_the_weights_and_lists_the_blocks(tiny, windows, tmp_path, architecture):
    loaded = tiny(architecture)
    export(loaded, MIXED, "llm-drop", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["drop_attn_list"], config["drop_mlp_list"]) == ([0, 1], [1, 3])
    assert config["torch_dtype"] == "float32"
    if architecture == "llama":
        assert config["rope_theta"] == loaded.model.config.rope_parameters["rope_theta"]
        assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_dropped_llama.LlamaForCausalLM"
    else:
        assert ("auto_map" in config) == (architecture == "gemma2")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    for name, weight in loaded.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    # The lists are the prune set: what skips them computes what entviz measured.
    again = LoadedModel.of(model)
    lists = PruneSet.parse(
        ",".join(
            [*(f"attn.{i}" for i in config["drop_attn_list"]), *(f"mlp.{i}" for i in config["drop_mlp_list"])]
        )
    )
    wanted = entviz.evaluate(loaded, windows, MIXED).per_window_nll
    assert entviz.evaluate(again, windows, lists).per_window_nll == pytest.approx(wanted, abs=1e-5)


def test_mergekit_copies_the_layers_that_stay(tiny, tmp_path):
    export(tiny("llama"), PruneSet.parse("layer.0,layer.2"), "mergekit", tmp_path / "out")
    read = yaml.safe_load((tmp_path / "out" / "mergekit.yaml").read_text())
    assert read["merge_method"] == "passthrough"
    ranges = [source["layer_range"] for part in read["slices"] for source in part["sources"]]
    assert [layer for first, end in ranges for layer in range(first, end)] == [1, 3, 4]
    assert {source["model"] for part in read["slices"] for source in part["sources"]} == {"llama"}


def test_ranges_are_runs():
    assert kept_ranges([0]) == [(0, 1)]
    assert kept_ranges([0, 1, 2, 5, 7, 8]) == [(0, 3), (5, 6), (7, 9)]


def test_mergekit_cannot_read_a_gguf_file():
    assert "safetensors" in FORMATS["mergekit"].objection("models/a.gguf", WHOLE)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_gguf_of_safetensors_loads_to_the_same_losses(windows, tmp_path, architecture, dtype):
    if architecture == "qwen2":
        from transformers import AutoConfig

        config = AutoConfig.for_model(
            "qwen2",
            vocab_size=101,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            initializer_range=0.2,
        )
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    else:
        model = build(architecture, layers=LAYERS)
    loaded = LoadedModel.of(model, name=architecture).in_dtype(dtype)
    found = export(loaded, WHOLE, "llama.cpp", tmp_path / "out")
    assert found.check is not None, found.notes
    file = tmp_path / "out" / "pruned.gguf"
    kinds = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(file).tensors}
    assert kinds["blk.2.ffn_down.weight"] == {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}[dtype]
    assert kinds["blk.2.ffn_norm.weight"] == "F32"
    assert not any(name.startswith("blk.3.") for name in kinds)
    again = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=loaded.dtype).eval()
    wanted = entviz.evaluate(loaded, windows, WHOLE, dtype=dtype).per_window_nll
    assert plain_losses(again, windows).tolist() == pytest.approx(
        wanted, abs=1e-4 if dtype == "float32" else 0.05
    )


@pytest.mark.parametrize(("splitter", "name"), [("digits", "smollm"), ("bytes", "gpt-2")])
def test_a_byte_level_tokenizer_goes_into_the_file(tmp_path, splitter, name):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*alphabet, "th", "the", "Ġthe"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("t", "h"), ("th", "e"), ("Ġ", "the")]))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, level]) if splitter == "digits" else level
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    loaded = LoadedModel.of(
        build("llama", layers=2, vocab_size=len(tokenizer)), tokenizer, name="tiny/spoken"
    )
    export(loaded, PruneSet.parse("layer.0"), "llama.cpp", tmp_path / "out")
    fields = GGUFReader(tmp_path / "out" / "pruned.gguf").fields
    assert fields["tokenizer.ggml.pre"].contents() == name
    again = AutoTokenizer.from_pretrained(tmp_path / "out", gguf_file="pruned.gguf")
    text = "the other the<end>"
    assert again(text).input_ids == tokenizer(text).input_ids


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3_text"])
def test_without_a_gguf_file_there_is_the_argument_and_the_reason(tiny, tmp_path, architecture):
    found = export(tiny(architecture), WHOLE, "llama.cpp", tmp_path / "out")
    assert set(found.files) == {"README.md", "recipe.json", "prune-layers.txt"}
    assert (tmp_path / "out" / "prune-layers.txt").read_text() == "--prune-layers 1,3\n"
    assert found.check is None
    assert "No GGUF file was written" in found.notes[0]


def test_what_transformers_would_misread_is_said(tiny, tmp_path):
    """Qwen 3 with heads of 8 dimensions: the file is right, and transformers' own reader takes their size for 128."""
    found = export(tiny("qwen3"), WHOLE, "llama.cpp", tmp_path / "out")
    assert found.check.difference < 1e-4
    assert "drops what this one says about head_dim" in found.notes[0]
    assert found.loading.startswith("llama-cli")


def test_a_file_with_stretched_positions_is_copied_with_what_it_says(tmp_path, monkeypatch):
    model = made("llama", rope_parameters={"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0})
    says = {
        "rope.scaling.type": "linear",
        "rope.scaling.factor": 4.0,
    }
    path = write(tmp_path / "tiny.gguf", model, says=says)
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "cache"))
    found = export(load(str(path)), WHOLE, "llama.cpp", tmp_path / "out")
    assert found.check.difference < 1e-4
    fields = GGUFReader(tmp_path / "out" / "pruned.gguf").fields
    assert fields["llama.block_count"].contents() == 2
    assert fields["llama.rope.scaling.factor"].contents() == 4
    assert "rope_parameters" in found.notes[0]


@pytest.mark.slow
def test_a_gguf_source_is_copied_quantized_as_it_is(smollm2, tmp_path):
    """The default model's own file: every tensor that stays has the very bytes it had."""
    found = export(smollm2, PruneSet.parse("layer.12,layer.20"), "llama.cpp", tmp_path / "out")
    assert found.check.difference < 1e-4
    before = {t.name: t for t in GGUFReader(CATALOG["smollm2-135m"].packaged.path()).tensors}
    after = GGUFReader(tmp_path / "out" / "pruned.gguf")
    kept = [i for i in range(30) if i not in (12, 20)]
    assert after.fields["llama.block_count"].contents() == 28
    assert len(after.tensors) == len(before) - 2 * 9
    for tensor in after.tensors:
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            parts[1] = str(kept[int(parts[1])])
        source = before[".".join(parts)]
        assert tensor.tensor_type == source.tensor_type
        assert np.array_equal(tensor.data, source.data)


def test_a_damaged_gguf_source_gives_a_sentence(tmp_path):
    from entviz.export.gguf_copying import copy_gguf

    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(ExportError, match="cannot be read"):
        copy_gguf(tmp_path / "bad.gguf", tmp_path / "out.gguf", [0], 2)
