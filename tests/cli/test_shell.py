"""The command line as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import TEXT
from tests.parity import FIGURES

ROOT = Path(__file__).parents[2]


def test_the_default_model_from_a_shell(tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps(FIGURES["windows"][:1]))
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "entviz",
            "evaluate",
            "--token-ids",
            "ids.json",
            "--drop",
            "layer.10",
            "--json",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(finished.stdout)
    wanted = FIGURES["mean_nll_per_window_by_dropped_blocks"]
    assert found["nll"] == pytest.approx(wanted["layer.10"][0], abs=1e-3)
    assert found["dense"]["nll"] == pytest.approx(wanted[""][0], abs=1e-3)


def test_help_is_quick_and_loads_no_torch():
    code = "import sys, entviz.cli\nassert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_reader_that_has_seen_enough_is_no_error(directory):
    command = (
        f"{sys.executable} -m entviz analyze --model {directory} --text '{TEXT}' --window-length 40 | head -1"
    )
    finished = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "windows of 40 tokens" in finished.stdout
    assert "Error" not in finished.stderr
