"""``entviz trust``: damage against really pruned copies, scores against those of other commands."""

import pandas as pd
import pytest
import torch

from entviz.blocks import PruneSet
from entviz.comparison.trust.trust import trust
from entviz.comparison.trust.verdict import verdict
from entviz.decoder import precision
from entviz.models import load
from entviz.text.windows import windows_from_text
from tests.altered import losses, without
from tests.cli.conftest import LAYERS, TEXT, WINDOWS

BOTH = ("trust", "--text", TEXT, *WINDOWS, "--level", "attn+mlp")


@pytest.fixture
def loaded(directory):
    return load(str(directory))


def test_json(answer, directory, loaded):
    found = answer(*BOTH, "--estimators", "bucket,renyi")
    assert list(found) == [
        *(
            "model",
            "level",
            "windows",
            "window_length",
            "damage",
            "scores",
            "correlations",
            "differences",
            "verdict",
        )
    ]
    assert [found[name] for name in ("model", "level", "windows", "window_length")] == [
        *(str(directory), "attn+mlp", 3, 40)
    ]
    names = [f"{kind}.{i}" for i in range(LAYERS) for kind in ("attn", "mlp")]
    assert [row["block"] for row in found["damage"]] == names
    ids = torch.tensor(loaded.tokenizer(TEXT, add_special_tokens=False).input_ids[:120]).view(3, 40)
    dense = losses(loaded.model, ids)
    log_p = loaded.model(ids).logits[:, :-1].double().log_softmax(-1)
    for row in found["damage"]:
        pruned = without(loaded.model, PruneSet.parse(row["block"]))
        more = losses(pruned, ids) - dense
        assert row["loss_per_window"] == pytest.approx(more.tolist(), rel=1e-4, abs=1e-5)
        assert row["loss"] == pytest.approx(more.mean().item(), rel=1e-4, abs=1e-5)
        log_q = pruned(ids).logits[:, :-1].double().log_softmax(-1)
        assert row["kl"] == pytest.approx((log_p.exp() * (log_p - log_q)).sum(-1).mean().item(), rel=1e-4)
        assert row["inner"] == row["block"].endswith(".2")


def test_scores_are_those_of_analyze_and_correlations_those_of_the_ranks(answer):
    found = answer(*BOTH, "--estimators", "bucket,renyi")
    measured = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket,renyi,cosine")
    values = {(row["metric"], row["block"]): row["value"] for row in measured["blocks"]}
    scores = pd.DataFrame(found["scores"])
    for row in scores.itertuples():
        if row.criterion != "depth":
            assert row.score == pytest.approx(values[row.criterion, row.block], rel=1e-5, abs=1e-6)
    depth = scores[scores["criterion"] == "depth"].set_index("block")["score"]
    assert list(depth.sort_values().index[:2]) == ["mlp.3", "attn.3"], "the last blocks go first"
    damage = pd.DataFrame(found["damage"]).set_index("block")
    table = pd.DataFrame(found["correlations"])
    assert set(table["criterion"]) == {"bucket", "renyi", "cosine", "depth"}
    for row in table[table["scope"] == "all"].itertuples():
        score = scores[scores["criterion"] == row.criterion].set_index("block")["score"]
        wanted = score.rank().corr(damage[row.damage].rank())
        assert row.spearman == pytest.approx(wanted)
        assert row.low <= row.spearman <= row.high
        assert row.blocks == 2 * LAYERS
    inner = table[table["scope"] == "inner"]
    assert set(inner["blocks"]) == {2}
    assert inner["spearman"].isna().all(), "two blocks are too few for a rank correlation"


def test_the_verdict_is_that_of_the_same_computed_in_python(answer, loaded):
    windows = windows_from_text(TEXT, loaded.tokenizer, windows=3, window_length=40)
    assert answer(*BOTH)["verdict"] == verdict(trust(loaded, windows, "attn+mlp"))


def test_angular_distance_takes_part_where_whole_layers_are_judged(answer):
    found = answer("trust", "--text", TEXT, *WINDOWS, "--level", "layer", "--estimators", "bucket")
    assert {row["criterion"] for row in found["scores"]} == {"bucket", "cosine", "angular", "depth"}
    ranked = answer(
        *(
            "rank",
            "--text",
            TEXT,
            *WINDOWS,
            "--criterion",
            "angular-distance",
            "--level",
            "layer",
            "--budget",
            1,
        )
    )
    for row in found["scores"]:
        if row["criterion"] == "angular":
            assert row["score"] == pytest.approx(ranked["scores"][row["block"]], rel=1e-4)


def test_a_faster_number_type_is_for_the_damage_only(answer, monkeypatch):
    exact = answer(*BOTH, "--estimators", "bucket")
    monkeypatch.setattr(precision, "speedup", lambda device: 2.0)
    rough = answer(*BOTH, "--estimators", "bucket", "--dtype", "auto")
    assert rough["scores"] == exact["scores"]
    assert [row["loss"] for row in rough["damage"]] != [row["loss"] for row in exact["damage"]]
    assert [row["loss"] for row in rough["damage"]] == pytest.approx(
        [row["loss"] for row in exact["damage"]], abs=0.1
    )


def test_table(entviz):
    status, output, _ = entviz(*BOTH)
    assert status == 0
    assert "3 windows of 40 tokens." in output
    assert "Rank correlation with damage over every block, 95% intervals" in output
    assert "without the first two layers and the last" in output
    for criterion in ("bucket", "knn", "renyi", "cosine", "depth"):
        assert f" {criterion} " in output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--level", "head"), "'head' is not a level"),
        (("--estimators", "entropy"), "'entropy' is not an entropy"),
        (("--dtype", "int8"), "int8"),
        (("--window-length", "20"), "needs at least 26 tokens"),
        (("--windows", "99"), "not for 99"),
    ],
)
def test_bad_input(wrong, options, says):
    assert says in wrong(*BOTH, *options)
