"""How long a comparison takes, and how fast a pruned model is: timed in a job, from what is known and what is not."""

from importlib import import_module

import pytest

from entviz.blocks import PruneSet
from entviz.comparison.grid import grid, measuring
from entviz.evaluation import speed
from entviz.runtime.model_cache import ModelCache
from entviz.studies import Compare, TextSample
from tests.models.files import saved
from tests.runtime.asking import TEXT, result_of

module = import_module("entviz.runtime.runtime")  # its name in the package is the function's
DROP = PruneSet.parse("attn.0")


@pytest.fixture
def sample(tmp_path):
    saved(tmp_path / "model", layers=2)
    return TextSample(str(tmp_path / "model"), TEXT * 2, 1, 40)


@pytest.fixture
def here(make):
    return make(models=ModelCache())


def test_nothing_is_measured_for_an_estimate_and_what_is_known_takes_no_time(here, sample, monkeypatch):
    study = Compare(sample, ("last", "cosine"), ("1",), ("attn",))
    ran = []
    real = measuring.evaluate_many
    monkeypatch.setattr(measuring, "evaluate_many", lambda *a, **k: (ran.append(a), real(*a, **k))[1])
    before = result_of(here.estimate(study, "a"))
    assert before.prune_sets == 2
    assert before.seconds > 0
    assert not ran
    result_of(here.ask(study, "a"))
    assert ran, "the count is worth nothing if it counts nothing"
    here.worker.forget_finished()
    after = result_of(here.estimate(study, "a"))
    assert (after.prune_sets, after.seconds) == (2, 0)


def test_an_estimate_is_timed_again_once_the_machine_may_have_become_busy(here, sample, monkeypatch):
    study, now = Compare(sample, ("last",), ("1",), ("attn",)), [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    timed = []
    real = grid.pace
    monkeypatch.setattr(grid, "pace", lambda *a, **k: (timed.append(a), real(*a, **k))[1])
    result_of(here.estimate(study, "a"))
    result_of(here.estimate(study, "b"))
    assert len(timed) == 1, "who asks for the same in the same moment shares it"
    now[0] += module.ESTIMATE_SECONDS
    result_of(here.estimate(study, "a"))
    assert len(timed) == 2


def test_a_speed_is_timed_in_one_job_and_asked_for_again_is_the_same(here, sample, monkeypatch):
    jobs = []
    real = speed.reading_seconds
    monkeypatch.setattr(speed, "reading_seconds", lambda *a, **k: (jobs.append(a[2]), real(*a, **k))[1])
    found = result_of(here.speed(sample, DROP, "float32", "a"))
    assert found.repeats == module.SPEED_ROUNDS
    assert 0 < found.low <= found.times <= found.high
    assert result_of(here.speed(sample, DROP, "float32", "b")) == found
    assert jobs == [DROP]
    assert result_of(here.speed(sample, PruneSet.parse("attn.1"), "float32", "a")) is not found
    refused = here.speed(sample, PruneSet.parse("attn.7"), "float32", "a")
    assert refused.wait(60)
    assert "attn.7" in str(refused.error)
