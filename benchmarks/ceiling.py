"""What share of the device's own speed at matrix products an analysis reaches."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import Figure, seconds
from entviz.analysis import analyze
from entviz.decoder.batching import batches, windows_per_batch
from entviz.models import LoadedModel
from entviz.text.windows import Windows

_SIZES_ON_CPU, _SIZES_ELSEWHERE = (512, 1024, 2048), (4096, 8192)
_ROUNDS = 7


def ceiling(loaded: LoadedModel, text: Windows, metrics: tuple[str, ...]) -> Figure:
    """Operations a second of an analysis beside the most that a square float32 matrix product reached in this run.

    Counted are the multiplications and additions of the model's body alone; what the estimators compute comes on top,
    so the share is what is left of the device's speed after everything that is not the model.
    """
    operations = _operations(loaded, text)
    analyze(loaded, text, metrics)
    reached = operations / min(seconds(lambda: analyze(loaded, text, metrics)) for _ in range(3))
    most = max(_product(loaded, size) for size in _sizes(loaded))
    name = f"analysis: {', '.join(metrics)}, operations"
    beside = "the fastest square float32 matrix product of this run"
    return Figure(name, reached / 1e9, beside, most / 1e9, reached / most, None, "GFLOP/s")


def _operations(loaded: LoadedModel, text: Windows) -> float:
    counter = FlopCounterMode(display=False)
    size = windows_per_batch(loaded.anatomy, text.length)
    with counter, torch.inference_mode():
        for _, token_ids in batches(text.token_ids, size):
            loaded.model.base_model(input_ids=token_ids.to(loaded.device), use_cache=False)
    return float(counter.get_total_flops())


def _product(loaded: LoadedModel, size: int) -> float:
    matrix = torch.randn(size, size, device=loaded.device, dtype=loaded.dtype)
    return 2 * size**3 / min(seconds(lambda: matrix @ matrix) for _ in range(_ROUNDS))


def _sizes(loaded: LoadedModel) -> tuple[int, ...]:
    return _SIZES_ON_CPU if loaded.device.type == "cpu" else _SIZES_ELSEWHERE
