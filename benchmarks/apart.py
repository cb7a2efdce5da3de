"""What it costs that models are in a process apart: an evaluation through the runtime, there and in this process."""

from __future__ import annotations

import tempfile
from itertools import count
from statistics import median
from time import perf_counter

from benchmarks.timing import Figure
from entviz.blocks import Block, PruneSet
from entviz.models import LoadedModel
from entviz.runtime import Runtime
from entviz.runtime.apart import Apart, Settings
from entviz.studies import Evaluate, TextSample
from entviz.studies.registry import open_store
from entviz.text.passages import passages

_LAYERS = (2, 5, 8, 11, 14, 17, 20, 23, 26)
_ROUNDS = 4


def apart(loaded: LoadedModel) -> list[Figure]:
    """A click's evaluation, 4 x 128 tokens: each prune set in both processes in turn, the first one alternating."""
    sample = TextSample("smollm2-135m", passages()["news"].text, 4, 128)
    with tempfile.TemporaryDirectory() as folder:
        stores = [open_store(f"sqlite:///{folder}/{name}.sqlite") for name in ("here", "apart")]
        here = Runtime(store=stores[0])
        there = Runtime(store=stores[1], engine=Apart(stores[1], Settings()))
        both, numbers, firsts, lasts = (here, there), count(), [], []
        for runtime in both:
            _ask(runtime, sample, PruneSet(), 0)
        for kind in ("attn", "mlp", "layer", "attn")[:_ROUNDS]:
            for layer in _LAYERS:
                number = next(numbers)
                drop = PruneSet([Block(kind, layer), *([Block("mlp", 29)] if number > 27 else [])])
                taken = {}
                for runtime in both if number % 2 else both[::-1]:
                    taken[runtime] = _ask(runtime, sample, drop, number)
                firsts.append((taken[there][0], taken[here][0]))
                lasts.append((taken[there][1], taken[here][1]))
        for runtime in both:
            runtime.close()
    baseline = "the same in the process of the server"
    return [
        _figure("first number of a process apart", firsts, baseline),
        _figure("last number of a process apart", lasts, baseline),
    ]


def _figure(name: str, pairs: list[tuple[float, float]], baseline: str) -> Figure:
    mine, other = (median(column) for column in zip(*pairs, strict=True))
    return Figure(name, mine, baseline, other, median(one / beside for one, beside in pairs), 1.05)


def _ask(runtime: Runtime, sample: TextSample, drop: PruneSet, number: int) -> tuple[float, float]:
    """Seconds from asking to the first partial result, and to the result."""
    begun = perf_counter()
    job = runtime.ask(Evaluate(sample, drop), f"session {number}")
    first = None
    while not job.wait(0.001):
        if first is None and job.partial is not None:
            first = perf_counter() - begun
    last = perf_counter() - begun
    assert job.state == "done", job.error
    return last if first is None else first, last
