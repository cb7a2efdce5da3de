"""Greedy continuations: those of really pruned copies, token for token, with and without a KV cache."""

import pytest

from entviz.blocks import PruneSet
from entviz.evaluation.generation import generate
from tests.parity import FIGURES

CONTINUATIONS = FIGURES["greedy_generation_by_dropped_blocks"]


@pytest.mark.parametrize(
    "use_cache", [True, pytest.param(False, marks=pytest.mark.exhaustive)], ids=["cached", "uncached"]
)
@pytest.mark.parametrize("drop", CONTINUATIONS, ids=lambda drop: drop or "dense")
def test_default_model_continues_as_a_really_pruned_copy(smollm2, drop, use_cache):
    wanted = CONTINUATIONS[drop]
    prompt = FIGURES["generation_prompt"]
    count = len(wanted) - len(smollm2.tokenizer(prompt).input_ids)
    found = generate(smollm2, prompt, PruneSet.parse(drop), max_new_tokens=count, use_cache=use_cache)
    assert found.token_ids == wanted
    assert found.text == smollm2.tokenizer.decode(wanted)
