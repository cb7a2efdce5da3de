"""Peak memory of an analysis beyond the loaded model, for few and for many windows.

python -m benchmarks.memory 32      # megabytes, in a process of its own, as the sections below run it
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.timing import Figure
from entviz.analysis import analyze
from entviz.models import LoadedModel, load
from entviz.text.passages import passages
from entviz.text.windows import windows_from_text

LENGTH = 256
_BOUND = 400.0  # MB
_LOOK_SECONDS = 0.002


def memory(loaded: LoadedModel) -> list[Figure]:
    """``loaded`` has made sure that the model is converted; what is measured is a fresh process."""
    del loaded
    figures = []
    for count in (4, 32):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", str(count)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        used = float(done.stdout)
        name = f"peak memory beyond the model, {count} windows"
        figures.append(Figure(name, used, "the bound of 400 MB", _BOUND, used / _BOUND, 1, "MB"))
    return figures


def peak_megabytes(work: Callable[[], object]) -> float:
    """The most memory that the process holds during ``work``, less what it held before.

    The system's own record of the most would still be that of loading the model.
    """
    process, finished = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not finished.wait(_LOOK_SECONDS):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        finished.set()
        watcher.join()
    return (most - before) / 1e6


def main(count: int) -> None:
    """Print the peak of an analysis of ``count`` windows, after a short one has touched every weight."""
    loaded = load()
    text = "\n\n".join(passage.text for passage in passages().values()) * (1 + count // 12)
    windows = windows_from_text(text, loaded.tokenizer, windows=count, window_length=LENGTH)
    few = windows_from_text(text, loaded.tokenizer, windows=1, window_length=32)
    analyze(loaded, few, ("bucket", "knn", "cosine"))  # reads the weights and the compiled kernels
    print(peak_megabytes(lambda: analyze(loaded, windows, ("bucket", "knn", "cosine"))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
