"""Comparing criteria: right numbers, nothing done twice, nothing lost when the process is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from entviz.blocks import PruneSet, all_blocks
from entviz.comparison import grid
from entviz.comparison.contenders import contenders
from entviz.comparison.grid import compare
from entviz.comparison.interval import paired_difference, students_t
from entviz.comparison.kept import StoredParts
from entviz.comparison.pair import contrast
from entviz.comparison.result import QUALITIES, pareto_front
from entviz.comparison.sides import shared
from entviz.comparison.texts import split, windows_of
from entviz.comparison.verdict import verdict
from entviz.corpus import windows_from_token_ids
from entviz.errors import BlockError, Cancelled, OptionError, TextError
from entviz.evaluation.loss import evaluate
from entviz.models import load
from entviz.models.loaded import LoadedModel
from entviz.pruning.choose import choose
from entviz.store import Store
from entviz.tasks import Item, Task
from tests.altered import without
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 6
QUICK = ["entrodrop:knn", "entrodrop:bucket", "cosine", "last", "random"]


def random_windows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY_SIZE, (count, 40), generator=generator)
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS), None, "tiny")


@pytest.fixture(scope="module")
def calibration():
    return random_windows(3, seed=1)


@pytest.fixture(scope="module")
def measured():
    return random_windows(8, seed=2)


@pytest.fixture(scope="module")
def comparison(tiny, calibration, measured):
    return compare(tiny, calibration, measured, QUICK, ["2", "1"], levels=["attn", "mlp"], seeds=2)


# Right numbers


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
        chosen = choose(
            tiny,
            calibration,
            row.criterion,
            level=row.level,
            budget=row.budget,
            estimator=row.estimator or "knn",
            seed=row.seed,
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
        asked.append((arguments[2] if len(arguments) > 2 else options["criterion"], options["budget"]))
        return choose(*arguments, **options)

    monkeypatch.setattr(grid, "choose", counted)
    found = compare(tiny, calibration, measured, ["sleb"], ["1", "3", "2"], levels=["attn"])
    assert asked == [("sleb", "3")]
    for row in found.rows.itertuples():
        alone = choose(tiny, calibration, "sleb", level="attn", budget=row.budget)
        assert str(alone.drop) == row.drop


def test_what_two_criteria_choose_is_measured_once(tiny, calibration, measured, monkeypatch):
    sets = []
    real = grid.evaluate_many

    def counted(loaded, windows, prune_sets, **options):
        sets.extend(prune_sets)
        return real(loaded, windows, prune_sets, **options)

    monkeypatch.setattr(grid, "evaluate_many", counted)
    found = compare(tiny, calibration, measured, ["cosine", "block-influence"], ["1", "2"], levels=["attn"])
    assert len(sets) == len(set(sets)) == 3  # dense, and two budgets
    assert len(found.rows) == 4


def test_shares_of_parameters_are_budgets_too(tiny, calibration, measured):
    found = compare(tiny, calibration, measured, ["cosine", "sleb"], ["20%", "10%"], levels=["layer"])
    assert found.budgets == ("10%", "20%")
    kept = found.rows["parameters_kept"].to_numpy()
    assert (kept[found.rows["budget"] == "20%"] <= 0.8).all()
    assert (kept[found.rows["budget"] == "10%"] <= 0.9).all()


def test_a_task_is_scored(tiny_tokenizer_model):
    loaded, windows = tiny_tokenizer_model
    task = Task("words", tuple(Item.ask("the", ["cat", "dog"], n % 2) for n in range(6)))
    found = compare(loaded, windows, windows, ["last"], ["1"], levels=["attn"], task=task, limit=4)
    assert found.items == 4
    assert found.overlap
    assert found.rows["accuracy"].iloc[0] == 0.5  # whichever it prefers, half of the answers are that
    assert found.accuracy_margin == pytest.approx(0.49)


@pytest.fixture(scope="module")
def tiny_tokenizer_model(smollm2):
    rows = smollm2.tokenizer("A cat sat on a mat and a dog ran by the sea. " * 6).input_ids[:60]
    return smollm2, windows_from_token_ids([rows[:30], rows[30:60]], smollm2.vocabulary_size)


# What cannot be


@pytest.mark.parametrize(
    ("criteria", "budgets", "levels", "sentence"),
    [
        (["nonsense"], ["1"], ["attn"], "not a criterion"),
        (["entrodrop:cosine"], ["1"], ["attn"], "not a criterion"),
        (["cosine:knn"], ["1"], ["attn"], "not a criterion"),
        (["cosine::stage-2"], ["1"], ["attn"], "not a criterion"),
        (["entrodrop:knn:stage-3"], ["1"], ["attn"], "not a criterion"),
        (["cosine"], ["many"], ["attn"], "not a budget"),
        (["cosine"], ["0"], ["attn"], "drops nothing"),
        (["cosine"], [], ["attn"], "budgets"),
        (["angular-distance"], ["1"], ["attn"], "Nothing to compare"),
        (["random"], ["1"], ["attn"], "1 to 50 random"),
    ],
)
def test_what_cannot_be_compared_says_so(tiny, calibration, measured, criteria, budgets, levels, sentence):
    seeds = 0 if criteria == ["random"] else 1
    with pytest.raises(OptionError, match=sentence):
        compare(tiny, calibration, measured, criteria, budgets, levels=levels, seeds=seeds)


def test_an_unknown_level_says_so(tiny, calibration, measured):
    with pytest.raises(BlockError, match="not a level"):
        compare(tiny, calibration, measured, ["cosine"], ["1"], levels=["heads"])


def test_a_budget_out_of_reach_is_a_note_beside_the_others(tiny, calibration, measured):
    found = compare(
        tiny, calibration, measured, ["entrodrop:knn", "cosine", "sleb"], ["1", "5"], levels=["attn"]
    )
    assert found.finished
    reached = set(zip(found.rows["name"], found.rows["budget"], strict=True))
    assert ("entrodrop:knn", "5") not in reached  # it protects three of six layers
    assert {("cosine", "5"), ("sleb", "5"), ("entrodrop:knn", "1")} <= reached
    assert any("EntroDrop (KNN)" in note and "5" in note for note in found.notes)


def test_variants_of_entrodrop_choose_as_they_say(tiny, calibration, measured):
    names = ["entrodrop:knn", "entrodrop:knn:stage-2", "entrodrop:knn:unprotected"]
    found = compare(tiny, calibration, measured, names, ["1"], levels=["mlp"])
    assert {"EntroDrop (KNN)", "EntroDrop (KNN, unprotected)"} <= set(found.rows["title"])
    for options, name in (({}, names[0]), ({"stage": 2}, names[1]), ({"protect": (0, 0)}, names[2])):
        row = found.rows[found.rows["name"] == name]
        try:
            alone = choose(tiny, calibration, "entrodrop", level="mlp", budget=1, **options)
        except OptionError:  # no block after the turning point
            assert row.empty
        else:
            assert row["drop"].iloc[0] == str(alone.drop)


def test_levels_that_make_no_sense_are_noted():
    entries, notes = contenders(["angular-distance", "cosine"], ["attn", "layer"])
    assert [(entry.name, entry.level) for entry in entries] == [
        ("angular-distance", "layer"),
        ("cosine", "attn"),
        ("cosine", "layer"),
    ]
    assert len(notes) == 1
    assert "Angular distance" in notes[0]


# Stopping and going on


def test_a_stopped_comparison_goes_on_where_it_was(tiny, calibration, measured, tmp_path, monkeypatch):
    kept = StoredParts(Store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny)
    monkeypatch.setattr(grid, "_TOGETHER", 2)
    seen = []

    def stop_after_some(done, total, partial=None):
        if partial is not None and len(partial.rows) >= 4:
            seen.append(partial)
            raise Cancelled("Stopped.")

    arguments = (tiny, calibration, measured, ["cosine", "last", "sleb"], ["1", "2", "3"])
    with pytest.raises(Cancelled):
        compare(*arguments, levels=["attn"], kept=kept, progress=stop_after_some)
    done = set(seen[0].rows["drop"])
    again = []
    real = grid.evaluate_many

    def counted(loaded, windows, prune_sets, **options):
        again.extend(map(str, prune_sets))
        return real(loaded, windows, prune_sets, **options)

    monkeypatch.setattr(grid, "evaluate_many", counted)
    found = compare(*arguments, levels=["attn"], kept=kept)
    assert found.finished
    assert not done & set(again)
    fresh = compare(*arguments, levels=["attn"])
    same = ["name", "budget", "drop", "parameters"]
    pd.testing.assert_frame_equal(found.rows[same], fresh.rows[same])
    np.testing.assert_allclose(found.rows["nll"], fresh.rows["nll"], atol=1e-6)


def test_a_comparison_in_another_number_type_is_not_taken_for_this_one(tiny, calibration, measured, tmp_path):
    kept = StoredParts(Store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny)
    exact = compare(tiny, calibration, measured, ["last"], ["2"], levels=["mlp"], kept=kept)
    rough = compare(tiny, calibration, measured, ["last"], ["2"], levels=["mlp"], kept=kept, dtype="bfloat16")
    other = compare(tiny, calibration, random_windows(8, 3), ["last"], ["2"], levels=["mlp"], kept=kept)
    assert len({float(found.rows["nll"].iloc[0]) for found in (exact, rough, other)}) == 3


SCRIPT = """
import sys, time
from entviz.comparison import grid
from entviz.comparison.kept import StoredParts
from entviz.corpus import windows_from_token_ids
from entviz.models import load
from entviz.store import Store

