"""A loaded model never changes, its fingerprint distinguishes models, and copies share nothing."""

import dataclasses

import pytest
import torch

from entviz.errors import ModelError, OptionError
from entviz.models import LoadedModel, load
from tests.models.files import edit_config, saved
from tests.tiny import OPTIONS, build
from tests.together import at_once

IDS = torch.arange(3, 23)[None]


def test_model_is_ready_for_measuring():
    loaded = LoadedModel.of(build("gpt2").train().requires_grad_(True), name="tiny")
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert (loaded.layers, loaded.width, loaded.vocabulary_size) == (4, 32, 101)
    assert loaded.device == torch.device("cpu")
    assert loaded.dtype == torch.float32
    assert loaded.bytes == 4 * loaded.parameters


def test_shared_weights_count_once():
    tied, untied = (LoadedModel.of(build("llama", tie_word_embeddings=tie)) for tie in (True, False))
    assert untied.parameters - tied.parameters == 101 * 32


def test_fields_cannot_be_set():
    loaded = LoadedModel.of(build("llama"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.name = "other"  # type: ignore[misc]  # which is what must fail


def test_fingerprint_is_that_of_equal_models(tmp_path):
    fingerprints = {LoadedModel.of(build("llama", seed=3)).fingerprint for _ in range(2)}
    saved(tmp_path, seed=3)
    assert fingerprints == {load(str(tmp_path)).fingerprint}
    assert all(len(value) == 32 for value in fingerprints)


@pytest.mark.parametrize("architecture", list(OPTIONS))
def test_fingerprint_tells_the_smallest_change(architecture):
    before = LoadedModel.of(build(architecture)).fingerprint
    for which in (0, -1):
        model = build(architecture)
        weight = list(model.parameters())[which]
        weight.view(-1)[-1] = torch.nextafter(weight.view(-1)[-1], torch.tensor(9.0))
        assert LoadedModel.of(model).fingerprint != before


def test_fingerprint_tells_configs_and_types_apart(tmp_path):
    saved(tmp_path)
    fingerprints = {load(str(tmp_path)).fingerprint, load(str(tmp_path), dtype="bfloat16").fingerprint}
    edit_config(tmp_path, rope_parameters={"rope_theta": 500.0, "rope_type": "default"})
    fingerprints.add(load(str(tmp_path)).fingerprint)
    edit_config(tmp_path, hidden_act="gelu")
    fingerprints.add(load(str(tmp_path)).fingerprint)
    assert len(fingerprints) == 4


def test_fingerprint_tells_swapped_weights():
    # Two layers exchanged hold the same bytes in another order.
    before, model = LoadedModel.of(build("llama")).fingerprint, build("llama")
    layers = model.model.layers
    layers[1], layers[2] = layers[2], layers[1]
    assert LoadedModel.of(model).fingerprint != before


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("architecture", list(OPTIONS))
def test_copy_in_another_type_equals_a_load_in_it(tmp_path, architecture, dtype):
    saved(tmp_path, architecture)
    loaded = load(str(tmp_path))
    dense = loaded.model(IDS).logits
    copy, fresh = loaded.in_dtype(dtype), load(str(tmp_path), dtype=dtype)
    assert copy.dtype == fresh.dtype == getattr(torch, dtype)
    actual = dict(copy.model.named_parameters())
    for name, weight in fresh.model.named_parameters():
        assert weight.dtype == actual[name].dtype, name
        assert torch.equal(weight, actual[name]), name
    buffers = dict(copy.model.named_buffers())
    for name, buffer in fresh.model.named_buffers():
        assert torch.equal(buffer, buffers[name].to(buffer.dtype)), name
    assert torch.equal(copy.model(IDS).logits, fresh.model(IDS).logits)
    assert copy.fingerprint == fresh.fingerprint
    assert torch.equal(loaded.model(IDS).logits, dense)


@pytest.mark.parametrize("architecture", list(OPTIONS))
def test_copy_shares_nothing_that_can_change(architecture):
    loaded = LoadedModel.of(build(architecture))
    before = loaded.fingerprint
    copy = loaded.in_dtype("bfloat16")
    theirs = {t.data_ptr() for t in (*copy.model.parameters(), *copy.model.buffers()) if t.numel()}
    ours = {t.data_ptr() for t in (*loaded.model.parameters(), *loaded.model.buffers()) if t.numel()}
    assert not ours & theirs
    assert copy.model.config is not loaded.model.config
    assert loaded.model.config.dtype == torch.float32
    for weight in copy.model.parameters():
        weight.zero_()
    assert LoadedModel.of(loaded.model).fingerprint == before


def test_copy_keeps_shared_weights_shared():
    copy = LoadedModel.of(build("llama", tie_word_embeddings=True)).in_dtype("bfloat16")
    assert copy.model.lm_head.weight is copy.model.model.embed_tokens.weight


def test_copy_is_made_once_however_many_ask():
    loaded = LoadedModel.of(build("llama", layers=8))
    assert len(set(map(id, at_once(lambda: loaded.in_dtype("bfloat16"))))) == 1
    assert loaded.in_dtype("float32") is loaded
    with pytest.raises(OptionError, match="no weight type"):
        loaded.in_dtype("float8")


def test_anatomy_is_found_once_however_many_ask():
    loaded = LoadedModel.of(build("llama"))
    assert len(set(map(id, at_once(lambda: loaded.anatomy)))) == 1


def test_model_without_layers_is_refused():
    model = build("llama")
    model.config.num_hidden_layers = 0
    with pytest.raises(ModelError, match="decoder-only"):
        LoadedModel.of(model)


def test_a_copy_that_does_not_fit_is_refused(monkeypatch):
    loaded = LoadedModel.of(build("llama"), name="tiny")
    monkeypatch.setattr("entviz.models.memory.available_bytes", lambda: loaded.parameters)
    with pytest.raises(
        ModelError, match=r"Running tiny in bfloat16 needs .* for a copy in another number type"
    ):
        loaded.in_dtype("bfloat16")
    monkeypatch.setattr("entviz.models.memory.available_bytes", lambda: 2 * loaded.parameters)
    assert loaded.in_dtype("bfloat16").dtype == torch.bfloat16
