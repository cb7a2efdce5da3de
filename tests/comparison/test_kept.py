"""A comparison that was stopped or killed continues where it was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from entviz.blocks import PruneSet
from entviz.comparison.grid import measuring
from entviz.comparison.grid.grid import compare
from entviz.errors import Cancelled
from entviz.evaluation.loss import evaluate
from entviz.models import load
from entviz.studies import Compare, TextSample
from entviz.studies.registry import open_store
from entviz.studies.results import StoredParts
from entviz.text.windows import windows_from_token_ids
from tests.comparison.windows import random_windows
from tests.tiny import build

# Parts are kept under the source that computes this.
QUESTION = Compare(TextSample("tiny", "", None, 40), ("last",), ("2",), ("mlp",))


def test_a_stopped_comparison_goes_on_where_it_was(tiny, calibration, measured, tmp_path, monkeypatch):
    kept = StoredParts(open_store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny, QUESTION)
    monkeypatch.setattr(measuring, "_TOGETHER", 2)
    seen = []

    def stop_after_some(done, total, partial=None):
        if partial is not None and len(partial.rows) >= 4:
            seen.append(partial)
            raise Cancelled("Stopped.")

    arguments = (tiny, calibration, measured, ["cosine", "last", "sleb"], ["1", "2", "3"])
    with pytest.raises(Cancelled):
        compare(*arguments, levels=["attn"], kept=kept, progress=stop_after_some)
    done = set(seen[0].rows["drop"])
    again = []
    real = measuring.evaluate_many

    def counted(loaded, windows, prune_sets, **options):
        again.extend(map(str, prune_sets))
        return real(loaded, windows, prune_sets, **options)

    monkeypatch.setattr(measuring, "evaluate_many", counted)
    found = compare(*arguments, levels=["attn"], kept=kept)
    assert found.finished
    assert not done & set(again)
    fresh = compare(*arguments, levels=["attn"])
    same = ["name", "budget", "drop", "parameters"]
    pd.testing.assert_frame_equal(found.rows[same], fresh.rows[same])
    np.testing.assert_allclose(found.rows["nll"], fresh.rows["nll"], atol=1e-6)


def test_a_comparison_in_another_number_type_is_not_taken_for_this_one(tiny, calibration, measured, tmp_path):
    kept = StoredParts(open_store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny, QUESTION)
    exact = compare(tiny, calibration, measured, ["last"], ["2"], levels=["mlp"], kept=kept)
    rough = compare(tiny, calibration, measured, ["last"], ["2"], levels=["mlp"], kept=kept, dtype="bfloat16")
    other = compare(tiny, calibration, random_windows(8, 3), ["last"], ["2"], levels=["mlp"], kept=kept)
    assert len({float(found.rows["nll"].iloc[0]) for found in (exact, rough, other)}) == 3


SCRIPT = """
import sys, time
from entviz.comparison.grid import grid, measuring
from entviz.studies.results import StoredParts
from entviz.text.windows import windows_from_token_ids
from entviz.models import load
from entviz.studies.registry import open_store
from entviz.studies import Compare, TextSample

question = Compare(TextSample("tiny", "", None, 40), ("last", "random"), ("1", "2", "3"), ("mlp",))
directory, database, log, pause = sys.argv[1:]
loaded, ids = load(directory), [[(7 * row + 3 * n) % 90 + 3 for n in range(40)] for row in range(6)]
windows = [windows_from_token_ids(rows, loaded.vocabulary_size) for rows in (ids[:2], ids[2:])]
real = measuring.evaluate_many
measuring._TOGETHER = 1

def noted(loaded, windows, sets, **options):
    with open(log, "a") as file:
        file.write(f"{sets[0] or 'dense'};")
    time.sleep(float(pause))
    return real(loaded, windows, sets, **options)

measuring.evaluate_many = noted
found = grid.compare(loaded, *windows, ["last", "random"], ["1", "2", "3"], levels=["mlp"], seeds=1,
                     kept=StoredParts(open_store(database), loaded, question))
print(found.rows[["name", "budget", "drop", "nll"]].to_json(orient="records"))
"""


@pytest.mark.exhaustive  # two processes more
def test_a_killed_comparison_is_there_afterwards(tmp_path):
    """A process is really killed amid the work; another finds what the first had finished, and only does the rest."""
    directory, log = tmp_path / "model", tmp_path / "log"
    build("llama", layers=5).save_pretrained(directory)
    command = [sys.executable, "-c", SCRIPT, str(directory), f"sqlite:///{tmp_path}/runs.sqlite", str(log)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    first = subprocess.Popen([*command, "0.4"], env=environment, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 90
    while not log.exists() or log.read_text().count(";") < 4:
        assert time.monotonic() < end, "the first process did not get far enough"
        assert first.poll() is None, "the first process ended too early"
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL
    begun = log.read_text().rstrip(";").split(";")
    log.unlink()
    second = subprocess.run(
        [*command, "0"], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    afterwards = log.read_text().rstrip(";").split(";")
    assert not set(begun[:3]) & set(afterwards)  # the fourth was under way
    rows = json.loads(second.stdout)
    assert len(rows) == 6
    assert {row["drop"] for row in rows} <= {*begun, *afterwards}
    loaded = load(str(directory))
    ids = [[(7 * row + 3 * n) % 90 + 3 for n in range(40)] for row in range(2, 6)]
    windows = windows_from_token_ids(ids, loaded.vocabulary_size)
    for row in rows:
        assert row["nll"] == pytest.approx(
            evaluate(loaded, windows, PruneSet.parse(row["drop"])).nll, abs=1e-5
        )
