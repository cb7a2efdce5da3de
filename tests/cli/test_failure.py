"""A command that fails unexpectedly prints a sentence; the traceback is in the log."""

import os
import subprocess
import sys

BROKEN = """
import sys
from entviz import cli
from entviz.cli import runs
def broken(options):
    raise ZeroDivisionError("nobody foresaw this")
runs.run = broken
sys.exit(cli.main(["runs"]))
"""


def test_a_command_that_fails_prints_a_sentence_and_logs_the_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        env={**os.environ, "ENTVIZ_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Something failed inside entviz (ZeroDivisionError)" in done.stderr
    assert str(tmp_path / "entviz.log") in done.stderr
    logged = (tmp_path / "entviz.log").read_text()
    assert "Traceback" in logged
    assert "nobody foresaw this" in logged
