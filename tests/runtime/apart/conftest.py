"""Runtimes that compute in a child process. Most tests share one, because starting it takes seconds."""

import time
from types import SimpleNamespace

import pytest

from entviz.runtime import Runtime
from entviz.runtime.apart import Apart, Settings
from entviz.runtime.queue import Worker
from entviz.studies import ModelAlone
from entviz.studies.registry import open_store
from tests.models.files import saved


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """A runtime whose models are in a child process, with an empty store."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('apart')}/runs.sqlite")
    runtime = Runtime(store=store, engine=Apart(store, Settings()), worker=Worker(patience=600))
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A tiny model without an input."""
    folder = tmp_path_factory.mktemp("model")
    saved(folder, layers=2)
    return ModelAlone(str(folder))


@pytest.fixture
def until():
    """Waits until something is so."""

    def until(is_so, seconds=60.0):
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)

    return until


@pytest.fixture
def note(monkeypatch):
    """The warnings of the log."""
    from entviz.runtime.apart import engine

    said = []
    monkeypatch.setattr(engine, "log", SimpleNamespace(warning=lambda form, *rest: said.append(form % rest)))
    return said
