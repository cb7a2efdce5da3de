"""A store in a directory of the test's own."""

import pytest

from entviz.store import Store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENTVIZ_DATABASE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def store():
    store = Store()
    yield store
    store.close()
