"""A database of an earlier version, copied to a place where a test may write."""

import shutil
from pathlib import Path

import pytest

from entviz.studies.registry import open_store

EARLIER = Path(__file__).parents[1] / "data" / "runs_before_studies.sqlite"


@pytest.fixture
def earlier(tmp_path):
    shutil.copy(EARLIER, tmp_path / "runs.sqlite")
    store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
    yield store
    store.close()


# Kinds of study that the version which wrote it did not have.
LATER = {
    "pruned analysis",
    "block damages",
    "token damages",
    "repaired evaluation",
}
