"""Results that only a shell can request are kept apart from those of the dashboard, and say what they are."""

import json

import pytest
import torch

from tests.cli.asked import CUT, OTHER, RANK, SAME, done
from tests.cli.conftest import TEXT

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
    "a continuation without a cache": (
        (*SAME["generate"][1], "--no-cache"),
        {"cache": "none"},
        "generate",
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
