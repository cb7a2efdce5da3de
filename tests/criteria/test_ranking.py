"""Every criterion against a ranking made by brute force: hooks, altered copies and all logits."""

import itertools
import math

import pytest
import torch
from torch import nn

from entviz.blocks import Block, PruneSet, all_blocks
from entviz.criteria import CRITERIA, known, rank
from entviz.criteria.angular import angular_distances
from entviz.errors import BlockError, Cancelled, OptionError
from entviz.estimators import estimator
from entviz.models import LoadedModel
from entviz.models.loaded import fingerprint
from entviz.text.windows import windows_from_token_ids
from tests.altered import losses, read_sites, without
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 6
IDS = torch.randint(3, VOCABULARY_SIZE, (3, 40), generator=torch.Generator().manual_seed(3))
WINDOWS = windows_from_token_ids(IDS.tolist(), VOCABULARY_SIZE)


@pytest.fixture(scope="module")
def loaded():
    return LoadedModel.of(build("llama", LAYERS))


@pytest.fixture(scope="module")
def sites(loaded):
    return read_sites(loaded.model, IDS)


def names(blocks) -> list[str]:
    return [str(block) for block in blocks]


def loss(loaded, drop: PruneSet, ids: torch.Tensor = IDS) -> float:
    return losses(without(loaded.model, drop), ids).mean().item()


def divergence(loaded, drop: PruneSet, ids: torch.Tensor = IDS) -> float:
    def log_probabilities(model: nn.Module) -> torch.Tensor:
        with torch.inference_mode():
            return model(ids).logits[:, :-1].double().log_softmax(-1)

    dense, pruned = log_probabilities(loaded.model), log_probabilities(without(loaded.model, drop))
    return (dense.exp() * (dense - pruned)).sum(-1).mean().item()


def searched_by(loaded, drop: PruneSet, ids: torch.Tensor = IDS) -> float:
    """What the search minimizes."""
    return loss(loaded, drop, ids) + divergence(loaded, drop, ids)


def ends(kind: str, i: int) -> tuple[str, str]:
    before = "embed" if i == 0 else f"layer.{i - 1}"
    return {
        "attn": (before, f"attn.{i}"),
        "mlp": (f"attn.{i}", f"layer.{i}"),
        "layer": (before, f"layer.{i}"),
    }[kind]


def importance(sites, kind: str, i: int) -> float:
    before, after = (sites[site] for site in ends(kind, i))
    return 1 - nn.functional.cosine_similarity(before, after, dim=-1).mean().item()


# --- measured --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["layer", "attn", "mlp"])
@pytest.mark.parametrize("name", ["bucket", "knn", "renyi", "matrix"])
def test_entrodrop_drops_the_lowest_entropy_increase_first(loaded, sites, name, level):
    entropy = {site: estimator(name)(states).mean().item() for site, states in sites.items()}
    increase = {
        f"{level}.{i}": entropy[after] - entropy[before]
        for i in range(LAYERS)
        for before, after in [ends(level, i)]
    }
    found = rank(loaded, WINDOWS, "entrodrop", estimator=name, level=level, budget=2)
    scores = found.scores.set_index("block")["score"].to_dict()
    assert scores == pytest.approx(increase, rel=1e-3, abs=2e-3)
    assert names(found.order) == sorted((f"{level}.{i}" for i in (2, 3, 4)), key=scores.get)
    assert found.drop == PruneSet(found.order[:2])


def test_protection_and_stages(loaded, sites):
    entropy = {i: estimator("bucket")(sites[f"layer.{i}"]).mean().item() for i in range(LAYERS)}
    turning = min(entropy, key=entropy.get)
    options = {"estimator": "bucket", "level": "attn"}
    everything = rank(loaded, WINDOWS, "entrodrop", protect=(0, 0), **options)
    assert {block.index for block in everything.order} == set(range(LAYERS))
    late = rank(loaded, WINDOWS, "entrodrop", protect=(0, 0), stage=2, **options)
    assert {block.index for block in late.order} == {i for i in range(LAYERS) if i > turning}
    shielded = rank(loaded, WINDOWS, "entrodrop", protect=(1, 3), **options)
    assert {block.index for block in shielded.order} == {1, 2}
    assert shielded.scores.set_index("index")["protected"].tolist() == [True, False, False, True, True, True]


