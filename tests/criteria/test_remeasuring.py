"""Measuring again after each drop, against a loop over copies that are really pruned, and its place among criteria."""

from functools import cache

import pytest
import torch
from torch import nn

from entviz.analysis.values import Values
from entviz.blocks import Block, PruneSet, all_blocks, sites_of
from entviz.criteria import CRITERIA, ByAnalysis, rank, rank_by_analysis
from entviz.criteria.ranking import kinds_of
from entviz.errors import BlockError, Cancelled, OptionError
from entviz.estimators import estimator
from entviz.models import LoadedModel
from entviz.models.loaded import fingerprint
from entviz.text.windows import windows_from_token_ids
from tests.altered import PARTS, read_sites_without
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

LAYERS = 6
IDS = torch.randint(3, VOCABULARY_SIZE, (2, 40), generator=torch.Generator().manual_seed(7))
WINDOWS = windows_from_token_ids(IDS.tolist(), VOCABULARY_SIZE)
NEAR = {"bucket": 0.2, "cosine": 1e-5}  # a state that differs in its last digit may fall into another bucket


@cache
def tiny(architecture: str = "llama") -> LoadedModel:
    """Some layers of it do much and some little, so that what is dropped changes which is the lowest."""
    model = build(architecture, LAYERS)
    layers = model.get_submodule(PARTS[model.config.model_type].layers)
    with torch.no_grad():
        for layer, factor in zip(layers, (1.0, 0.7, 1.6, 0.8, 1.5, 0.6), strict=True):
            for weight in layer.parameters():
                weight *= factor if weight.dim() > 1 else 1.0
    return LoadedModel.of(model)


def score(metric: str, before: torch.Tensor, after: torch.Tensor) -> float:
    if metric == "cosine":
        return 1 - nn.functional.cosine_similarity(before, after, dim=-1).mean().item()
    return (estimator(metric)(after) - estimator(metric)(before)).mean().item()


def by_hand(model, metric: str, level: str, drop: PruneSet) -> dict[Block, float]:
    """The score of every block of a level that is not dropped, in a copy that is really pruned."""
    sites = read_sites_without(model, drop, IDS)
    blocks = [block for block in all_blocks(LAYERS, kinds_of(level)) if block not in drop]
    return {block: score(metric, *(sites[site] for site in sites_of(block))) for block in blocks}


CASES = [
    *(
        ("entrodrop", name, level)
        for name in ("bucket", "knn", "renyi")
        for level in ("attn", "mlp", "layer")
    ),
    ("entrodrop", "knn", "attn+mlp"),
    *(("cosine", "cosine", level) for level in ("attn", "mlp", "attn+mlp")),
    ("block-influence", "cosine", "layer"),
]


@pytest.mark.parametrize(("criterion", "metric", "level"), CASES)
@pytest.mark.parametrize("architecture", OPTIONS)
def test_it_drops_what_is_the_lowest_in_a_really_pruned_copy(architecture, criterion, metric, level):
    loaded = tiny(architecture)
    before = fingerprint(loaded.model)
    options = {} if metric == "cosine" else {"estimator": metric}
    found = rank(loaded, WINDOWS, criterion, level=level, budget=3, protect=(1, 0), iterative=True, **options)
    measured = found.scores.set_index("block")["score"]
    near = NEAR.get(metric, 1e-3)
    for place, block in enumerate(found.order[:3]):
        scores = by_hand(loaded.model, metric, level, PruneSet(found.order[:place]))
        free = [score for other, score in scores.items() if other.index >= 1]
        assert measured[str(block)] == pytest.approx(scores[block], rel=1e-4, abs=near)
        assert scores[block] <= min(free) + 2 * near, "another block was lower"
    assert found.drop == PruneSet(found.order[:3])
    assert fingerprint(loaded.model) == before


def test_it_does_not_choose_as_a_single_measurement_does():
    """Otherwise the tests above would say little."""
    different = 0
    for architecture in OPTIONS:
        for criterion, metric, level in CASES[:9:2]:
            asked = {"level": level, "budget": 3, "protect": (1, 0)}
            asked |= {} if metric == "cosine" else {"estimator": metric}
            once = rank(tiny(architecture), WINDOWS, criterion, **asked)
            again = rank(tiny(architecture), WINDOWS, criterion, iterative=True, **asked)
            different += once.order[:3] != again.order[:3]
    assert different >= 5


@pytest.mark.parametrize(
    "criterion", [name for name, kind in CRITERIA.items() if issubclass(kind, ByAnalysis)]
)
def test_the_first_to_go_is_that_of_a_single_measurement(criterion):
    once = rank(tiny(), WINDOWS, criterion, budget=1)
    again = rank(tiny(), WINDOWS, criterion, budget=1, iterative=True)
    assert (again.order, again.drop) == (once.order, once.drop)
    assert again.scores.equals(once.scores)
    assert rank(tiny(), WINDOWS, criterion, iterative=True).order == once.order, "nothing was dropped yet"


def test_an_order_serves_smaller_budgets_and_holds_every_block():
    four = rank(tiny(), WINDOWS, "cosine", budget=4, iterative=True)
    for budget in (1, 2, 3):
        found = rank(tiny(), WINDOWS, "cosine", budget=budget, iterative=True)
        assert found.order[:budget] == four.order[:budget]
    assert sorted(four.order) == all_blocks(LAYERS, ["attn"])
    last = rank(tiny(), WINDOWS, "cosine", budget=3, iterative=True)
    rest = four.scores.set_index("block")["score"][[str(block) for block in four.order[4:]]]
    assert list(rest) == sorted(rest)
    assert last.scores["score"].notna().all()
    assert any("at which it was dropped" in note for note in four.notes)


