"""Whether a model is on this machine is found from file names, without a request to the hub."""

import pytest

from entviz.models.here import is_downloaded, is_here
from tests.models.files import saved, snapshot


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_what_was_never_downloaded_is_not_here(cache):
    assert not any(is_downloaded(name) for name in ("gpt2", "someone/model", "no hub id", "../x", "a" * 300))
    assert is_downloaded("smollm2-135m"), "it comes in a package"


def test_a_model_is_here_once_all_its_weights_are(cache):
    directory = snapshot(cache, "someone/sharded")
    model = saved(directory)
    assert is_downloaded("someone/sharded")
    (directory / "model.safetensors").unlink()
    assert not is_downloaded("someone/sharded")
    model.save_pretrained(directory, max_shard_size="20KB")
    assert is_downloaded("someone/sharded")
    next(directory.glob("model-00002-*.safetensors")).unlink()
    assert not is_downloaded("someone/sharded")
    (directory / "model.safetensors.index.json").write_text("[1")
    assert not is_downloaded("someone/sharded")


def test_a_path_is_here_but_no_download(cache, tmp_path):
    place = str(tmp_path)
    assert is_here(place)
    assert not is_downloaded(place)
    assert not is_here(place + "-else")
    assert not is_here("~nobody-of-that-name/x\0")