@pytest.mark.parametrize(
    ("criterion", "level"), [("cosine", "attn"), ("cosine", "mlp"), ("block-influence", "layer")]
)
def test_cosine_drops_the_least_important_first(loaded, sites, criterion, level):
    wanted = {f"{level}.{i}": importance(sites, level, i) for i in range(LAYERS)}
    found = rank(loaded, WINDOWS, criterion, level=level)
    assert found.scores.set_index("block")["score"].to_dict() == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    assert names(found.order) == sorted(wanted, key=wanted.get)


def test_attentions_and_mlps_compete_at_the_joint_level(loaded, sites):
    wanted = {f"{kind}.{i}": importance(sites, kind, i) for kind in ("attn", "mlp") for i in range(LAYERS)}
    found = rank(loaded, WINDOWS, "cosine", level="attn+mlp", budget=5)
    assert names(found.order) == sorted(wanted, key=wanted.get)
    assert set(found.drop.attention) == {block.index for block in found.order[:5] if block.kind == "attn"}


def test_angular_distances_and_the_closest_run(loaded, sites):
    states = [sites["embed"], *(sites[f"layer.{i}"] for i in range(LAYERS))]
    found = angular_distances(loaded, WINDOWS).set_index(["start", "size"])["distance"]
    assert len(found) == LAYERS * (LAYERS + 1) // 2
    wanted = {}
    for start, end in itertools.combinations(range(LAYERS + 1), 2):
        cosine = nn.functional.cosine_similarity(states[start], states[end], dim=-1).clamp(-1, 1)
        wanted[start, end - start] = (cosine.arccos() / math.pi).mean().item()
    assert found.to_dict() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    for budget in (1, 2, 4):
        ranking = rank(loaded, WINDOWS, "angular-distance", budget=budget)
        start = min(range(LAYERS - budget + 1), key=lambda start: wanted[start, budget])
        assert ranking.drop == PruneSet(Block("layer", i) for i in range(start, start + budget))
    inside = rank(loaded, WINDOWS, "angular-distance", budget=2, protect=(2, 1))
    start = min((2, 3), key=lambda start: wanted[start, 2])
    assert inside.drop == PruneSet([Block("layer", start), Block("layer", start + 1)])


# --- tried -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["layer", "attn", "mlp"])
def test_leave_one_out_measures_each_block(loaded, level):
    wanted = {f"{level}.{i}": loss(loaded, PruneSet([Block(level, i)])) for i in range(LAYERS)}
    found = rank(loaded, WINDOWS, "leave-one-out", level=level, budget=2)
    assert found.scores.set_index("block")["score"].to_dict() == pytest.approx(wanted, abs=1e-4)
    assert names(found.order) == sorted(wanted, key=wanted.get)


@pytest.mark.parametrize(
    ("criterion", "level", "cost"), [("sleb", "layer", loss), ("finercut", "attn+mlp", divergence)]
)
def test_greedy_takes_the_cheapest_next_block(loaded, criterion, level, cost):
    kinds = level.split("+")
    drop, wanted = PruneSet(), []
    for _ in range(3):
        candidates = [block for block in all_blocks(LAYERS, kinds) if block not in drop]
        wanted.append(min(candidates, key=lambda block: cost(loaded, drop | PruneSet([block]))))
        drop = drop | PruneSet([wanted[-1]])
    found = rank(loaded, WINDOWS, criterion, budget=3)
    assert names(found.order) == names(wanted)
    last = found.scores.set_index("block").at[str(wanted[-1]), "score"]
    assert last == pytest.approx(cost(loaded, drop), abs=1e-4)


