"""Which criteria take part in a comparison, and which cannot."""

import json

import pytest

from entviz.comparison.grid.contenders import contenders
from entviz.comparison.grid.grid import compare
from entviz.criteria import rank
from entviz.errors import BlockError, OptionError


class Remembering:
    """Keeps the parts of a comparison."""

    def __init__(self):
        self.parts = {}

    def get(self, kind, tokens, options):
        return self.parts.get((kind, tokens, json.dumps(options, sort_keys=True)))

    def put(self, kind, tokens, options, part):
        self.parts[kind, tokens, json.dumps(options, sort_keys=True)] = part

    def of(self, kind):
        return [part for key, part in self.parts.items() if key[0] == kind]


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


def test_measuring_again_is_chosen_as_it_says_and_shares_nothing_with_the_plain_one(
    tiny, calibration, measured
):
    names = [
        "cosine:iterative",
        "cosine",
        "entrodrop:bucket:iterative:unprotected",
        "block-influence:iterative",
    ]
    found = compare(tiny, calibration, measured, names, ["1", "3", "2"], levels=["mlp"])
    assert list(found.rows["title"].unique()) == [
        "Cosine (measured again)",
        "Cosine",
        "EntroDrop (Bucket, measured again, unprotected)",
        "Block Influence (measured again)",
    ]
    for name, criterion, options in (
        ("cosine:iterative", "cosine", {}),
        ("block-influence:iterative", "block-influence", {}),
        ("entrodrop:bucket:iterative:unprotected", "entrodrop", {"estimator": "bucket", "protect": (0, 0)}),
    ):
        for row in found.rows[found.rows["name"] == name].itertuples():
            alone = rank(
                tiny, calibration, criterion, level="mlp", budget=row.budget, iterative=True, **options
            )
            assert row.drop == str(alone.drop)


def test_a_kept_choice_is_of_the_same_options(tiny, calibration, measured):
    kept = Remembering()
    names = ["entrodrop:bucket:iterative", "entrodrop:bucket:iterative:unprotected", "cosine:iterative"]
    first = compare(tiny, calibration, measured, names, ["2"], levels=["mlp"], kept=kept)
    assert len(kept.of("choice")) == 3
    again = compare(tiny, calibration, measured, names, ["2"], levels=["mlp"], kept=kept)
    assert list(again.rows["drop"]) == list(first.rows["drop"])
    apart = [compare(tiny, calibration, measured, [name], ["2"], levels=["mlp"]) for name in names]
    assert list(first.rows["drop"]) == [one.rows["drop"].iloc[0] for one in apart]


def test_a_random_set_of_one_seed_takes_part_once(tiny, calibration, measured):
    entries, _ = contenders(["random:seed=4", "random"], ["mlp"], seeds=2)
    assert [(entry.name, entry.seed) for entry in entries] == [
        ("random:seed=4", 4),
        ("random", 0),
        ("random", 1),
    ]
    found = compare(tiny, calibration, measured, ["random:seed=4"], ["2"], levels=["mlp"])
    assert found.rows["drop"].tolist() == [
        str(rank(tiny, calibration, "random", level="mlp", budget=2, seed=4).drop)
    ]
    assert found.rows["title"].tolist() == ["Random (seed = 4)"]


def test_levels_that_make_no_sense_are_noted():
    entries, notes = contenders(["angular-distance", "cosine"], ["attn", "layer"])
    assert [(entry.name, entry.level) for entry in entries] == [
        ("angular-distance", "layer"),
        ("cosine", "attn"),
        ("cosine", "layer"),
    ]
    assert len(notes) == 1
    assert "Angular distance" in notes[0]
