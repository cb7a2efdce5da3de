"""The workbench with the default model: right numbers for everyone, nothing computed twice, nothing that raises."""

import threading
import time

import numpy as np
import pandas as pd
import pytest

from entviz.analysis import analyze
from entviz.blocks import PruneSet
from entviz.corpus import windows_from_text
from entviz.errors import BlockError, Cancelled, EntvizError, ModelError, OptionError, TextError
from entviz.evaluation import generation, loss
from entviz.evaluation.tasks import evaluate_task
from entviz.jobs import Worker
from entviz.models import LoadedModel
from entviz.pruning.choose import choose
from entviz.pruning.criteria import rank
from entviz.store import Store
from entviz.tasks import read_task
from entviz.workbench import Request, Workbench, process, workbench
from entviz.workbench.identity import model_identity
from entviz.workbench.rest import Rest
from entviz.workbench.shelf import Shelf

MODEL = "smollm2-135m"
TEXT = (
    "The harbour lay quiet before dawn, and the tide had gone out so far that the boats leaned on their keels in the "
    "mud. A woman with a lantern walked along the wall, counting the ropes as her father had taught her, and at the "
    "last ring she stopped, because there was one rope more than there had been the evening before. She put the "
    "lantern down. Somewhere out in the fog an engine turned over, coughed twice, and went silent again. "
) * 2
REQUEST = Request(MODEL, TEXT, windows=2, window_length=40)


@pytest.fixture(scope="module")
def shelf(smollm2):
    """One shelf for all tests here, with the default model on it."""
    shelf = Shelf()
    shelf._models[MODEL] = (model_identity(MODEL), smollm2)
    return shelf


