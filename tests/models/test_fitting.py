"""A file is loaded as it says or refused: tensors and config that do not belong to the same model."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from entviz.models import load
from tests.models.files import edit_config, saved
from tests.models.test_directories import IDS, refusal


def rewrite(directory, change):
    """Save the tensors of a model again, changed by ``change``, a function of a dictionary of them."""
    path = directory / "model.safetensors"
    tensors = load_file(path)
    save_file(change(tensors) or tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bloom", "gpt_neox", "mixtral", "opt"])
def test_more_layers_than_the_config_says(tmp_path, architecture):
    saved(tmp_path, architecture, layers=6)
    edit_config(tmp_path, num_hidden_layers=None, n_layer=None, layers=None)
    edit_config(tmp_path, **{"n_layer" if architecture in ("gpt2", "bloom") else "num_hidden_layers": 4})
    assert "has weights for 6 layers, but its config.json says 4" in refusal(tmp_path)


def test_fewer_layers_than_the_config_says(tmp_path):
    saved(tmp_path, layers=4)
    edit_config(tmp_path, num_hidden_layers=6)
    assert "has weights for 4 layers, but its config.json says 6" in refusal(tmp_path)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "_fsdp_wrapped_module.", "student.", "a.b."])
def test_foreign_prefix(tmp_path, prefix):
    saved(tmp_path)
    rewrite(tmp_path, lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()})
    assert f"the unknown prefix '{prefix}'" in refusal(tmp_path)


def test_foreign_prefix_inside(tmp_path):
    saved(tmp_path)
    rewrite(
        tmp_path,
        lambda tensors: {
            name.replace("layers.1.", "layers.1._orig_mod."): tensor for name, tensor in tensors.items()
        },
    )
    assert "the unknown prefix '_orig_mod.'" in refusal(tmp_path)


def test_tensor_that_the_model_has_no_place_for(tmp_path):
    saved(tmp_path, attention_bias=True)
    edit_config(tmp_path, attention_bias=False)
    message = refusal(tmp_path)
    assert "holds 16 tensors that do not belong to the model in its config.json" in message
    assert "model.layers.0.self_attn.k_proj.bias" in message


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.3.self_attn.masked_bias",
        "model.vision_tower.blocks.0.weight",
        "mtp.layers.0.weight",
        "score.weight",
    ],
)
def test_tensors_that_do_nothing_are_left_out(tmp_path, name):
    original = saved(tmp_path)
    rewrite(tmp_path, lambda tensors: {**tensors, name: torch.ones(3)})
    assert torch.equal(load(str(tmp_path)).model(IDS).logits, original(IDS).logits)


def test_causal_masks_of_older_files_are_left_out(tmp_path):
    original = saved(tmp_path, "gptj")
    masks = {
        f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.uint8) for layer in range(4)
    }
    rewrite(tmp_path, lambda tensors: {**tensors, **masks})
    assert torch.equal(load(str(tmp_path)).model(IDS).logits, original(IDS).logits)


def test_layers_that_predict_further_ahead_are_left_out(tmp_path):
    original = saved(tmp_path)
    ahead = {f"model.layers.4.{name}": torch.ones(32) for name in ("enorm.weight", "hnorm.weight")}
    rewrite(tmp_path, lambda tensors: {**tensors, **ahead})
    assert "weights for 5 layers" in refusal(tmp_path)
    edit_config(tmp_path, num_nextn_predict_layers=1)
    assert torch.equal(load(str(tmp_path)).model(IDS).logits, original(IDS).logits)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantized_weights_without_a_word_in_the_config(tmp_path, dtype):
    saved(tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"
    rewrite(tmp_path, lambda tensors: {**tensors, name: tensors[name].to(dtype)})
    message = refusal(tmp_path)
    assert name in message
    assert "quantized" in message


def test_two_files_with_the_same_tensor(tmp_path):
    saved(tmp_path).save_pretrained(tmp_path, max_shard_size="20KB")
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    first, second = sorted(tmp_path.glob("model-*.safetensors"))[:2]
    shutil.copy(first, second)
    assert "Two weight files" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "changes", "counts"),
    [
        ("gemma3_text", {"num_hidden_layers": 3}, ("`num_hidden_layers` (3)", "`layer_types` (4)")),
        ("llama", {"layer_types": ["full_attention"] * 7}, ("`num_hidden_layers` (4)", "`layer_types` (7)")),
        ("llama", {"sliding_per_layer": [1, 2]}, ("2 values in sliding_per_layer", "4 layers")),
    ],
)
def test_lists_with_a_value_a_layer(tmp_path, architecture, changes, counts):
    saved(tmp_path, architecture)
    edit_config(tmp_path, **changes)
    message = refusal(tmp_path)
    for count in counts:
        assert count in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"num_hidden_layers": 100_000},
            "weights for 4 layers, but its config.json says 100,000 (num_hidden_layers)",
        ),
        ({"num_hidden_layers": -1}, "weights for 4 layers, but its config.json says -1 (num_hidden_layers)"),
        ({"num_hidden_layers": 0}, "says 0 (num_hidden_layers)"),
        ({"num_labels": 10**9}, "num_labels is 1,000,000,000"),
        ({"num_attention_heads": 10**12}, "num_attention_heads is 1,000,000,000,000"),
        ({"num_key_value_heads": 10**30}, "a number of 31 digits"),
        ({"text_config": {"num_hidden_layers": 10**8}}, "says 100,000,000"),
        ({"num_hidden_layers": 10**60}, "a number in it has 61 digits"),
        ({"hidden_size": 10**9}, "requires"),
        ({"vocab_size": 10**9}, "requires"),
        ({"rms_norm_eps": float("nan")}, "NaN as the value of rms_norm_eps"),
        ({"architectures": 5}, "architectures"),
        ({"architectures": [5]}, "architectures"),
        ({"architectures": {"a": 1}}, "architectures"),
        ({"is_decoder": "yes"}, "is_decoder"),
        ({"rope_parameters": 5}, "config.json"),
        ({"hidden_act": "no-such"}, "no-such"),
        ({"pad_token_id": 10**6}, "cannot be"),
    ],
)
def test_odd_values(tmp_path, changes, says):
    saved(tmp_path)
    edit_config(tmp_path, **changes)
    assert says in refusal(tmp_path)


def test_masks_larger_than_memory(tmp_path):
    """GPT-J keeps a mask of positions by positions, which no tensor in its file bounds."""
    saved(tmp_path, "gptj")
    edit_config(tmp_path, n_positions=10**11)
    assert "GB of memory" in refusal(tmp_path)


def entry(**changes):
    return {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}}


@pytest.mark.parametrize(
    "header",
    [
        {"w": 5},
        {"w": []},
        {"w": {}},
        [],
        entry(shape=5),
        entry(shape=["1"]),
        entry(shape=[-1]),
        entry(shape=[10**30]),
        entry(shape=[2]),
        entry(shape=[True]),
        entry(dtype=5),
        entry(dtype="F33"),
        entry(data_offsets=[0]),
        entry(data_offsets=[4, 0]),
        entry(data_offsets="04"),
        entry(data_offsets=[0.0, 4.0]),
        "[" * 50_000,
        '{"w":' * 50_000,
        '{"w": NaN}',
        '{"\\ud800": 1}',
    ],
)
def test_odd_headers(tmp_path, header):
    saved(tmp_path)
    content = (header if isinstance(header, str) else json.dumps(header)).encode()
    (tmp_path / "model.safetensors").write_bytes(len(content).to_bytes(8, "little") + content + bytes(4))
    message = refusal(tmp_path)
    assert "model.safetensors" in message
    assert "is damaged" in message


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "nowhere"])
def test_files_that_are_no_files(tmp_path, name, kind):
    saved(tmp_path)
    path = tmp_path / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("../blobs/5")
    message = refusal(tmp_path)
    assert name in message
    assert ("is a link to ../blobs/5, where there is no file" in message) == (kind == "nowhere")


def test_a_huge_file_is_not_read(tmp_path):
    saved(tmp_path)
    with (tmp_path / "tokenizer_config.json").open("wb") as file:
        file.truncate(10**12)
    assert "may have at most 100 MB" in refusal(tmp_path)


def test_the_folder_of_the_hubs_cache_stands_for_its_snapshot(tmp_path):
    root = tmp_path / "models--me--tiny model ü"
    original = saved(root / "snapshots/abc123")
    (root / "refs").mkdir()
    (root / "refs/main").write_text("abc123")
    assert torch.equal(load(str(root)).model(IDS).logits, original(IDS).logits)
    (root / "refs/main").write_text("../../elsewhere")
    assert load(str(root)).layers == 4  # there is only one
    saved(root / "snapshots/def456", layers=2)
    assert f"Give one of them, such as {root / 'snapshots/abc123'}" in refusal(root)
    (root / "refs/main").write_text("def456\n")
    assert load(str(root)).layers == 2
    shutil.rmtree(root / "snapshots")
    (root / "snapshots").mkdir()
    assert "with no snapshots" in refusal(root)