def test_search_finds_the_best_of_all_pairs(loaded):
    pairs = [PruneSet(pair) for pair in itertools.combinations([Block("attn", i) for i in range(LAYERS)], 2)]
    best = min(searched_by(loaded, pair) for pair in pairs)
    found = rank(loaded, WINDOWS, "search", budget=2, seconds=60)
    assert len(found.drop) == 2
    assert searched_by(loaded, found.drop) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("level", ["layer", "attn", "mlp", "attn+mlp"])
def test_search_is_never_worse_than_the_measured_criteria_on_its_own_text(loaded, level):
    found = rank(loaded, WINDOWS, "search", level=level, budget=2, seconds=30)
    cost = searched_by(loaded, found.drop)
    assert {block.kind for block in found.order} <= set(level.split("+"))
    for criterion, entropy in (("cosine", "knn"), ("entrodrop", "bucket"), ("entrodrop", "knn")):
        other = rank(
            loaded,
            WINDOWS,
            known(criterion)().with_options(estimator=entropy),
            level=level,
            budget=2,
            protect=(0, 0),
        )
        assert cost <= searched_by(loaded, other.drop) + 1e-5


def test_search_on_windows_that_are_too_short_for_an_entropy(loaded):
    short = windows_from_token_ids(IDS[:, :12].tolist(), VOCABULARY_SIZE)
    with pytest.raises(OptionError, match="at least 26 tokens"):
        rank(loaded, short, "entrodrop", estimator="knn", budget=1)

    def cost(drop: PruneSet) -> float:
        return searched_by(loaded, drop, IDS[:, :12])

    best = min(cost(PruneSet([block])) for block in all_blocks(LAYERS, ("attn",)))
    assert cost(rank(loaded, short, "search", budget=1, seconds=30).drop) == pytest.approx(best, abs=1e-5)


def test_search_without_time_still_answers(loaded):
    found = rank(loaded, WINDOWS, "search", budget=3, seconds=0)
    assert len(found.drop.attention) == 3
    assert not found.drop.mlp


def test_search_keeps_protected_blocks(loaded):
    found = rank(loaded, WINDOWS, "search", budget=2, protect=(2, 2), seconds=10)
    assert found.drop == PruneSet.parse("attn.2,attn.3")


def test_reports_carry_the_best_so_far_and_may_stop_it(loaded):
    before, partials = fingerprint(loaded.model), []

    def progress(done, total, partial=None):
        assert 0 <= done <= max(total, 1)
        if partial is not None:
            partials.append(partial)
            if len(partials) == 5:
                raise Cancelled("stop")

    with pytest.raises(Cancelled):
        rank(loaded, WINDOWS, "search", budget=2, seconds=30, progress=progress)
    assert all(len(partial.drop) == 2 for partial in partials)
    assert fingerprint(loaded.model) == before


@pytest.mark.parametrize(
    "criterion", [name for name, kind in CRITERIA.items() if kind().tries() or name == "cosine"]
)
def test_every_long_criterion_can_be_stopped(loaded, criterion):
    def progress(done, total, partial=None):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        rank(loaded, WINDOWS, known(criterion)().with_options(seconds=30), budget=1, progress=progress)


def test_a_search_can_be_stopped_while_it_measures_for_its_seeds(loaded, monkeypatch):
    def progress(done, total, partial=None):
        raise Cancelled("stop")

    def search(*_, **__):
        raise AssertionError("it should have stopped before")

    monkeypatch.setattr("entviz.criteria.prune_set_search.search", search)
    with pytest.raises(Cancelled):
        rank(loaded, WINDOWS, "search", budget=1, seconds=30, progress=progress)


# --- baselines, budgets, mistakes ------------------------------------------------------------------------------------