@pytest.fixture
def make(shelf, tmp_path):
    """Workbenches that share models and one database."""
    made = []

    def make(**arguments):
        store = Store(f"sqlite:///{tmp_path}/runs.sqlite")
        made.append(Workbench(**{"store": store, "shelf": shelf, "states_bytes": 100_000_000} | arguments))
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
    counts = {"evaluate": 0, "analyze": 0, "generate": 0}

    def counted(module, name):
        function = getattr(module, name)

        def call(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    import entviz.analysis

    counted(loss, "evaluate")
    counted(entviz.analysis, "analyze")
    counted(generation, "generate")
    return counts


@pytest.fixture(scope="module")
def windows(smollm2):
    return windows_from_text(TEXT, smollm2.tokenizer, windows=2, window_length=40)


def result_of(job):
    assert job.wait(120), job.snapshot()
    return job.result


# Right results


@pytest.mark.parametrize("drop", ["", "attn.7,layer.12"])
def test_an_evaluation_is_what_evaluate_gives(here, smollm2, windows, drop):
    alone = loss.evaluate(smollm2, windows, PruneSet.parse(drop))
    found = result_of(here.evaluate(REQUEST, drop, "a"))
    np.testing.assert_allclose(found.token_nll, alone.token_nll, atol=1e-6)
    np.testing.assert_allclose(found.token_kl, alone.token_kl, atol=1e-6)
    assert found.perplexity == pytest.approx(alone.perplexity, abs=1e-4)
    assert found.windows == found.windows_total == 2


def test_evaluations_stream_window_by_window(here):
    request = Request(MODEL, TEXT * 30, windows=3, window_length=260)
    job = here.evaluate(request, "attn.3", "a")
    sizes = []
    while not job.wait(0.001):
        view = job.snapshot()
        if view.partial is not None:
            sizes.append(view.partial.windows)
            assert view.partial.nll > 0
        assert view.done <= view.total
    assert result_of(job).windows == 3
    assert {1, 2} <= set(sizes)
    assert sizes == sorted(sizes)


def test_sessions_with_different_prune_sets_at_once_each_get_their_own_numbers(make, smollm2, windows):
    drops = ["", "attn.2", "attn.2,mlp.9", "layer.28,layer.27", "mlp.0"]
    alone = {drop: loss.evaluate(smollm2, windows, PruneSet.parse(drop)).nll for drop in drops}
    bench = make(worker=Worker(quantum=0.005))  # so short that every job is paused in its middle
    jobs = {drop: bench.evaluate(REQUEST, drop, f"session {drop}") for drop in drops}
    for drop, job in jobs.items():
        assert result_of(job).nll == pytest.approx(alone[drop], abs=1e-6)
    assert len({round(value, 6) for value in alone.values()}) == len(drops)


def test_rankings_by_criteria_that_try_prune_sets(here, smollm2, windows):
    alone = choose(smollm2, windows, "leave-one-out", level="mlp", budget=3, protect=(22, 0))
    found = result_of(here.rank(REQUEST, "leave-one-out", "knn", "mlp", 3, "a", protect=(22, 0)))
    assert found.order == alone.order
    assert found.drop == alone.drop
    np.testing.assert_allclose(found.scores["score"], alone.scores["score"], atol=1e-4)
    other = here.rank(REQUEST, "leave-one-out", "bucket", "mlp", 5, "b", protect=(22, 0))
    assert other.finished  # at once: neither the budget nor the estimator changes the order
    assert len(other.result.drop) == 5
    last = result_of(here.rank(REQUEST, "last", "knn", "attn", "10% parameters", "a"))
    assert last.drop == choose(smollm2, windows, "last", level="attn", budget="10% parameters").drop


def test_scores_of_tasks(here, smollm2):
    task = read_task("grammar")
    alone = evaluate_task(smollm2, task, PruneSet.parse("attn.7"), limit=4)
    found = result_of(here.score(MODEL, "grammar", "attn.7", "a", limit=4))
    np.testing.assert_allclose(found.log_likelihood, alone.log_likelihood, atol=1e-4)
    assert here.score(MODEL, task, "attn.7", "b", limit=4).finished  # the same task, read already
    assert "hellaswag" in str(here.score(MODEL, "no such task", "", "a").error)
    assert "no task" in str(here.score(MODEL, "/etc/passwd", "", "a").error)


def test_an_analysis_and_rankings_of_it(here, smollm2, windows, runs):
    alone = analyze(smollm2, windows, ("bucket", "knn", "renyi", "cosine"))
    job = here.analyze(REQUEST, ("cosine", "knn", "renyi", "bucket", "knn"), "a")
    by_knn = here.rank(REQUEST, "entrodrop", "knn", "attn", 4, "a")
    by_cosine = here.rank(REQUEST, "cosine", "knn", "layer", 3, "b", protect=(1, 1))
    found = result_of(job)
    same = ["site", "metric", "depth"]
    pd.testing.assert_frame_equal(found.sites[same], alone.sites[same])
    np.testing.assert_allclose(found.sites["value"], alone.sites["value"], rtol=1e-6)
    assert result_of(by_knn).order == rank(alone, "entrodrop", estimator="knn", level="attn", budget=4).order
    expected = rank(alone, "cosine", level="layer", budget=3, protect=(1, 1))
    assert result_of(by_cosine).drop == expected.drop
    assert runs["analyze"] == 1, "the analysis and both rankings are one computation"
    too_many = here.rank(REQUEST, "entrodrop", "knn", "attn", 400, "a")
    assert too_many.wait(10)
    assert "budget" in str(too_many.error)


def test_dense_and_pruned_continuations_side_by_side(here, smollm2):
    prompt = "The capital of France is"
    dense = here.generate(REQUEST, prompt, "", 5, "a")
    pruned = here.generate(REQUEST, prompt, "attn.10,attn.11", 5, "a")
    for job, drop in (dense, ""), (pruned, "attn.10,attn.11"):
        alone = generation.generate(smollm2, prompt, PruneSet.parse(drop), max_new_tokens=5)
        assert result_of(job).token_ids == alone.token_ids
        assert job.snapshot().partial is job.result


# Nothing twice


def test_what_was_computed_is_not_computed_again(here, make, runs, monkeypatch):
    asked = [
        lambda bench: bench.evaluate(REQUEST, "attn.4,mlp.4", "a"),
        lambda bench: bench.analyze(REQUEST, ("bucket",), "a"),
        lambda bench: bench.generate(REQUEST, "Once", "mlp.3", 2, "a"),
    ]
    first = [result_of(ask(here)) for ask in asked]
    assert runs == {"evaluate": 1, "analyze": 1, "generate": 1}
    for result, ask in zip(first, asked, strict=True):
        job = ask(here)
        assert job.finished
        assert job.result is result
    assert result_of(here.evaluate(REQUEST, "layer.4", "b")) is first[0], "attn.4 and mlp.4 are layer.4"
    # After a restart, and without the model.
    monkeypatch.setattr(Shelf, "get", lambda self, name: pytest.fail("it loaded the model"))
    later = make(shelf=Shelf())
    again = [ask(later) for ask in asked]
    assert all(job.finished for job in again)
    assert again[0].result.to_json() == first[0].to_json()
    assert again[1].result.to_json() == first[1].to_json()
    assert again[2].result == first[2]
    assert runs == {"evaluate": 1, "analyze": 1, "generate": 1}


def test_a_second_session_joins_the_work_of_the_first(here, runs):
    jobs = [here.evaluate(REQUEST, "attn.6", session) for session in "abcd"]
    results = {id(result_of(job)) for job in jobs}
    assert len(results) == 1
    assert runs["evaluate"] == 1


def test_the_same_tokens_from_another_text_are_the_same_work(here, runs):
    """The second text differs only after the last window, so its token ids are the same."""
    first = result_of(here.evaluate(REQUEST, "attn.6", "a"))
    longer = Request(MODEL, TEXT + "And so on.", 2, 40)
    assert result_of(here.evaluate(longer, "attn.6", "a")) is first
    assert here.evaluate(longer, "attn.6", "a").finished
    assert runs["evaluate"] == 1


def test_every_option_makes_a_result_of_its_own(here, runs):
    requests = [REQUEST, Request(MODEL, TEXT, 1, 40), Request(MODEL, TEXT, 2, 32)]
    shapes = [result_of(here.evaluate(request, "attn.6", "a")).token_ids.shape for request in requests]
    assert shapes == [(2, 40), (1, 40), (2, 32)]
    half = result_of(here.evaluate(REQUEST, "attn.6", "a", dtype="bfloat16"))
    assert half.dtype == "bfloat16"
    assert runs["evaluate"] == 4


def test_runs_are_listed_with_what_to_open_them_again(here):
    result = result_of(here.evaluate(REQUEST, "attn.6", "a"))
    (run,) = here.store.runs()
    assert (run.kind, run.model) == ("evaluation", MODEL)
    assert run.description.startswith("The harbour lay quiet")
    assert run.options == {
        "windows": 2,
        "window_length": 40,
        "drop": "attn.6",
        "dtype": "float32",
        "model": MODEL,
    }
    assert run.summary["perplexity"] == pytest.approx(result.perplexity)
    assert here.store.text(run.key) == TEXT


# Stopping


def test_a_newer_evaluation_supersedes_the_older_one(here, smollm2):
    long = Request(MODEL, TEXT * 30, windows=4, window_length=256)
    older = here.evaluate(long, "attn.1", "a")
    while not older.done:
        assert not older.finished
        time.sleep(0.001)
    beside = here.evaluate(long, "attn.3", "a", supersede=False)
    newer = here.evaluate(REQUEST, "attn.2", "a")
    assert older.state == "cancelled"
    with pytest.raises(Cancelled):
        _ = older.result
    assert result_of(newer).windows == 2
    assert not beside.finished
    here.leave("a")
    assert beside.state == "cancelled"


def test_superseded_by_a_result_that_is_at_hand(here):
    known = result_of(here.evaluate(REQUEST, "attn.2", "a"))
    older = here.evaluate(Request(MODEL, TEXT * 30, 4, 256), "attn.1", "a")
    assert here.evaluate(REQUEST, "attn.2", "a").result is known
    assert older.state == "cancelled"


def test_after_cancelling_the_model_computes_the_same_as_before(here, smollm2, windows):
    dense = loss.evaluate(smollm2, windows, PruneSet()).nll
    for number in range(5):
        job = here.evaluate(REQUEST, f"layer.{number}", "a")
        time.sleep(0.01 * number)
        job.cancel()
    assert result_of(here.evaluate(REQUEST, "", "a")).nll == pytest.approx(dense, abs=1e-9)


# Bad input


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda bench: bench.evaluate(REQUEST, "head.3", "a"), BlockError, "head.3"),
        (lambda bench: bench.evaluate(REQUEST, "attn.30", "a"), BlockError, "0 to 29"),
        (lambda bench: bench.evaluate(REQUEST, "", "a", dtype="int4"), OptionError, "int4"),
        (lambda bench: bench.analyze(REQUEST, ("entropy",), "a"), OptionError, "entropy"),
        (lambda bench: bench.analyze(REQUEST, (), "a"), OptionError, "metric"),
        (lambda bench: bench.analyze(REQUEST, ("knn",), "a", levels=("head",)), BlockError, "head"),
        (lambda bench: bench.rank(REQUEST, "best", "knn", "attn", 1, "a"), OptionError, "best"),
        (lambda bench: bench.generate(REQUEST, "", "", 5, "a"), TextError, "empty"),
        (lambda bench: bench.generate(REQUEST, "x", "", 10**9, "a"), OptionError, "token"),
        (lambda bench: bench.evaluate(Request(MODEL, " ", 1, 32), "", "a"), TextError, "empty"),
        (lambda bench: bench.evaluate(Request(MODEL, "Too short.", 1, 32), "", "a"), TextError, "tokens"),
        (lambda bench: bench.evaluate(Request("./none", TEXT, 1, 32), "", "a"), ModelError, "none"),
        (lambda bench: bench.evaluate(Request("a\0b", TEXT, 1, 32), "", "a"), ModelError, ""),
        (lambda bench: bench.evaluate(Request("x" * 5000, TEXT, 1, 32), "", "a"), ModelError, ""),
        (lambda bench: bench.prepare("./none", "a"), ModelError, "none"),
    ],
)
def test_bad_input_is_a_failed_job_with_a_sentence(here, ask, error, words):
    job = ask(here)
    assert job.wait(60)
    assert job.state == "failed"
    assert isinstance(job.error, error)
    assert words in str(job.error)


