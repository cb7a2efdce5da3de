"""``entviz compare``: every row against a really pruned copy, with blocks chosen on text that is not measured."""

import json
import math

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.decoder import precision
from entviz.models import load
from tests.altered import losses, without
from tests.cli.conftest import TEXT

WHOLE = ("--text", TEXT, "--windows", "5", "--window-length", "40")
SMALL = ("compare", *WHOLE, "--budgets", "1,2", "--level", "attn")


def ids_of(loaded, text, first, last):
    """Windows of 40 tokens of a text, from one to before another."""
    whole = loaded.tokenizer(text, add_special_tokens=False).input_ids
    return torch.tensor(whole[40 * first : 40 * last]).view(last - first, 40)


@pytest.fixture
def loaded(directory):
    return load(str(directory))


def test_json(answer, directory, loaded):
    found = answer(*SMALL, "--criteria", "cosine,random", "--seeds", 2)
    assert set(found) == {
        *("model", "calibration_windows", "windows", "window_length", "overlap", "task", "items", "dtype"),
        *("dense", "rows", "notes", "verdict"),
    }
    assert (found["model"], found["window_length"], found["dtype"]) == (str(directory), 40, "float32")
    assert (found["calibration_windows"], found["windows"], found["overlap"]) == (2, 3, False)
    assert (found["task"], found["items"]) == (None, 0)
    assert [(row["name"], row["budget"], row["seed"]) for row in found["rows"]] == [
        *(("cosine", "1", 0), ("cosine", "2", 0)),
        *(("random", "1", 0), ("random", "2", 0), ("random", "1", 1), ("random", "2", 1)),
    ]
    ids = ids_of(loaded, TEXT, 2, 5)  # the later half, which the criteria have not seen
    dense = losses(loaded.model, ids)
    assert found["dense"]["window_nll"] == pytest.approx(dense.tolist(), rel=1e-5)
    log_p = loaded.model(ids).logits[:, :-1].double().log_softmax(-1)
    whole = sum(weight.numel() for weight in loaded.model.parameters())
    for row in found["rows"]:
        drop = PruneSet.parse(row["drop"])
        assert len(list(drop)) == int(row["budget"])
        assert {block.kind for block in drop} == {"attn"}
        pruned = without(loaded.model, drop)
        wanted = losses(pruned, ids)
        assert row["window_nll"] == pytest.approx(wanted.tolist(), rel=1e-5)
        assert row["perplexity"] == pytest.approx(wanted.mean().exp().item(), rel=1e-4)
        log_q = pruned(ids).logits[:, :-1].double().log_softmax(-1)
        assert row["kl"] == pytest.approx((log_p.exp() * (log_p - log_q)).sum(-1).mean().item(), rel=1e-4)
        agree = (log_p.argmax(-1) == log_q.argmax(-1)).double().mean().item()
        assert row["top1_agreement"] == pytest.approx(agree)
        layer = loaded.model.model.layers[0]
        gone = sum(w.numel() for w in (*layer.self_attn.parameters(), layer.input_layernorm.weight))
        assert row["parameters_kept"] == pytest.approx(1 - len(list(drop)) * gone / whole)
        assert row["accuracy"] is None
        assert row["speedup"] > 0


def test_the_time_is_told_first_and_a_dry_run_does_nothing_else(answer, entviz, monkeypatch):
    from entviz.comparison.grid import measuring

    status, _, errors = entviz(*SMALL, "--criteria", "cosine")
    assert status == 0
    assert errors.startswith("entviz: 2 prune sets, ")

    def measured(*arguments, **options):
        raise AssertionError("prune sets were measured")

    monkeypatch.setattr(measuring, "evaluate_many", measured)
    found = answer(*SMALL, "--criteria", "cosine,random", "--seeds", 2, "--dry-run")
    assert found["prune_sets"] == 6
    assert found["seconds"] > 0
    status, output, _ = entviz(*SMALL, "--criteria", "cosine", "--dry-run")
    assert status == 0
    assert output.startswith("2 prune sets, ")


