"""``entviz export --repair``: the checkpoint computes what was measured with it, and its recipe repairs again."""

import json

import pytest

from entviz.cli import main
from tests.cli.asked import OTHER
from tests.cli.conftest import TEXT, WINDOWS
from tests.models.files import saved

REPAIR = ("--repair-windows", 12, "--repair-window-length", 32)


@pytest.fixture
def ask(capsys, tmp_path):
    """Runs a command on a tiny model of an architecture: its status, JSON and what it said."""

    def run(architecture, command, *arguments):
        directory = tmp_path / architecture
        if not directory.exists():
            saved(directory, architecture)
        asked = [command, "--model", directory, "--text", TEXT, *WINDOWS, *arguments, "--json"]
        status = main([str(each) for each in asked])
        said = capsys.readouterr()
        return status, json.loads(said.out) if status == 0 else {}, said.err

    return run


def test_what_is_exported_is_what_evaluate_measures_and_its_recipe_gives_it_back(ask, tmp_path):
    text = tmp_path / "other.txt"
    text.write_text(OTHER * 4)
    drop = ("--drop", "layer.1,attn.3")
    repair = ("--repair", "refit", "--repair-text-file", text, *REPAIR)
    _, exported, _ = ask(
        "llama", "export", *drop, *repair, "--out", tmp_path / "out", "--criterion", "by eye"
    )
    _, measured, _ = ask("llama", "evaluate", *drop, *repair)
    assert exported["measured"]["perplexity"] == pytest.approx(measured["perplexity"])
    assert exported["check"]["difference"] < 1e-4
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| | dense | pruned | pruned and repaired |" in card
    for value in (measured["dense"]["perplexity"], measured["plain"]["perplexity"], measured["perplexity"]):
        assert f"{value:.2f}" in card
    assert "- Repaired by: Refitted projections, fitted on 384 tokens: “Nobody had been there" in card
    assert "For its biases mlp_bias is on in config.json" in card
    # The two biases of fitted projections, of the two holes, are all that is read more than without the repair.
    parameters = measured["parameters"]
    assert (
        f"| {parameters['dense']:,} | {parameters['pruned'] - 2 * 32:,} | {parameters['pruned']:,} |" in card
    )
    recipe = ("--drop", f"@{tmp_path / 'out' / 'recipe.json'}")
    status, _, said = ask("llama", "evaluate", *recipe)
    assert status == 2
    assert "fitted on text that is not in the recipe. Give that text with --repair-text-file" in said
    _, again, _ = ask("llama", "evaluate", *recipe, "--repair-text-file", text)
    assert again["nll"] == pytest.approx(measured["nll"])
    _, plain, _ = ask("llama", "evaluate", *recipe, "--repair", "none")
    assert plain["nll"] == pytest.approx(measured["plain"]["nll"])
    _, _, said = ask("llama", "damages", *recipe, "--level", "mlp")
    assert "The recipe's repair by refit is left out" in said
    # The checkpoint, dense now, is as good.
    _, loaded, _ = ask("out", "evaluate")
    assert loaded["nll"] == pytest.approx(measured["nll"], abs=1e-4)


def test_where_there_can_be_no_biases_it_is_fitted_and_measured_without(ask, tmp_path):
    asked = ("--drop", "layer.1,attn.3", "--repair", "refit", *REPAIR)
    _, exported, _ = ask("qwen3", "export", *asked, "--out", tmp_path / "out")
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert recipe["repair"]["method"] == "refit-without-bias"
    _, measured, _ = ask("qwen3", "evaluate", *asked[:2], "--repair", "refit-without-bias", *REPAIR)
    assert exported["measured"]["perplexity"] == pytest.approx(measured["perplexity"])
    assert "It was fitted without constants, and measured so." in exported["notes"]
    # Text that the model writes itself is written again from the recipe alone.
    _, again, _ = ask("qwen3", "evaluate", "--drop", f"@{tmp_path / 'out' / 'recipe.json'}")
    assert again["nll"] == pytest.approx(measured["nll"])


@pytest.mark.parametrize(
    ("format_name", "method", "says"),
    [
        ("hf", "nbl", "What nbl puts between blocks is no weight of a checkpoint"),
        ("mergekit", "refit", "mergekit copies layers of the original weights"),
        ("llm-drop", "refit", "skips blocks of the original weights"),
    ],
)
def test_a_format_that_cannot_hold_it_says_what_can(ask, tmp_path, format_name, method, says):
    asked = (
        "--drop",
        "layer.1",
        "--repair",
        method,
        *REPAIR,
        "--format",
        format_name,
        "--out",
        tmp_path / "out",
    )
    status, _, said = ask("llama", "export", *asked)
    assert status == 2
    assert says in said
    assert not (tmp_path / "out").exists()
