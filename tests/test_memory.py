"""Memory does not grow with the text: measuring and evaluating a long text takes no more than a short one."""

import subprocess
import sys
from pathlib import Path

# Kept for 120 more windows, the hidden states of all sites would take 205 MB, and the logits 490 MB.
PROGRAM = """
import threading, time
import psutil, torch
from entviz.analysis import analyze
from entviz.blocks import PruneSet
from entviz.text.windows import windows_from_token_ids
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import evaluate_many
from entviz.models import LoadedModel
from entviz.criteria.angular import angular_distances
from entviz.decoder.states import StateCache
from tests.tiny import build

loaded = LoadedModel.of(build("llama", 6, hidden_size=256, intermediate_size=64, vocab_size=8000))
drop = PruneSet.parse("attn.1")
works = {
    "analyze": lambda windows: analyze(loaded, windows, ("bucket", "cosine")),
    "evaluate": lambda windows: evaluate(loaded, windows, drop, cache=StateCache(20_000_000)),
    "evaluate_many": lambda windows: evaluate_many(loaded, windows, [drop, PruneSet.parse("mlp.4")]),
    "angular_distances": lambda windows: angular_distances(loaded, windows),
}

def peak(work, count):
    ids = torch.randint(3, 8000, (count, 128), generator=torch.Generator().manual_seed(0))
    windows = windows_from_token_ids(ids.tolist(), 8000)
    most, done = 0, False

    def watch():
        nonlocal most
        while not done:
            most = max(most, psutil.Process().memory_info().rss)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work(windows)
    done = True
    watcher.join()
    return most

for name, work in works.items():
    peak(work, 12)
    print(name, peak(work, 132) - peak(work, 12))
"""


def test_peak_memory_is_that_of_a_short_text():
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    growth = dict(line.split() for line in finished.stdout.splitlines())
    assert set(growth) == {"analyze", "evaluate", "evaluate_many", "angular_distances"}
    # The allocator may or may not hand a chunk of logits (64 MB) back, and the cache may fill its 20 MB.
    assert {name: grown for name, grown in growth.items() if int(grown) > 100e6} == {}
