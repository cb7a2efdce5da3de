"""Which criterion to trust on a model and a text: each criterion's scores against the measured damage of each block.

    found = trust(loaded, windows, level="attn")
    found.correlations          # rank correlation of each criterion with the measured damage, with an interval
    found.differences           # the difference between every two criteria, on the same resamples

The damage of a block is measured by dropping it alone. A criterion drops the block with the lowest score first, so a
good criterion has a rank correlation near 1 with the damage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from entviz.analysis import Analysis, analyze
from entviz.blocks import Block, PruneSet, all_blocks
from entviz.comparison.trust.rank_correlation import CONFIDENCE, interval, kendall, resample, spearman
from entviz.criteria import Cosine, EntroDrop
from entviz.criteria.angular import angular_distances
from entviz.criteria.ranking import kinds_of
from entviz.decoder.states import StateCache
from entviz.estimators import default_entropies, entropy_of
from entviz.evaluation.many import evaluate_many
from entviz.models.loaded import LoadedModel
from entviz.models.notes import noted, notes_on
from entviz.progress import Progress, part, silent
from entviz.records import records
from entviz.text.windows import Windows

DAMAGES = ("loss", "kl")
FEWEST_BLOCKS = 5  # with fewer, any order is likely by chance
RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Trust:
    """The result of :func:`trust`.

    Attributes:
        model: the name under which the model was loaded.
        level: layer, attn, mlp or attn+mlp.
        windows, window_length: the number of windows measured, and their length in tokens.
        damage: a row for each block, by depth. Columns: block, kind, index, inner (false for blocks of the first two
            layers and the last, which EntroDrop never drops), loss (the increase in nats a token if only this block is
            dropped; can be negative), kl (divergence from dense, nats), loss_per_window and kl_per_window (tuples).
        scores: a row for each criterion and block. Columns: criterion, block, score (the criterion drops blocks with
            low scores first), per_window. Criteria are the estimators (entropy increase, nats), cosine (importance),
            angular (distance in half turns; level layer only) and depth (minus the index of the block: a baseline that
            drops the last blocks first).
        correlations: a row for each scope (all blocks or inner), damage (loss or kl) and criterion. Columns: scope,
            damage, criterion, blocks (their number), spearman, low, high (95% interval), kendall (tau-b). NaN if there
            are too few blocks or all have the same score.
        differences: a row for each scope, damage and pair of criteria. Columns: scope, damage, first, second,
            difference (of the Spearman correlations), low, high (from the same resamples of both). The intervals have
            Bonferroni's correction: all intervals of one criterion hold at the same time in 95 of 100 cases, because
            readers of the table select the best criterion first.
        notes: sentences about how the text was read.
    """

    model: str
    level: str
    windows: int
    window_length: int
    damage: pd.DataFrame
    scores: pd.DataFrame
    correlations: pd.DataFrame
    differences: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def criteria(self) -> tuple[str, ...]:
        """The criteria's names, in the order of the tables."""
        return tuple(dict.fromkeys(self.scores["criterion"]))

    def to_json(self) -> dict[str, Any]:
        """Plain data, with None for NaN."""
        return {
            "model": self.model,
            "level": self.level,
            "windows": self.windows,
            "window_length": self.window_length,
            **noted(self.notes),
            "damage": records(self.damage),
            "scores": records(self.scores),
            "correlations": records(self.correlations),
            "differences": records(self.differences),
        }