def test_last_and_random(loaded):
    assert names(rank(loaded, WINDOWS, "last", budget=2).order[:2]) == ["attn.5", "attn.4"]
    drawn = [rank(loaded, WINDOWS, "random", budget=3, seed=seed).drop for seed in range(20)]
    assert drawn[0] == rank(loaded, WINDOWS, "random", budget=3, seed=0).drop
    assert len(set(drawn)) > 5
    assert {i for drop in drawn for i in drop.attention} == set(range(LAYERS))


@pytest.mark.parametrize("unit", ["parameters", "memory"])
@pytest.mark.parametrize("criterion", ["last", "cosine", "leave-one-out", "sleb", "finercut", "search"])
def test_a_budget_by_share_is_reached_and_not_by_a_block_more_than_needed(loaded, criterion, unit):
    level = "attn+mlp" if criterion != "sleb" else "layer"
    found = rank(
        loaded, WINDOWS, known(criterion)().with_options(seconds=20), level=level, budget=f"30% {unit}"
    )

    def share(blocks) -> float:
        gone = loaded.anatomy.parameters(PruneSet(blocks)).values()
        return sum(weight.numel() for weight in gone) / loaded.parameters

    assert share(found.drop) >= 0.3
    blocks = [block for block in found.order if block in found.drop]
    smallest = min(share([block]) for block in blocks)
    largest = max(share([block]) for block in blocks)
    assert share(found.drop) - (largest if criterion != "search" else smallest) < 0.3


def test_a_budget_by_bytes_and_by_time(loaded):
    layer = loaded.model.model.layers[0]
    size = sum(weight.numel() * 4 for weight in layer.parameters())
    found = rank(loaded, WINDOWS, "last", level="layer", budget=f"{1.5 * size / 1e3}kB")
    assert names(found.drop) == ["layer.4", "layer.5"]
    by_time = rank(loaded, WINDOWS, "last", level="layer", budget="40% latency")
    assert 1 <= len(by_time.drop) < LAYERS


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_budget_of_nothing_drops_nothing(loaded, criterion):
    found = rank(loaded, WINDOWS, known(criterion)().with_options(seconds=1), budget=0)
    assert not found.drop


@pytest.mark.parametrize("criterion", CRITERIA)
def test_budgets_that_leave_nothing_or_cannot_be_reached(loaded, criterion):
    levels = CRITERIA[criterion].levels
    level = "layer" if "layer" in levels else levels[0]
    with pytest.raises(BlockError, match="drops all 6 layers"):
        rank(
            loaded, WINDOWS, known(criterion)().with_options(seconds=1), level=level, budget=6, protect=(0, 0)
        )
    with pytest.raises(OptionError, match=r"cannot be reached: the 6 blocks|budget of 7"):
        rank(
            loaded, WINDOWS, known(criterion)().with_options(seconds=1), level=level, budget=7, protect=(0, 0)
        )
    with pytest.raises(OptionError, match="the 0 blocks that may be dropped"):
        rank(
            loaded, WINDOWS, known(criterion)().with_options(seconds=1), level=level, budget=1, protect=(6, 0)
        )


def test_names_that_do_not_exist(loaded):
    with pytest.raises(OptionError, match="'magic' is not a criterion: choose from entrodrop"):
        rank(loaded, WINDOWS, "magic")
    with pytest.raises(BlockError, match="'heads' is not a level"):
        rank(loaded, WINDOWS, "cosine", level="heads")
    with pytest.raises(OptionError, match="angular-distance works at level layer, not attn"):
        rank(loaded, WINDOWS, "angular-distance", level="attn")
    with pytest.raises(OptionError, match="cannot be negative"):
        rank(loaded, WINDOWS, "cosine", protect=(-1, 0))
    with pytest.raises(OptionError, match="Stage 3"):
        rank(loaded, WINDOWS, "entrodrop", estimator="bucket", stage=3)
