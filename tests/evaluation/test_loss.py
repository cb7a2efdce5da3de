"""Losses with and without blocks: those of really pruned copies, and properties that an evaluation must have."""

import pytest

from entviz.blocks import PruneSet
from entviz.decoder.states import StateCache
from entviz.evaluation.loss import evaluate
from tests.parity import FIGURES, measured_windows

LOSSES = FIGURES["mean_nll_per_window_by_dropped_blocks"]
QUICK = {"", "layer.0", "attn.7"}  # the others take seconds each


@pytest.fixture(scope="module")
def cache():
    """Hidden states of the default model, shared by the tests of this file."""
    return StateCache(500_000_000)


@pytest.mark.parametrize(
    "drop",
    [pytest.param(drop, marks=() if drop in QUICK else pytest.mark.exhaustive) for drop in LOSSES],
    ids=lambda drop: drop or "dense",
)
def test_loss_of_every_window_is_that_of_a_really_pruned_copy(smollm2, cache, drop):
    found = evaluate(smollm2, measured_windows(), PruneSet.parse(drop), cache=cache)
    assert found.per_window_nll == pytest.approx(LOSSES[drop], abs=1e-3)
    assert found.dense_token_nll.mean(axis=1) == pytest.approx(LOSSES[""], abs=1e-3)


def test_layer_0_is_among_the_figures():
    assert {"", "layer.0", "attn.0", "layer.10", "mlp.3", "attn.7"} | QUICK <= set(LOSSES)
    assert len(LOSSES) == 8
