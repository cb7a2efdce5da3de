"""The cache of hidden states: what its keys distinguish, and that it stays within its size."""

import threading

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.decoder.states import StateCache, default_capacity, prefix_key

KILOBYTE = torch.zeros(256)  # of four bytes each


def key(drop: str, layer: int, text: object = "text"):
    return prefix_key(text, PruneSet.parse(drop), layer)


def test_a_state_depends_on_the_drops_before_its_layer_and_on_nothing_later():
    assert key("attn.1,layer.5", 3) == key("attn.1,mlp.3", 3)
    assert key("attn.1", 2) != key("attn.1", 3)
    assert key("attn.1", 2) != key("mlp.1", 2)
    assert key("attn.2", 2) == key("", 2)
    assert key("attn.2", 3) != key("", 3)
    assert key("", 2) != key("", 2, "another text")
    assert key("attn.1,mlp.1", 2) == key("layer.1", 2)


def test_the_least_recently_used_goes_first():
    cache = StateCache(3 * 1024)
    for name in "abc":
        cache.put(name, KILOBYTE)
    assert cache.get("a") is KILOBYTE
    cache.put("d", KILOBYTE)
    assert [name for name in "abcd" if cache.get(name) is not None] == ["a", "c", "d"]
    assert cache.bytes == 3 * 1024


def test_it_never_holds_more_than_it_may():
    cache, sizes = (
        StateCache(10_000),
        torch.randint(1, 3000, (300,), generator=torch.Generator().manual_seed(0)),
    )
    for place, size in enumerate(sizes.tolist()):
        cache.put(place % 40, torch.zeros(size, dtype=torch.uint8), torch.zeros(5, dtype=torch.uint8))
        assert cache.bytes <= 10_000
    held = sum(sum(part.numel() for part in cache.get(n)) for n in range(40) if cache.get(n) is not None)
    assert cache.bytes == held


def test_what_is_larger_than_the_cache_is_not_kept():
    cache = StateCache(1000)
    cache.put("small", torch.zeros(10))
    cache.put("large", KILOBYTE)
    assert cache.get("large") is None
    assert cache.get("small") is not None
    StateCache(0).put("nothing", torch.zeros(1))


def test_a_key_put_again_counts_once():
    cache = StateCache(10_000)
    for _ in range(5):
        cache.put("a", KILOBYTE)
    assert cache.bytes == 1024
    cache.clear()
    assert cache.bytes == 0
    assert cache.get("a") is None


def test_many_threads_keep_its_count_right():
    cache = StateCache(20 * 1024)

    def work(seed: int) -> None:
        for step in range(300):
            cache.put((seed * step) % 50, KILOBYTE)
            cache.get(step % 50)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.bytes == 1024 * sum(cache.get(name) is not None for name in range(50)) <= 20 * 1024


def test_the_default_is_a_gigabyte_or_a_tenth_of_memory(monkeypatch):
    assert 0 < default_capacity() <= 1e9
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 2e9})())
    assert StateCache().capacity == pytest.approx(2e8)
