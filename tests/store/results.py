"""A small result of every kind that is stored."""

import dataclasses

import numpy as np
import pandas as pd

from entviz.analysis import Analysis
from entviz.blocks import Block, PruneSet
from entviz.comparison.damages.block_damages import BlockDamages
from entviz.comparison.damages.token_damages import TokenDamages, TokenLosses
from entviz.comparison.grid.cell import GridCell
from entviz.comparison.grid.result import Comparison
from entviz.comparison.interactions.interactions import Interactions
from entviz.comparison.pair.pair import Angles, Contrast
from entviz.comparison.trust.trust import Trust
from entviz.criteria.ranking import Ranking
from entviz.evaluation.generation import Generation
from entviz.evaluation.loss import Evaluation
from entviz.evaluation.many import PruneSetCost
from entviz.evaluation.repaired import RepairedEvaluation
from entviz.evaluation.tasks import TaskResult
from entviz.store import Run


def an_evaluation(windows=3, length=16, seed=0):
    random = np.random.default_rng(seed)
    shape = (windows, length - 1)
    return Evaluation(
        drop=PruneSet.parse("attn.5,layer.7"),
        token_ids=random.integers(0, 50_000, (windows, length)),
        token_nll=random.exponential(3.0, shape),
        dense_token_nll=random.exponential(2.0, shape),
        token_kl=random.exponential(0.1, shape),
        agrees=random.random(shape) < 0.8,
        windows_total=windows,
        parameters_dense=134_515_008,
        parameters_pruned=130_000_000,
        bytes_dense=538_060_032,
        bytes_pruned=520_000_000,
        dtype="float32",
    )


def an_analysis():
    sites = pd.DataFrame(
        [
            ("embed", "embed", 0.0, "knn", -1.5, (-1.0, -2.0)),
            ("attn.0", "attn", 0.5, "knn", 2.25, (2.0, 2.5)),
            ("layer.0", "layer", 1.0, "knn", float("nan"), (3.0, float("nan"))),
        ],
        columns=["site", "kind", "depth", "metric", "value", "per_window"],
    )
    blocks = pd.DataFrame(
        [
            ("attn.0", "attn", 0, "cosine", 0.25, (0.25, 0.25)),
            ("mlp.0", "mlp", 0, "cosine", 0.5, (0.25, 0.75)),
        ],
        columns=["block", "kind", "index", "metric", "value", "per_window"],
    )
    return Analysis("smollm2-135m", 30, 2, 128, sites, blocks, 1.25)


def a_generation():
    return Generation(
        [1, 2, 3], 2, "Once upon ☃ 'quoted'\n", PruneSet(), 0.5, 0.25, (), ((0.5, 0.25), (0.125, 0.75))
    )


def a_ranking():
    scores = pd.DataFrame(
        {
            "block": ["attn.0", "attn.1"],
            "kind": ["attn", "attn"],
            "index": [0, 1],
            "score": [0.5, -0.25],
            "protected": [True, False],
        }
    )
    order = (Block("attn", 1), Block("attn", 0))
    return Ranking("entrodrop", order, PruneSet(order[:1]), scores)


def a_comparison():
    rows = pd.DataFrame(
        {
            "name": ["cosine", "random"],
            "budget": ["4", "4"],
            "drop": ["attn.5", "attn.6"],
            "nll": [3.5, float("nan")],
            "window_nll": [(3.0, 4.0), (2.0, 5.0)],
            "nll_cosines": [(0.5, -0.25), (0.125, 1.0)],
        }
    )
    return Comparison(
        *("smollm2-135m", 30, 2, 2, 64, False, ("4", "20%"), "", 0, "float32"),
        dense=rows.head(1),
        rows=rows,
        notes=("One was left out.",),
        rows_total=4,
        seconds=1.5,
    )


def a_cell():
    two, none = np.array([2.5, 3.5]), np.empty(0)
    return GridCell(PruneSet.parse("attn.5"), two, two / 9, two / 4, 10**9, none, none, two > 3, two > 2)


