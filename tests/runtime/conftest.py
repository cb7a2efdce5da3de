"""Runtimes with a separate database for each test, and a model cache that they share."""

import pytest

import entviz.analysis
from entviz.evaluation import generation, loss
from entviz.runtime import Runtime
from entviz.runtime.model_cache import ModelCache
from entviz.studies.registry import open_store
from entviz.text.windows import windows_from_text
from tests.counting import counted
from tests.runtime.asking import MODEL, TEXT


@pytest.fixture(scope="module")
def cache(smollm2):
    """One cache for all tests here, with the default model in it."""
    cache = ModelCache()
    cache.put(MODEL, smollm2)
    return cache


@pytest.fixture
def make(cache, tmp_path):
    """Runtimes that share models and one database."""
    made = []

    def make(**arguments):
        store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
        made.append(Runtime(**{"store": store, "models": cache, "states_bytes": 100_000_000} | arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def here(make):
    return make()


@pytest.fixture
def runs(monkeypatch):
    """Counts the real computations by kind; they run as always."""
    return counted(monkeypatch, (loss, "evaluate"), (entviz.analysis, "analyze"), (generation, "generate"))


@pytest.fixture(scope="module")
def windows(smollm2):
    return windows_from_text(TEXT, smollm2.tokenizer, windows=2, window_length=40)


@pytest.fixture
def tiny(tiny_model, tmp_path):
    def save(name, seed=0):
        tiny_model("llama", layers=2, seed=seed).save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def loads(monkeypatch):
    import entviz.models.loading

    real, names = entviz.models.loading.load, []

    def load(name, **options):
        names.append(name)
        return real(name, **options)

    monkeypatch.setattr(entviz.models.loading, "load", load)
    return names
