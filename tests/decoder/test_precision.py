"""The choice of a number type: measured once on each machine, and passed on to everything that runs in it."""

import json

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.decoder import precision
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import evaluate_many
from entviz.models import LoadedModel
from entviz.text.windows import windows_from_token_ids
from tests.tiny import build

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache directory, and nothing known from before."""
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_known", {})
    return tmp_path / "bfloat16-speedup.json"


def restarted(monkeypatch):
    monkeypatch.setattr(precision, "_known", {})


def test_speedup_is_timed_once_for_a_machine(cache, monkeypatch):
    found = precision.speedup(CPU)
    assert found > 0
    assert list(json.loads(cache.read_text()).values()) == [found]
    monkeypatch.setattr(precision, "_timed", lambda device: pytest.fail("timed again"))
    assert precision.speedup(CPU) == found
    restarted(monkeypatch)
    assert precision.speedup(CPU) == found


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"cpu": "fast"}'])
def test_a_damaged_note_is_made_again(cache, damage):
    cache.write_text(damage)
    assert precision.speedup(CPU) > 0
    assert json.loads(cache.read_text())


def test_a_place_that_takes_nothing_is_left_as_it_was(cache):
    """A real limit on the size of files, which is met as a full disk is."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        precision._write({"cpu": 2.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert list(cache.parent.iterdir()) == []


def test_only_a_clear_gain_is_taken(cache, monkeypatch):
    for gain, dtype in ((0.4, "float32"), (1.1, "float32"), (1.9, "bfloat16")):
        cache.write_text(json.dumps({precision._name(CPU): gain}))
        restarted(monkeypatch)
        assert precision.resolved("auto", CPU) == dtype
    assert precision.resolved("float32", CPU) == "float32"
    assert precision.resolved("float16", CPU) == "float16"


@pytest.mark.parametrize(("gain", "dtype"), [(0.5, "float32"), (3.0, "bfloat16")])
def test_an_automatic_evaluation_is_one_in_that_type(cache, gain, dtype):
    cache.write_text(json.dumps({precision._name(CPU): gain}))
    loaded = LoadedModel.of(build("llama"))
    windows = windows_from_token_ids([list(range(3, 23)), list(range(40, 60))], 101)
    drop = PruneSet.parse("attn.1")
    found, named = (evaluate(loaded, windows, drop, dtype=one) for one in ("auto", dtype))
    assert found.dtype == named.dtype == dtype
    assert found.nll == named.nll
    (many,) = evaluate_many(loaded, windows, [drop], dtype="auto")
    assert many.nll == pytest.approx(named.nll, abs=1e-4 if dtype == "float32" else 2e-2)
    other = evaluate(loaded, windows, drop, dtype="float32" if dtype == "bfloat16" else "bfloat16")
    assert other.nll != found.nll
