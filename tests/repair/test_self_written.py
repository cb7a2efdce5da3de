"""Text that a model writes itself: drawn from its distribution, the same each time, kept within a bound."""

import pytest
import torch

from entviz.models.loaded import LoadedModel
from entviz.repair import self_written as module
from entviz.repair.self_written import self_written
from tests.tiny import VOCABULARY_SIZE, build


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))


def sharp(architecture="llama"):
    """A model whose next token is nearly certain, so that what it should write can be worked out."""
    model = build(architecture)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1e4)
    return LoadedModel.of(model)


def test_it_is_what_the_model_finds_likely():
    loaded = sharp()
    written = self_written(loaded, windows=3, length=6).token_ids
    ids = torch.cat([torch.full((3, 1), loaded.model.config.eos_token_id or 0), written], 1)
    logits = loaded.model(ids).logits[:, :-1]
    if loaded.model.config.eos_token_id is not None:
        logits[..., loaded.model.config.eos_token_id] = -torch.inf
    assert (written == logits.argmax(-1)).float().mean() > 0.9


def test_without_a_cache_of_keys_and_values_it_is_the_same(monkeypatch):
    loaded = LoadedModel.of(build("llama"))
    written = self_written(loaded, windows=2, length=5).token_ids
    monkeypatch.setattr(type(loaded.model), "_supports_default_dynamic_cache", lambda _: False)
    monkeypatch.setattr(module, "_read", lambda *_: None)
    assert torch.equal(self_written(loaded, windows=2, length=5).token_ids, written)


def test_it_is_written_once_and_the_oldest_texts_go(tmp_path, monkeypatch):
    loaded = LoadedModel.of(build("gpt2"))
    monkeypatch.setattr(module, "_MOST_KEPT", 2)
    first = self_written(loaded, windows=2, length=4)
    assert first.token_ids.max() < VOCABULARY_SIZE
    calls = []
    again = self_written(loaded, windows=2, length=4, progress=lambda *step: calls.append(step))
    assert torch.equal(again.token_ids, first.token_ids)
    assert not calls
    for seed in (1, 2):
        assert not torch.equal(
            self_written(loaded, windows=2, length=4, seed=seed).token_ids, first.token_ids
        )
    assert len(list((tmp_path / "self-written").iterdir())) == 2


def test_a_damaged_file_is_written_again(tmp_path):
    loaded = LoadedModel.of(build("gpt2"))
    first = self_written(loaded, windows=2, length=4)
    [file] = (tmp_path / "self-written").iterdir()
    unknown = [[1, 2, 3, VOCABULARY_SIZE]] * 16
    for content in ("[[1, 2]]", "[", '{"a": 1}', str(unknown), str([[[1, 2, 3, 4]]] * 16)):
        file.write_text(content)
        assert torch.equal(self_written(loaded, windows=2, length=4).token_ids, first.token_ids)


def test_more_windows_begin_with_those_of_fewer():
    loaded = LoadedModel.of(build("gpt2"))
    many = self_written(loaded, windows=20, length=4).token_ids
    assert torch.equal(self_written(loaded, windows=3, length=4).token_ids, many[:3])
    assert not torch.equal(many[16:], many[:4])