def test_a_step_runs_only_the_layers_from_the_last_drop_on(monkeypatch):
    loaded = LoadedModel.of(build("llama", LAYERS))
    analyses = []
    real = Values.site
    monkeypatch.setattr(
        Values,
        "site",
        lambda self, ids, site, states: (analyses.append(site), real(self, ids, site, states)),
    )
    found = rank(
        loaded,
        WINDOWS,
        "entrodrop",
        estimator="bucket",
        level="layer",
        budget=2,
        protect=(0, 0),
        iterative=True,
    )
    dense = 1 + 2 * LAYERS
    first = found.order[0].index
    assert analyses[dense:] == [f"layer.{i}" for i in range(first + 1, LAYERS)]


def test_protected_layers_and_stages_stay_as_the_dense_model_has_them():
    found = rank(tiny(), WINDOWS, "entrodrop", estimator="bucket", budget=2, protect=(1, 2), iterative=True)
    assert {block.index for block in found.order} == {1, 2, 3}
    assert found.scores.set_index("index")["protected"].tolist() == [True, False, False, False, True, True]
    once = rank(tiny(), WINDOWS, "entrodrop", estimator="bucket", level="mlp", protect=(0, 0), stage=2)
    again = rank(
        tiny(),
        WINDOWS,
        "entrodrop",
        estimator="bucket",
        level="mlp",
        protect=(0, 0),
        stage=2,
        budget=2,
        iterative=True,
    )
    assert sorted(again.order) == sorted(once.order)
    assert again.scores["protected"].equals(once.scores["protected"])


def test_a_budget_by_share_is_reached_and_not_by_a_block_more_than_needed():
    loaded = tiny()
    found = rank(loaded, WINDOWS, "cosine", level="attn+mlp", budget="30%", iterative=True)

    def share(blocks) -> float:
        gone = loaded.anatomy.parameters(PruneSet(blocks)).values()
        return sum(weight.numel() for weight in gone) / loaded.parameters

    dropped = [block for block in found.order if block in found.drop]
    assert share(dropped) >= 0.3 > share(dropped[:-1])
    assert list(found.order[: len(dropped)]) == dropped


def test_what_cannot_be_reached_is_said_before_anything_is_measured_again(monkeypatch):
    for budget, error in ((7, OptionError), (6, BlockError)):
        with pytest.raises(error):
            rank(tiny(), WINDOWS, "block-influence", budget=budget, iterative=True)


def test_it_can_be_stopped_after_each_drop_and_says_how_far_it_is():
    reports = []

    def progress(done, total, partial=None):
        assert 0 <= done <= total
        reports.append(done / total)

    rank(tiny(), WINDOWS, "cosine", budget=4, iterative=True, progress=progress)
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    for stop_at in range(len(reports)):
        seen = []

        def stop(done, total, partial=None, seen=seen, stop_at=stop_at):
            seen.append(done)
            if len(seen) > stop_at:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            rank(tiny(), WINDOWS, "cosine", budget=4, iterative=True, progress=stop)


class Kept:
    """Keeps analyses by their prune sets."""

    def __init__(self):
        self.parts = {}

    def get(self, kind, tokens, options):
        return self.parts.get((kind, tokens, *sorted(options.items())))

    def put(self, kind, tokens, options, part):
        self.parts[kind, tokens, *sorted(options.items())] = part


def test_one_that_was_stopped_resumes_and_a_larger_budget_goes_on(monkeypatch):
    import entviz.analysis

    asked, kept, ran = (
        {"level": "mlp", "estimator": "bucket", "protect": (0, 0), "iterative": True},
        Kept(),
        [],
    )
    real = entviz.analysis.analyze

    def watched(*given, drop=None, **more):
        if drop is not None:
            ran.append(str(drop))
            if len(ran) > stop_after:
                raise Cancelled("stop")
        return real(*given, drop=drop, **more)

    monkeypatch.setattr(entviz.analysis, "analyze", watched)
    stop_after = 2
    with pytest.raises(Cancelled):
        rank(tiny(), WINDOWS, "entrodrop", budget=4, kept=kept, **asked)
    assert len(kept.parts) == 2
    ran.clear()
    stop_after = 99
    four = rank(tiny(), WINDOWS, "entrodrop", budget=4, kept=kept, **asked)
    assert len(ran) == 1
    ran.clear()
    five = rank(tiny(), WINDOWS, "entrodrop", budget=5, kept=kept, **asked)
    assert [len(PruneSet.parse(drop)) for drop in ran] == [4]
    assert five.order[:4] == four.order[:4]
    alone = rank(tiny(), WINDOWS, "entrodrop", budget=5, **asked)
    assert five.to_json() == alone.to_json()
    other = rank(tiny(), WINDOWS, "entrodrop", budget=2, kept=kept, **(asked | {"estimator": "renyi"}))
    assert (
        other.to_json()
        == rank(tiny(), WINDOWS, "entrodrop", budget=2, **(asked | {"estimator": "renyi"})).to_json()
    )


def test_one_analysis_is_not_enough():
    from entviz.analysis import analyze

    analysis = analyze(tiny(), WINDOWS)
    with pytest.raises(OptionError, match="needs more than an analysis"):
        rank_by_analysis(analysis, "cosine", iterative=True)


def test_others_have_no_such_option():
    with pytest.raises(OptionError, match="random has no option 'iterative': it is for entrodrop and cosine"):
        rank(tiny(), WINDOWS, "random", iterative=True)
