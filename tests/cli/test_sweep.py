"""``entviz sweep``: the table as text, JSON and CSV, the plan, and what is refused."""

import io
import json
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from entviz.cli import main
from tests.cli.conftest import TEXT


@pytest.fixture
def file(tmp_path, directory):
    """Writes a sweep of the tiny model."""

    def write(**changes):
        (tmp_path / "text.txt").write_text(TEXT)
        values = {
            "models": [str(directory)],
            "texts": [{"file": "text.txt", "name": "road"}],
            "calibration": "story",
            "criteria": ["cosine", "last"],
            "budgets": [1],
            "levels": ["attn"],
            "windows": 2,
            "calibration_windows": 2,
            "window_length": 40,
        } | changes
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    return write


def told(capsys, *arguments):
    capsys.readouterr()
    return main(["sweep", *arguments]), *capsys.readouterr()


def test_its_three_forms_hold_the_same_numbers(file, capsys):
    status, text, _ = told(capsys, file())
    assert status == 0
    assert "2 of 2 cells done, 0 of them known before, 0 failed." in text
    status, plain, _ = told(capsys, file(), "--json")
    rows = json.loads(plain)["rows"]
    assert [row["criterion"] for row in rows] == ["cosine", "last"]
    status, csv, _ = told(capsys, file(), "--csv")
    table = pd.read_csv(io.StringIO(csv))
    assert list(table["perplexity"]) == pytest.approx([row["perplexity"] for row in rows])
    assert all(f"{row['perplexity']:.4g}" in text for row in rows)
    assert all(row["drop"] in text for row in rows)


def test_the_plan_counts_and_computes_nothing(file, capsys, store):
    status, text, _ = told(capsys, file(), "--dry-run")
    assert status == 0
    assert "2 cells, 0 of them known, 2 to measure." in text
    assert store.runs() == []
    status, plain, _ = told(capsys, file(repairs=["none", "bias"], tasks=["grammar"]), "--dry-run", "--json")
    plan = json.loads(plain)
    assert (plan["cells"], plan["done"]) == (2 * 2 * 2 + 1, 0)
    assert plan["seconds"] > 0
    weights = plan["models"][0]["weights_bytes"]
    assert plan["models"][0]["worker_bytes"] > weights > 0
    told(capsys, file())
    assert json.loads(told(capsys, file(), "--dry-run", "--json")[1])["done"] == 2


def test_more_workers_halve_the_time_told(file, capsys):
    plan = json.loads(told(capsys, file(), "--dry-run", "--json", "--workers", "4")[1])
    assert plan["seconds"] == pytest.approx(plan["models"][0]["seconds"] / 4)


def test_failed_cells_are_told_after_the_table(file, capsys):
    status, text, errors = told(capsys, file(budgets=[1, 40]))
    assert status == 2
    assert "failed" in text
    assert "A budget of 40 blocks is not possible" in errors
    assert "2 of 4 cells failed" in errors


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"criterea": ["last"]}, (), "Did you mean criteria?"),
        ({"criteria": ["lst"]}, (), "'lst' is not"),
        ({}, ("--workers", "0"), "--workers must be from 1"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(file, capsys, changes, arguments, words):
    status, output, errors = told(capsys, file(**changes), *arguments)
    assert (status, output) == (2, "")
    assert words in errors
    assert "Traceback" not in errors


def test_without_ray_it_says_what_ray_is_for(file, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    status, _, errors = told(capsys, file(), "--workers", "2")
    assert status == 2
    assert 'Several workers need Ray, which is not installed: pip install "entviz[ray]"' in errors


@pytest.mark.exhaustive
@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_command_that_is_ended_midway_leaves_what_it_had_finished(file, capsys, store, how, status):
    path = file(criteria=["random"], seeds=40, budgets=[1, 2], levels=["attn", "mlp"])
    command = [sys.executable, "-m", "entviz", "sweep", path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while len(store.runs(kind="evaluation")) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    before = {run.key: run.created for run in store.runs(kind="evaluation", limit=1000)}
    table = json.loads(told(capsys, path, "--json")[1])
    assert table["cells"] == {"done": 160, "failed": 0, "missing": 0}
    after = {run.key: run.created for run in store.runs(kind="evaluation", limit=1000)}
    assert before.items() < after.items()
    assert len(after) == len({row["drop"] for row in table["rows"]})
