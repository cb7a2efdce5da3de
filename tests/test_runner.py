"""A run of tests ends by itself and fails if one of its processes dies or hangs."""

import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parents[1] / "pyproject.toml"
QUICK = "def test_one(): pass\ndef test_two(): pass\ndef test_three(): pass\n"
DIES = "import os, time\ndef test_slow(): time.sleep(2)\ndef test_ends(): os.abort()\n"
WAITS = "import threading\ndef test_ends(): threading.Event().wait()\n"


@pytest.mark.parametrize(
    ("last", "options"),
    [(DIES, ()), (WAITS, ("-o", "faulthandler_timeout=2"))],
    ids=["a process that dies", "a test that waits endlessly"],
)
def test_the_run_ends_and_fails(tmp_path, last, options):
    # Files that are done, and another process with nothing left to do: there a replaced worker waits endlessly.
    for name, source in {"a": QUICK, "b": QUICK, "c": last}.items():
        (tmp_path / f"test_{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-c", str(SETTINGS), "--rootdir", str(tmp_path), *options]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout
    assert "crashed while running" in done.stdout
    assert "test_ends" in done.stdout
