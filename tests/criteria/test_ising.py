"""Quadratic choice against brute force: the energy over all sets, and annealing, and the criterion on a tiny model."""

from itertools import combinations

import numpy as np
import pytest
import torch

from entviz.blocks import PruneSet, all_blocks
from entviz.comparison.interactions.interactions import interactions
from entviz.criteria import ising as criterion
from entviz.criteria import rank
from entviz.criteria.quadratic import anneal, energy, least
from entviz.errors import Cancelled, OptionError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.text.windows import windows_from_token_ids
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 6


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS, seed=3), None, "tiny")


@pytest.fixture(scope="module")
def windows():
    ids = torch.randint(3, VOCABULARY_SIZE, (3, 32), generator=torch.Generator().manual_seed(4))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


def couplings(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    upper = np.triu(random.normal(size=(size, size)), 1)
    return random.normal(size=size), upper + upper.T


def by_definition(linear, pairs, members) -> float:
    return sum(linear[i] for i in members) + sum(pairs[i, j] for i, j in combinations(members, 2))


@pytest.mark.parametrize("count", range(12))
def test_the_least_energy_is_that_of_all_sets(count):
    linear, pairs = couplings(11, seed=count)
    energies = {members: by_definition(linear, pairs, members) for members in combinations(range(11), count)}
    best = min(energies, key=energies.__getitem__)
    found = least(linear, pairs, count)
    assert found.members == best
    assert found.energy == pytest.approx(energies[best], abs=1e-12)
    assert found.sets == len(energies)
    assert energy(linear, pairs, best) == pytest.approx(energies[best], abs=1e-12)


def test_thirty_attentions_are_compared_whole():
    linear, pairs = couplings(30, seed=1)
    found = least(linear, pairs, 8)
    assert found.sets == 5_852_925
    assert energy(linear, pairs, found.members) == pytest.approx(found.energy, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_annealing_finds_it_too(seed):
    linear, pairs = couplings(14, seed)
    exact = least(linear, pairs, 6)
    found = least(linear, pairs, 6, most_sets=0, seed=seed)
    assert (found.members, found.sets) == (exact.members, 0)
    assert found.energy == pytest.approx(exact.energy, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_annealing_reaches_a_budget_of_blocks_that_save_differently(seed):
    """With no block more than needed."""
    linear, pairs = couplings(12, seed)
    weights = np.array([1.0, 2.5] * 6)
    enough = [
        members
        for size in range(13)
        for members in combinations(range(12), size)
        if 7 <= weights[list(members)].sum() < 7 + weights[list(members)].min()
    ]
    best = min(enough, key=lambda members: by_definition(linear, pairs, members))
    assert anneal(linear, pairs, weights, 7.0).members == best


@pytest.mark.parametrize("level", ["attn", "mlp", "layer"])
def test_the_criterion_is_that_energy_of_what_interactions_measures(tiny, windows, level):
    found = rank(tiny, windows, "ising", level=level, budget=3)
    measured = interactions(tiny, windows, level)
    blocks = all_blocks(LAYERS, [level])
    alone, beyond = measured.alone("kl"), np.nan_to_num(measured.beyond("kl"))
    best = min(combinations(range(LAYERS), 3), key=lambda members: by_definition(alone, beyond, members))
    assert found.drop == PruneSet(blocks[i] for i in best)
    np.testing.assert_allclose(found.scores["score"], alone, atol=1e-6)
    assert "least energy of all 20 sets" in found.notes[0]
    expected, cost = by_definition(alone, beyond, best), evaluate(tiny, windows, found.drop).kl
    assert f"a divergence of {expected:.3f} nats" in found.notes[-1]
    assert f"it is {cost:.3f}." in found.notes[-1]


def test_for_a_pair_the_energy_is_its_cost_so_that_the_best_pair_is_found(tiny, windows):
    found = rank(tiny, windows, "ising", level="mlp", budget=2)
    pairs = [PruneSet(two) for two in combinations(all_blocks(LAYERS, ["mlp"]), 2)]
    assert found.drop == min(pairs, key=lambda drop: evaluate(tiny, windows, drop).kl)
    assert "correlate with their measured divergence: 1.00, by ranks 1.00" in found.notes[1]


def test_a_share_of_the_weights_is_reached_by_annealing(tiny, windows):
    found = rank(tiny, windows, "ising", level="attn+mlp", budget="25%")
    gone = tiny.anatomy.parameters(found.drop).values()
    assert sum(weight.numel() for weight in gone) >= 0.25 * tiny.parameters
    assert "simulated annealing" in found.notes[0]


def test_no_pair_that_was_measured_is_run_again(tiny, windows):
    tried = {}
    rank(tiny, windows, "ising", level="attn", budget=2, tried=tried)
    [known] = tried.values()
    before = known.evaluated
    rank(tiny, windows, "ising", level="attn", budget=3, tried=tried)
    assert known.evaluated - before <= (criterion._RANDOM_SETS + 1) * len(windows)


def test_it_can_be_stopped_and_says_how_far_it_is(tiny, windows):
    reports = []

    def progress(done, total, partial=None):
        assert 0 <= done <= total
        reports.append(done / total)
        if len(reports) == 40:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        rank(tiny, windows, "ising", level="layer", budget=3, progress=progress)
    assert reports == sorted(reports)


def test_too_many_pairs_are_a_sentence(tiny, windows, monkeypatch):
    monkeypatch.setattr(criterion, "MOST_PAIRS", 10)
    with pytest.raises(OptionError, match="6 blocks make more pairs than the 10 that can be measured"):
        rank(tiny, windows, "ising", level="attn", budget=2)
