"""The estimators against the figures of the EntroDrop authors' own functions."""

import json
from pathlib import Path

import pytest
import torch

from entviz.estimators import cosine_importance, estimator
from tests.estimators.formula import states_x, states_y

FIGURES = json.loads((Path(__file__).parent.parent / "data" / "parity_estimators.json").read_text())["shapes"]
OPTIONS = {"b": "buckets", "k": "k", "a": "alpha"}
ENTROPIES = [(shape, key) for shape in FIGURES for key in FIGURES[shape] if key != "cosine_importance"]


def parsed(shape: str) -> tuple[int, int, int]:
    windows, tokens, width = map(int, shape.split("x"))
    return windows, tokens, width


@pytest.mark.parametrize(("shape", "key"), ENTROPIES)
def test_entropy_agrees_with_the_authors_figure(shape: str, key: str) -> None:
    name, option = key.split("_")
    measure = estimator(name, **{OPTIONS[option[0]]: int(option[1:])})
    for states, figure in ((states_x, "H_X"), (states_y, "H_Y")):
        # The authors take all tokens of a batch together, as if they were one window.
        got = measure(states(parsed(shape)).flatten(0, 1).unsqueeze(0))
        assert got.dtype == torch.float64
        assert got.shape == (1,)
        assert got.item() == pytest.approx(FIGURES[shape][key][figure], rel=1e-3)


@pytest.mark.parametrize("shape", FIGURES)
def test_cosine_importance_agrees_with_the_authors_figure(shape: str) -> None:
    got = cosine_importance(states_x(parsed(shape)), states_y(parsed(shape)))
    assert got.mean().item() == pytest.approx(FIGURES[shape]["cosine_importance"], rel=1e-3)


def test_every_figure_is_checked() -> None:
    assert len(ENTROPIES) + len(FIGURES) == 3 * 8
