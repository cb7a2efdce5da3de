"""Criteria without massive tokens choose by hidden states whose rows were deleted by hand."""

import pytest

from entviz.analysis import analyze
from entviz.blocks import Block, PruneSet
from entviz.comparison.grid.grid import compare
from entviz.criteria import ByAnalysis, rank, rank_by_analysis
from entviz.criteria.registry import CRITERIA
from entviz.errors import OptionError
from tests.altered import read_sites, read_sites_without
from tests.analysis.test_massive import LAYERS, METRICS, bucket, importance, kept_rows, loud, windows
from tests.comparison.windows import random_windows

__all__ = ["windows"]  # a fixture


def scores(states, measure, kind="mlp"):
    """A measure of each block of a kind by rows that are left, mean over windows."""
    found = {}
    for i in range(LAYERS):
        before, after = states[f"attn.{i}"], states[f"layer.{i}"]
        each = [measure(kept_rows(before, w), kept_rows(after, w)) for w in range(4)]
        found[f"{kind}.{i}"] = sum(each) / 4
    return found


def increase(before, after):
    return bucket(after) - bucket(before)


@pytest.mark.parametrize(
    ("criterion", "options", "measure"),
    [("entrodrop", {"estimator": "bucket"}, increase), ("cosine", {}, importance)],
)
def test_scores_and_order_are_of_what_is_left(criterion, options, measure, windows):
    loaded = loud()
    wanted = scores(read_sites(loaded.model, windows.token_ids), measure)
    found = rank(
        loaded, windows, criterion, level="mlp", protect=(0, 0), budget=2, without_massive=True, **options
    )
    measured = dict(zip(found.scores["block"], found.scores["score"], strict=True))
    assert measured == {block: pytest.approx(value, rel=1e-4, abs=0.3) for block, value in wanted.items()}
    assert [str(block) for block in found.order] == sorted(wanted, key=wanted.get)
    assert len(found.drop) == 2
    assert "Left out: " in " ".join(found.notes)
    with_all = rank(loaded, windows, criterion, level="mlp", protect=(0, 0), **options)
    assert [*with_all.scores["score"]] != [*found.scores["score"]]
    assert not any("Left out" in note for note in with_all.notes)


def test_measured_again_after_a_drop_it_is_without_the_dense_models_tokens(windows):
    loaded = loud()
    found = rank(
        *(loaded, windows, "cosine"),
        level="mlp",
        protect=(0, 0),
        budget=2,
        iterative=True,
        without_massive=True,
    )
    first = scores(read_sites(loaded.model, windows.token_ids), importance)
    lowest = min(first, key=first.get)
    assert str(found.order[0]) == lowest
    states = read_sites_without(loaded.model, PruneSet([Block.parse(lowest)]), windows.token_ids)
    second = scores(states, importance)
    second.pop(lowest)
    assert str(found.order[1]) == min(second, key=second.get)


def test_an_analysis_of_other_tokens_is_refused_or_not_used(windows):
    loaded = loud()
    plain = analyze(loaded, windows, METRICS)
    without = analyze(loaded, windows, METRICS, without_massive=True)
    with pytest.raises(OptionError, match="measured without massive tokens"):
        rank_by_analysis(plain, "cosine", without_massive=True)
    with pytest.raises(OptionError, match="measured with all tokens"):
        rank_by_analysis(without, "cosine")
    for flag in (False, True):
        alone = rank(loaded, windows, "cosine", without_massive=flag)
        for known in (plain, without):
            found = rank(loaded, windows, "cosine", without_massive=flag, analysis=known)
            assert found.to_json() == alone.to_json()


def test_every_criterion_that_measures_has_the_switch():
    for kind in CRITERIA.values():
        assert ("without_massive" in kind.options()) == issubclass(kind, ByAnalysis)


def test_in_a_comparison_it_stands_beside_the_plain_one(windows):
    loaded = loud()
    names = ["entrodrop:bucket:unprotected", "entrodrop:bucket:without-massive:unprotected"]
    names += ["cosine:without-massive", "cosine"]
    found = compare(loaded, windows, random_windows(2, seed=2), names, ["1", "2"], levels=["mlp"])
    assert list(found.rows["title"].unique()) == [
        "EntroDrop (Bucket, unprotected)",
        "EntroDrop (Bucket, without massive tokens, unprotected)",
        "Cosine (without massive tokens)",
        "Cosine",
    ]
    for row in found.rows.itertuples():
        criterion, *words = row.name.split(":")
        options = {"estimator": "bucket", "protect": (0, 0)} if "bucket" in words else {}
        alone = rank(
            *(loaded, windows, criterion),
            level="mlp",
            budget=row.budget,
            without_massive="without-massive" in words,
            **options,
        )
        assert row.drop == str(alone.drop)
    assert len(found.rows) == 8
