"""How many windows are run together: the memory for a token is what torch itself reports for a layer."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from entviz.decoder import batching
from entviz.decoder.batching import batches, bytes_per_token, tokens_per_batch, windows_per_batch
from entviz.models import LoadedModel
from tests.tiny import build

LENGTH = 64


@pytest.fixture
def loaded():
    return LoadedModel.of(build("llama", layers=2))


def profiled_bytes_per_token(loaded):
    """The peak of allocated bytes in the last layer, from the profiler's record of every allocation and release."""
    hidden, calls = loaded.anatomy.begin(torch.zeros(1, LENGTH, dtype=torch.long))
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        loaded.anatomy.split_layers[-1].trace(hidden, calls[-1])
    alive = peak = 0
    for event in sorted(
        (event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"),
        key=lambda event: event.start_ns(),
    ):
        alive += event.nbytes()
        peak = max(peak, alive)
    return (peak + hidden.numel() * 4) / LENGTH


def test_bytes_of_a_token_are_what_the_profiler_counts(loaded):
    found = bytes_per_token(loaded.anatomy, LENGTH)
    # Operations keep workspaces of their own for a moment, which only the profiler sees.
    assert found == pytest.approx(profiled_bytes_per_token(loaded), rel=0.4)
    assert found > 4 * loaded.width * 4


def test_attention_that_writes_its_scores_down_takes_more_for_each_token(loaded):
    eager = build("llama", layers=2)
    eager.set_attn_implementation("eager")
    eager = LoadedModel.of(eager)
    growth = {
        model: bytes_per_token(model.anatomy, 128) / bytes_per_token(model.anatomy, 32)
        for model in (loaded, eager)
    }
    assert growth[loaded] == pytest.approx(1, abs=0.3)
    assert growth[eager] > 1.5


def test_batches_shrink_with_memory_down_to_one_window(loaded, monkeypatch):
    assert windows_per_batch(loaded.anatomy, 64) == 8  # 512 tokens keep a processor busy
    monkeypatch.setattr(batching, "_free_bytes", lambda anatomy: 4 * 200 * bytes_per_token(anatomy, 64))
    assert tokens_per_batch(loaded.anatomy, 64) == 200
    assert windows_per_batch(loaded.anatomy, 64) == 3
    monkeypatch.setattr(batching, "_free_bytes", lambda anatomy: 1000)
    assert windows_per_batch(loaded.anatomy, 64) == 1


def test_windows_longer_than_the_model_reads_are_measured_at_what_it_reads():
    assert windows_per_batch(LoadedModel.of(build("gpt2")).anatomy, 200) == 2


def test_every_window_is_in_one_batch():
    ids = torch.arange(14).reshape(7, 2)
    parts = list(batches(ids, 3))
    assert [first for first, _ in parts] == [0, 3, 6]
    assert torch.equal(torch.cat([part for _, part in parts]), ids)


def test_the_first_batch_may_be_shorter():
    ids = torch.arange(14).reshape(7, 2)
    parts = list(batches(ids, 3, first=1))
    assert [(start, len(part)) for start, part in parts] == [(0, 1), (1, 3), (4, 3)]
    assert torch.equal(torch.cat([part for _, part in parts]), ids)
    assert [len(part) for _, part in batches(ids, 2, first=5)] == [2, 2, 2, 1]
