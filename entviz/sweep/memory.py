"""How much memory a worker needs for its model, found out without loading it.

need = model_need("smollm2-135m", "float32")       # None if its files are not on this machine and their size unknown
"""

from __future__ import annotations

from functools import cache

from entviz.errors import EntvizError
from entviz.models.catalog import CATALOG
from entviz.models.here import is_here
from entviz.models.memory import Need, estimate
from entviz.sweep.config import SweepConfig

_BASE_BYTES = 600_000_000  # the program itself: torch, its threads, compiled loops
_STATES = 1.25  # hidden states and predictions that are kept to start from, beside the model


@cache
def model_need(name: str, weights: str) -> Need | None:
    """The memory for loading a model and for its first run; None if that cannot be told here.

    Raises ``ModelError`` if the model is on this machine and cannot be used.
    """
    from entviz.models.checks import check_directory
    from entviz.models.loaded import parse_dtype
    from entviz.models.loading import locate, memory_need
    from entviz.models.quiet import quiet

    dtype = parse_dtype(weights)
    if is_here(name):
        with quiet():
            checked = check_directory(locate(name, dtype.itemsize), name, dtype)
        return memory_need(checked, dtype)
    entry = CATALOG.get(name)
    return None if entry is None else estimate(entry.parameters, dtype.itemsize)


def worker_bytes(config: SweepConfig, model: str) -> int:
    """The memory that a worker is placed by: what the file states, or what its model needs, or 0 if unknown."""
    if config.memory_gb is not None:
        return int(config.memory_gb * 1e9)
    try:
        need = model_need(model, config.weights)
    except EntvizError:  # the worker will say why
        return 0
    if need is None or config.gpus:  # on a GPU the weights are in its memory
        return 0 if need is None else _BASE_BYTES + need.loading
    return int(_BASE_BYTES + _STATES * need.peak)
