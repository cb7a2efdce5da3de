"""How a sweep's time falls from one worker to two, each with one processor; needs Ray, and so must be named."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.timing import Figure
from entviz.models import LoadedModel
from entviz.studies.registry import open_store
from entviz.sweep.config import SweepConfig, config_of
from entviz.sweep.rays import RayCrew
from entviz.sweep.sweep import sweep

_PAIRS = 2
_VALUES = {
    "models": ["smollm2-135m"],
    "texts": ["news", "law", "medicine", "dialogue"],
    "calibration": "story",
    "criteria": ["last", "random:seed=1", "random:seed=2"],
    "levels": ["attn"],
    "budgets": [4, 8],
    "windows": 4,
    "calibration_windows": 1,
    "window_length": 128,
}


def workers(_loaded: LoadedModel) -> list[Figure]:
    """24 cells of the default model, 4 x 128 tokens each: seconds a cell once workers have started, and in all."""
    config = config_of(_VALUES, Path("workers.yaml"))
    one, two = [], []
    for _ in range(_PAIRS):
        one.append(_seconds(config, 1))
        two.append(_seconds(config, 2))
    figures = []
    for place, name in enumerate(("a cell of a sweep on two workers", "the whole sweep, with starting them")):
        mine, base = (median(times[place] for times in run) for run in (two, one))
        ratio = median(b[place] / a[place] for a, b in zip(one, two, strict=True))
        figures.append(Figure(name, mine, "the same on one worker", base, ratio, None))
    return figures


def _seconds(config: SweepConfig, count: int) -> tuple[float, float]:
    """Seconds for each of the last two thirds of the cells, and of the whole, with nothing known."""
    ended: list[float] = [time.perf_counter()]

    def note(done: int, _total: int, _partial: object = None, /) -> None:
        while len(ended) <= done:
            ended.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/runs.sqlite"
        store = open_store(database)
        with RayCrew(config, count, database=database) as crew:
            table = sweep(config, store, crew, progress=note)
        store.close()
    cells = len(table.rows)
    if table.counts()["done"] != cells:
        raise RuntimeError("cells failed, so that their time says nothing")
    first = cells // 3
    return (ended[cells] - ended[first]) / (cells - first), ended[cells] - ended[0]
