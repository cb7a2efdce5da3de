"""The store: results outlive the process, and are listed, filtered and removed."""

import sqlite3
import time

import pytest

from entviz.blocks import PruneSet
from entviz.store import Run
from entviz.store.database import FILE
from entviz.studies.registry import open_store
from tests.store.results import EXAMPLES, an_analysis, an_evaluation, assert_same, put


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_result_outlives_the_process(kind, store):
    result = EXAMPLES[kind]()
    put(store, "k", result, kind)
    assert store.get("k") is result, "in memory it is the very object"
    store.close()
    later = open_store()
    assert_same(result, later.get("k"))
    assert later.get("k") is later.get("k"), "it is read from the database once"
    later.close()


def test_what_was_never_stored_is_none(store):
    assert store.get("nothing") is None
    assert store.answer("nothing") is None
    assert store.text("nothing") is None
    assert store.runs() == []


def test_a_request_leads_to_its_result_in_a_later_process(store):
    put(store, "k")
    store.link("asked", "k")
    store.link("asked otherwise", "k")
    store.close()
    later = open_store()
    assert_same(later.answer("asked"), an_evaluation())
    assert later.answer("asked") is later.answer("asked otherwise")
    put(later, "k2", an_evaluation(seed=2))
    later.link("asked", "k2")
    assert_same(later.answer("asked"), an_evaluation(seed=2))
    later.close()


def test_runs_are_listed_newest_first_and_filtered(store):
    put(store, "a", description="News, 4 x 128 tokens", options={"drop": "attn.5"}, summary={"nll": 3.5})
    put(store, "b", an_analysis(), "analysis", description="Law, 4 x 128 tokens")
    store.put("c", Run("evaluation", "gpt2", description="100% of_it"), an_evaluation())
    assert [run.key for run in store.runs()] == ["c", "b", "a"]
    assert [run.key for run in store.runs(kind="evaluation")] == ["c", "a"]
    assert [run.key for run in store.runs(model="gpt2")] == ["c"]
    assert [run.key for run in store.runs(contains="NEWS")] == ["a"]
    assert [run.key for run in store.runs(contains="%")] == ["c"], "a typed % is a percent sign"
    assert [run.key for run in store.runs(limit=1)] == ["c"]
    run = store.runs()[-1]
    assert (run.options, run.summary) == ({"drop": "attn.5"}, {"nll": 3.5})
    assert run.bytes > 0
    assert abs(run.created - time.time()) < 60
    assert "entviz" in run.program


def test_runs_are_filtered_by_prune_set_and_by_their_whole_text(store):
    for key, drop in (("a", "attn.5"), ("b", "attn.55"), ("c", "mlp.3,layer.5"), ("d", "")):
        store.put(
            key,
            Run("evaluation", "m", options={"drop": drop}),
            an_evaluation(),
            text=f"Long {key} TAIL {key}",
        )
    store.put("e", Run("analysis", "n", options={"metrics": ["knn"]}), an_analysis())

    def found(drop):
        return {run.key for run in store.runs(drop=PruneSet.parse(drop))}

    assert found("attn.5") == {"a", "c"}, "a dropped layer has its attention dropped too"
    assert found("layer.5") == {"c"}
    assert found("mlp.3,attn.5") == {"c"}
    assert found("") == {"d"}, "only what was run without dropping anything"
    assert [run.key for run in store.runs(contains="tail b")] == ["b"]
    assert {run.key for run in store.runs(kind=("analysis", "ranking"))} == {"e"}
    assert store.models() == ["m", "n"]


def test_numbers_that_json_lacks_are_listed_as_none(store):
    put(store, "a", summary={"perplexity": float("inf"), "list": [1.0, float("nan")]})
    assert store.runs()[0].summary == {"perplexity": None, "list": [1.0, None]}


def test_texts_are_kept_once_and_go_with_their_last_run(store, cache):
    for key in "abc":
        store.put(
            key, Run("evaluation", "m"), an_evaluation(), text="the same text" if key < "c" else "another"
        )
    assert store.text("a") == store.text("b") == "the same text"
    with sqlite3.connect(cache / FILE) as database:
        assert database.execute("select count(*) from entviz_texts").fetchone() == (2,)
    store.remove("a")
    assert (store.text("a"), store.text("b")) == (None, "the same text")
    store.remove("b")
    with sqlite3.connect(cache / FILE) as database:
        assert database.execute("select text from entviz_texts").fetchall() == [("another",)]


def test_removed_means_removed(store):
    put(store, "k")
    store.link("asked", "k")
    store.remove("k")
    assert store.get("k") is None
    assert store.answer("asked") is None


def test_storing_twice_keeps_the_first(store):
    put(store, "k")
    put(store, "k")
    assert len(store.runs()) == 1
