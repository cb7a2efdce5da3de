"""Code that comes with a model never runs, whichever file names it."""

import ast
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from entviz.models import load
from entviz.models.transformers_calls import config_from, without_code
from tests.models.files import edit_config, saved, tokenizer, write_gguf

SOURCES = Path(__file__).parents[2]
IDS = torch.arange(3, 23)[None]
CALLERS = "entviz/models/transformers_calls.py"
PIPE = "entviz/runtime/apart/pipe.py"  # between the two processes of this program, see SECURITY.md
# What reads a model's files or a config, runs what they name, or unpickles.
DANGEROUS = {
    *("from_pretrained", "from_config", "_from_config", "from_model_config", "for_model", "pipeline"),
    *("GenerationConfig", "PretrainedConfig", "PreTrainedConfig", "PreTrainedTokenizerFast", "GgufConfig"),
    *("get_class_from_dynamic_module", "load_custom_generate", "load_state_dict", "load_gguf_checkpoint"),
    *("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "unpickle"),
}


def dangerous_names(source: str) -> set[str]:
    """Names of that kind that a program uses or imports, also by another name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
            if isinstance(node.value, ast.Name) and (node.value.id, node.attr) == ("torch", "load"):
                found.add("pickle")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {part for name in node.names for part in name.name.split(".")}
            found |= set((getattr(node, "module", None) or "").split("."))
    return {
        name for name in found if name in DANGEROUS or name.startswith(("AutoConfig", "AutoModel", "AutoTok"))
    }


def test_only_one_module_calls_transformers_readers():
    files = [*SOURCES.glob("entviz/**/*.py"), *SOURCES.glob("pages/**/*.py"), SOURCES / "app.py"]
    assert len(files) > 150
    callers = {
        str(file.relative_to(SOURCES)): names
        for file in files
        if (names := dangerous_names(file.read_text("utf-8")))
    }
    assert callers.pop(PIPE) == {"pickle"}
    assert set(callers) == {CALLERS}
    assert {"from_pretrained", "AutoModelForCausalLM", "AutoTokenizer"} <= callers[CALLERS]


@pytest.mark.parametrize(
    "source",
    [
        "from transformers import AutoTokenizer as T",
        "import transformers\ntransformers.AutoConfig",
        "model.from_pretrained('x')",
        "import torch\ntorch.load('x')",
        "import pickle",
        "from pickle import loads",
    ],
)
def test_such_calls_are_found(source):
    assert dangerous_names(source)


def test_every_read_says_no_to_code():
    tree = ast.parse((SOURCES / CALLERS).read_text("utf-8"))
    reads = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("from_pretrained", "from_config")
    ]
    assert len(reads) == 6
    for call in reads:
        spread = {ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg is None}
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert spread & {"_SAFE", "_SAFE_WEIGHTS"} or said.get("trust_remote_code") == "False"


def test_gguf_beside_code_of_its_own(tmp_path, monkeypatch, cache):
    write_gguf(tmp_path / "model.gguf")
    trace = tmp_path / "trace"
    (tmp_path / "tokenization_own.py").write_text(f"import os\nos.mkdir({str(trace)!r})\n")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}, "tokenizer_class": "Own"})
    )
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "tokenization_own.Conf"}}))
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "y")
    loaded = load(str(tmp_path / "model.gguf"))
    assert loaded.tokenizer.decode(loaded.tokenizer("ab").input_ids) == "ab"
    assert not asked
    assert not trace.exists()


def test_tokenizer_with_code_of_its_own(tmp_path, monkeypatch):
    saved(tmp_path)
    trace = tmp_path / "trace"
    (tmp_path / "tokenization_own.py").write_text(f"import os\nos.mkdir({str(trace)!r})\n")
    steering = tmp_path / "tokenizer_config.json"
    values = json.loads(steering.read_text())
    steering.write_text(
        json.dumps(
            {**values, "auto_map": {"AutoTokenizer": [None, "tokenization_own.Own"]}, "tokenizer_class": "X"}
        )
    )
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail("it asks whether to run code"))
    assert load(str(tmp_path)).tokenizer("ab").input_ids == tokenizer()("ab").input_ids
    assert not trace.exists()


@pytest.mark.parametrize(
    "key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"]
)
@pytest.mark.parametrize("value", ["someone/kernel", "flash_attention_3", {"": "someone/kernel"}, 5])
def test_attention_is_chosen_here(tmp_path, key, value):
    original = saved(tmp_path)
    edit_config(tmp_path, **{key: value, "experts_implementation": "someone/kernel"})
    loaded = load(str(tmp_path))
    assert loaded.model.config._attn_implementation == "sdpa"
    assert torch.equal(loaded.model(IDS).logits, original(IDS).logits)


def test_nested_configs_are_stripped_too():
    values = {
        "model_type": "gemma3",
        "auto_map": {"AutoConfig": "x.Y"},
        "text_config": {
            "model_type": "gemma3_text",
            "attn_implementation": "someone/kernel",
            "num_hidden_layers": 2,
        },
        "list": [{"fusion_config": 1, "kept": 2}],
    }
    stripped = without_code(values)
    assert stripped["text_config"] == {"model_type": "gemma3_text", "num_hidden_layers": 2}
    assert stripped["list"] == [{"kept": 2}]
    assert "auto_map" not in stripped
    assert "auto_map" in values
    config = config_from(values)
    assert config.text_config._attn_implementation is None
    assert config.text_config.num_hidden_layers == 2


def test_tokenizer_files_elsewhere_are_not_followed(tmp_path):
    saved(tmp_path / "model")
    other = tokenizer()
    other.add_tokens(["ab cd"])
    other.save_pretrained(tmp_path / "other")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        steering = tmp_path / "model" / name
        values = json.loads(steering.read_text()) if steering.exists() else {}
        values |= {key: str(tmp_path / "other/tokenizer.json") for key in ("tokenizer_file", "vocab_file")}
        steering.write_text(json.dumps(values))
    assert len(load(str(tmp_path / "model")).tokenizer) == len(tokenizer())


def test_a_checkpoint_of_another_kind_beside_the_weights_is_not_opened(tmp_path):
    class Canary:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trace"),)

    original = saved(tmp_path)
    for name in (".metadata", "pytorch_model.bin", "training_args.bin"):
        (tmp_path / name).write_bytes(pickle.dumps(Canary()))
    assert torch.equal(load(str(tmp_path)).model(IDS).logits, original(IDS).logits)
    assert not (tmp_path / "trace").exists()


def test_the_tokenizer_can_be_saved_after_loading(tmp_path):
    saved(tmp_path / "model")
    loaded = load(str(tmp_path / "model"))
    loaded.tokenizer.save_pretrained(tmp_path / "again")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    assert again("ab c").input_ids == loaded.tokenizer("ab c").input_ids
    assert "entviz-" not in (tmp_path / "again/tokenizer_config.json").read_text()
    assert loaded.model.config.name_or_path == str(tmp_path / "model")
