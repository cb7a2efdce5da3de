"""Commands that take a repair of the prune set: the numbers of the Python functions, and what was fitted on is said."""

import json

import pytest

from entviz.analysis import analyze
from entviz.blocks import PruneSet
from entviz.evaluation.generation import generate
from entviz.evaluation.tasks import evaluate_task
from entviz.models import load
from entviz.repair.choice import RepairChoice
from entviz.repair.fitted import fitted
from entviz.tasks import read_task
from tests.cli.asked import OTHER
from tests.cli.conftest import TEXT, WINDOWS

DROP = PruneSet.parse("layer.1,mlp.2")
SAID = "384 tokens: “Nobody had been there for years, so the…” and text that the model wrote itself."


@pytest.fixture
def asked(tmp_path):
    """The options of a repair, and the choice that they ask for."""
    file = tmp_path / "other.txt"
    file.write_text(OTHER * 4)
    windows = ("--repair-windows", 12, "--repair-window-length", 32)

    def ask(method):
        choice = RepairChoice(method, (OTHER * 4,), windows=12, window_length=32)
        return ("--drop", str(DROP), "--repair", method, "--repair-text-file", file, *windows), choice

    return ask


def test_the_curve(answer, directory, asked):
    arguments, choice = asked("nbl")
    found = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "knn,cosine", *arguments)
    loaded = load(str(directory))
    windows = loaded.windows(TEXT, windows=3, window_length=40)
    wanted = analyze(loaded, windows, ("knn", "cosine"), drop=DROP, repair=fitted(choice, loaded, DROP))
    assert found["repair"] == "nbl"
    assert found["sites"] == json.loads(json.dumps(wanted.to_json()["sites"]))
    plain = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "knn,cosine", "--drop", str(DROP))
    assert plain["sites"] != found["sites"]
    assert "repair" not in plain


def test_the_continuation(answer, directory, asked):
    arguments, choice = asked("refit")
    found = answer("generate", "--prompt", "Once upon", "--max-new-tokens", 9, *arguments)
    loaded = load(str(directory))
    wanted = generate(loaded, "Once upon", DROP, max_new_tokens=9, repair=fitted(choice, loaded, DROP))
    assert found["token_ids"] == wanted.token_ids
    assert any(SAID in note for note in found["notes"])


def test_the_accuracy(answer, entviz, directory, asked):
    arguments, choice = asked("bias")
    asked_task = ("evaluate", "--task", "common-sense", "--limit", 6)
    found = answer(*asked_task, *arguments)
    loaded = load(str(directory))
    repair = fitted(choice, loaded, DROP)
    wanted = evaluate_task(loaded, read_task("common-sense"), DROP, limit=6, repair=repair)
    assert found["accuracy"] == wanted.accuracy
    assert found["repair"] == "bias"
    code, said, told = entviz(*asked_task, *arguments)
    assert code == 0
    assert f"Dropped: {DROP}, repaired by bias" in said
    assert SAID in told


@pytest.mark.parametrize(
    "command",
    [
        ("analyze", "--text", TEXT, *WINDOWS),
        ("generate", "--prompt", "Once"),
        ("evaluate", "--task", "common-sense", "--limit", "2"),
    ],
    ids=lambda command: command[0],
)
def test_a_repair_of_nothing_is_a_sentence(entviz, command):
    code, _, said = entviz(*command, "--repair", "bias")
    assert code == 2
    assert "Nothing is dropped, so there is nothing that bias could repair." in said


@pytest.mark.parametrize("kind", ["analysis", "generation", "score"])
def test_a_report_says_how_to_fit_it_again(entviz, asked, tmp_path, kind):
    command = {
        "analysis": ("analyze", "--text", TEXT, *WINDOWS, "--metric", "knn"),
        "generation": ("generate", "--prompt", "Once", "--max-new-tokens", 3),
        "score": ("evaluate", "--task", "common-sense", "--limit", "2"),
    }[kind]
    file = tmp_path / "report.html"
    assert entviz(*command, *asked("bias")[0], "--report", file)[0] == 0
    html = file.read_text()
    assert f"Repaired by bias, fitted on {SAID[:11]}" in html
    assert "--repair bias --repair-text-file calibration.txt" in html
    assert "--repair-windows 12 --repair-window-length 32" in html
