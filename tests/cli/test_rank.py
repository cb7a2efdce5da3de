"""``entviz rank``: every criterion by its name, and its order."""

import pytest

from entviz.blocks import PruneSet
from tests.cli.conftest import TEXT, WINDOWS


def test_json(answer):
    measured = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "knn")
    scores = {row["block"]: row["value"] for row in measured["blocks"] if row["block"].startswith("attn")}
    found = answer(
        "rank",
        "--text",
        TEXT,
        *WINDOWS,
        *("--criterion", "entrodrop", "--estimator", "knn", "--level", "attn", "--budget", 1),
    )
    assert list(found) == ["criterion", "order", "drop", "scores"]
    assert found["criterion"] == "entrodrop"
    assert found["scores"] == pytest.approx(scores)
    assert found["order"] == ["attn.2"]  # the first two layers and the last are protected
    assert found["drop"] == ["attn.2"]


def test_protection_can_be_changed(answer):
    options = ("rank", "--text", TEXT, *WINDOWS, "--estimator", "bucket", "--level", "mlp")
    found = answer(*options, "--protect", "0,0", "--budget", 2)
    assert found["order"] == sorted(found["scores"], key=found["scores"].get)
    assert found["drop"] == found["order"][:2]


def test_cosine_drops_the_least_important_first(answer):
    found = answer("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--budget", 3)
    assert found["order"] == sorted(found["scores"], key=found["scores"].get)
    assert found["drop"] == found["order"][:3]


@pytest.mark.parametrize(
    "criterion",
    [
        *("entrodrop", "cosine", "block-influence", "angular-distance", "leave-one-out"),
        *("sleb", "finercut", "ising", "last", "random", "search"),
    ],
)
def test_every_criterion_by_its_name(answer, criterion):
    found = answer(
        *("rank", "--text", TEXT, "--windows", 1, "--window-length", 40),
        *("--criterion", criterion, "--budget", 1, "--seconds", 2),
    )
    assert found["criterion"] == criterion
    assert len(found["drop"]) == 1
    assert found["drop"][0] in found["scores"]


def test_table(entviz):
    status, output, _ = entviz("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--budget", 2)
    assert status == 0
    assert output.count("  drop\n") == 2
    dropped = output.rpartition("--drop ")[2].strip()
    assert len(PruneSet.parse(dropped)) == 2


def test_an_estimator_has_options_in_one_of_two_ways(answer, wrong):
    asked = ("rank", "--text", TEXT, *WINDOWS, "--level", "mlp", "--protect", "0,0", "--budget", 2)
    found = answer(*asked, "--estimator", "knn(k=5)")
    assert answer(*asked, "--knn-k", 5) == found
    assert answer(*asked)["scores"] != found["scores"]
    assert "--bucket-buckets is for bucket" in wrong(*asked, "--bucket-buckets", 40)
    assert "not an entropy" in wrong(*asked, "--estimator", "cosine")


def test_it_measures_again_after_each_drop(answer, directory):
    from entviz.criteria import rank
    from entviz.models import load

    loaded = load(str(directory))
    windows = loaded.windows(TEXT, windows=int(WINDOWS[1]), window_length=int(WINDOWS[3]))
    asked = ("rank", "--text", TEXT, *WINDOWS, "--level", "mlp", "--budget", 3, "--protect", "0,0")
    found = answer(*asked, "--estimator", "bucket", "--iterative")
    by = {"estimator": "bucket", "iterative": True}
    alone = rank(loaded, windows, "entrodrop", level="mlp", budget=3, protect=(0, 0), **by)
    assert found["order"] == [str(block) for block in alone.order]
    assert found["scores"] == pytest.approx(alone.to_json()["scores"])
    assert any("Measured again after each drop" in note for note in found["notes"])
    assert answer(*asked, "--criterion", "entrodrop:bucket:iterative") == found
    assert answer(*asked, "--estimator", "bucket")["scores"] != found["scores"]


def test_a_search_chooses_for_a_repair(answer, wrong):
    asked = ("rank", "--text", TEXT, "--windows", 4, "--window-length", 40, "--budget", 2, "--seconds", 2)
    found = answer(*asked, "--criterion", "search", "--repair", "bias")
    assert "Chosen for the repair bias: fitted on 2 of the 4 calibration windows" in " ".join(found["notes"])
    assert len(found["drop"]) == 2
    assert "it is for" not in wrong(*asked, "--criterion", "search", "--repair", "magic")
    assert "--repair is for entrodrop, cosine, block-influence and search: leave it out for last." in wrong(
        *asked, "--criterion", "last", "--repair", "bias"
    )


def test_options_stand_behind_the_criterion_or_after_flags(answer, wrong):
    asked = ("rank", "--text", TEXT, *WINDOWS, "--level", "mlp", "--budget", 2)
    by_flags = answer(
        *asked, "--criterion", "entrodrop", "--estimator", "bucket", "--protect", "0,0", "--iterative"
    )
    assert answer(*asked, "--criterion", "entrodrop:bucket:iterative", "--protect", "0,0") == by_flags
    drawn = answer(*asked, "--criterion", "random", "--seed", 5)
    assert answer(*asked, "--criterion", "random:seed=5") == drawn
    assert "--seed and random:seed=5 both give the seed" in wrong(
        *asked, "--criterion", "random:seed=5", "--seed", 6
    )
    assert "both give the estimator" in wrong(
        *asked, "--criterion", "entrodrop:bucket", "--estimator", "renyi"
    )
    assert "--iterative is for entrodrop, cosine and block-influence: leave it out for random." in wrong(
        *asked, "--criterion", "random", "--iterative"
    )
    assert "--stage is for entrodrop: leave it out for cosine." in wrong(
        *asked, "--criterion", "cosine", "--stage", 2
    )
    assert "where 'knn' stands, cosine takes iterative" in wrong(*asked, "--criterion", "cosine:knn")
