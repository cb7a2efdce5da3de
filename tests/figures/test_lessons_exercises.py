"""Exercises choose their blocks by measurement, and describe the measured outcome."""

import math

import numpy as np
import pandas as pd
import pytest

from entviz.analysis import Analysis
from entviz.blocks import PruneSet
from entviz.evaluation.loss import Evaluation
from entviz.lessons import cliff, exercises

# Of six layers: which attention adds least depends on whether the first two layers and the last are left aside.
KNN_ATTN = [1.0, 9.0, 5.0, 3.0, 8.0, 0.5]
BUCKET_MLP = [-1.0, 2.0, -30.0, 4.0, 1.0, -2.0]
COSINE_ATTN = [0.5, 0.4, 0.01, 0.3, 0.02, 0.2]


def analysis_of(knn_attn=KNN_ATTN, bucket_mlp=BUCKET_MLP, cosine_attn=COSINE_ATTN, knn_mlp=2.0):
    layers = len(knn_attn)
    values = {
        ("bucket", "attn"): [0.5] * layers,
        ("bucket", "mlp"): bucket_mlp,
        ("knn", "attn"): knn_attn,
        ("knn", "mlp"): [knn_mlp] * layers,
        ("cosine", "attn"): cosine_attn,
        ("cosine", "mlp"): [0.1] * layers,
    }
    blocks, sites = [], []
    for metric in ("bucket", "knn", "cosine"):
        total, depth = 100.0, 0.0
        sites.append(("embed", "embed", 0.0, metric, total, (total,)))
        for i in range(layers):
            for kind, site in (("attn", f"attn.{i}"), ("mlp", f"layer.{i}")):
                value = values[metric, kind][i]
                total, depth = total + value, depth + 0.5
                blocks.append((f"{kind}.{i}", kind, i, metric, value, (value,)))
                sites.append((site, site.partition(".")[0], depth, metric, total, (total,)))
    names = ["metric", "value", "per_window"]
    return Analysis(
        model="tiny",
        layers=layers,
        windows=1,
        window_length=64,
        sites=pd.DataFrame(
            [row for row in sites if row[3] != "cosine"], columns=["site", "kind", "depth", *names]
        ),
        blocks=pd.DataFrame(blocks, columns=["block", "kind", "index", *names]).sample(
            frac=1, random_state=0
        ),
        seconds=0.1,
    )


def evaluation_of(drop, losses, dense=2.0):
    losses = np.asarray(losses, dtype=float).reshape(1, -1)
    return Evaluation(
        drop=PruneSet.parse(drop),
        token_ids=np.zeros((1, losses.size + 1), dtype=np.int64),
        token_nll=losses,
        dense_token_nll=np.full_like(losses, dense),
        token_kl=np.zeros_like(losses),
        agrees=np.ones_like(losses, dtype=bool),
        windows_total=1,
        parameters_dense=10,
        parameters_pruned=9,
        bytes_dense=40,
        bytes_pruned=36,
        dtype="float32",
    )


def outcomes(exercise, *means):
    """An evaluation for each choice: a loss of that mean on 200 tokens, with the same noise in all."""
    noise = np.random.default_rng(0).normal(0, 1, 200)
    return [
        evaluation_of(choice.drop, mean + noise + 0.01 * np.random.default_rng(number).normal(0, 1, 200))
        for number, (choice, mean) in enumerate(zip(exercise.choices, means, strict=True))
    ]


def test_the_first_picks_the_least_with_and_without_protection_and_the_most():
    exercise = exercises.first_to_go(analysis_of())
    assert [choice.drop for choice in exercise.choices] == ["attn.5", "attn.3", "attn.4"]
    assert "+0.5000 nats" in exercise.choices[0].measured


def test_the_first_names_a_block_once_where_two_rules_agree():
    exercise = exercises.first_to_go(analysis_of(knn_attn=[4.0, 9.0, 1.0, 3.0, 8.0, 2.0]))
    assert [choice.drop for choice in exercise.choices] == ["attn.2", "attn.4"]


def test_the_compressor_and_the_attention_of_its_layer():
    exercise = exercises.compressor(analysis_of())
    assert [choice.drop for choice in exercise.choices] == ["mlp.2", "attn.2"]
    assert "lowers entropy by 30.00 nats" in exercise.question
    rising = exercises.compressor(analysis_of(bucket_mlp=[3.0, 2.0, 5.0, 4.0, 6.0, 7.0]))
    assert [choice.drop for choice in rising.choices] == ["mlp.1", "attn.1"]
    assert "raises entropy by 2.00 nats" in rising.question


