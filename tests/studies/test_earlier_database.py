"""A database that an earlier version wrote can be opened: its runs are listed, read, opened and reported.

``tests/data/runs_before_studies.sqlite`` was written by version 0.1.0, before there were studies: a run of each kind
on a tiny model, some of them by commands with what only a shell can ask for.
"""

import shutil
import sqlite3

import pytest

from entviz.blocks import Block, PruneSet
from entviz.studies import (
    Analyze,
    Compare,
    ContrastBlocks,
    Evaluate,
    Generate,
    JudgeCriteria,
    Loading,
    MeasureAngles,
    MeasurePairs,
    Prompt,
    Rank,
    RankingOptions,
    ScoreTask,
    TaskItems,
    TextSample,
    TokenIds,
    stored_studies,
)
from entviz.studies.listing import dropped, found, listing
from entviz.studies.registry import open_store, part_kinds
from entviz.studies.reporting import of_run
from entviz.studies.results import stored_options
from entviz.tasks import read_task
from tests.studies.conftest import EARLIER, LATER

MODEL = "somebody/tiny"
TEXT = "It was late, and the road went on between the fields without a light or a house. " * 3
SAMPLE = TextSample(MODEL, TEXT, 1, 40)
ATTN, MLP = PruneSet.parse("attn.1"), PruneSet.parse("mlp.0")

# What was asked for, in the order in which it was.
ASKED = [
    Analyze(SAMPLE, ("bucket", "cosine")),
    Evaluate(SAMPLE, ATTN | MLP),
    Generate(Prompt(MODEL, "Once upon"), ATTN, 5),
    Rank(SAMPLE, RankingOptions("leave-one-out", "knn", "mlp", 1)).basis.study,
    Rank(SAMPLE, RankingOptions("last", "knn", "attn", "20%")),
    ScoreTask(TaskItems(MODEL, "grammar", 3), ATTN),
    Compare(SAMPLE, ("cosine", "random"), ("1",), ("attn",), seeds=1, task=read_task("grammar"), limit=3),
    ContrastBlocks(SAMPLE, ATTN, MLP),
    MeasureAngles(SAMPLE),
    JudgeCriteria(SAMPLE, "attn+mlp"),
    MeasurePairs(SAMPLE, "mlp"),
    Analyze(TextSample(MODEL, TEXT, 1, 40, loading=Loading("bfloat16")), ("bucket",)),
    Evaluate(TextSample(MODEL, "", 1, 40, ids=TokenIds("ids.json", ())), ATTN),
    MeasurePairs(SAMPLE, "attn+mlp", (Block("attn", 1), Block("attn", 0))),
    Generate(Prompt(MODEL, "Once"), PruneSet(), 3, cached=False),
]


def test_every_kind_is_there_and_listed_with_its_title(earlier):
    table = listing(earlier.runs(without=part_kinds()))
    there = {study.title for kind, study in stored_studies().items() if kind not in LATER}
    assert set(table["kind"]) == there
    assert len(table) == len(ASKED), "parts of a comparison are not listed"


def test_the_options_and_descriptions_are_those_that_are_stored_now(earlier):
    runs = sorted(earlier.runs(without=part_kinds()), key=lambda run: run.created)
    for run, study in zip(runs, ASKED, strict=True):
        assert (run.kind, run.options, run.description) == (
            study.kind,
            stored_options(study),
            study.describe(),
        )


@pytest.mark.parametrize("kind", sorted(set(stored_studies()) - LATER))
def test_results_are_read_and_reported(earlier, kind):
    runs = earlier.runs(kind=kind)
    assert runs
    for run in runs:
        result, text = earlier.get(run.key), earlier.text(run.key)
        (study,) = [one for one in ASKED if one.kind == kind and stored_options(one) == run.options]
        assert set(study.summarize(result)) == set(run.summary)
        html = of_run(run, result, text)
        assert "somebody/tiny" in html
        assert ("Once" if kind == "generation" else "late" if text and kind != "score" else "tiny") in html


def test_what_lists_say_of_them(earlier):
    said = {run.kind: (dropped(run), found(run)) for run in earlier.runs(without=part_kinds())[::-1]}
    assert said["contrast"][0] == "attn.1 | mlp.0"
    assert said["contrast"][1].startswith("loss of A ")
    assert said["comparison"] == ("", "2 of 2 prune sets measured")
    assert said["analysis"][1] == "entropy lowest after layer: bucket 1"
    assert said["score"][0] == "attn.1"
    assert said["trust"][1].endswith(".")
    assert said["interactions"][1] == "pairs 1"
    assert said["ranking"][1].startswith("first attn.")


def test_a_kind_that_this_version_does_not_know_is_listed_by_its_name_and_reported_as_unknown(tmp_path):
    file = tmp_path / "later.sqlite"
    shutil.copy(EARLIER, file)
    with sqlite3.connect(file) as database:
        database.execute("update entviz_runs set kind = 'oracle' where kind = 'angles'")
    store = open_store(f"sqlite:///{file}")
    (run,) = [run for run in store.runs(without=part_kinds()) if run.kind == "oracle"]
    assert listing([run])["kind"].tolist() == ["oracle"]
    assert (found(run), dropped(run)) == ("", "")
    assert store.get(run.key) is None
    html = of_run(run, None, store.text(run.key))
    assert "knows no result of the kind “oracle”" in html
    store.close()
