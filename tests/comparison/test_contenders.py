"""Who takes part in a comparison, and what cannot."""

import pytest

from entviz.comparison.grid.contenders import contenders
from entviz.comparison.grid.grid import compare
from entviz.criteria import rank
from entviz.errors import BlockError, OptionError


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
            alone = rank(tiny, calibration, "entrodrop", level="mlp", budget=1, **options)
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