def test_each_criterion_chooses_what_rank_says_on_the_windows_to_choose_by(answer):
    found = answer(*SMALL, "--criteria", "cosine,entrodrop:bucket:unprotected,leave-one-out")
    chosen_by = ("--text", TEXT, "--windows", "2", "--window-length", "40", "--level", "attn")
    options = {
        "cosine": ("--criterion", "cosine"),
        "entrodrop:bucket:unprotected": ("--estimator", "bucket", "--protect", "0,0"),
        "leave-one-out": ("--criterion", "leave-one-out"),
    }
    for row in found["rows"]:
        wanted = answer("rank", *chosen_by, *options[row["name"]], "--budget", row["budget"])
        assert set(row["drop"].split(",")) == set(wanted["drop"])
    assert len(found["rows"]) == 6


def test_another_text_to_choose_by(answer, loaded, tmp_path):
    other = (
        "Nobody had been there for years, so the path was grown over, and the gate hung from one hinge. " * 3
    )
    (tmp_path / "other.txt").write_text(other, encoding="utf-8")
    found = answer(
        *(*SMALL, "--criteria", "cosine"),
        *("--calibration-text-file", tmp_path / "other.txt"),
    )
    assert (found["calibration_windows"], found["windows"]) == (7, 5)
    dense = losses(loaded.model, ids_of(loaded, TEXT, 0, 5))
    assert found["dense"]["window_nll"] == pytest.approx(dense.tolist(), rel=1e-5)
    options = ("--window-length", "40", "--criterion", "cosine", "--budget", "2")
    wanted = answer("rank", "--text-file", tmp_path / "other.txt", *options)
    assert set(found["rows"][1]["drop"].split(",")) == set(wanted["drop"])


