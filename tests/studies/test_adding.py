"""A study added to the registry is everywhere: both runners, the store, the list of runs, reports."""

from dataclasses import dataclass

import pytest

from entviz.cli import main
from entviz.report import Section, document
from entviz.runtime import Runtime
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.runner import Runner
from entviz.studies import STUDIES, Page, StoredStudy, TextSample, registry
from entviz.studies.listing import listing
from entviz.studies.registry import open_store
from entviz.studies.reporting import of_run
from tests.models.files import saved

TEXT = "It was late, and the road went on between the fields without a light or a house. " * 3


@dataclass(frozen=True)
class Counted:
    """How often the commonest token occurs."""

    token: int
    times: int


@dataclass(frozen=True)
class CountTokens(StoredStudy[Counted]):
    """Find the commonest token of a text, from some id on."""

    first: int = 0

    kind = "counts"
    title = "Commonest token"
    result = f"{__name__}:Counted"
    numbers = {"times": "times"}  # noqa: RUF012
    page = Page("explore")

    def options(self):
        return self.sample.options() | {"first": self.first}

    def compute(self, material, progress):
        ids = [token for token in material.windows.token_ids.ravel().tolist() if token >= self.first]
        progress(1, 1)
        commonest = max(set(ids), key=ids.count)
        return Counted(commonest, ids.count(commonest))

    def summarize(self, result):
        return {"times": result.times}

    @classmethod
    def report(cls, result, about, options, pieces=None):
        return document(
            cls.title, about.text_title, [Section("Token", f"{result.token}, {result.times} times")]
        )


@pytest.fixture(autouse=True)
def added():
    """The registry with one more line."""
    with STUDIES.added(CountTokens):
        yield


@pytest.fixture
def sample(tmp_path):
    saved(tmp_path / "model", layers=1)
    return TextSample(str(tmp_path / "model"), TEXT, 2, 40)


@pytest.fixture
def address(tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path}/runs.sqlite"
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    return address


def test_a_job_computes_it_and_finds_it_again(sample, address):
    here = Runtime(store=open_store(address))
    job = here.ask(CountTokens(sample), "tests")
    assert job.wait(60)
    assert job.result.times > 1
    here.close()
    later = Runtime(store=open_store(address))
    again = later.ask(CountTokens(sample), "tests")
    assert again.finished, "without a job, and so without the model"
    assert again.result == job.result
    assert not later.ask(CountTokens(sample, first=60), "tests").finished, "another question"
    later.close()


def test_the_runner_of_a_shell_keeps_it_where_a_page_finds_it(sample, address):
    store = open_store(address)
    outcome = Runner(store, ModelCache(1)).run_now(CountTokens(sample))
    assert store.runs()[0].options == {"windows": 2, "window_length": 40, "first": 0, "model": sample.model}
    here = Runtime(store=open_store(address))
    assert here.ask(CountTokens(sample), "tests").result == outcome.result
    here.close()
    store.close()


def test_it_is_listed_and_reported(sample, address, capsys):
    store = open_store(address)
    found = Runner(store, ModelCache(1)).run_now(CountTokens(sample)).result
    (run,) = store.runs()
    row = listing([run]).iloc[0]
    assert (row["kind"], row["found"]) == ("Commonest token", f"times {found.times}")
    assert f"{found.token}, {found.times} times" in of_run(run, store.get(run.key), store.text(run.key))
    store.close()
    assert main(["runs", "--kind", "counts"]) == 0
    assert f"times {found.times}" in capsys.readouterr().out


def test_no_study_is_unfinished():
    for kind, study in registry.stored_studies().items():
        assert study.kind == kind
        assert study.title
        assert registry.result_type(kind) is not None
        assert study.page.name