def a_score():
    likelihoods = np.array([[-1.5, -2.5], [-3.5, np.nan]])
    drop, items = PruneSet.parse("mlp.2"), np.arange(2)
    return TaskResult("words", drop, "float32", items, items, likelihoods, np.array([[1, 2], [3, 0]]), 4)


def a_repaired_evaluation():
    plain = an_evaluation()
    own = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    fits = pd.DataFrame(
        [("attn.5", "mlp.4", 1536, 0.01, 0.5), ("layer.7", "", 0, float("inf"), 1.0)],
        columns=["site", "block", "inputs", "ridge", "left 1"],
    )
    losses = {"plain_token_nll": plain.token_nll + 1, "plain_token_kl": plain.token_kl + 1}
    return RepairedEvaluation(**own | {"repair": "refit"}, **losses, calibration_tokens=8192, fits=fits)


def a_contrast():
    blocks = pd.DataFrame({"block": ["attn.1", "mlp.2"], "cost_a": [0.5, float("nan")]})
    return Contrast(PruneSet.parse("attn.1"), PruneSet.parse("mlp.2"), 3.25, 3.5, blocks)


def a_trust():
    damage = pd.DataFrame({"block": ["attn.0"], "inner": [False], "loss_per_window": [(0.5, -0.5)]})
    scores = pd.DataFrame({"criterion": ["knn"], "block": ["attn.0"], "score": [0.25]})
    return Trust("smollm2-135m", "attn", 2, 64, damage, scores, scores, scores)


def some_interactions():
    alone, together = np.ones((2, 3)), np.full((2, 2, 3), np.nan)
    return Interactions("m", "attn", 3, 64, ("attn.0", "attn.1"), alone, alone / 3, together, together)


def block_damages():
    row = ("attn.0", "attn", 0, 0.5, 0.25, float("inf"), float("nan"))
    columns = ["block", "kind", "index", "loss", "loss_reach", "kl", "kl_reach"]
    table = pd.DataFrame([row], columns=columns)
    return BlockDamages("m", PruneSet.parse("mlp.3"), 3.5, 0.5, table, 2, 4, 64, "bfloat16", ("A note.",))


def token_damages():
    ids, losses = np.arange(6).reshape(2, 3), np.ones((2, 2))
    costs = np.full((2, 2, 2), np.nan)
    return TokenDamages(
        *("m", PruneSet.parse("attn.1,mlp.3"), ("attn.1", "mlp.3")),
        ids,
        losses,
        costs,
        ("mlp.3",),
        "bfloat16",
    )


EXAMPLES = {
    "analysis": an_analysis,
    "angles": lambda: Angles(pd.DataFrame({"start": [0, 1], "size": [1, 1], "distance": [0.5, 0.25]})),
    "block cost": lambda: PruneSetCost(PruneSet.parse("mlp.1"), np.ones((2, 3)), np.ones((2, 3)), np.ones(2)),
    "block damages": block_damages,
    "cell": a_cell,
    "choice": a_ranking,
    "comparison": a_comparison,
    "contrast": a_contrast,
    "evaluation": an_evaluation,
    "generation": a_generation,
    "measurement": lambda: dataclasses.replace(an_analysis(), drop=PruneSet.parse("mlp.3")),
    "interactions": some_interactions,
    "pruned analysis": lambda: dataclasses.replace(an_analysis(), drop=PruneSet.parse("attn.1,layer.2")),
    "ranking": a_ranking,
    "repaired evaluation": a_repaired_evaluation,
    "score": a_score,
    "token damages": token_damages,
    "token losses": lambda: TokenLosses(PruneSet.parse("mlp.1"), np.ones((2, 3))),
    "trust": a_trust,
}


def assert_same(one, other):
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert type(a) is type(b), field.name
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        elif isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b)
        else:
            assert a == b, field.name


def put(store, key, result=None, kind="evaluation", text=None, **about):
    result = result if result is not None else an_evaluation()
    store.put(key, Run(kind, "smollm2-135m", **about), result, text=text)
