"""Rules that rank blocks by what an analysis measured of them, without trying what dropping them does.

ranking = rank(analysis, "entrodrop", estimator="knn", level="attn", budget=8)
ranking.drop                             # the prune set
"""

from __future__ import annotations

from entviz.analysis import Analysis
from entviz.errors import OptionError
from entviz.pruning.catalog import FROM_ANALYSIS
from entviz.pruning.ranking import Ranking, kinds_of, ranked, score_table

AUTHORS_PROTECTION = (2, 1)  # the first two layers and the last, as in the EntroDrop authors' code


def default_protection(criterion: str) -> tuple[int, int]:
    """How many layers at the start and at the end a criterion leaves alone unless told otherwise."""
    return AUTHORS_PROTECTION if criterion == "entrodrop" else (0, 0)


def rank(
    analysis: Analysis,
    criterion: str = "entrodrop",
    *,
    estimator: str = "knn",
    level: str = "attn",
    budget: int = 0,
    protect: tuple[int, int] | None = None,
    stage: int | None = None,
) -> Ranking:
    """Rank the blocks of one level by what was measured of them.

    - ``entrodrop``: lowest entropy increase first (Yang et al. 2025, section 3).
    - ``cosine``: the block whose output is most similar to its input first, for attentions and MLPs (LLM-Drop, He et
      al. 2024, "What Matters in Transformers?", equation 1).
    - ``block-influence``: the same measure for whole layers (ShortGPT, Men et al. 2024, equation 1).

    Args:
        level: layer, attn, mlp, or attn+mlp for both together.
        budget: how many blocks to drop.
        protect: how many layers at the start and at the end are never dropped; for entrodrop (2, 1) by default, as in
            the authors' code, and for the others none.
        stage: 2 keeps only blocks after the turning point of the estimator's curve, as the paper describes.

    Raises:
        OptionError: for an unknown criterion, a metric that was not measured, or a budget that is too large.
        BlockError: for an unknown level.
    """
    if criterion not in FROM_ANALYSIS:
        raise OptionError(f"'{criterion}' is not a criterion: choose from {', '.join(FROM_ANALYSIS)}.")
    if stage not in (None, 2):
        raise OptionError(f"Stage {stage} is not known: use 2 to keep to blocks after the turning point.")
    metric = estimator if criterion == "entrodrop" else "cosine"
    table = analysis.blocks
    table = table[(table["metric"] == metric) & table["kind"].isin(kinds_of(level))]
    if table.empty or (criterion == "entrodrop" and metric == "cosine"):
        raise OptionError(
            f"'{metric}' at level {level} was not measured as {criterion} needs it; analyze with it first."
        )
    before = analysis.turning_point(estimator) + 1 if stage == 2 else 0
    scores = score_table(
        analysis.layers,
        level,
        dict(zip(table["block"], table["value"], strict=True)),
        default_protection(criterion) if protect is None else protect,
        before,
    )
    return ranked(criterion, scores, budget)
