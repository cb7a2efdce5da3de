"""Models in memory, and what identifies their files."""

import contextlib
import threading
import time

from entviz.errors import ModelError
from entviz.models import LoadedModel
from entviz.runtime.identity import model_identity
from entviz.runtime.model_cache import ModelCache
from tests.runtime.asking import MODEL, result_of
from tests.together import at_once


def test_the_identity_changes_with_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    directory = tmp_path / "model"
    directory.mkdir()
    assert model_identity(str(directory)) is None
    assert model_identity(str(tmp_path / "none")) is None
    assert model_identity("no-such/model-anywhere") is None
    assert model_identity("~nobody/model") is None
    (directory / "config.json").write_text("{}")
    first = model_identity(str(directory))
    (directory / "notes.md").write_text("of no importance")
    assert model_identity(str(directory)) == first
    (directory / "model.safetensors").write_bytes(b"1")
    second = model_identity(str(directory))
    (directory / "model.safetensors").write_bytes(b"12")
    assert len({first, second, model_identity(str(directory)), model_identity(MODEL), None}) == 5


def test_few_models_stay_in_memory(tiny, loads):
    cache = ModelCache(kept=2)
    one, two, three = (tiny(name) for name in ("one", "two", "three"))
    first = cache.get(one)
    assert isinstance(first, LoadedModel)
    cache.get(two)
    assert cache.get(one) is first
    cache.get(three)
    assert cache.find(one) is first
    assert cache.find(two) is None
    assert loads == [one, two, three]
    narrow = ModelCache(kept=5, memory_bytes=first.bytes * 2)
    narrow.get(one)
    narrow.get(two)
    assert narrow.find(one) is None
    assert narrow.find(two) is not None


def test_a_model_is_loaded_once_however_many_ask(tiny, loads):
    cache, one = ModelCache(), tiny("one")
    assert len(set(map(id, at_once(lambda: cache.get(one))))) == 1
    assert len(loads) == 1


def test_a_model_that_failed_to_load_is_not_loaded_twice_at_once_by_those_who_come_then(monkeypatch):
    cache, loading, most, lock = ModelCache(), [], [0], threading.Lock()
    first_failed = threading.Event()

    def load(name, **options):
        with lock:
            loading.append(name)
            most[0] = max(most[0], len(loading))
        time.sleep(0.2)  # for the others to come
        with lock:
            loading.pop()
        first_failed.set()
        raise ModelError("It cannot be loaded.")

    def ask():
        with contextlib.suppress(ModelError):
            cache.get("one")

    monkeypatch.setattr("entviz.models.loading.load", load)
    early = [threading.Thread(target=ask) for _ in range(2)]
    for thread in early:
        thread.start()
    assert first_failed.wait(30)
    time.sleep(0.05)  # the second is at it now
    late = threading.Thread(target=ask)
    late.start()
    for thread in (*early, late):
        thread.join(30)
    assert most == [1]
    assert not cache._gates


def test_a_model_whose_files_have_changed_is_loaded_again(tiny, loads):
    cache, name = ModelCache(), tiny("one")
    first = cache.get(name)
    tiny("one", seed=1)
    second = cache.get(name)
    assert first.fingerprint != second.fingerprint
    assert len(loads) == 2


def test_a_model_can_be_loaded_ahead(make, tiny, loads):
    here, name = make(models=ModelCache()), tiny("one")
    result_of(here.prepare(name, "a"))
    assert here.prepare(name, "b").finished
    assert loads == [name]
    assert here.engine.holds(name)