def test_few_windows_to_choose_by_are_taken_evenly_from_the_whole_of_their_text(answer, loaded, tmp_path):
    other = (
        "abcdefghij klmnopqrst. " * 20 + "Nobody had been there for years, so the path was grown over. " * 8
    )
    (tmp_path / "other.txt").write_text(other, encoding="utf-8")
    whole = ids_of(loaded, other, 0, len(loaded.tokenizer(other, add_special_tokens=False).input_ids) // 40)
    evenly = whole[[len(whole) // 4, 3 * len(whole) // 4]]  # the middles of two halves
    (tmp_path / "ids.json").write_text(json.dumps(evenly.tolist()))
    budgets = ("--criteria", "cosine", "--level", "attn+mlp", "--budgets", "1,2,3,4")
    found = answer(
        *("compare", *WHOLE, *budgets, "--calibration-windows", 2),
        *("--calibration-text-file", tmp_path / "other.txt"),
    )
    assert (found["calibration_windows"], found["windows"]) == (2, 5)
    ranked = ("rank", "--token-ids", tmp_path / "ids.json", "--criterion", "cosine", "--level", "attn+mlp")
    for row in found["rows"]:
        wanted = answer(*ranked, "--budget", row["budget"])
        assert PruneSet.parse(row["drop"]) == PruneSet.parse(",".join(wanted["drop"]))


def test_a_task_is_answered_by_every_prune_set(answer):
    found = answer(*SMALL, "--criteria", "last", "--task", "grammar", "--limit", 6)
    assert (found["task"], found["items"]) == ("grammar", 6)
    for row in (found["dense"], *found["rows"]):
        alone = answer("evaluate", "--task", "grammar", "--limit", 6, "--drop", row["drop"])
        assert row["accuracy"] == alone["accuracy"]
        assert row["accuracy_normalized"] == alone["accuracy_normalized"]


@pytest.mark.parametrize(("speedup", "dtype"), [(2.0, "bfloat16"), (1.0, "float32")])
def test_the_fastest_number_type_is_the_one_that_is_named(answer, monkeypatch, speedup, dtype):
    monkeypatch.setattr(precision, "speedup", lambda device: speedup)
    found = answer(*SMALL, "--criteria", "cosine", "--dtype", "auto", "--no-keep")
    assert found["dtype"] == dtype
    named = answer(*SMALL, "--criteria", "cosine", "--dtype", dtype, "--no-keep")
    assert [row["window_nll"] for row in found["rows"]] == [row["window_nll"] for row in named["rows"]]


def test_what_has_been_measured_is_not_measured_again(answer, monkeypatch):
    from entviz.comparison.grid import measuring

    first = answer(*SMALL, "--criteria", "cosine")

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(measuring, "evaluate_many", never)
    assert answer(*SMALL, "--criteria", "cosine") == first


def test_a_single_window_does_both(answer):
    found = answer(
        *("compare", "--text", TEXT, "--windows", "1", "--window-length", "40"),
        *("--criteria", "cosine", "--budgets", "1"),
    )
    assert (found["calibration_windows"], found["windows"], found["overlap"]) == (1, 1, True)


def test_a_budget_out_of_reach_is_a_note(answer):
    found = answer(
        *SMALL[:-4], "--budgets", "1,4", "--level", "attn", "--criteria", "entrodrop:bucket,cosine"
    )
    assert [(row["name"], row["budget"]) for row in found["rows"]] == [
        *(("entrodrop:bucket", "1"), ("cosine", "1"), ("cosine", "4"))
    ]
    (note,) = found["notes"]
    assert note.startswith("EntroDrop (Bucket) has no row for a budget of 4")


def test_table(entviz):
    status, output, _ = entviz(
        *SMALL, "--criteria", "cosine,random", "--seeds", "2", "--task", "grammar", "--limit", 4
    )
    assert status == 0
    assert "chosen by 2 windows, measured on 3 windows of 40 tokens, in float32." in output
    rows = [
        line.split() for line in output.splitlines() if line.strip().startswith(("Dense", "Cosine", "Random"))
    ]
    assert [row[0] for row in rows] == ["Dense", "Cosine", "Cosine", "Random", "Random"], (
        "one row for all seeds"
    )
    assert "accuracy_normalized" in output
    assert "- At 1 attention dropped: " in output
    assert all(math.isfinite(float(row[3])) for row in rows[1:])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--criteria", "magic"), "'magic' is not a criterion: choose from entrodrop:bucket"),
        (("--criteria", "entrodrop:entropy"), "is not a criterion"),
        (("--criteria", "cosine:stage-2"), "is not a criterion"),
        (("--criteria", ","), "choose at least one criterion"),
        (
            ("--criteria", "angular-distance"),
            "choose at least one criterion that can rank blocks of this level",
        ),
        (("--level", "head"), "'head' is not a level"),
        (("--budgets", "many"), "is not a budget"),
        (("--budgets", "0"), "drops nothing"),
        (("--budgets", ","), "Give 1 to 20 budgets"),
        (("--seeds", "0"), "1 to 50 random prune sets, not 0"),
        (("--calibration-windows", "0"), "at least 1 window to choose blocks by, not 0"),
        (("--dtype", "int8"), "int8"),
        (("--task", "trivia"), "no task 'trivia'"),
        (("--task", "grammar", "--limit", "0"), "at least 1 item"),
        (("--limit", "4"), "--limit is for the items of a --task"),
        (("--search-windows", "4"), "add search to --criteria"),
        (("--criteria", "search", "--seconds", "nan"), "cannot take nan seconds"),
        (("--calibration-text-file", "nowhere.txt"), "There is no file nowhere.txt"),
        (("--device", "toaster"), "toaster"),
    ],
)
def test_bad_input(wrong, options, says):
    usual = ("--criteria", "cosine", "--budgets", "1", "--level", "attn")
    assert says in wrong("compare", *WHOLE, *usual, *options)


def test_the_search_chooses_by_more_of_the_calibration_text(answer, entviz, store, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(
        "A lamp was lit in the last house, and somebody closed the shutters. " * 20, encoding="utf-8"
    )
    chosen_by = ("--calibration-text-file", other, "--calibration-windows", 2, "--criteria", "search,last")
    found = answer(*SMALL, *chosen_by, "--seconds", 20)
    assert "Search chose by 8 windows, the other criteria by 2." in found["notes"]
    (run,) = store.runs(kind="comparison")
    measured = found["windows"]
    assert run.options["shell"] == {
        "windows": f"2 to choose by and {measured} to measure on, 8 for the search"
    }
    found = answer(*SMALL, *chosen_by, "--seconds", 20, "--search-windows", 2)
    assert not [note for note in found["notes"] if "Search chose" in note]
    status, _, errors = entviz(*SMALL, *chosen_by, "--search-windows", 1000)
    assert status == 2
    assert "not by 1000" in errors
    status, _, errors = entviz(*SMALL, "--criteria", "search", "--search-windows", 2)
    assert status == 2
    assert "--calibration-text-file" in errors
