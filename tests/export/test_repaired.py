"""Checkpoints of repaired models: plain transformers computes what entviz computed with the repair."""

import json

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM

import entviz
from entviz.blocks import PruneSet
from entviz.errors import ExportError, OptionError
from entviz.export import export
from entviz.export.folding import needs_biases
from entviz.export.recipe import read_recipe
from entviz.models import LoadedModel, load
from entviz.repair.fitting import fit
from entviz.text.windows import windows_from_token_ids
from tests.export.conftest import LAYERS, plain_losses
from tests.models.gguf_files import made, write
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

MIXED = PruneSet.parse("attn.1,layer.2,mlp.4")
BIASES = {"attention_bias": True, "mlp_bias": True}
# An architecture, and the settings of its config that refitted biases need.
REFITTED = {
    "llama": BIASES,
    "gpt2": {},  # has biases, and its matrices the other way round
    "opt": {},
    "bloom": {},
    "gpt_neox": {},
    "gptj": None,  # its attention has no bias and no setting for one
    "phi": {},
    "falcon": {"bias": True},
    "qwen3": None,
}


@pytest.fixture(scope="module")
def calibration():
    ids = torch.randint(VOCABULARY_SIZE, (24, 32), generator=torch.Generator().manual_seed(7))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


def checked(loaded, drop, repair, windows, directory):
    """Export, load with plain transformers, and compare the losses."""
    before = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    found = export(loaded, drop, "hf", directory, repair=repair)
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    wanted = entviz.evaluate(loaded, windows, drop, repair=repair)
    assert plain_losses(model.eval(), windows).tolist() == pytest.approx(wanted.per_window_nll, abs=1e-4)
    plain = entviz.evaluate(loaded, windows, drop)
    assert abs(plain.nll - wanted.nll) > 1e-3, "the repair changes what is compared here"
    assert found.check.difference < 1e-4
    assert all(torch.equal(before[name], weight) for name, weight in loaded.model.state_dict().items())
    return found, model