def test_two_criteria_choose_within_the_protected_ends():
    exercise = exercises.two_criteria(analysis_of(), 2)
    assert [choice.drop for choice in exercise.choices] == ["attn.2,attn.3", "attn.2,attn.4"]
    assert "share 1 of 2" in exercise.question
    assert "attn.3 turns its input most" in exercise.why_not
    assert "importance is 0.3000, where the median of all attentions is 0.2500" in exercise.why_not


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_a_model_of_few_layers_has_exercises_too(layers):
    small = analysis_of(KNN_ATTN[:layers], BUCKET_MLP[:layers], COSINE_ATTN[:layers])
    for exercise in exercises.exercises(small, budget=12):
        for choice in exercise.choices:
            PruneSet.parse(choice.drop).check(layers)


def test_a_cost_is_the_paired_difference_with_its_interval():
    losses = np.random.default_rng(0).gamma(2.0, size=60)
    measured = evaluation_of("attn.1", losses)
    found = exercises.cost(measured)
    assert found.added == pytest.approx((losses - 2.0).mean())
    assert found.reach == measured.nll_increase.reach
    assert 0 < found.reach < 2
    assert found.perplexity == pytest.approx(math.exp(losses.mean()))
    assert found.dense_perplexity == pytest.approx(math.exp(2.0))


def test_the_verdict_follows_the_outcome():
    exercise = exercises.compressor(analysis_of())
    bad = exercises.answer_to(exercise, outcomes(exercise, 4.0, 2.1))
    assert bad.said.startswith("attn.2 costs least and mlp.2 most, 6.6")  # e^1.9 = 6.69
    assert bad.why == exercise.why_not
    good = exercises.answer_to(exercise, outcomes(exercise, 2.1, 4.0))
    assert good.said.startswith("mlp.2 costs least and attn.2 most")
    assert good.why == exercise.why_expected


def test_a_difference_within_the_noise_is_no_answer():
    exercise = exercises.compressor(analysis_of())
    noise = np.random.default_rng(1).normal(0, 1, (2, 50))
    noise -= noise.mean(axis=1, keepdims=True)
    found = [
        evaluation_of(choice.drop, 2 + extra + row)
        for choice, extra, row in zip(exercise.choices, (0.0, 0.1), noise, strict=True)
    ]
    assert exercises.answer_to(exercise, found).said.startswith("No answer")


def test_the_expected_one_may_be_second_within_the_noise():
    exercise = exercises.first_to_go(analysis_of())
    assert exercises.answer_to(exercise, outcomes(exercise, 2.1001, 2.1, 4.0)).why == exercise.why_expected


def test_equal_sets_cost_the_same():
    exercise = exercises.two_criteria(analysis_of(), 12)
    assert len({choice.drop for choice in exercise.choices}) == 1
    assert "same set" in exercises.answer_to(exercise, outcomes(exercise, 3.0, 3.0)).said


def test_a_fall_in_one_block_is_a_cliff_and_knn_says_whether_tokens_drew_together():
    apart = cliff.cliff(analysis_of())
    assert apart.block == "mlp.2"
    assert apart.fall == pytest.approx(30)
    assert apart.share == pytest.approx(30 / 27.5)  # from 100 at the embedding to 72.5 after layer 2
    assert apart.knn == pytest.approx(2)
    assert "rises in the same block, by 2.00 nats" in cliff.sentence(apart)
    together = cliff.cliff(analysis_of(knn_mlp=-3.0))
    assert "falls there too, by 3.00 nats" in cliff.sentence(together)


@pytest.mark.parametrize(
    "bucket_mlp",
    [
        [-5.0, -5.0, -5.0, -5.0, 9.0, 9.0],  # falls, but step by step
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],  # only rises
        [-9.0, -1.0, -1.0, -1.0, -1.0, -1.0],  # only falls
    ],
)
def test_no_cliff_where_the_curve_falls_slowly_or_has_one_stage(bucket_mlp):
    assert cliff.cliff(analysis_of(bucket_mlp=bucket_mlp)) is None