def trust(
    loaded: LoadedModel,
    windows: Windows,
    level: str = "attn",
    *,
    estimators: Sequence[str] | None = None,
    analysis: Analysis | None = None,
    dtype: str = "float32",
    cache: StateCache | None = None,
    resamples: int = RESAMPLES,
    progress: Progress = silent,
) -> Trust:
    """Score every block of a level by each criterion, measure the damage of each, and correlate the two.

    The intervals cover two sources of chance, the text and the blocks. More text of the same kind would give other
    scores and other damage, and the order of thirty blocks can agree by chance. So blocks are drawn with replacement,
    and the means over the text get noise as large as their standard errors (:mod:`entviz.statistics`). The error of the
    damage is estimated from tokens; that of the scores, which exist only for whole windows, from windows. Without
    drawing blocks, the interval would only cover whether the same blocks come in the same order again. In simulations
    (``tests/comparison/test_rank_correlation.py``) the intervals held the true correlation in 91 to 97 of 100 cases (12
    to 60 blocks; 1 to 8 windows; noise of a window up to 0.6 of the spread between blocks). Limit: with one window,
    that much noise and 60 blocks it was 73 of 100, because noise lowers a rank correlation by more than the correction
    restores. A single window also does not show how scores vary. ``low`` and ``high`` are bias-corrected percentiles of
    ``resamples`` resamples. The resamples are the same for all criteria and for all calls.

    Args:
        level: layer, attn, mlp, or attn+mlp for both together.
        estimators: the entropies to judge EntroDrop with; by default the entropies that are measured by default.
        analysis: an analysis of the same model and windows, if there is one.
        dtype: the number type in which the pruned models run. The criteria measure the model as it was loaded.
        cache: hidden states to start from.

    Raises:
        BlockError: for an unknown level, or a model with a single block at that level.
        OptionError: for an unknown estimator, or windows that are too short for it.
    """
    blocks = all_blocks(loaded.layers, kinds_of(level))
    chosen = default_entropies() if estimators is None else estimators
    metrics = (*dict.fromkeys(entropy_of(spec).spec for spec in chosen), Cosine().metric)
    passes = len(blocks) / 2  # leaving out n blocks takes as long as n/2 passes; measuring takes one or two
    measured, bent = 2 / (passes + 3), 3 / (passes + 3)
    if analysis is None or not _holds(analysis, blocks, metrics):
        analysis = analyze(loaded, windows, metrics, kinds_of(level), progress=part(progress, 0, measured))
    scores = _scores_of(analysis, blocks, metrics)
    if level == "layer":
        scores["angular"] = _angular(loaded, windows, part(progress, measured, bent))
    place = np.array([2 * block.index + (block.kind == "mlp") for block in blocks], dtype=float)
    scores["depth"] = np.repeat(-place[:, None], len(windows), axis=1)
    costs = evaluate_many(
        loaded,
        windows,
        [PruneSet(), *(PruneSet([block]) for block in blocks)],
        dtype=dtype,
        cache=cache,
        progress=part(progress, bent, 1),
    )
    damage = {
        "loss": np.array([cost.nll_averages - costs[0].nll_averages for cost in costs[1:]]),
        "kl": np.array([cost.kl_averages for cost in costs[1:]]),
    }
    first, last = EntroDrop.protection
    inner = np.array([first <= block.index < loaded.layers - last for block in blocks])
    correlations, differences = _judged(scores, damage, inner, resamples)
    return Trust(
        model=loaded.name,
        level=level,
        windows=len(windows),
        window_length=windows.length,
        damage=_damage_table(blocks, inner, {name: averages[..., 0] for name, averages in damage.items()}),
        scores=pd.DataFrame(
            [
                (criterion, str(block), float(values.mean()), tuple(values.tolist()))
                for criterion, by_window in scores.items()
                for block, values in zip(blocks, by_window, strict=True)
            ],
            columns=["criterion", "block", "score", "per_window"],
        ),
        correlations=correlations,
        differences=differences,
        notes=notes_on(loaded, windows),
    )


def _judged(
    scores: Mapping[str, np.ndarray], damage: Mapping[str, np.ndarray], inner: np.ndarray, resamples: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of correlations and differences, from scores (blocks, windows) and damage (blocks, windows, 1 + K)."""
    correlations, differences = [], []
    for scope, chosen in (("all", np.ones_like(inner)), ("inner", inner)):
        count, (windows, averages) = int(chosen.sum()), next(iter(damage.values())).shape[1:]
        enough = count >= FEWEST_BLOCKS
        draw = resample(count, windows, resamples, averages=averages) if enough else None
        for name in DAMAGES:
            hurt = damage[name][chosen]
            found: dict[str, float] = {}
            drawn: dict[str, np.ndarray] = {}
            for criterion, by_window in scores.items():
                score = by_window[chosen]
                x, y = score.mean(axis=1), hurt[..., 0].mean(axis=1)
                found[criterion] = float(spearman(x, y)) if enough else float("nan")
                drawn[criterion] = spearman(draw.of(score[..., None]), draw.of(hurt)) if draw else np.empty(0)
                low, high = interval(found[criterion], drawn[criterion])
                tau = kendall(x, y) if enough else float("nan")
                correlations.append((scope, name, criterion, count, found[criterion], low, high, tau))
            strict = 1 - (1 - CONFIDENCE) / max(1, len(scores) - 1)
            for a, b in combinations(scores, 2):
                gap = found[a] - found[b]
                differences.append((scope, name, a, b, gap, *interval(gap, drawn[a] - drawn[b], strict)))
    return (
        pd.DataFrame(
            correlations,
            columns=["scope", "damage", "criterion", "blocks", "spearman", "low", "high", "kendall"],
        ),
        pd.DataFrame(
            differences, columns=["scope", "damage", "first", "second", "difference", "low", "high"]
        ),
    )


def _holds(analysis: Analysis, blocks: Sequence[Block], metrics: Sequence[str]) -> bool:
    return set(metrics) <= set(analysis.metrics) and set(map(str, blocks)) <= set(analysis.blocks["block"])


def _scores_of(analysis: Analysis, blocks: Sequence[Block], metrics: Sequence[str]) -> dict[str, np.ndarray]:
    found = {}
    for metric in metrics:
        rows = analysis.blocks[analysis.blocks["metric"] == metric].set_index("block")
        found[metric] = np.array([rows.at[str(block), "per_window"] for block in blocks])
    return found


def _angular(loaded: LoadedModel, windows: Windows, progress: Progress) -> np.ndarray:
    """Angular distance between the input and the output of each layer, (layers, windows)."""
    columns = []
    for done, window in enumerate(windows, start=1):
        runs = angular_distances(loaded, window)
        columns.append(runs[runs["size"] == 1].sort_values("start")["distance"].to_numpy())
        progress(done, len(windows))
    return np.stack(columns, axis=1)


def _damage_table(
    blocks: Sequence[Block], inner: np.ndarray, damage: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    table = pd.DataFrame(
        [(str(block), block.kind, block.index) for block in blocks], columns=["block", "kind", "index"]
    )
    table["inner"] = inner
    for name in DAMAGES:
        table[name] = damage[name].mean(axis=1)
    for name in DAMAGES:
        table[f"{name}_per_window"] = [tuple(values) for values in damage[name].tolist()]
    return table
