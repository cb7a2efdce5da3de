"""Two prune sets: what each block costs within them, and what they share."""

import numpy as np
import pytest

from entviz.blocks import PruneSet, all_blocks
from entviz.comparison.pair import contrast
from entviz.comparison.sides import shared
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


def test_shared_blocks_are_counted_in_halves_of_layers():
    a, b = PruneSet.parse("layer.1,attn.2"), PruneSet.parse("mlp.1,attn.2,mlp.5")
    assert shared(a, b) == (1, 2, 1)
    assert shared(PruneSet(), PruneSet(all_blocks(2))) == (0, 0, 4)
