"""The analysis of a pruned model takes from the known dense analysis everything before the first dropped block."""

import pytest

from entviz.blocks import PruneSet
from entviz.decoder.splitting import SplitLayer
from entviz.runtime import Runtime
from entviz.studies import Analyze, AnalyzePruned, TextSample
from entviz.studies.registry import open_store
from tests.models.files import saved

TEXT = "It was late, and the road went on between the fields without a light or a house. " * 3


@pytest.fixture
def here(tmp_path):
    made = Runtime(store=open_store(f"sqlite:///{tmp_path}/runs.sqlite"))
    yield made
    made.close()


@pytest.fixture
def ran(monkeypatch):
    """How often a layer was run, whole or in part."""
    times = []
    for name in ("trace", "run"):
        real = getattr(SplitLayer, name)

        def watched(self, *given, real=real, **more):
            times.append(self)
            return real(self, *given, **more)

        monkeypatch.setattr(SplitLayer, name, watched)
    return times


def result(job):
    assert job.wait(60), job.snapshot()
    return job.result


def test_a_page_s_tick_runs_only_the_layers_from_the_tick_on(here, ran, tmp_path):
    saved(tmp_path / "tiny", num_hidden_layers=4)
    sample = TextSample(str(tmp_path / "tiny"), TEXT, 2, 40)
    measured = ("bucket", "knn", "renyi", "cosine")  # what the page has measured of the dense model
    result(here.ask(Analyze(sample, measured), "tests"))

    def runs(drop):
        ran.clear()
        result(here.ask(AnalyzePruned(sample, ("knn",), drop=PruneSet.parse(drop), along=measured), "tests"))
        return len(ran)

    assert runs("attn.3") == 4, "the layers before are run once, to keep what enters layer 3"
    assert runs("mlp.3") == 1
    assert runs("layer.2") == 2, "what enters layer 2 was kept then too"
    ran.clear()
    alone = result(here.ask(AnalyzePruned(sample, ("bucket",), drop=PruneSet.parse("mlp.3")), "tests"))
    assert len(ran) == 4, "no dense analysis of these metrics alone is known"
    assert alone.entropies == ("bucket",)
