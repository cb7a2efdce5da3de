"""What another analysis of the same text has measured already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entviz.analysis.result import Analysis
from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.estimators import Metric
from entviz.text.windows import Windows


def same_windows(dense: Analysis, windows: Windows) -> bool:
    """Whether an analysis is of as many windows of the same length."""
    return (dense.windows, dense.window_length) == (len(windows), windows.length)


def covers(
    dense: Analysis,
    windows: Windows,
    metrics: Mapping[str, Metric],
    levels: Sequence[str],
    without_massive: bool,
) -> bool:
    """Whether an analysis covers these metrics and levels, for the same tokens of windows like these."""
    measured = set(zip(dense.blocks["kind"], dense.blocks["metric"], strict=True))
    same = dense.without_massive == without_massive and same_windows(dense, windows)
    return same and measured >= {(level, metric) for level in levels for metric in metrics}


def first_difference(some: Analysis, other: PruneSet, anatomy: Anatomy) -> int:
    """The first layer in which an analysis and a run of ``anatomy`` without ``other`` differ; 0 if none is known."""
    if some.repair:  # where it was repaired is not known
        return 0
    differ = (some.drop.attention ^ other.attention) | (some.drop.mlp ^ other.mlp)
    return min(differ | {layer for layer, _ in anatomy.changes}, default=0)
