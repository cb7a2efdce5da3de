"""Two prune sets: what each block costs within its set, and what the sets share."""

from dataclasses import replace

import numpy as np
import pytest

from entviz.blocks import PruneSet, all_blocks
from entviz.comparison.pair.pair import contrast
from entviz.comparison.pair.sides import sentence, shared
from entviz.evaluation.loss import evaluate


def test_a_blocks_cost_is_what_putting_it_back_saves(tiny, measured):
    a, b = PruneSet.parse("attn.1,layer.3"), PruneSet.parse("layer.3,mlp.4")
    found = contrast(tiny, measured, a, b)
    rows = found.blocks.set_index("block")
    assert dict(rows["where"]) == {"attn.1": "a", "layer.3": "both", "mlp.4": "b"}
    whole = evaluate(tiny, measured, a).nll
    assert found.nll_a == pytest.approx(whole, abs=1e-5)
    put_back = evaluate(tiny, measured, PruneSet.parse("layer.3")).nll
    assert rows.at["attn.1", "cost_a"] == pytest.approx(whole - put_back, abs=1e-5)
    assert rows.at["mlp.4", "cost_b"] == pytest.approx(evaluate(tiny, measured, b).nll - put_back, abs=1e-5)
    assert np.isnan(rows.at["attn.1", "cost_b"])
    saved = evaluate(tiny, measured, a).nll_above(
        evaluate(tiny, measured, PruneSet.parse("layer.3")).token_nll
    )
    assert rows.at["attn.1", "reach_a"] == pytest.approx(saved.reach, rel=1e-3)


def test_a_sentence_says_which_set_does_better_and_with_which_interval(tiny, measured):
    found = evaluate(tiny, measured, PruneSet.parse("attn.1"))
    noise = np.random.default_rng(0).normal(size=found.token_nll.shape)

    def other(extra):
        return replace(found, drop=PruneSet.parse("attn.2"), token_nll=found.token_nll + extra)

    noise -= noise.mean()
    clear = sentence(found, other(0.5 + 0.01 * noise))
    assert clear.startswith("A does better. Its loss is 0.500 nats a token lower (95% interval 0.49")
    assert sentence(found, other(-0.5 + 0.01 * noise)).startswith("B does better. Its loss is 0.500 nats")
    unclear = sentence(found, other(0.01 + 5 * noise))
    assert unclear.startswith(
        "There is no clear difference. A's loss is 0.010 nats a token lower (95% interval −"
    )
    assert sentence(found, found) == "A and B drop the same blocks."
    few = replace(found, token_nll=found.token_nll[:1, :4])
    assert sentence(few, replace(few, drop=PruneSet())).endswith("measure more windows.")


def test_shared_blocks_are_counted_in_halves_of_layers():
    a, b = PruneSet.parse("layer.1,attn.2"), PruneSet.parse("mlp.1,attn.2,mlp.5")
    assert shared(a, b) == (1, 2, 1)
    assert shared(PruneSet(), PruneSet(all_blocks(2))) == (0, 0, 4)
