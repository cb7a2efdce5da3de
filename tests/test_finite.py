"""Numbers that are not finite are found wherever they arise, and their cause is named."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from entviz.analysis import analyze
from entviz.blocks import Block, PruneSet, all_blocks
from entviz.comparison.damages.block_damages import block_damages
from entviz.comparison.damages.token_damages import token_damages
from entviz.comparison.grid.grid import compare
from entviz.comparison.interactions.interactions import interactions
from entviz.comparison.pair.pair import contrast
from entviz.comparison.trust.trust import trust
from entviz.criteria import CRITERIA, rank
from entviz.criteria.angular import angular_distances
from entviz.criteria.cost_model import CostModel
from entviz.criteria.greedy import greedy
from entviz.criteria.leave_one_out import leave_one_out
from entviz.criteria.prune_set_search import search
from entviz.decoder.patches import Correction
from entviz.decoder.states import StateCache
from entviz.errors import ModelError, OptionError
from entviz.evaluation.generation import generate
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import evaluate_many
from entviz.evaluation.tasks import evaluate_task
from entviz.export import export
from entviz.models import load
from entviz.models.loaded import LoadedModel
from entviz.repair.repair import Repair
from entviz.tasks import Item, Task
from entviz.text.windows import Windows
from tests.comparison.windows import random_windows
from tests.models.files import tokenizer
from tests.tiny import build

WINDOWS = random_windows(2, seed=1)
TASK = Task("two items", (Item(("a", "a"), ("b", "c"), 0), Item(("d e", "d e"), ("f", "g"), 1)))
DOWN = "model.layers.2.mlp.down_proj.weight"


def made(edit, architecture="llama", **options):
    model = build(architecture, **options)
    with torch.no_grad():
        edit(model)
    return LoadedModel.of(model, tokenizer(), "tiny")


def put(name, value=torch.nan, place=0):
    def edit(model):
        model.get_parameter(name).view(-1)[place] = value

    return edit


def times(name, factor):
    return lambda model: model.get_parameter(name).mul_(factor)


def sentence(function, *arguments, **options):
    with pytest.raises(ModelError) as caught:
        function(*arguments, **options)
    return str(caught.value)


EVERYTHING = {
    "analyze": lambda loaded: analyze(loaded, WINDOWS),
    "analyze layers by cosine": lambda loaded: analyze(loaded, WINDOWS, ["cosine"], ["layer"]),
    "evaluate": lambda loaded: evaluate(loaded, WINDOWS, PruneSet()),
    "evaluate without a block": lambda loaded: evaluate(loaded, WINDOWS, PruneSet.parse("attn.1")),
    "evaluate many": lambda loaded: evaluate_many(loaded, WINDOWS, [PruneSet.parse("attn.1")], overflow=True),
    "generate": lambda loaded: generate(loaded, "a b", PruneSet(), max_new_tokens=3),
    "task": lambda loaded: evaluate_task(loaded, TASK, PruneSet()),
    "angular distance": lambda loaded: angular_distances(loaded, WINDOWS),
    "trust": lambda loaded: trust(loaded, WINDOWS, "layer"),
    "interactions": lambda loaded: interactions(loaded, WINDOWS),
    "damages by token": lambda loaded: token_damages(loaded, WINDOWS, PruneSet.parse("attn.1")),
    "damages": lambda loaded: block_damages(loaded, WINDOWS, PruneSet.parse("attn.1")),
    "two sets": lambda loaded: contrast(loaded, WINDOWS, PruneSet.parse("attn.1"), PruneSet.parse("attn.2")),
    "compare": lambda loaded: compare(loaded, WINDOWS, WINDOWS, ["cosine", "random"], ["1"]),
    **{
        criterion: partial(
            lambda name, loaded: rank(loaded, WINDOWS, CRITERIA[name]().with_options(seconds=1), budget=1),
            criterion,
        )
        for criterion in (
            *("entrodrop", "cosine", "block-influence", "angular-distance"),
            *("leave-one-out", "sleb", "finercut", "search"),
        )
    },
}


@pytest.mark.parametrize("what", EVERYTHING)
def test_one_weight_that_is_not_a_number(what):
    said = sentence(EVERYTHING[what], made(put(DOWN)))
    assert "tiny has weights that are not finite" in said
    assert f"1 value of {DOWN} is" in said


# What runs in the weights' own type; the others evaluate in float32 unless told otherwise.
AS_LOADED = ("analyze", "generate", "angular distance", "trust", "entrodrop", "search")


@pytest.mark.parametrize("what", AS_LOADED)
def test_hidden_states_that_overflow(what):
    said = sentence(EVERYTHING[what], made(times(DOWN, 3e4)).in_dtype("float16"))
    assert said == (
        "tiny overflows in float16: its numbers are not finite from the MLP of layer 2 on. Use float32 or bfloat16, in "
        "which they are finite."
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",  # the layer that the model is taken apart by
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.3.input_layernorm.weight",
        "model.layers.3.self_attn.o_proj.weight",
        "model.norm.weight",
        "lm_head.weight",
    ],
)
def test_every_kind_of_place(name, value):
    width = 32
    # A row of a token that the windows have, for the embedding.
    place = int(WINDOWS.token_ids[0, 5]) * width + 3
    loaded = made(put(name, value, place % build("llama").get_parameter(name).numel()))
    said = sentence(evaluate, loaded, WINDOWS, PruneSet.parse("attn.1"))
    assert f"1 value of {name} is NaN or infinite" in said


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3_text", "gpt_neox", "gemma2", "mixtral"])
def test_other_architectures(architecture):
    model = build(architecture)
    name = [name for name, weight in model.named_parameters() if weight.ndim == 2][-3]
    loaded = made(lambda model: model.get_parameter(name).fill_(torch.nan), architecture)
    for what in ("analyze", "evaluate", "generate"):
        assert f"of {name} are NaN" in sentence(EVERYTHING[what], loaded)


def test_an_embedding_that_no_token_of_the_text_has_does_no_harm():
    used = set(WINDOWS.token_ids.flatten().tolist()) | {(37 * i + 11) % 101 for i in range(7)}
    free = min(set(range(101)) - used)
    right, wrong = made(lambda model: None), made(put("model.embed_tokens.weight", place=32 * free))
    drop = PruneSet.parse("mlp.1")
    assert evaluate(wrong, WINDOWS, drop).nll == evaluate(right, WINDOWS, drop).nll
    # Every logit is a part of every prediction, so where the unembedding is the same matrix none is a number.
    tied = made(put("model.embed_tokens.weight", place=32 * free), tie_word_embeddings=True)
    assert "32" not in sentence(evaluate, tied, WINDOWS, drop)


def test_a_block_that_is_dropped_may_hold_what_it_likes_but_dense_is_measured_too():
    loaded = made(put(DOWN))
    assert "not finite" in sentence(evaluate, loaded, WINDOWS, PruneSet.parse("mlp.2"))
    # A continuation asks nothing of the dense model.
    whole = made(lambda model: None)
    drop = PruneSet.parse("mlp.2")
    assert generate(loaded, "a b", drop).token_ids == generate(whole, "a b", drop).token_ids


def test_several_tensors_are_counted():
    def edit(model):
        put(DOWN)(model)
        model.lm_head.weight[:2] = torch.inf

    assert f"1 value of {DOWN} and 64 of another tensor are" in sentence(EVERYTHING["evaluate"], made(edit))


def test_nothing_that_is_not_finite_gets_into_the_cache():
    cache = StateCache(10**9)
    loaded = made(put(DOWN))
    for _ in range(2):
        with pytest.raises(ModelError):
            evaluate(loaded, WINDOWS, PruneSet.parse("attn.1"), cache=cache)


def test_what_was_measured_before_stays_a_partial_result():
    """The second window has the token whose embedding is not a number."""
    ids = WINDOWS.token_ids.clone()
    bad = 100
    ids[ids == bad] = 99
    ids[1, 7] = bad
    loaded = made(put("model.embed_tokens.weight", place=32 * bad))
    seen = []
    windows = Windows(ids)
    with pytest.raises(ModelError, match="not finite"):
        evaluate(loaded, windows, PruneSet(), progress=lambda done, total, partial=None: seen.append(partial))
    partial = [each for each in seen if each is not None]
    assert [each.windows for each in partial] == [1]
    assert np.isfinite(partial[0].token_nll).all()


# --- number types --------------------------------------------------------------------------------------------------


def test_weights_beyond_a_type_are_not_blamed_on_the_file():
    loaded = made(times(DOWN, 1e6))
    said = sentence(evaluate, loaded, WINDOWS, PruneSet(), dtype="float16")
    assert "tiny overflows in float16" in said
    assert f"of {DOWN} are infinite in it. Use float32 or bfloat16" in said
    assert math.isfinite(evaluate(loaded, WINDOWS, PruneSet(), dtype="bfloat16").nll)


def test_weights_beyond_the_type_that_a_file_is_read_in(tmp_path):
    """The files are read once more, as nothing else tells an infinite weight from a large one."""
    model = build("llama")
    with torch.no_grad():
        times(DOWN, 1e6)(model)
    model.save_pretrained(tmp_path / "large")
    with torch.no_grad():
        put(DOWN, torch.inf)(model)
    model.save_pretrained(tmp_path / "infinite")
    large, infinite = (load(str(tmp_path / name), dtype="float16") for name in ("large", "infinite"))
    for what in ("analyze", "leave-one-out"):  # the latter on a copy in float32
        assert "Use float32 or bfloat16, in which they are finite." in sentence(EVERYTHING[what], large)
    said = sentence(EVERYTHING["analyze"], infinite)
    assert f"infinite has weights that are not finite: 1 value of {DOWN} is NaN or infinite" in said


def test_hidden_states_beyond_float32():
    said = sentence(EVERYTHING["analyze"], made(times(DOWN, 1e38)))
    assert "tiny overflows in float32: its numbers are not finite from the MLP of layer 2 on." in said
    assert "all its weights are finite" in said


def test_an_overflow_in_the_attention_of_a_parallel_layer():
    def edit(model):
        for layer in (1, 2):  # one after the other leaves the range
            model.gpt_neox.layers[layer].attention.dense.bias[3] = 40_000

    loaded = made(edit, "gpt_neox").in_dtype("float16")
    assert "not finite from the attention of layer 2 on" in sentence(EVERYTHING["analyze"], loaded)


def test_logits_that_overflow():
    loaded = made(times("lm_head.weight", 6e4)).in_dtype("float16")
    assert "the logits on. Use float32 or bfloat16" in sentence(EVERYTHING["generate"], loaded)


def test_an_estimator_that_cannot_hold_finite_states():
    with pytest.raises(
        OptionError, match=r"'knn' is not a finite number at layer\.2, where hidden states reach"
    ):
        analyze(made(times(DOWN, 1e25)), WINDOWS, ["knn"])


# --- one that overflows among others that do not -------------------------------------------------------------------


@pytest.fixture(scope="module")
def delicate():
    """The MLPs of its layers 1 to 4 add 40,000 to one dimension and take it back, in turn.

    float16 holds 65,504, so it overflows without the MLP of layer 2, and nowhere else.
    """

    def edit(model):
        for layer, added in enumerate((0, 40_000, -40_000, 40_000, -40_000)):
            model.model.layers[layer].mlp.down_proj.bias[3] = added

    return made(edit, layers=5, mlp_bias=True)


MLPS = all_blocks(5, ["mlp"])
OVERFLOWS = "tiny without mlp.2 overflows in float16: its numbers are not finite from the MLP of layer 3 on."


def test_a_repair_that_overflows_is_named():
    """A constant that float16 can hold, and whose sum with the stream it cannot."""
    loaded, drop = made(lambda model: None).in_dtype("float16"), PruneSet.parse("attn.1")
    shift = Correction("attn.1", bias=torch.full((32,), 65504.0))
    double = Correction("layer.2", scale=1000.0)
    repair = Repair("prune-comp", drop, (shift, double))
    assert math.isfinite(evaluate(loaded, WINDOWS, drop, dtype="float16").nll)
    for ask in (
        lambda: evaluate(loaded, WINDOWS, drop, dtype="float16", repair=repair),
        lambda: analyze(loaded, WINDOWS, ("knn(k=2)",), drop=drop, repair=repair),
        lambda: generate(loaded, "a b c", drop, repair=repair),
        lambda: evaluate_task(loaded, TASK, drop, dtype="float16", repair=repair),
    ):
        with pytest.raises(
            ModelError, match=r"without attn\.1, repaired by prune-comp, overflows in float16"
        ):
            ask()


def test_a_prune_set_that_overflows_is_named(delicate):
    drop = PruneSet.parse("mlp.2")
    said = sentence(evaluate, delicate, WINDOWS, drop, dtype="float16")
    assert said == f"{OVERFLOWS} Use float32 or bfloat16, in which they are finite."
    assert sentence(evaluate_many, delicate, WINDOWS, [PruneSet(), drop], dtype="float16") == said
    assert sentence(generate, delicate.in_dtype("float16"), "a b", drop) == said
    assert (
        sentence(evaluate_task, delicate, TASK, drop, dtype="float16") == f"Item 0 cannot be scored. {said}"
    )
    assert math.isfinite(evaluate(delicate, WINDOWS, drop, dtype="bfloat16").kl)


def test_numbers_of_others_are_not_touched_by_it(delicate):
    sets = [PruneSet(), PruneSet.parse("mlp.2"), PruneSet.parse("mlp.4")]
    costs = evaluate_many(delicate, WINDOWS, sets, dtype="float16", overflow=True)
    assert (costs[1].nll, costs[1].kl, costs[1].top1_agreement) == (math.inf, math.inf, 0)
    for cost in (costs[0], costs[2]):
        alone = evaluate(delicate, WINDOWS, cost.drop, dtype="float16")
        assert cost.nll == pytest.approx(alone.nll, abs=1e-3)


def test_leave_one_out_ranks_it_last_and_says_why(delicate):
    half = delicate.in_dtype("float16")
    ranking = rank(half, WINDOWS, "leave-one-out", level="mlp", budget=1, dtype="float16")
    assert ranking.order[-1] == Block("mlp", 2)
    assert ranking.overflowing == ["mlp.2"]
    plain = ranking.to_json()
    assert plain["scores"]["mlp.2"] is None
    assert plain["overflowing"] == ["mlp.2"]
    assert all(math.isfinite(plain["scores"][f"mlp.{i}"]) for i in (0, 1, 3, 4))


def test_greedy_and_search_choose_another(delicate):
    cost_model = CostModel(delicate, WINDOWS, dtype="float16")
    order, costs = greedy(cost_model, MLPS, 2)
    assert order[0] != Block("mlp", 2)
    assert np.isfinite(costs).all()
    seeds = [PruneSet.parse("mlp.2")]  # the worst there is to start from
    found = search(cost_model, MLPS, lambda drop: len(drop.mlp) >= 1, seeds=seeds, seconds=60)
    best = min((block for block in MLPS if block.index != 2), key=lambda block: _alone(cost_model, block))
    assert found.drop == PruneSet([best])
    assert found.cost == pytest.approx(_alone(cost_model, best))


def _alone(cost_model, block):
    return float(cost_model.costs([PruneSet([block])], cost_model.window_count).mean())


@pytest.mark.parametrize(
    "method",
    [
        lambda cost_model, blocks: leave_one_out(cost_model, blocks),
        lambda cost_model, blocks: greedy(cost_model, blocks, 1),
        lambda cost_model, blocks: search(cost_model, blocks, lambda drop: bool(drop), seconds=1),
    ],
)
def test_where_every_choice_overflows_there_is_no_result(delicate, method):
    cost_model = CostModel(delicate, WINDOWS, dtype="float16")
    assert OVERFLOWS in sentence(method, cost_model, [Block("mlp", 2)])


def test_a_comparison_leaves_it_out_with_a_note(delicate):
    names, seeds = ["random", "leave-one-out", "last"], 8
    found = compare(
        delicate,
        WINDOWS,
        random_windows(3, seed=2),
        names,
        ["1"],
        levels=["mlp"],
        seeds=seeds,
        dtype="float16",
    )
    drawn = [
        str(rank(delicate, WINDOWS, "random", level="mlp", budget=1, seed=seed).drop) for seed in range(seeds)
    ]
    out = drawn.count("mlp.2")
    assert 0 < out < seeds
    assert list(found.rows.loc[found.rows["criterion"] == "random", "drop"]) == [
        name for name in drawn if name != "mlp.2"
    ]
    assert len(found.rows) == seeds - out + 2
    assert found.finished
    assert np.isfinite(found.rows["nll"]).all()
    (note,) = found.notes
    assert note.startswith("Random has no row for a budget of 1 at level mlp. " + OVERFLOWS)


def test_an_export_that_cannot_be_checked_leaves_nothing(tmp_path):
    loaded = made(put(DOWN))
    said = sentence(export, loaded, PruneSet.parse("layer.3"), "hf", tmp_path / "out")
    assert "not finite" in said
    assert not (tmp_path / "out").exists()
