"""Comparing criteria: a row for each, with the right numbers, and no work done twice."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from entviz.blocks import PruneSet
from entviz.comparison.grid import choosing, measuring
from entviz.comparison.grid.grid import compare
from entviz.criteria import CRITERIA, rank
from entviz.errors import OptionError
from entviz.evaluation.loss import evaluate
from entviz.tasks import Item, Task
from entviz.text.windows import Windows, windows_from_token_ids
from tests.altered import without
from tests.comparison.windows import random_windows


def test_there_is_a_row_for_everyone_level_and_budget(comparison):
    assert comparison.budgets == ("1", "2")
    assert len(comparison.rows) == comparison.rows_total == 2 * 2 * (4 + 2)
    assert comparison.finished
    table = comparison.table()
    assert len(table) == 2 * 2 * 5
    assert not table.duplicated(["name", "level", "budget"]).any()
    assert list(table["title"].unique()) == [
        "EntroDrop (KNN)",
        "EntroDrop (Bucket)",
        "Cosine",
        "Last",
        "Random",
    ]


def test_rows_are_what_evaluating_and_choosing_give(comparison, tiny, calibration, measured):
    for row in comparison.rows.itertuples():
        chosen = rank(
            tiny,
            calibration,
            CRITERIA[row.criterion]().with_options(estimator=row.estimator, seed=row.seed),
            level=row.level,
            budget=row.budget,
        )
        assert str(chosen.drop) == row.drop
        alone = evaluate(tiny, measured, chosen.drop)
        assert row.nll == pytest.approx(alone.nll, abs=1e-5)
        assert row.perplexity == pytest.approx(alone.perplexity, rel=1e-4)
        assert row.kl == pytest.approx(alone.kl, abs=1e-5)
        assert row.top1_agreement == pytest.approx(alone.top1_agreement)
        assert row.window_nll == pytest.approx(alone.per_window_nll, abs=1e-5)
        assert row.parameters == alone.parameters_pruned
        assert row.parameters_kept == pytest.approx(alone.parameters_pruned / alone.parameters_dense)
        assert row.speedup > 0


def test_a_row_has_the_loss_of_a_really_pruned_copy(comparison, tiny, measured):
    row = comparison.rows.iloc[0]
    copy = without(tiny.model, PruneSet.parse(row["drop"]))
    ids = measured.token_ids
    logits = copy(ids).logits[:, :-1].flatten(0, 1)
    assert row["nll"] == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten())), abs=1e-4
    )


def test_the_dense_row_is_the_dense_model(comparison, tiny, measured):
    dense = comparison.dense.iloc[0]
    assert dense["nll"] == pytest.approx(evaluate(tiny, measured, PruneSet()).nll, abs=1e-5)
    assert dense["kl"] == pytest.approx(0, abs=1e-6)
    assert dense["speedup"] == 1
    assert dense["parameters_kept"] == 1


def test_random_is_one_row_between_its_seeds(comparison):
    seeds = comparison.rows.query("criterion == 'random' and level == 'attn' and budget == '2'")
    row = comparison.table().query("criterion == 'random' and level == 'attn' and budget == '2'").iloc[0]
    assert row["seeds"] == 2
    assert row["nll"] == pytest.approx(seeds["nll"].mean())
    assert row["perplexity"] == pytest.approx(np.exp(seeds["nll"].mean()))
    assert (row["nll_low"], row["nll_high"]) == (seeds["nll"].min(), seeds["nll"].max())
    assert row["drop"] in set(seeds["drop"])


def test_dropping_more_keeps_what_was_dropped(comparison):
    for _, group in comparison.rows.groupby(["name", "level", "seed"]):
        sets = [PruneSet.parse(drop) for drop in group["drop"]]
        for smaller, larger in pairwise(sets):
            assert all(block in larger for block in smaller)


def test_greedy_runs_once_for_all_budgets(tiny, calibration, measured, monkeypatch):
    asked = []

    def counted(*arguments, **options):
        asked.append((arguments[2].name, options["budget"]))
        return rank(*arguments, **options)

    monkeypatch.setattr(choosing, "rank", counted)
    found = compare(tiny, calibration, measured, ["sleb"], ["1", "3", "2"], levels=["attn"])
    assert asked == [("sleb", "3")]
    for row in found.rows.itertuples():
        alone = rank(tiny, calibration, "sleb", level="attn", budget=row.budget)
        assert str(alone.drop) == row.drop


def test_what_two_criteria_choose_is_measured_once(tiny, calibration, measured, monkeypatch):
    sets = []
    real = measuring.evaluate_many

    def counted(loaded, windows, prune_sets, **options):
        sets.extend(prune_sets)
        return real(loaded, windows, prune_sets, **options)

    monkeypatch.setattr(measuring, "evaluate_many", counted)
    found = compare(tiny, calibration, measured, ["cosine", "block-influence"], ["1", "2"], levels=["attn"])
    assert len(sets) == len(set(sets)) == 3  # dense, and two budgets
    assert len(found.rows) == 4


def test_shares_of_parameters_are_budgets_too(tiny, calibration, measured):
    found = compare(tiny, calibration, measured, ["cosine", "sleb"], ["20%", "10%"], levels=["layer"])
    assert found.budgets == ("10%", "20%")
    kept = found.rows["parameters_kept"].to_numpy()
    assert (kept[found.rows["budget"] == "20%"] <= 0.8).all()
    assert (kept[found.rows["budget"] == "10%"] <= 0.9).all()


@pytest.fixture(scope="module")
def tiny_tokenizer_model(smollm2):
    rows = smollm2.tokenizer("A cat sat on a mat and a dog ran by the sea. " * 6).input_ids[:60]
    return smollm2, windows_from_token_ids([rows[:30], rows[30:60]], smollm2.vocabulary_size)


def test_a_task_is_scored(tiny_tokenizer_model):
    loaded, windows = tiny_tokenizer_model
    task = Task("words", tuple(Item.ask("the", ["cat", "dog"], n % 2) for n in range(6)))
    found = compare(loaded, windows, windows, ["last"], ["1"], levels=["attn"], task=task, limit=4)
    assert found.items == 4
    assert found.overlap
    assert found.rows["accuracy"].iloc[0] == 0.5  # whichever it prefers, half of the answers are that
    assert found.accuracy_margin == pytest.approx(0.49)


def test_the_search_can_choose_by_more_text(tiny, calibration, measured):
    more = random_windows(6, seed=9)
    found = compare(
        tiny, calibration, measured, ["search", "last"], ["2"], searched=more, levels=["attn"], seconds=60
    )
    wanted = rank(tiny, more, "search", level="attn", budget=2, seconds=60)
    drops = found.table().set_index("name")["drop"]
    assert drops["search"] == str(wanted.drop)
    assert "Search chose by 6 windows, the other criteria by 3." in found.notes


def test_windows_too_short_for_one_estimator_do_not_keep_others_from_comparing(tiny, calibration, measured):
    short = [Windows(each.token_ids[:, :12]) for each in (calibration, measured)]
    found = compare(tiny, *short, ["cosine", "entrodrop:bucket"], ["1"], levels=["attn"])
    for row in found.rows.itertuples():
        rule = CRITERIA[row.criterion]().with_options(estimator="bucket")
        chosen = rank(tiny, short[0], rule, level="attn", budget=1).drop
        assert row.drop == str(chosen)
        assert row.nll == pytest.approx(evaluate(tiny, short[1], chosen).nll, abs=1e-5)
    with pytest.raises(OptionError, match="knn estimator needs at least 26 tokens"):
        compare(tiny, *short, ["entrodrop:knn"], ["1"], levels=["attn"])
