"""How torch's threads wait is set before torch starts them, at every entry point."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Runs as soon as torch is imported, and prints what OpenMP then reads.
WATCH = """
import importlib.abc, os, runpy, sys
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print("waits:", os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
"""
WAYS_IN = {
    "from Python": "import entviz; entviz.evaluate",
    "a module": "import entviz.estimators.states",
    "python -m entviz": (
        "sys.argv = ['entviz', 'analyze', '--text', 'a']\nrunpy.run_module('entviz', run_name='__main__')"
    ),
    "the entviz command": "sys.argv = ['entviz', 'analyze', '--text', 'a']; from entviz.cli import main; main()",
    "the dashboard": (
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=200).run()\n"
        "import threading; threading.Event().wait(200)"
    ),
    "benchmarks": "sys.argv = ['benchmarks', 'memory']; runpy.run_module('benchmarks', run_name='__main__')",
    "tests": "import pytest; pytest.main(['-s', '--collect-only', 'tests/estimators/test_knn.py'])",
}


SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def policy(script: str, tmp_path: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", WATCH + script],
        env={
            **kept,
            "ENTVIZ_DATABASE": f"sqlite:///{tmp_path}/runs.sqlite",
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = [line for line in done.stdout.splitlines() if "waits:" in line]
    assert len(said) == 1, done.stderr
    return said[0].partition("waits: ")[2]


@pytest.mark.parametrize("way", WAYS_IN)
def test_threads_spin_briefly_and_then_sleep(way, tmp_path):
    assert policy(WAYS_IN[way], tmp_path) == "passive 1000"


def test_what_the_user_has_set_stays(tmp_path):
    assert policy(WAYS_IN["from Python"], tmp_path, OMP_WAIT_POLICY="active") == "active None"
    assert policy(WAYS_IN["from Python"], tmp_path, GOMP_SPINCOUNT="7") == "passive 7"
