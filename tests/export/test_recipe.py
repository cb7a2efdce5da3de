"""Recipes: what is written can be read back, and anything else is refused with a sentence."""

import json
from dataclasses import asdict

import pytest

from entviz.blocks import PruneSet
from entviz.errors import BlockError, OptionError
from entviz.export.recipe import MOST_BYTES, Measured, Recipe, Repaired, read_recipe
from entviz.repair.choice import RepairChoice, text_hash
from entviz.text.passages import passages

MEASURED = Measured(
    text="Dr. Ünal's «story»",
    windows=4,
    window_length=128,
    dtype="float32",
    dense_perplexity=20.5,
    perplexity=31.25,
    kl=0.125,
    top1_agreement=0.75,
    dense_parameters=1000,
    parameters=900,
)
REPAIRED = Repaired("refit", ("0" * 16, "1" * 16), 32, 256, True, 16384)
FULL = Recipe(PruneSet.parse("attn.5,layer.7,mlp.9"), "smollm2-135m", "0" * 32, 30, "cosine", MEASURED)


@pytest.mark.parametrize(
    "recipe",
    [
        FULL,
        Recipe(PruneSet()),
        Recipe(PruneSet.parse("mlp.0"), criterion="by eye"),
        Recipe(PruneSet.parse("mlp.1"), repair=REPAIRED),
        Recipe(PruneSet.parse("mlp.1"), repair=Repaired("nbl", None, 0, 0, False, 512)),
    ],
)
def test_what_is_written_is_read_back(tmp_path, recipe):
    path = tmp_path / "recipe.json"
    path.write_bytes(recipe.to_bytes())
    assert read_recipe(path) == read_recipe(str(path)) == read_recipe(recipe.to_bytes()) == recipe


def test_a_recipe_written_by_hand_needs_only_its_mark_and_the_blocks():
    assert read_recipe(b'{"entviz_recipe": 1, "drop": ["attn.3", "mlp.3"]}').drop == PruneSet.parse("layer.3")


def test_a_byte_order_mark_and_unknown_keys_are_no_harm():
    data = b'\xef\xbb\xbf{"entviz_recipe": 1, "drop": [], "note": "mine"}'
    assert read_recipe(data) == Recipe(PruneSet())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"entviz_recipe": 2}, "version 2"),
        ({"entviz_recipe": None}, "version None"),
        ({"repair": "refit"}, '"repair" is wrong'),
        ({"repair": {"method": "refit"}}, '"repair.texts" is wrong: field required'),
        ({"repair": {**asdict(REPAIRED), "windows": 10**9}}, '"repair.windows" is wrong'),
        (
            {"repair": {**asdict(REPAIRED), "texts": [1]}},
            '"repair.texts.0" is wrong: input should be a valid string',
        ),
        ({"drop": "attn.5"}, '"drop" is wrong: input should be a valid list'),
        ({"drop": [5]}, '"drop.0" is wrong: input should be a valid string'),
        ({"drop": ["head.5"]}, "'head.5' is not a block"),
        ({"layers": 6}, "layer.7 does not exist"),
        ({"layers": True}, '"layers" is wrong: input should be a valid integer'),
        ({"model": ["x"]}, '"model" is wrong: input should be a valid string'),
        ({"model": "x" * 2000}, '"model" is wrong: string should have at most 1000 characters'),
        ({"measured": 3}, '"measured" is wrong'),
        ({"measured": {"text": "t"}}, '"measured.windows" is wrong: field required'),
        (
            {"measured": {**FULL.to_json()["measured"], "kl": -1}},
            '"measured.kl" is wrong: input should be greater than or equal to 0',
        ),
        ({"measured": {**FULL.to_json()["measured"], "perplexity": float("nan")}}, '"measured.perplexity"'),
        ({"measured": {**FULL.to_json()["measured"], "perplexity": 10**400}}, "401 digits"),
    ],
)
def test_what_is_wrong_is_said(change, said):
    data = json.dumps(FULL.to_json() | change).encode()
    with pytest.raises(BlockError, match="This file") as caught:
        read_recipe(data)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"attn.5", b"[" * 50_000, b"\xff\xfe{}", b"[1]", b'{"drop": []}', b"null"]
)
def test_other_files_are_refused(data):
    with pytest.raises(BlockError, match="not a recipe"):
        read_recipe(data)


def test_size_is_bounded_before_anything_is_parsed(tmp_path):
    path = tmp_path / "large.json"
    path.write_bytes(FULL.to_bytes() + b" " * MOST_BYTES)
    for source in (path, path.read_bytes()):
        with pytest.raises(BlockError, match="cannot be read"):
            read_recipe(source)


def test_places_without_a_recipe_are_named(tmp_path):
    with pytest.raises(BlockError, match="There is no recipe"):
        read_recipe(tmp_path / "none.json")
    with pytest.raises(BlockError, match="is a directory"):
        read_recipe(tmp_path)
    with pytest.raises(BlockError, match="cannot be read"):
        read_recipe("nul\0.json")


def test_a_repair_is_chosen_again_from_its_texts_and_the_built_in_passages():
    story, mine = passages()["story"].text, "A text of ours."
    choice = RepairChoice("refit", (story, mine), windows=8, window_length=64)
    written = Repaired("refit", tuple(map(text_hash, choice.texts)), 8, 64, True, 1024)
    assert written.choice(["Another.", mine]) == choice
    with pytest.raises(OptionError, match="fitted on text that is not in the recipe"):
        written.choice(["Another."])
    with pytest.raises(OptionError, match="'glue' is not a repair"):
        Repaired("glue", (), 8, 64, True, 1024).choice([])
