"""Perplexity: exp of a loss, and words if no number can hold it."""

import json
import math
import sys

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.comparison.grid.grid import compare
from entviz.comparison.pair import sides
from entviz.evaluation.loss import evaluate
from entviz.evaluation.perplexity import in_words, or_none, perplexity
from entviz.export.card import _what_it_costs
from entviz.export.request import ExportRequest
from entviz.figures.costs import cards
from entviz.models.loaded import LoadedModel
from tests.comparison.windows import random_windows
from tests.tiny import build

WINDOWS = random_windows(2, seed=1)


@pytest.mark.parametrize("nll", [0.0, 1.5, 20.0, 699.0])
def test_it_is_the_exponential(nll):
    assert perplexity(nll) == or_none(perplexity(nll)) == math.exp(nll)
    assert in_words(perplexity(nll), ".17g") == format(math.exp(nll), ".17g")


@pytest.mark.parametrize("nll", [700.0, 710.0, 1e6])
def test_beyond_the_largest_number_it_is_words(nll):
    assert math.isfinite(perplexity(nll))
    assert or_none(perplexity(nll)) is None
    words = in_words(perplexity(nll), ".2f")
    assert words == "over 1e304"
    assert float(words.split()[1]) <= perplexity(nll) <= sys.float_info.max


def test_a_model_that_is_surely_wrong_is_shown_with_its_loss_and_no_made_up_number():
    model = build("llama")
    with torch.no_grad():
        model.lm_head.weight.mul_(2e3)
    loaded, drop = LoadedModel.of(model, None, "sure"), PruneSet.parse("attn.1")
    found = evaluate(loaded, WINDOWS, drop)
    with torch.inference_mode():
        logits = model(WINDOWS.token_ids).logits[:, :-1].double()
    wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), WINDOWS.token_ids[:, 1:].flatten())
    assert found.dense_nll == pytest.approx(float(wanted), rel=1e-5)
    assert float(wanted) > 710
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["perplexity"] is plain["dense"]["perplexity"] is None
    assert plain["dense"]["nll"] == found.dense_nll
    card = cards(found)[0]
    assert (card.value, card.dense) == ("over 1e304", "over 1e304")
    assert len(card.change) < 20
    assert "| Perplexity | over 1e304 | over 1e304 |" in _what_it_costs(
        ExportRequest(loaded, drop, found, "some text")
    )
    comparison = compare(loaded, WINDOWS, WINDOWS, ["last", "cosine"], ["1"]).to_json()
    assert comparison["dense"]["perplexity"] is comparison["rows"][0]["perplexity"] is None
    assert "1e+304" not in json.dumps(comparison)
    assert list(sides.table(found, found).iloc[0])[1:] == ["over 1e304"] * 3


def test_the_expected_unembedding_stays_in_the_range_of_float16():
    """Thousands of tokens that are equally likely, whose unembeddings have a common part, sum to more than it holds."""
    model = build("llama", vocab_size=4096)
    with torch.no_grad():
        model.lm_head.weight.mul_(0.01)
        model.lm_head.weight[:, 3] = 40.0
        model.model.norm.weight[3] = 1e-3
    loaded, drop = LoadedModel.of(model, None, "flat"), PruneSet.parse("attn.1")
    exact, half = (evaluate(loaded, WINDOWS, drop, dtype=dtype) for dtype in ("float32", "float16"))
    assert half.kl == pytest.approx(exact.kl, rel=0.2)
    assert half.nll == pytest.approx(exact.nll, rel=1e-3)
