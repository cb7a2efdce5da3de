"""Repairing before measuring again, against a loop over copies that are really pruned and really changed."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from entviz.blocks import Block, PruneSet, all_blocks, sites_of
from entviz.criteria import rank
from entviz.criteria.ranking import kinds_of
from entviz.criteria.spec import criterion_of, spec_of
from entviz.errors import OptionError
from entviz.models import LoadedModel
from entviz.models.loaded import fingerprint
from entviz.repair.fitting import fit
from entviz.text.windows import windows_from_token_ids
from tests.altered import PARTS, read_sites_without
from tests.criteria.test_remeasuring import Kept
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 6
IDS = torch.randint(3, VOCABULARY_SIZE, (6, 32), generator=torch.Generator().manual_seed(7))
WINDOWS = windows_from_token_ids(IDS.tolist(), VOCABULARY_SIZE)


def really_changed(model, repair):
    """A copy with the refitted projections in it."""
    copy = deepcopy(model)
    layers = copy.get_submodule(PARTS[model.config.model_type].layers)
    for patch in repair.patches:
        module = layers[patch.block.index].get_submodule(patch.path)
        weight = patch.weight.T if type(module).__name__ == "Conv1D" else patch.weight
        module.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        module.bias = nn.Parameter(patch.bias, requires_grad=False)
    return copy


def by_hand(loaded, level: str, drop: PruneSet) -> dict[Block, float]:
    """1 − cosine similarity of every block that is left, in such a copy without the blocks of ``drop``."""
    model = (
        really_changed(loaded.model, fit(loaded, WINDOWS, drop, "refit", dtype="auto"))
        if drop
        else loaded.model
    )
    sites = read_sites_without(model, drop, IDS)
    found = {}
    for block in all_blocks(LAYERS, kinds_of(level)):
        if block not in drop:
            before, after = (sites[site] for site in sites_of(block))
            found[block] = 1 - nn.functional.cosine_similarity(before, after, dim=-1).mean().item()
    return found


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("level", ["attn", "mlp", "layer"])
def test_it_drops_what_is_the_lowest_in_the_repaired_copy(architecture, level):
    loaded = LoadedModel.of(build(architecture, LAYERS))
    before = fingerprint(loaded.model)
    found = rank(
        *(loaded, WINDOWS, "cosine"),
        level=level,
        budget=3,
        protect=(1, 0),
        iterative=True,
        repair="refit",
    )
    measured = found.scores.set_index("block")["score"]
    for place, block in enumerate(found.order[:3]):
        scores = by_hand(loaded, level, PruneSet(found.order[:place]))
        free = {other: score for other, score in scores.items() if other.index >= 1}
        assert measured[str(block)] == pytest.approx(scores[block], abs=2e-5)
        assert scores[block] <= min(free.values()) + 2e-5, "another block was lower"
    assert fingerprint(loaded.model) == before
    assert "repaired by refit, fitted on the same text" in found.notes[-1]


def test_the_repair_changes_what_is_dropped():
    """Otherwise the test above would say little."""
    different = 0
    for architecture in ("llama", "gpt2", "opt"):
        for method in ("bias", "refit", "nbl"):
            loaded = LoadedModel.of(build(architecture, LAYERS))
            asked = {"level": "layer", "budget": 3, "protect": (1, 0), "iterative": True}
            plain = rank(loaded, WINDOWS, "cosine", **asked)
            mended = rank(loaded, WINDOWS, "cosine", repair=method, **asked)
            assert plain.order[0] == mended.order[0], "the first is by the dense model"
            different += plain.order[1:3] != mended.order[1:3]
    assert different >= 2


def test_one_that_was_stopped_resumes_and_a_plain_one_shares_nothing():
    loaded, kept = LoadedModel.of(build("llama", LAYERS)), Kept()
    asked = {"level": "mlp", "budget": 4, "protect": (1, 0), "iterative": True}
    first = rank(loaded, WINDOWS, "cosine", repair="bias", kept=kept, **asked)
    assert len(kept.parts) == 3
    plain = rank(loaded, WINDOWS, "cosine", kept=kept, **asked)
    assert len(kept.parts) == 6
    assert plain.to_json() == rank(loaded, WINDOWS, "cosine", **asked).to_json()
    again = rank(loaded, WINDOWS, "cosine", repair="bias", kept=kept, **asked)
    assert again.to_json() == first.to_json()


def test_how_it_is_written_and_what_is_refused():
    found, _ = criterion_of("cosine:iterative:repair=bias")
    assert (found.iterative, found.repair) == (True, "bias")
    assert spec_of(found) == "cosine:iterative:repair=bias"
    with pytest.raises(OptionError, match="only if it measures again after each drop: add iterative"):
        criterion_of("entrodrop:knn:repair=bias")
    with pytest.raises(OptionError, match="'magic' is not a repair"):
        criterion_of("cosine:iterative:repair=magic")
    loaded = LoadedModel.of(build("llama", LAYERS))
    with pytest.raises(OptionError, match=r"refit has .* unknowns"):
        rank(loaded, WINDOWS[:2], "cosine", level="mlp", budget=2, iterative=True, repair="refit")