@pytest.mark.parametrize("method", ["refit", "bias", pytest.param("refit-all", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("architecture", REFITTED)
def test_plain_transformers_computes_the_repaired_model(
    tiny, windows, calibration, tmp_path, architecture, method
):
    loaded, settings = tiny(architecture), REFITTED[architecture]
    repair = fit(loaded, calibration, MIXED, method)
    if settings is None:
        with pytest.raises(ExportError, match=r"cannot have\. Repair by refit-without-bias instead"):
            export(loaded, MIXED, "hf", tmp_path / "out", repair=repair)
        assert not (tmp_path / "out").exists()
        if method == "bias":
            return
        assert needs_biases(loaded, MIXED, method, [0, 1, 3, 4])
        repair = fit(loaded, calibration, MIXED, f"{method}-without-bias")
    elif method != "bias":
        assert not needs_biases(loaded, MIXED, method, [0, 1, 3, 4])
    found, model = checked(loaded, MIXED, repair, windows, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    kept = loaded.model.config.to_dict()
    for name, value in (settings or {}).items():
        assert written[name] == value
        assert not kept[name]
        assert any(
            f"{name}" in note and "all other biases that this brings are zero" in note for note in found.notes
        )
    # Of all biases that a setting brings, those that were fitted are not zero.
    if architecture == "llama":
        biased = {name for name, weight in model.named_parameters() if name.endswith("bias") and weight.any()}
        places = {0: 0, 1: 1, 3: 2, 4: 3}
        parts = {"attn": "self_attn.o_proj.bias", "mlp": "mlp.down_proj.bias"}
        blocks = [entviz.Block.parse(one.block) for one in repair.fits if one.block]
        if method == "bias":
            blocks = [entviz.Block.parse(block) for block in ("mlp.0", "mlp.1", "attn.4")]
        wanted = {f"model.layers.{places[block.index]}.{parts[block.kind]}" for block in blocks}
        assert biased <= wanted
        assert len(biased) >= 2
        assert sum(name.endswith("bias") for name, _ in model.named_parameters()) == 4 * 7


def test_biases_of_a_model_that_has_some_are_added_to(windows, calibration, tmp_path):
    """Llama with both switches on already."""
    loaded = LoadedModel.of(build("llama", layers=LAYERS, **BIASES), name="llama")
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(generator=torch.Generator().manual_seed(len(name)))
    for method in ("refit", "bias"):
        checked(loaded, MIXED, fit(loaded, calibration, MIXED, method), windows, tmp_path / method)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("method", ["refit", "bias"])
def test_other_number_types_are_compared_with_the_rounded_repair(
    tiny, windows, calibration, tmp_path, dtype, method
):
    loaded = tiny("llama")
    repair = fit(loaded, calibration, MIXED, method)
    narrow = loaded.in_dtype(dtype)
    evaluation = entviz.evaluate(narrow, windows, MIXED, dtype=dtype, repair=repair)
    found = export(narrow, MIXED, "hf", tmp_path / "out", evaluation=evaluation, repair=repair)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert {str(weight.dtype) for weight in model.parameters()} == {f"torch.{dtype}"}
    assert found.check.difference < 1e-5


@pytest.mark.parametrize("method", ["nbl", "ghosted", "prune-comp"])
def test_what_stands_between_blocks_is_refused_with_what_to_do(tiny, calibration, tmp_path, method):
    loaded = tiny("llama")
    repair = fit(loaded, calibration, MIXED, method)
    with pytest.raises(ExportError, match="Repair by refit or bias, or export a recipe"):
        export(loaded, MIXED, "hf", tmp_path / "out", repair=repair)
    found = export(loaded, MIXED, "recipe", tmp_path / "recipe", repair=repair)
    assert read_recipe(tmp_path / "recipe" / "recipe.json").repair.method == method
    assert found.recipe.repair.tokens == 24 * 32


def test_a_hole_at_the_start_and_post_norms_have_no_place_for_a_constant(tiny, calibration, tmp_path):
    for architecture, drop, says in (
        ("llama", "layer.0,attn.2", "layer.0 is dropped with no kept block before it"),
        ("gemma3_text", "attn.2", "mlp.1 adds to the stream through a norm"),
    ):
        drop = PruneSet.parse(drop)
        repair = fit(tiny(architecture), calibration, drop, "bias")
        with pytest.raises(ExportError, match=says.replace("layer.0", r"(layer|attn)\.0")):
            export(tiny(architecture), drop, "hf", tmp_path / "out", repair=repair)


@pytest.mark.parametrize("name", ["mergekit", "llm-drop"])
def test_formats_of_the_original_weights_point_to_the_checkpoint(tiny, calibration, tmp_path, name):
    drop = PruneSet.parse("layer.2")
    repair = fit(tiny("llama"), calibration, drop, "refit")
    with pytest.raises(ExportError, match=r"cannot hold a repair\. Export a Transformers checkpoint"):
        export(tiny("llama"), drop, name, tmp_path / "out", repair=repair)


def test_a_repair_or_an_evaluation_of_something_else_is_refused(tiny, windows, calibration, tmp_path):
    loaded = tiny("llama")
    repair = fit(loaded, calibration, PruneSet.parse("layer.2"), "refit")
    with pytest.raises(OptionError, match="fitted for the prune set"):
        export(loaded, MIXED, "hf", tmp_path / "out", repair=repair)
    evaluation = entviz.evaluate(loaded, windows, repair.drop)
    with pytest.raises(ExportError, match="evaluation is of another repair"):
        export(loaded, repair.drop, "hf", tmp_path / "out", repair=repair, evaluation=evaluation)


def test_qwen2_has_biases_elsewhere_and_is_refitted_without(windows, calibration, tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIONS, "qwen2", OPTIONS["llama"])
    loaded = LoadedModel.of(build("qwen2", layers=LAYERS), name="qwen2")
    assert loaded.model.model.layers[0].self_attn.q_proj.bias is not None
    assert needs_biases(loaded, MIXED, "refit", [0, 1, 3, 4])
    assert not needs_biases(loaded, MIXED, "refit-without-bias", [0, 1, 3, 4])
    repair = fit(loaded, calibration, MIXED, "refit-without-bias")
    found, _ = checked(loaded, MIXED, repair, windows, tmp_path / "out")
    assert any("fitted without constants, and measured so" in note for note in found.notes)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_a_gguf_file_holds_refitted_weights(windows, calibration, tmp_path, architecture, dtype):
    sizes = {"hidden_size": 64, "intermediate_size": 64, "head_dim": 128} if architecture == "qwen3" else {}
    whole = LoadedModel.of(build(architecture, layers=LAYERS, **sizes), name=architecture)
    drop = PruneSet.parse("layer.1,layer.3")
    repair = fit(whole, calibration, drop, "refit-without-bias")
    loaded = whole.in_dtype(dtype)
    found = export(loaded, drop, "llama.cpp", tmp_path / "out", repair=repair)
    assert found.check.difference < 1e-4
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", gguf_file="pruned.gguf", dtype=torch.float32
    ).eval()
    wanted = entviz.evaluate(whole, windows, drop, repair=repair)
    losses = plain_losses(again, windows).tolist()
    assert losses == pytest.approx(wanted.per_window_nll, abs=1e-4 if dtype == "float32" else 0.02)
    assert abs(entviz.evaluate(whole, windows, drop).nll - wanted.nll) > 1e-3
    assert "That leaves the layers out, and does not repair." in found.notes[0]
    if dtype == "float32":
        biased = fit(whole, calibration, drop, "refit")
        with pytest.raises(
            ExportError, match=r"biases that these files cannot have\. Repair by refit-without"
        ):
            export(loaded, drop, "llama.cpp", tmp_path / "none", repair=biased)
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_copied_gguf_file_has_the_refitted_weights_and_all_others_as_they_were(
    windows, calibration, tmp_path, monkeypatch, kind
):
    """GPT-2 has biases already, and its file has the matrices the other way round than the model."""
    path = write(tmp_path / "tiny.gguf", made(kind))
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "cache"))
    loaded, drop = load(str(path)), PruneSet.parse("layer.2")
    repair = fit(loaded, calibration, drop, "refit" if kind == "gpt2" else "refit-without-bias")
    found = export(loaded, drop, "llama.cpp", tmp_path / "out", repair=repair)
    assert found.check.difference < 1e-4
    exported = load(str(tmp_path / "out" / "pruned.gguf"))
    wanted = entviz.evaluate(loaded, windows, drop, repair=repair)
    assert entviz.evaluate(exported, windows, PruneSet()).nll == pytest.approx(wanted.nll, abs=1e-4)
    assert abs(entviz.evaluate(loaded, windows, drop).nll - wanted.nll) > 1e-3
    before = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    changed = {
        tensor.name
        for tensor in GGUFReader(tmp_path / "out" / "pruned.gguf").tensors
        if not np.array_equal(tensor.data, before[tensor.name.replace("blk.2.", "blk.3.")].data)
    }
    assert changed == {"blk.1.ffn_down.weight", *(["blk.1.ffn_down.bias"] if kind == "gpt2" else [])}
