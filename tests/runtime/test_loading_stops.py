"""A load that nobody needs any more ends at any stage, and does not block other models."""

import threading

import pytest

from entviz.errors import Cancelled
from entviz.models import bounded_building, loading
from entviz.models.loading import load
from entviz.progress import waiting_for
from entviz.runtime.model_cache import ModelCache
from tests.models.files import saved


def stop(done, total, partial=None):
    raise Cancelled("Stopped.")


def test_waiting_for_a_lock_can_be_stopped():
    lock = threading.Lock()
    with lock, pytest.raises(Cancelled), waiting_for(lock, stop, every=0.01):
        pytest.fail("the lock is held by somebody else")
    with waiting_for(lock, stop):
        assert lock.locked()
    assert not lock.locked()


def test_waiting_for_another_models_reading_can_be_stopped(tmp_path, monkeypatch):
    saved(tmp_path)
    monkeypatch.setattr(bounded_building, "_REPORT_EVERY", 10**9)
    with loading._READING, pytest.raises(Cancelled):
        load(str(tmp_path), progress=stop)
    assert load(str(tmp_path)).layers == 4


def test_building_can_be_stopped_in_the_comparison_and_in_the_reading(tmp_path, monkeypatch):
    saved(tmp_path)
    monkeypatch.setattr(bounded_building, "_REPORT_EVERY", 1)
    calls = []
    load(str(tmp_path), progress=lambda *_: calls.append(1))
    assert len(calls) > 100
    for last in (1, len(calls) // 3, len(calls) - 1):
        asked = []

        def at(*_, last=last, asked=asked):
            asked.append(1)
            if len(asked) >= last:
                raise Cancelled("Stopped.")

        with pytest.raises(Cancelled):
            load(str(tmp_path), progress=at)
        assert len(asked) == last
    assert not loading._READING.locked()


def test_a_gate_at_the_cache_can_be_left(tmp_path, monkeypatch):
    cache, inside, release = ModelCache(), threading.Event(), threading.Event()

    def slowly(name, **options):
        inside.set()
        assert release.wait(60)
        return "loaded"

    monkeypatch.setattr("entviz.models.loading.load", slowly)
    monkeypatch.setattr(cache, "_bytes", lambda: 0)
    first = threading.Thread(target=lambda: cache.get("one"))
    first.start()
    assert inside.wait(60)
    with pytest.raises(Cancelled):
        cache.get("one", stop)
    release.set()
    first.join(60)
    assert not cache._gates


def test_no_more_is_built_than_tensors_can_fill():
    from torch import nn

    with pytest.raises(bounded_building.TooManyPartsError), bounded_building.bounded_building(most=50):
        nn.ModuleList(nn.Linear(1, 1) for _ in range(10**9))
    others = []
    with bounded_building.bounded_building(most=0):
        thread = threading.Thread(target=lambda: others.append(nn.Linear(1, 1)))
        thread.start()
        thread.join(60)
    assert others, "another thread builds as much as it wants"
    assert nn.Linear(1, 1).weight.shape == (1, 1)
