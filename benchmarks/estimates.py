"""How long a comparison was said to take beside how long it took, on an idle machine and beside busy processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import psutil
import torch

from benchmarks.busy import neighbours
from benchmarks.timing import Figure, seconds
from entviz.comparison.grid.contenders import usual
from entviz.comparison.grid.grid import compare, estimate
from entviz.comparison.grid.texts import windows_of
from entviz.models import LoadedModel
from entviz.text.passages import passages

_NICE = 10  # what the command nice gives a process


def estimates(loaded: LoadedModel) -> list[Figure]:
    """The comparison that the page offers at first, alone and beside busy processes, and one that tries prune sets."""
    count = torch.get_num_threads()
    tries = (*usual(), "leave-one-out", "search")
    with neighbours(count) as others:
        found = [
            _one(loaded, "21 prune sets, as the page offers them", usual()),
            _one(loaded, "9 prune sets, with leave-one-out and search", tries, ("4",)),
        ]
        for nice, how in ((0, "of its own priority"), (_NICE, f"nice {_NICE}")):
            with _busy(others, nice):
                found.append(_one(loaded, f"21 prune sets beside {count} busy processes, {how}", usual()))
    return found


def _one(
    loaded: LoadedModel, name: str, criteria: Sequence[str], budgets: Sequence[str] = ("4", "8", "12")
) -> Figure:
    texts = [passage.text for title, passage in passages().items() if title != "news"]
    calibration = loaded.windows(passages()["news"].text, windows=4, window_length=128)
    measured = windows_of(texts, loaded, 128, 24)
    asked = (loaded, calibration, measured, criteria, budgets)
    options = {"levels": ["attn"], "seconds": 10.0}
    said = estimate(*asked, **options).seconds
    took = seconds(lambda: compare(*asked, **options))
    return Figure(f"estimate: {name}", said, "the time it took", took, said / took, bound=2.0, least=0.5)


@contextlib.contextmanager
def _busy(others: Sequence[psutil.Process], nice: int) -> Iterator[None]:
    for other in others:
        other.nice(nice)
        other.resume()
    yield
    for other in others:
        other.suspend()