def test_a_full_queue_is_a_failed_job(make):
    bench = make(worker=Worker(queued=1))
    first = bench.evaluate(Request(MODEL, TEXT * 30, 4, 256), "", "a")
    second = bench.evaluate(REQUEST, "attn.1", "b")
    assert second.state == "failed"
    assert "try again" in str(second.error)
    first.cancel()


# Models and their files


def test_the_identity_changes_with_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    directory = tmp_path / "model"
    directory.mkdir()
    assert model_identity(str(directory)) is None
    assert model_identity(str(tmp_path / "none")) is None
    assert model_identity("no-such/model-anywhere") is None
    (directory / "config.json").write_text("{}")
    first = model_identity(str(directory))
    (directory / "notes.md").write_text("of no importance")
    assert model_identity(str(directory)) == first
    (directory / "model.safetensors").write_bytes(b"1")
    second = model_identity(str(directory))
    (directory / "model.safetensors").write_bytes(b"12")
    assert len({first, second, model_identity(str(directory)), model_identity(MODEL), None}) == 5


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

    def load(name):
        names.append(name)
        return real(name)

    monkeypatch.setattr(entviz.models.loading, "load", load)
    return names


def test_few_models_stay_in_memory(tiny, loads):
    shelf = Shelf(kept=2)
    one, two, three = (tiny(name) for name in ("one", "two", "three"))
    first = shelf.get(one)
    assert isinstance(first, LoadedModel)
    shelf.get(two)
    assert shelf.get(one) is first
    shelf.get(three)
    assert shelf.find(one) is first
    assert shelf.find(two) is None
    assert loads == [one, two, three]
    narrow = Shelf(kept=5, memory_bytes=first.bytes * 2)
    narrow.get(one)
    narrow.get(two)
    assert narrow.find(one) is None
    assert narrow.find(two) is not None


