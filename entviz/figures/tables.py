"""Flat versions of an analysis's tables, for the screen and for files: a column for each window instead of a tuple."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from entviz.words.metrics import unit_of

if TYPE_CHECKING:
    from entviz.analysis import Analysis


def site_table(analysis: "Analysis", metrics: Sequence[str]) -> pd.DataFrame:
    """Columns site, depth, metric, unit, value, window_1 ...: entropies in nats, by metric and depth."""
    rows = analysis.sites[analysis.sites["metric"].isin(list(metrics))]
    return _flat(rows, ["site", "depth", "metric"])


def block_table(analysis: "Analysis", metrics: Sequence[str], kinds: Sequence[str]) -> pd.DataFrame:
    """Columns block, kind, index, metric, unit, value, window_1 ...: entropy increase (nats) or importance."""
    rows = analysis.blocks
    rows = rows[rows["metric"].isin(list(metrics)) & rows["kind"].isin(list(kinds))]
    return _flat(rows, ["block", "kind", "index", "metric"])


def _flat(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    flat = rows[names].reset_index(drop=True)
    flat["unit"] = [unit_of(metric).replace("−", "-") for metric in flat["metric"]]
    flat["value"] = rows["value"].to_numpy()
    windows = pd.DataFrame(rows["per_window"].tolist())
    windows.columns = [f"window_{number + 1}" for number in windows.columns]
    return pd.concat([flat, windows], axis=1)
