"""A separate cache for every test, so that no test finds what another left."""

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory that entviz uses during the test."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("ENTVIZ_CACHE", str(directory))
    return directory