def test_a_model_is_loaded_once_however_many_ask(tiny, loads):
    shelf, one = Shelf(), tiny("one")
    found, start = [], threading.Barrier(8)

    def ask():
        start.wait(10)
        found.append(shelf.get(one))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({id(model) for model in found}) == 1
    assert len(found) == 8
    assert len(loads) == 1


def test_a_model_whose_files_have_changed_is_loaded_again(tiny, loads):
    shelf, name = Shelf(), tiny("one")
    first = shelf.get(name)
    tiny("one", seed=1)
    second = shelf.get(name)
    assert first.fingerprint != second.fingerprint
    assert len(loads) == 2


def test_a_model_can_be_loaded_ahead(make, tiny, loads):
    bench, name = make(shelf=Shelf()), tiny("one")
    result_of(bench.prepare(name, "a"))
    assert bench.prepare(name, "b").finished
    assert loads == [name]
    assert bench.shelf.find(name) is not None


# The process


def test_memory_is_given_back_after_a_while_without_work(make):
    bench = make(rest_after=0.05)
    first = result_of(bench.evaluate(REQUEST, "attn.2", "a"))
    for _ in range(2000):
        if bench.workshop.states.bytes == 0 and bench.evaluate(REQUEST, "attn.2", "a").result is not first:
            break
        time.sleep(0.005)
    else:
        pytest.fail("the hidden states are still there")
    assert bench.evaluate(REQUEST, "attn.2", "a").result.to_json() == first.to_json()


def test_rest_comes_after_the_last_disturbance():
    called = []
    rested = threading.Event()
    rest = Rest(0.05, lambda: (called.append(time.monotonic()), rested.set()))
    for _ in range(5):
        rest.disturb()
        last = time.monotonic()
    assert rested.wait(10)
    assert called[0] - last >= 0.049
    assert len(called) == 1
    rested.clear()
    rest.disturb()
    rest.stop()
    assert not rested.wait(0.1)


@pytest.fixture
def fresh_process(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "_workbench", None)
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/process.sqlite")
    yield
    if process._workbench is not None:
        process._workbench.close()


def test_there_is_one_workbench_in_a_process(fresh_process, monkeypatch):
    monkeypatch.setenv("ENTVIZ_LIVE_JOBS", "3")
    monkeypatch.setenv("ENTVIZ_STORE_MB", "7")
    found = []
    threads = [threading.Thread(target=lambda: found.append(workbench())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({id(one) for one in found}) == 1
    assert (found[0].worker.live, found[0].store.disk_bytes) == (3, 7_000_000)


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", ""])
def test_a_limit_that_is_no_number_is_refused(fresh_process, monkeypatch, value):
    monkeypatch.setenv("ENTVIZ_MODELS_KEPT", value)
    with pytest.raises(EntvizError, match="ENTVIZ_MODELS_KEPT"):
        workbench()
