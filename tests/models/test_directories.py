"""Directories of safetensors: those that load, and every way in which a directory can be wrong."""

import json
import os
import pickle
import struct

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from entviz.errors import EntvizError, ModelError, OptionError, TextError
from entviz.models import load
from tests.models.files import edit_config, saved

IDS = torch.arange(3, 23)[None]


def refusal(name, **options) -> str:
    """What the user is told: one or two plain sentences."""
    with pytest.raises(ModelError) as caught:
        load(str(name), **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert message.endswith((".", "?")) or "command:" in message
    assert len(message) < 500
    return message


class Canary:
    """Unpickling it leaves a trace."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "gemma3_text", "bloom", "mixtral"])
def test_directory_loads_to_the_saved_weights(tmp_path, architecture):
    original = saved(tmp_path, architecture)
    loaded = load(str(tmp_path))
    assert torch.equal(loaded.model(IDS).logits, original(IDS).logits)
    assert (loaded.layers, loaded.width, loaded.vocabulary_size) == (4, 32, 101)
    assert loaded.name == str(tmp_path)
    assert loaded.tokenizer.decode(loaded.tokenizer("text, as usual").input_ids) == "text, as usual"


def test_shards_load(tmp_path):
    original = saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    original.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert torch.equal(load(str(tmp_path)).model(IDS).logits, original(IDS).logits)


def test_model_without_tokenizer_takes_token_ids_only(tmp_path):
    saved(tmp_path, with_tokenizer=False)
    loaded = load(str(tmp_path))
    assert loaded.model(IDS).logits.shape == (1, 20, 101)
    with pytest.raises(TextError, match="came without a tokenizer"):
        _ = loaded.tokenizer


def test_code_beside_a_known_architecture_is_not_run(tmp_path):
    original = saved(tmp_path)
    trace = tmp_path / "trace"
    (tmp_path / "modeling_own.py").write_text(f"import os\nos.mkdir({str(trace)!r})\n")
    edit_config(
        tmp_path, auto_map={"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "modeling_own.Conf"}
    )
    assert torch.equal(load(str(tmp_path)).model(IDS).logits, original(IDS).logits)
    assert not trace.exists()


def test_code_of_an_unknown_architecture_is_refused(tmp_path):
    saved(tmp_path)
    trace = tmp_path / "trace"
    (tmp_path / "modeling_own.py").write_text(f"import os\nos.mkdir({str(trace)!r})\n")
    edit_config(
        tmp_path,
        model_type="own",
        auto_map={"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "modeling_own.C"},
    )
    assert "which entviz never runs" in refusal(tmp_path)
    assert not trace.exists()


def test_pickles_are_refused_and_never_opened(tmp_path):
    saved(tmp_path)
    trace = tmp_path / "trace"
    for name in ("pytorch_model.bin", "consolidated.00.pth"):
        (tmp_path / name).write_bytes(pickle.dumps(Canary(trace)))
    load(str(tmp_path))  # the safetensors beside them are what counts
    (tmp_path / "model.safetensors").unlink()
    assert "has its weights as a pickle" in refusal(tmp_path)
    assert "is a pickle" in refusal(tmp_path / "pytorch_model.bin")
    assert "is a pickle" in refusal(tmp_path / "consolidated.00.pth")
    assert not trace.exists()


def test_config_cannot_point_to_a_pickle(tmp_path):
    saved(tmp_path)
    trace = tmp_path / "trace"
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps(Canary(trace)))
    edit_config(tmp_path, transformers_weights="adapter_model.bin")
    assert "a weight file (transformers_weights)" in refusal(tmp_path)
    assert not trace.exists()


def test_empty_directory(tmp_path):
    assert "no config.json" in refusal(tmp_path)


def test_directory_without_weights(tmp_path):
    saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert "has a config.json but no weights" in refusal(tmp_path)


def test_weights_without_config(tmp_path):
    saved(tmp_path)
    (tmp_path / "config.json").unlink()
    assert "no config.json" in refusal(tmp_path)
    assert "Give the directory" in refusal(tmp_path / "model.safetensors")


def test_adapter(tmp_path):
    saved(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "an adapter, not a whole model" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (
            "bert",
            {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 32},
        ),
        ("t5", {"d_model": 32, "d_ff": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8}),
        ("bart", {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1}),
        (
            "vit",
            {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 32},
        ),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_models_that_are_not_causal(tmp_path, kind, settings, named):
    AutoModel.from_config(AutoConfig.for_model(kind, **settings)).save_pretrained(tmp_path)
    if not named:
        edit_config(tmp_path, architectures=None)
    assert "not a causal language model" in refusal(tmp_path)


def test_classifier_on_a_causal_body(tmp_path):
    body = saved(tmp_path)
    AutoModelForSequenceClassification.from_config(body.config).save_pretrained(tmp_path)
    assert "is a LlamaForSequenceClassification, not a causal language model" in refusal(tmp_path)


def test_body_without_head_is_refused_where_the_head_is_not_the_embedding(tmp_path):
    body = saved(tmp_path, tie_word_embeddings=False).model
    body.save_pretrained(tmp_path)
    assert "lacks 1 of the weights of the model in its config.json, such as lm_head.weight" in refusal(
        tmp_path
    )


def test_missing_weights_are_not_made_up(tmp_path):
    saved(tmp_path, layers=3)
    edit_config(tmp_path, num_hidden_layers=4)
    assert "has weights for 3 layers, but its config.json says 4" in refusal(tmp_path)


def test_weights_of_another_shape(tmp_path):
    saved(tmp_path)
    edit_config(tmp_path, intermediate_size=40)
    message = refusal(tmp_path)
    assert "model.layers.0.mlp.down_proj.weight" in message
    assert "has the shape (32, 48), but its config.json requires (32, 40)" in message


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_weights_cut_short(tmp_path, keep):
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "model.safetensors" in refusal(tmp_path)
    assert "is damaged" in refusal(tmp_path)


def test_weights_that_are_something_else(tmp_path):
    saved(tmp_path)
    header = json.dumps({"weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 10**15]}}).encode()
    path = tmp_path / "model.safetensors"
    for content in (
        b"<html>not found</html>" * 9,
        struct.pack("<Q", len(header)) + header,
        struct.pack("<Q", 2) + b"[]",
    ):
        path.write_bytes(content)
        assert "is damaged" in refusal(tmp_path)


def test_shard_that_is_missing(tmp_path):
    saved(tmp_path).save_pretrained(tmp_path, max_shard_size="20KB")
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert f"lacks its weight file {shard.name}" in refusal(tmp_path)


@pytest.mark.parametrize("place", ["../other.safetensors", "/etc/model.safetensors", "pytorch_model-1.bin"])
def test_index_that_points_elsewhere(tmp_path, place):
    saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"lm_head.weight": place}})
    )
    assert "not a safetensors file beside it" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", ["{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 5}}']
)
def test_index_without_files(tmp_path, content):
    saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(content)
    assert "names no files" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "config.json"),
        ("\xff", "config.json"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "names no model_type"),
        ('{"model_type": 3}', "names no model_type"),
        ('{"model_type": "no-such"}', "does not know"),
        ('{"model_type": "llama", "num_hidden_layers": "four"}', "cannot be used"),
        ('{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": -4}', "cannot"),
    ],
)
def test_config_that_cannot_be_used(tmp_path, content, says):
    saved(tmp_path)
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    assert says in refusal(tmp_path)


def test_quantized_weights(tmp_path):
    saved(tmp_path)
    edit_config(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4})
    assert "quantized" in refusal(tmp_path)


def test_damaged_tokenizer(tmp_path):
    saved(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    assert "tokenizer" in refusal(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "../nowhere",
        "/nowhere/at/all",
        "./x.gguf",
        "a/b/c",
        "a b",
        "a\nb",
        "é",
        "x" * 5000,
        "a\0b",
        "-x",
        "..",
        "~x/y",
    ],
)
def test_names_that_stand_for_nothing(name, tmp_path, monkeypatch):
    (tmp_path / "within").mkdir()
    monkeypatch.chdir(tmp_path / "within")
    with pytest.raises(ModelError) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a model")
    assert "is not a model" in refusal(path)


def test_model_larger_than_memory(tmp_path, monkeypatch):
    saved(tmp_path)
    memory = type("Memory", (), {"available": 100_000})()
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert "0.1 MB are free" in refusal(tmp_path)


@pytest.mark.parametrize("dtype", ["float64", "bf16", "", "int8"])
def test_unknown_dtype(dtype):
    with pytest.raises(OptionError, match="float32, bfloat16, float16"):
        load(dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "tpu", "", "meta", "meta:x"])
def test_unknown_device(device):
    with pytest.raises(OptionError, match="no device"):
        load(device=device)


def test_errors_are_of_the_family_that_pages_show():
    assert issubclass(ModelError, EntvizError)


def test_loading_prints_nothing(tmp_path, capfd):
    saved(tmp_path)
    capfd.readouterr()
    load(str(tmp_path))
    assert capfd.readouterr() == ("", "")
