"""The memory that is needed is estimated beforehand; a refusal gives the figures."""

import pytest

from entviz.errors import ModelError
from entviz.models import memory
from entviz.models.memory import Need, available_bytes, check_memory, estimate
from tests.tiny import build


def test_peak_is_the_larger_of_reading_and_running():
    assert Need(weights=100, loading=50, copies=10, run=20).peak == 150
    assert Need(weights=100, loading=5, copies=10, run=20).peak == 130
    assert Need(weights=100, loading=50, run=20, layer=30).peak == 200, "a layer is read while others are run"


def test_estimate_counts_weights_copies_and_the_first_run():
    config = build("llama", hidden_size=64, intermediate_size=512).config
    plain = estimate(1000, 4, config=config)
    assert plain.weights == 4000
    assert plain.run == 4 * (512 * (12 * 64 + 3 * 512) + 64 * 101)
    assert estimate(1000, 4, copy_bytes_each=2).copies == 2000
    assert estimate(1000, 2, loading=7).peak == 2007


def test_refusal_names_every_figure(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 3_000_000_000)
    check_memory(Need(weights=2_900_000_000), "tiny")
    with pytest.raises(ModelError) as caught:
        check_memory(Need(3_000_000_000, loading=500_000_000, copies=1_500_000_000, run=100_000_000), "big")
    assert str(caught.value) == (
        "big needs 4.6 GB of memory (3.0 GB for its weights, 0.5 GB to read them, 1.5 GB for a copy in another number "
        "type, 0.1 GB for the first run), but only 3.0 GB are free. Choose a smaller model, or bfloat16 weights."
    )


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    free = available_bytes()
    assert free > 50_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("70000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 20000\n")
    assert available_bytes() > 50_000
    (tmp_path / "memory.max").write_text("100000\n")
    assert available_bytes() == 50_000
