"""``entviz export`` and ``--drop @recipe.json``: exit statuses, JSON and messages."""

import json

import pytest

from entviz.cli import main
from entviz.text.passages import passages
from tests.tiny import build


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model in a directory, without a tokenizer, and token ids for it."""
    folder = tmp_path_factory.mktemp("model")
    build("llama", layers=4).save_pretrained(folder / "tiny")
    (folder / "ids.json").write_text(json.dumps([[3, 50, 7, 99, 12, 4, 61, 30]] * 2))
    return folder


def run(capsys, *arguments):
    status = main(["export", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_json_says_what_was_written_and_what_it_cost(capsys, model, tmp_path):
    common = ("--model", model / "tiny", "--token-ids", model / "ids.json", "--json")
    status, out, _ = run(
        capsys, *common, "--drop", "layer.1,attn.2", "--out", tmp_path / "out", "--criterion", "by eye"
    )
    found = json.loads(out)
    assert status == 0
    assert found["drop"] == ["layer.1", "attn.2"]
    assert found["removed_layers"] == [1]
    assert found["zeroed_weights"] == ["model.layers.1.self_attn.o_proj.weight"]
    assert found["check"]["difference"] < 1e-4
    assert set(found["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
    # The same through evaluate, with the recipe as the prune set.
    recipe = tmp_path / "out" / "recipe.json"
    assert main(["evaluate", *map(str, common), "--drop", f"@{recipe}"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["drop"] == found["drop"]
    assert evaluated["perplexity"] == pytest.approx(found["measured"]["perplexity"])
    # And the checkpoint is a model like any other, dense now.
    again = ("--model", tmp_path / "out", *common[2:])
    assert main(["evaluate", *map(str, again)]) == 0
    assert json.loads(capsys.readouterr().out)["perplexity"] == pytest.approx(
        evaluated["perplexity"], rel=1e-4
    )


def test_readable_output_has_the_lines_that_load_it(capsys, model, tmp_path):
    status, out, err = run(capsys, "--model", model / "tiny", "--drop", "attn.2", "--out", tmp_path / "out")
    assert status == 0
    assert f'from_pretrained("{tmp_path / "out"}"' in out
    assert "set to zero" in err
    assert "Not measured" in (tmp_path / "out" / "README.md").read_text()


def test_a_recipe_brings_its_criterion_along(capsys, model, tmp_path):
    arguments = ("--model", model / "tiny", "--format", "recipe")
    run(capsys, *arguments, "--drop", "layer.1", "--criterion", "last", "--out", tmp_path / "a")
    status, _, err = run(
        capsys, *arguments, "--drop", f"@{tmp_path / 'a' / 'recipe.json'}", "--out", tmp_path / "b", "--json"
    )
    assert (status, err) == (0, "")
    assert json.loads((tmp_path / "b" / "recipe.json").read_text())["criterion"] == "last"


def test_another_models_recipe_is_noted(capsys, model, tmp_path):
    (tmp_path / "other.json").write_text('{"entviz_recipe": 1, "drop": ["layer.1"], "model": "gpt2"}')
    status, _, err = run(
        capsys,
        "--model",
        model / "tiny",
        "--format",
        "recipe",
        "--drop",
        f"@{tmp_path / 'other.json'}",
        "--out",
        tmp_path / "b",
    )
    assert status == 0
    assert "made for gpt2" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--drop", "attn.1", "--format", "mergekit"], "whole layers only"),
        (["--drop", "attn.1", "--format", "llama.cpp"], "whole layers only"),
        (["--drop", "", "--format", "llama.cpp"], "the prune set is empty"),
        (["--drop", "layer.1", "--format", "onnx"], "'onnx' is not an export format"),
        (["--drop", "layer.9"], "does not exist"),
        (["--drop", "layer.0,layer.1,layer.2,layer.3"], "keep at least one"),
        (["--drop", "@nowhere.json"], "no recipe nowhere.json"),
        (["--drop", "layer.1", "--windows", "3"], "are for a text"),
        (["--drop", "layer.1", "--text", "words"], "without a tokenizer"),
        (["--drop", "layer.1", "--dtype", "int4"], "no weight type"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_status_2(capsys, model, tmp_path, arguments, message):
    status, out, err = run(capsys, "--model", model / "tiny", "--out", tmp_path / "out", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_force_replaces_an_export_and_nothing_else(capsys, model, tmp_path):
    arguments = ("--model", model / "tiny", "--format", "recipe", "--drop", "layer.1")
    assert run(capsys, *arguments, "--out", tmp_path / "out")[0] == 0
    status, _, err = run(capsys, *arguments, "--out", tmp_path / "out")
    assert status == 2
    assert "--force" in err
    assert run(capsys, *arguments, "--out", tmp_path / "out", "--force")[0] == 0
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").touch()
    status, _, err = run(capsys, *arguments, "--out", tmp_path / "own", "--force")
    assert status == 2
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["thesis.tex"]


def test_measured_on_a_text_file(capsys, tmp_path):
    (tmp_path / "story.txt").write_text(passages()["story"].text)
    status, out, _ = run(
        capsys,
        *("--drop", "layer.12", "--format", "mergekit", "--out", tmp_path / "out", "--json"),
        *("--text-file", tmp_path / "story.txt", "--windows", "1", "--window-length", "32"),
    )
    assert status == 0
    measured = json.loads(out)["measured"]
    assert (measured["text"], measured["windows"], measured["window_length"]) == ("story.txt", 1, 32)
    assert measured["perplexity"] != measured["dense_perplexity"]
