"""The results of a command are kept like those of the dashboard, which finds them and lists them once."""

import json
import os
import threading

import pytest
from tokenizers.processors import TemplateProcessing

from entviz.cli import main
from entviz.studies import Compare
from entviz.studies import results as module
from entviz.studies.results import StudyResults
from tests.cli.asked import CUT, OTHER, RANK, SAME, done, request
from tests.cli.conftest import TEXT
from tests.models.files import saved, tokenizer


@pytest.mark.parametrize("name", SAME)
def test_the_dashboard_finds_it_and_would_have_kept_the_same(
    entviz, directory, store, database, dashboard, apart, name
):
    kind, command, ask = SAME[name]
    status, _, errors = entviz(*command)
    assert status == 0, errors
    there = dashboard(database)
    job = ask(there, directory)
    assert job.snapshot().finished, "found without a job"
    assert not there.engine.holds(str(directory)), "and without the model"
    own = done(ask(apart, directory))
    (kept,) = apart.store.runs(kind=kind)
    # A command that measures without massive tokens keeps the analysis with them as well.
    (run,) = (one for one in store.runs(kind=kind) if one.key == kept.key)
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


def test_a_continuation_of_an_empty_prompt_is_kept_too(entviz, store, tmp_path):
    """Some tokenizers begin every text with a token, after which a model can go on."""
    saved(tmp_path, with_tokenizer=False)
    begins = tokenizer()
    begins.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    begins.save_pretrained(tmp_path)
    status, _, errors = entviz("generate", "--prompt", "", model=tmp_path)
    assert status == 0, errors
    (run,) = store.runs(kind="generation")
    assert store.get(run.key).prompt_tokens == 1
    assert "shell" not in run.options


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
    job = dashboard(database).ask(
        Compare(
            request(directory, len(OTHER) // 40, OTHER), ("cosine",), ("1",), ("attn",), measure_on=(TEXT,)
        ),
        "tests",
    )
    assert job.snapshot().finished


@pytest.mark.parametrize(
    "name",
    [
        *("analyze some", "evaluate", "a task", "rank at random", "compare", "trust", "interactions"),
        *("generate", "damages", "damages by token"),
    ],
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

    study = Compare(request(directory, 2), ("cosine",), ("1",), ("attn",))
    loaded = load(str(directory))
    tokens = study.read(loaded).fingerprint
    found = done(dashboard(database).ask(study, "tests"))
    (run,) = store.runs(kind="comparison")
    store.remove(run.key)
    StudyResults(store, loaded).put_unfinished(study, tokens, found)
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
