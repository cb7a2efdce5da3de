"""Scores against the damage in really altered copies; the sentences say only what the numbers support."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from entviz.analysis import analyze
from entviz.comparison.trust.trust import Trust, trust
from entviz.comparison.trust.verdict import gap, verdict
from entviz.criteria.angular import angular_distances
from entviz.errors import BlockError, OptionError
from entviz.models import LoadedModel
from entviz.store.codec import pack, unpack
from entviz.studies import result_type
from entviz.text.windows import windows_from_token_ids
from tests.comparison.damage import damage
from tests.tiny import build

LAYERS = 8
IDS = torch.randint(3, 101, (3, 40), generator=torch.Generator().manual_seed(1))
WINDOWS = windows_from_token_ids(IDS.tolist(), 101)


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS))


@pytest.fixture(scope="module", params=["layer", "attn", "mlp", "attn+mlp"])
def found(request, tiny):
    return trust(tiny, WINDOWS, request.param, resamples=200)


def test_damage_is_that_of_a_really_altered_copy(found):
    model = build("llama", layers=LAYERS)
    for row in found.damage.itertuples():
        loss, kl = damage(model, IDS, row.block)
        assert row.loss_per_window == pytest.approx(loss.tolist(), abs=1e-4)
        assert row.kl_per_window == pytest.approx(kl.tolist(), abs=1e-4)
        assert row.loss == pytest.approx(float(loss.mean()), abs=1e-4)


def test_scores_are_the_analysis_s_and_every_criterion_s_low_end_is_dropped_first(found, tiny):
    analysis = analyze(tiny, WINDOWS, ("bucket", "knn", "renyi", "cosine"))
    measured = analysis.blocks.set_index(["metric", "block"])["value"]
    for row in found.scores.itertuples():
        if row.criterion in ("bucket", "knn", "renyi", "cosine"):
            assert row.score == pytest.approx(measured[row.criterion, row.block], rel=1e-5, abs=1e-6)
    depth = found.scores[found.scores["criterion"] == "depth"].sort_values("score")
    assert depth["block"].tolist() == found.damage["block"].tolist()[::-1]
    if found.level == "layer":
        distances = angular_distances(tiny, WINDOWS)
        single = distances[distances["size"] == 1].sort_values("start")["distance"]
        angular = found.scores[found.scores["criterion"] == "angular"]["score"]
        assert angular.to_numpy() == pytest.approx(single.to_numpy(), abs=1e-6)
    else:
        assert "angular" not in found.criteria


def test_correlations_are_pandas_own_over_all_and_over_inner_blocks(found):
    scores = found.scores.pivot(index="block", columns="criterion", values="score")
    damage = found.damage.set_index("block")
    for row in found.correlations.itertuples():
        chosen = damage[damage["inner"]] if row.scope == "inner" else damage
        pair = pd.DataFrame({"x": scores.loc[chosen.index, row.criterion], "y": chosen[row.damage]})
        assert row.blocks == len(chosen)
        assert row.spearman == pytest.approx(pair.corr(method="spearman").at["x", "y"])
        assert -1 <= row.low <= row.high <= 1
    inner = damage[damage["inner"]]["index"]
    assert (inner.min(), inner.max()) == (2, LAYERS - 2)


def test_differences_are_of_the_correlations_and_cover_them(found):
    table = found.correlations.set_index(["scope", "damage", "criterion"])["spearman"]
    for row in found.differences.itertuples():
        wanted = table[row.scope, row.damage, row.first] - table[row.scope, row.damage, row.second]
        assert row.difference == pytest.approx(wanted)
        assert row.low <= row.high
    first, second = found.criteria[:2]
    there, back = gap(found, "all", "kl", first, second), gap(found, "all", "kl", second, first)
    assert there == (-back[0], -back[2], -back[1])


def test_the_same_work_gives_the_same_numbers_and_an_analysis_is_not_made_again(tiny, monkeypatch):
    analysis = analyze(tiny, WINDOWS, ("bucket", "cosine"))
    first = trust(tiny, WINDOWS, "attn", estimators=("bucket",), resamples=200)
    monkeypatch.setattr("entviz.comparison.trust.trust.analyze", None)
    again = trust(tiny, WINDOWS, "attn", estimators=("bucket",), resamples=200, analysis=analysis)
    pd.testing.assert_frame_equal(first.correlations, again.correlations)
    pd.testing.assert_frame_equal(first.differences, again.differences)


def test_progress_goes_up_to_the_end(tiny):
    steps = []
    trust(tiny, WINDOWS, "layer", resamples=50, progress=lambda done, total, partial=None: steps.append(done))
    assert steps == sorted(steps)
    assert steps[-1] == 1000


def test_few_blocks_and_one_window_say_so_rather_than_fail():
    small = LoadedModel.of(build("llama", layers=3))
    one = windows_from_token_ids(IDS[:1].tolist(), 101)
    found = trust(small, one, "attn", resamples=50)
    assert found.correlations["spearman"].isna().all()
    assert verdict(found) == ["3 blocks are too few to tell a rank correlation from chance."]
    assert verdict(found, "inner") == ["0 blocks are too few to tell a rank correlation from chance."]
    json.dumps(found.to_json(), allow_nan=False)


def test_bad_options_are_said(tiny):
    with pytest.raises(BlockError, match="not a level"):
        trust(tiny, WINDOWS, "head")
    with pytest.raises(OptionError, match="not an entropy"):
        trust(tiny, WINDOWS, "attn", estimators=("magic",))


def test_it_comes_back_from_the_store_as_it_was(found):
    again, _ = unpack("trust", pack("trust", found)[0], result_type)
    assert again.to_json() == found.to_json()


def judged(correlations, differences):
    """A result with these correlations (criterion: rho, low, high) and differences (first, second, low, high)."""
    rows = [("all", "loss", name, 30, rho, low, high, rho) for name, (rho, low, high) in correlations.items()]
    columns = ["scope", "damage", "criterion", "blocks", "spearman", "low", "high", "kendall"]
    gaps = [
        ("all", "loss", a, b, correlations[a][0] - correlations[b][0], *ends)
        for (a, b), ends in differences.items()
    ]
    names = ["scope", "damage", "first", "second", "difference", "low", "high"]
    nothing = pd.DataFrame()
    return Trust(
        "tiny",
        "attn",
        3,
        40,
        nothing,
        nothing,
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(gaps, columns=names),
    )


def test_cosine_is_called_better_only_where_the_interval_bears_it():
    numbers = {"knn": (0.3, -0.1, 0.6), "cosine": (0.8, 0.6, 0.9)}
    clear = verdict(judged(numbers, {("knn", "cosine"): (-0.8, -0.2)}))
    assert clear == [
        "Cosine importance predicts damage best: rank correlation 0.80 [0.60, 0.90].",
        "KNN entropy increase (difference −0.50 [−0.80, −0.20]) does worse than cosine.",
        "KNN entropy increase is not clearly better than chance.",
    ]
    unclear = verdict(judged(numbers, {("knn", "cosine"): (-0.8, 0.1)}))
    assert unclear[0] == "Cosine importance has the highest rank correlation with damage: 0.80 [0.60, 0.90]."
    assert (
        unclear[1]
        == "KNN entropy increase (difference −0.50 [−0.80, 0.10]) is not clearly different from cosine."
    )


def test_entropy_and_depth_are_called_better_where_they_are():
    numbers = {"bucket": (0.9, 0.8, 0.95), "cosine": (0.2, 0.05, 0.4), "depth": (0.95, 0.9, 0.97)}
    said = verdict(
        judged(
            numbers,
            {
                ("bucket", "cosine"): (0.4, 0.9),
                ("bucket", "depth"): (-0.1, -0.01),
                ("cosine", "depth"): (-0.9, -0.5),
            },
        )
    )
    assert said == [
        "Depth alone predicts damage best: rank correlation 0.95 [0.90, 0.97].",
        "Bucket entropy increase (difference 0.70 [0.40, 0.90]) does better than cosine.",
    ]


def test_what_ties_with_the_best_is_named():
    numbers = {"bucket": (0.9, 0.8, 0.95), "cosine": (0.8, 0.6, 0.9), "depth": (0.7, 0.4, 0.8)}
    gaps = {("bucket", "cosine"): (-0.1, 0.3), ("bucket", "depth"): (0.1, 0.4), ("cosine", "depth"): (0, 0.2)}
    assert verdict(judged(numbers, gaps)) == [
        "Bucket entropy increase has the highest rank correlation with damage: 0.90 [0.80, 0.95].",
        "It is not clearly better than cosine importance.",
        "Bucket entropy increase (difference 0.10 [−0.10, 0.30]) is not clearly different from cosine.",
    ]


def test_nothing_is_praised_where_nothing_beats_chance():
    (said,) = verdict(
        judged(
            {"knn": (0.2, -0.2, 0.5), "cosine": (0.1, -0.3, 0.4)},
            {("knn", "cosine"): (-0.3, 0.5)},
        )
    )
    assert said == (
        "No criterion predicts damage clearly better than chance. KNN entropy increase has the highest rank "
        "correlation: 0.20 [−0.20, 0.50]."
    )
    flat = judged({"knn": (np.nan,) * 3}, {})
    assert verdict(flat) == ["No rank correlation exists here: all blocks have the same damage."]
