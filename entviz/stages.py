"""The two stages of a model's depth: entropy falls until a turning point, and rises after it.

    stages(analysis, "bucket")     # Stages(turning_point=11, two=True, earliest=11, latest=11, lowest_at="inside")

Source: Yang et al. 2025, "Entropy-Based Block Pruning for Efficient Large Language Models" (arXiv 2504.03794).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from entviz.analysis import Analysis


@dataclass(frozen=True)
class Stages:
    """The turning point of a curve. ``two`` is False if the minimum is at an end, so that there are no two stages.

    ``lowest_at`` is ``"embedding"``, ``"first layer"``, ``"inside"`` or ``"last layer"``. ``earliest`` and ``latest``
    are the lowest and highest layer at which a single window's curve has its minimum.
    """

    turning_point: int
    two: bool
    earliest: int
    latest: int
    lowest_at: str


def stages(analysis: Analysis, metric: str) -> Stages:
    """The turning point (a layer index), whether there are two stages around it, and how much single windows disagree.

    The ends are the embedding, the first layer and the last layer. A minimum there leaves one stage without a layer of
    its own.
    """
    curve = _layer_curve(analysis, metric)
    turn = analysis.turning_point(metric)
    layers = curve[curve["kind"] == "layer"]
    windows = np.array(layers["per_window"].tolist())  # (layers, windows)
    turns = windows.argmin(axis=0)
    if curve.loc[curve["value"].idxmin(), "kind"] == "embed":
        lowest_at = "embedding"
    elif turn == 0:
        lowest_at = "first layer"
    else:
        lowest_at = "inside" if turn < analysis.layers - 1 else "last layer"
    return Stages(turn, lowest_at == "inside", int(turns.min()), int(turns.max()), lowest_at)


def _layer_curve(analysis: Analysis, metric: str) -> pd.DataFrame:
    """The rows of ``analysis.sites`` for one metric at the embedding and after each layer, by depth."""
    rows = analysis.sites
    return rows[(rows["metric"] == metric) & rows["kind"].isin(["embed", "layer"])].sort_values("depth")
