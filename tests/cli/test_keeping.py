"""What a command computes is kept as the dashboard keeps it: found by it, listed once, and apart where it differs."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
import torch

from entviz.cli import keeping as module
from entviz.cli import main
from entviz.corpus import passages
from entviz.store import Store
from entviz.tasks import read_task
from entviz.workbench import Request, Workbench
from tests.cli.conftest import TEXT

CUT = ("--windows", "3", "--window-length", "40")
RANK = ("rank", "--text", TEXT, *CUT, "--criterion")
OTHER = "Nobody had been there for years, so the path was grown over, and the gate hung from one hinge. " * 3


@pytest.fixture
def dashboard(tmp_path):
    """Makes a dashboard's workbench on a database."""
    made = []

    def make(address):
        made.append(Workbench(store=Store(address)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def apart(dashboard, tmp_path):
    """A dashboard that shares nothing with the commands."""
    return dashboard(f"sqlite:///{tmp_path}/apart.sqlite")


def done(job):
    end = time.monotonic() + 60
    while not job.snapshot().finished:
        assert time.monotonic() < end
        job.touch("tests")
        time.sleep(0.02)
    assert job.snapshot().error is None
    return job.snapshot().result


def request(directory, windows=3, text=TEXT):
    return Request(str(directory), text, windows, 40)


# A command, and the same asked for on a page: the kind of result, the arguments, what the workbench is asked.
SAME = {
    "analyze": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT),
        lambda bench, at: bench.analyze(request(at), ("cosine", "renyi", "knn", "bucket"), "tests"),
    ),
    "analyze some": (
        "analysis",
        ("analyze", "--text", TEXT, *CUT, "--metric", "cosine,bucket", "--level", "mlp,attn"),
        lambda bench, at: bench.analyze(request(at), ("bucket", "cosine"), "tests", levels=("attn", "mlp")),
    ),
    "all windows": (
        "analysis",
        ("analyze", "--text", TEXT, "--window-length", "40", "--metric", "bucket"),
        lambda bench, at: bench.analyze(request(at, len(TEXT) // 40), ("bucket",), "tests"),
    ),
    "evaluate": (
        "evaluation",
        ("evaluate", "--text", TEXT, *CUT, "--drop", "mlp.2,attn.1"),
        lambda bench, at: bench.evaluate(request(at), "attn.1,mlp.2", "tests"),
    ),
    "evaluate in the fastest type": (
        "evaluation",
        ("evaluate", "--text", TEXT, *CUT, "--dtype", "auto"),
        lambda bench, at: bench.evaluate(request(at), "", "tests", "auto"),
    ),
    "a task": (
        "score",
        ("evaluate", "--task", "grammar", "--limit", "6", "--drop", "attn.1"),
        lambda bench, at: bench.score(str(at), "grammar", "attn.1", "tests", limit=6),
    ),
    "rank by budget": (
        "ranking",
        (*RANK, "entrodrop", "--estimator", "bucket", "--protect", "1,0", "--budget", "10%"),
        lambda bench, at: bench.rank(
            request(at), "entrodrop", "bucket", "attn", "10%", "tests", protect=(1, 0)
        ),
    ),
    "rank by trying": (
        "ranking",
        (*RANK, "leave-one-out", "--level", "mlp", "--budget", "2"),
        lambda bench, at: bench.rank(request(at), "leave-one-out", "knn", "mlp", 3, "tests"),
    ),
    "rank at random": (
        "ranking",
        (*RANK, "random", "--seed", "5"),
        lambda bench, at: bench.rank(request(at), "random", "knn", "attn", 2, "tests", seed=5),
    ),
    "rank greedily": (
        "ranking",
        (*RANK, "sleb", "--budget", " 1 "),
        lambda bench, at: bench.rank(request(at), "sleb", "knn", "layer", 1, "tests"),
    ),
    "search": (
        "ranking",
        (*RANK, "search", "--budget", "1", "--seconds", "1"),
        lambda bench, at: bench.rank(request(at), "search", "knn", "attn", 1, "tests", seconds=1.0),
    ),
    "compare": (
        "comparison",
        (
            *("compare", "--text", TEXT, "--window-length", "40", "--calibration-windows", "2"),
            *("--criteria", "cosine,random", "--budgets", "1,2", "--level", "attn,mlp", "--seeds", "2"),
            *("--task", "grammar", "--limit", "5"),
        ),
        lambda bench, at: bench.compare(
            *(request(at, 2), ("cosine", "random"), ("1", "2"), ("attn", "mlp"), "tests"),
            seeds=2,
            task=read_task("grammar"),
            limit=5,
        ),
    ),
    "trust": (
        "trust",
        ("trust", "--text", TEXT, *CUT, "--level", "attn+mlp"),
        lambda bench, at: bench.trust(request(at), "attn+mlp", "tests"),
    ),
    "interactions": (
        "interactions",
        ("interactions", "--text", TEXT, *CUT, "--level", "mlp"),
        lambda bench, at: bench.interactions(request(at), "mlp", "tests"),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_dashboard_finds_it_and_would_have_kept_the_same(
    entviz, directory, store, database, dashboard, apart, name
):
    kind, command, ask = SAME[name]
    status, _, errors = entviz(*command)
    assert status == 0, errors
    (run,) = store.runs(kind=kind)
    there = dashboard(database)
    job = ask(there, directory)
    assert job.snapshot().finished, "found without a job"
    assert there.shelf.find(str(directory)) is None, "and without the model"
    own = done(ask(apart, directory))
    (kept,) = apart.store.runs(kind=kind)
    assert (run.key, run.options, run.description) == (kept.key, kept.options, kept.description)
    assert (run.model, run.fingerprint, run.program) == (kept.model, kept.fingerprint, kept.program)
    assert set(run.summary) == set(kept.summary)
    assert store.text(run.key) == apart.store.text(kept.key)
    assert type(job.result) is type(own)


def test_what_is_kept_is_what_was_printed(answer, store):
    printed = answer("evaluate", "--text", TEXT, *CUT, "--drop", "attn.1")
    (run,) = store.runs()
    assert store.get(run.key).to_json() == printed
    assert run.summary["perplexity"] == printed["perplexity"]


def test_asking_twice_lists_it_once_and_computes_it_anew(answer, store, monkeypatch):
    import entviz.analysis

    asked = ("analyze", "--text", TEXT, *CUT, "--metric", "bucket")
    first, calls = answer(*asked), []
    really = entviz.analysis.analyze
    monkeypatch.setattr(
        entviz.analysis, "analyze", lambda *given, **more: (calls.append(given), really(*given, **more))[1]
    )
    assert answer(*asked) == first
    assert len(calls) == 1
    assert len(store.runs()) == 1


def test_a_ranking_is_listed_with_the_prune_set_that_was_printed(answer, store):
    printed = answer(*RANK, "cosine", "--budget", "2")
    (run,) = store.runs(kind="ranking")
    assert run.summary["drop"] == [str(block) for block in store.get(run.key).drop]
    assert set(run.summary["drop"]) == set(printed["drop"])


def test_a_comparison_on_another_text_is_the_dashboard_s_too(
    entviz, directory, store, database, dashboard, tmp_path
):
    (tmp_path / "other.txt").write_text(OTHER, encoding="utf-8")
    status, _, errors = entviz(
        *("compare", "--text", TEXT, "--window-length", "40", "--criteria", "cosine", "--budgets", "1"),
        *("--calibration-text-file", tmp_path / "other.txt"),
    )
    assert status == 0, errors
    (run,) = store.runs(kind="comparison")
    assert store.text(run.key) == OTHER, "what the criteria chose by, as on the page"
    job = dashboard(database).compare(
        request(directory, len(OTHER) // 40, OTHER),
        ("cosine",),
        ("1",),
        ("attn",),
        "tests",
        measure_on=(TEXT,),
    )
    assert job.snapshot().finished


def test_a_comparison_on_token_ids_says_so(entviz, store, tmp_path):
    (tmp_path / "other.txt").write_text(OTHER, encoding="utf-8")
    (tmp_path / "ids.json").write_text(json.dumps([list(range(5, 45)), list(range(45, 85))]))
    command = ("compare", "--token-ids", tmp_path / "ids.json", "--criteria", "cosine", "--budgets", "1")
    assert entviz(*command)[0] == 0
    assert entviz(*command, "--calibration-text-file", tmp_path / "other.txt")[0] == 0
    by_text, by_ids = store.runs(kind="comparison")
    assert by_text.options["shell"] == {"measured": "token ids of ids.json"}
    assert store.text(by_text.key) == OTHER
    assert by_ids.options["shell"] == {"token_ids": "ids.json"}
    assert by_ids.description == "token ids of ids.json (1 x 40 tokens)"
    assert store.text(by_ids.key) is None


# What only a shell can ask for: the command, what the options say of it, what the dashboard is asked instead.
APART = {
    "weights": (("analyze", "--text", TEXT, *CUT, "--dtype", "bfloat16"), {"weights": "bfloat16"}, "analyze"),
    "rank": (
        (*RANK, "random", "--seed", "5", "--dtype", "bfloat16"),
        {"weights": "bfloat16"},
        "rank at random",
    ),
    "trust in bfloat16": (
        ("trust", "--text", TEXT, *CUT, "--level", "attn+mlp", "--dtype", "bfloat16"),
        {"dtype": "bfloat16"},
        "trust",
    ),
    "other estimators": (
        ("trust", "--text", TEXT, *CUT, "--level", "attn+mlp", "--estimators", "bucket"),
        {"estimators": ["bucket"]},
        "trust",
    ),
    "some pairs": (
        ("interactions", "--text", TEXT, *CUT, "--level", "mlp", "--blocks", "mlp.3,mlp.1"),
        {"blocks": ["mlp.1", "mlp.3"]},
        "interactions",
    ),
    "pairs in bfloat16": (
        ("interactions", "--text", TEXT, *CUT, "--level", "mlp", "--dtype", "bfloat16"),
        {"dtype": "bfloat16"},
        "interactions",
    ),
    "a comparison in bfloat16": (
        (*SAME["compare"][1], "--dtype", "bfloat16"),
        {"dtype": "bfloat16"},
        "compare",
    ),
    "a comparison on fewer windows": (
        (*SAME["compare"][1], "--windows", "5"),
        {"windows": "2 to choose by and 3 to measure on"},
        "compare",
    ),
}


@pytest.mark.parametrize("name", APART)
def test_what_only_a_shell_can_ask_for_is_never_taken_for_the_dashboard_s(
    entviz, directory, store, database, dashboard, name
):
    command, said, same = APART[name]
    kind, _, ask = SAME[same]
    status, _, errors = entviz(*command)
    assert status == 0, errors
    (run,) = store.runs(kind=kind)
    assert run.options["shell"] == said
    there = dashboard(database)
    done(ask(there, directory))
    assert len(store.runs(kind=kind)) == 2, "the dashboard computed its own"


@pytest.mark.parametrize("has_gpu", [False, True])
def test_the_processor_by_name_is_what_the_dashboard_takes_unless_there_is_a_gpu(
    entviz, store, monkeypatch, has_gpu
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert entviz("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--device", "cpu")[0] == 0
    assert store.runs()[0].options.get("shell") == ({"device": "cpu"} if has_gpu else None)


def test_token_ids_have_no_text_and_say_what_they_are(entviz, directory, store, tmp_path):
    loaded_ids = [[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]]
    (tmp_path / "my ids.json").write_text(json.dumps(loaded_ids))
    assert entviz("evaluate", "--token-ids", tmp_path / "my ids.json")[0] == 0
    (run,) = store.runs()
    assert run.description == "token ids of my ids.json (2 x 5 tokens)"
    assert (run.options["windows"], run.options["window_length"]) == (2, 5)
    assert run.options["shell"] == {"token_ids": "my ids.json"}
    assert store.text(run.key) is None
    assert store.get(run.key).token_ids.tolist() == loaded_ids


def test_the_ids_of_a_text_are_not_listed_in_place_of_the_text(entviz, directory, store, tmp_path):
    from entviz.models import load

    ids = load(str(directory)).tokenizer(TEXT, add_special_tokens=False).input_ids[:40]
    (tmp_path / "ids.json").write_text(json.dumps([ids]))
    options = ("--metric", "bucket")
    assert entviz("analyze", "--token-ids", tmp_path / "ids.json", *options)[0] == 0
    assert entviz("analyze", "--text", TEXT, "--windows", 1, "--window-length", 40, *options)[0] == 0
    assert {store.text(run.key) for run in store.runs()} == {None, TEXT}


@pytest.mark.parametrize(
    "name",
    ["analyze some", "evaluate", "a task", "rank at random", "compare", "trust", "interactions"],
)
def test_no_keep_keeps_nothing(entviz, store, name):
    _, command, _ = SAME[name]
    assert entviz(*command, "--no-keep")[0] == 0
    assert store.runs() == []
    assert entviz(*command)[0] == 0
    assert store.runs()


def test_a_stopped_comparison_is_listed_no_more_once_a_command_has_finished_it(
    entviz, directory, store, database, dashboard
):
    from entviz.models import load
    from entviz.workbench.comparing import Compare

    task = Compare(request(directory, 2), ("cosine",), ("1",), ("attn",))
    loaded = load(str(directory))
    unfinished = task.partial_key(loaded.fingerprint, task.read(loaded).fingerprint)
    found = done(dashboard(database).compare(task.request, ("cosine",), ("1",), ("attn",), "tests"))
    (run,) = store.runs(kind="comparison")
    store.remove(run.key)
    store.put(unfinished, task.run_of(loaded, found), found, text=TEXT)
    status, _, errors = entviz(
        *("compare", "--text", TEXT, "--window-length", "40", "--calibration-windows", "2"),
        *("--criteria", "cosine", "--budgets", "1"),
    )
    assert status == 0, errors
    assert [one.key for one in store.runs(kind="comparison")] == [run.key]


def test_a_relative_path_is_kept_as_one_that_means_the_same_everywhere(entviz, directory, store, monkeypatch):
    monkeypatch.chdir(directory.parent)
    command = ("evaluate", "--text", TEXT, *CUT)
    assert entviz(*command, model=directory.name)[0] == 0
    assert entviz(*command, model=f"./{directory.name}/")[0] == 0
    (run,) = store.runs()
    assert run.model == str(directory)


def test_a_text_too_long_for_a_page_is_not_kept_but_its_numbers_are(entviz, store, monkeypatch):
    monkeypatch.setattr(module, "TEXT_BYTES", 100)
    assert entviz("evaluate", "--text", TEXT, *CUT)[0] == 0
    (run,) = store.runs()
    assert store.text(run.key) is None
    assert store.get(run.key).windows == 3


def test_a_pipe_is_read_once(entviz, store, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(TEXT, encoding="utf-8"))
    writer.start()
    report = tmp_path / "report.html"
    assert entviz("analyze", "--text-file", pipe, *CUT, "--metric", "bucket", "--report", report)[0] == 0
    writer.join(10)
    assert store.text(store.runs()[0].key) == TEXT
    assert TEXT.strip() in report.read_text(encoding="utf-8")


def test_the_list_of_runs_has_what_commands_kept(entviz, capsys):
    assert entviz(*SAME["analyze some"][1])[0] == 0
    assert entviz(*SAME["a task"][1])[0] == 0
    assert main(["runs"]) == 0
    said = capsys.readouterr().out
    assert "score" in said
    assert "accuracy" in said
    assert "dropped attn.1" in said
    assert "entropy lowest after layer: bucket" in said
    assert main(["runs", "--json", "--kind", "score"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["description"] == "grammar, first 6 items"


# --- where it cannot be kept -----------------------------------------------------------------------------------------


def refuses_to_open(folder: Path) -> str:
    return f"sqlite:///{folder}/none/runs.sqlite"


def refuses_writes(folder: Path) -> str:
    path = folder / "full.sqlite"
    Store(f"sqlite:///{path}").runs()  # makes the tables
    return f"sqlite:///file:{path}?mode=ro&uri=true"


@pytest.mark.parametrize("broken", [refuses_to_open, refuses_writes])
def test_a_database_that_cannot_be_written_stops_no_command(answer, monkeypatch, tmp_path, caplog, broken):
    address = broken(tmp_path)
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    command = ("evaluate", "--text", TEXT, *CUT, "--drop", "attn.1")
    found = answer(*command)
    assert "database" in caplog.text
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/good.sqlite")
    assert answer(*command) == found


def test_a_cache_that_cannot_be_written_stops_no_command(answer, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.delenv("ENTVIZ_DATABASE")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "file" / "below"))
    assert answer("analyze", "--text", TEXT, *CUT, "--metric", "bucket")["windows"] == 3
    assert "cannot be used" in caplog.text


def test_a_name_that_is_no_unicode_stops_no_command(entviz, store, tmp_path, caplog):
    odd = tmp_path / os.fsdecode(b"ids\xff.json")
    odd.write_text("[[5, 6, 7]]")
    assert entviz("evaluate", "--token-ids", odd)[0] == 0
    assert "not kept" in caplog.text
    assert store.runs() == []


def test_a_bound_that_is_none_is_said_before_anything_is_computed(wrong, monkeypatch):
    monkeypatch.setenv("ENTVIZ_STORE_MB", "lots")
    for command in (SAME["analyze"][1], SAME["compare"][1]):
        assert "ENTVIZ_STORE_MB is 'lots'" in wrong(*command)


def test_a_command_keeps_to_the_bound_that_the_dashboard_has(entviz, store, monkeypatch):
    monkeypatch.setenv("ENTVIZ_STORE_MB", "1")
    assert Store().disk_bytes == 1_000_000
    big = passages()["news"].text * 190  # kept with its run, so that two of them are more than may lie there
    for number in range(2):
        text = f"{number} {big}"
        assert len(text.encode()) > 500_000
        assert entviz("evaluate", "--text", text, *CUT)[0] == 0
    assert len(store.runs()) == 1
