"""A store in a separate directory for each test."""

import pytest

from entviz.studies.registry import open_store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENTVIZ_DATABASE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def store():
    store = open_store()
    yield store
    store.close()