directory, database, log, pause = sys.argv[1:]
loaded, ids = load(directory), [[(7 * row + 3 * n) % 90 + 3 for n in range(40)] for row in range(6)]
windows = [windows_from_token_ids(rows, loaded.vocabulary_size) for rows in (ids[:2], ids[2:])]
real = grid.evaluate_many
grid._TOGETHER = 1

def noted(loaded, windows, sets, **options):
    with open(log, "a") as file:
        file.write(f"{sets[0] or 'dense'};")
    time.sleep(float(pause))
    return real(loaded, windows, sets, **options)

grid.evaluate_many = noted
found = grid.compare(loaded, *windows, ["last", "random"], ["1", "2", "3"], levels=["mlp"], seeds=1,
                     kept=StoredParts(Store(database), loaded))
print(found.rows[["name", "budget", "drop", "nll"]].to_json(orient="records"))
"""


def test_a_killed_comparison_is_there_afterwards(tmp_path):
    """A process is really killed amid the work; another finds what the first had finished, and only does the rest."""
    directory, log = tmp_path / "model", tmp_path / "log"
    build("llama", layers=5).save_pretrained(directory)
    command = [sys.executable, "-c", SCRIPT, str(directory), f"sqlite:///{tmp_path}/runs.sqlite", str(log)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    first = subprocess.Popen([*command, "0.4"], env=environment, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 90
    while not log.exists() or log.read_text().count(";") < 4:
        assert time.monotonic() < end, "the first process did not get far enough"
        assert first.poll() is None, "the first process ended too early"
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL
    begun = log.read_text().rstrip(";").split(";")
    log.unlink()
    second = subprocess.run(
        [*command, "0"], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    afterwards = log.read_text().rstrip(";").split(";")
    assert not set(begun[:3]) & set(afterwards)  # the fourth was under way
    rows = json.loads(second.stdout)
    assert len(rows) == 6
    assert {row["drop"] for row in rows} <= {*begun, *afterwards}
    loaded = load(str(directory))
    ids = [[(7 * row + 3 * n) % 90 + 3 for n in range(40)] for row in range(2, 6)]
    windows = windows_from_token_ids(ids, loaded.vocabulary_size)
    for row in rows:
        assert row["nll"] == pytest.approx(
            evaluate(loaded, windows, PruneSet.parse(row["drop"])).nll, abs=1e-5
        )


# What is made of the numbers


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),  # from printed tables
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.95, 5, 2.015),
        (0.975, 7, 2.365),
        (0.995, 23, 2.807),
        (0.5, 4, 0),
    ],
)
def test_students_t_is_that_of_the_tables(probability, degrees, value):
    assert students_t(probability, degrees) == pytest.approx(value, abs=2e-3)


def test_a_paired_interval_by_hand():
    found = paired_difference([3.0, 4.0, 5.0, 8.0], [1.0, 3.0, 2.0, 4.0])
    assert found.mean == 2.5
    reach = 3.18245 * np.std([2, 1, 3, 4], ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((2.5 - reach, 2.5 + reach), abs=1e-3)
    assert found.clear
    assert not paired_difference([3.0], [1.0]).clear


def test_the_pareto_front_is_what_no_other_row_beats(comparison):
    table = comparison.table()
    for quality, higher in QUALITIES.items():
        if quality.startswith("accuracy"):
            assert not pareto_front(table, quality, "parameters_kept").any()  # no task was scored
            continue
        front = pareto_front(table, quality, "parameters_kept")
        sign = 1 if higher else -1
        for row, on_it in zip(table.itertuples(), front, strict=True):
            beaten = any(
                sign * getattr(other, quality) >= sign * getattr(row, quality)
                and other.parameters_kept <= row.parameters_kept
                and (
                    getattr(other, quality) != getattr(row, quality)
                    or other.parameters_kept != row.parameters_kept
                )
                for other in table.itertuples()
            )
            assert on_it == (not beaten)
        assert front.any()


def told(comparison, nlls):
    """The verdict, had the criteria done as in ``nlls``: name -> loss of each of eight windows."""
    rows = comparison.rows.query("level == 'attn' and budget == '2' and seed == 0").copy()
    rows["window_nll"] = [tuple(nlls[name]) for name in rows["name"]]
    rows["nll"] = [float(np.mean(nlls[name])) for name in rows["name"]]
    rows["perplexity"] = np.exp(rows["nll"])
    rows["drop"] = [f"attn.{place}" for place in range(len(rows))]
    from dataclasses import replace

    return verdict(replace(comparison, rows=rows.reset_index(drop=True)))


def test_the_verdict_says_when_entropy_does_worse_than_cosine(comparison):
    noise = np.linspace(-0.02, 0.02, 8)
    even = {"last": 5 + noise, "random": 6 + noise}
    entropies = {"entrodrop:knn": 4.5 + noise, "entrodrop:bucket": 4.9 + noise}
    said = told(comparison, {**even, **entropies, "cosine": 4 + noise[::-1]})
    assert said[0].startswith("At 2 attentions dropped, cosine does better than every entropy here")
    assert "perplexity 54.6 against 90.02 (EntroDrop (KNN))" in said[0]
    said = told(comparison, {**even, **entropies, "cosine": 4.7 + noise[::-1]})
    assert said[0].startswith("At 2 attentions dropped, entropy does better than cosine")
    said = told(comparison, {**even, **entropies, "cosine": 4.5 + 20 * noise[::-1]})
    assert "there is no clear difference between cosine and the best entropy" in said[0]


def test_the_verdict_names_the_best_and_those_no_better_than_random(comparison):
    noise = np.linspace(-0.02, 0.02, 8)
    said = told(
        comparison,
        {
            "entrodrop:knn": 4 + noise,
            "entrodrop:bucket": 6.5 + noise,
            "cosine": 5 + noise[::-1],
            "last": 5.99 + 20 * noise[::-1],
            "random": 6 + noise,
        },
    )
    (paragraph,) = said
    assert "EntroDrop (KNN) is best: perplexity 54.6; next is Cosine with 148.4." in paragraph
    assert "Not clearly better than the mean of 1 " not in paragraph
    assert paragraph.endswith(": EntroDrop (Bucket) and Last.")


# Two prune sets


def test_a_blocks_cost_is_what_putting_it_back_saves(tiny, measured):
    a, b = PruneSet.parse("attn.1,layer.3"), PruneSet.parse("layer.3,mlp.4")
    found = contrast(tiny, measured, a, b)
    rows = found.blocks.set_index("block")
    assert dict(rows["where"]) == {"attn.1": "a", "layer.3": "both", "mlp.4": "b"}
    whole = evaluate(tiny, measured, a).nll
    assert found.nll_a == pytest.approx(whole, abs=1e-5)
    put_back = evaluate(tiny, measured, PruneSet.parse("layer.3")).nll
    assert rows.at["attn.1", "cost_a"] == pytest.approx(whole - put_back, abs=1e-5)
    assert rows.at["mlp.4", "cost_b"] == pytest.approx(evaluate(tiny, measured, b).nll - put_back, abs=1e-5)
    assert np.isnan(rows.at["attn.1", "cost_b"])


def test_shared_blocks_are_counted_in_halves_of_layers():
    a, b = PruneSet.parse("layer.1,attn.2"), PruneSet.parse("mlp.1,attn.2,mlp.5")
    assert shared(a, b) == (1, 2, 1)
    assert shared(PruneSet(), PruneSet(all_blocks(2))) == (0, 0, 4)


# Texts


def test_windows_are_split_into_those_that_choose_and_those_that_measure(measured):
    parts = split(measured, wanted=2, most=3)
    assert parts.calibration.token_ids.tolist() == measured.token_ids[:2].tolist()
    assert parts.measured.token_ids.tolist() == measured.token_ids[2:5].tolist()
    assert len(split(measured, wanted=100).calibration.token_ids) == 4
    assert len(split(measured).measured.token_ids) == 4
    one = random_windows(1, 5)
    assert split(one).calibration is split(one).measured is one
    with pytest.raises(OptionError, match="at least 1 window"):
        split(measured, wanted=0)


def test_several_texts_are_measured_by_turns(smollm2):
    long, short = (
        "one two three four five six seven eight " * 10,
        "nine ten eleven twelve thirteen fourteen " * 4,
    )
    found = windows_of([long, short, "too short"], smollm2, length=16, most=4)
    tokens = [smollm2.tokenizer(text, add_special_tokens=False).input_ids for text in (long, short)]
    expected = [tokens[0][:16], tokens[1][:16], tokens[0][16:32]]
    assert found.token_ids[:3].tolist() == expected
    with pytest.raises(TextError, match="fills a window"):
        windows_of(["too short"], smollm2, length=16, most=4)
