"""Measured values as tables: a row for each site and metric, and for each block and metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from entviz.blocks import Block, site_names, sites_of


def site_table(
    layers: int, entropies: Mapping[tuple[str, str], list[float]], metrics: Iterable[str]
) -> pd.DataFrame:
    """A row for each metric and site with values, in order of depth; see :class:`entviz.analysis.Analysis`.

    ``entropies`` holds the values of all windows by site and metric.
    """
    rows = []
    for metric in metrics:
        for number, site in enumerate(site_names(layers)):
            if (site, metric) in entropies:
                values = tuple(entropies[site, metric])
                rows.append(
                    (site, site.partition(".")[0], number / 2, metric, sum(values) / len(values), values)
                )
    return pd.DataFrame(rows, columns=["site", "kind", "depth", "metric", "value", "per_window"])


def block_table(
    blocks: Iterable[Block],
    entropies: Mapping[tuple[str, str], list[float]],
    importances: Mapping[tuple[str, str], list[float]],
    metrics: Iterable[str],
) -> pd.DataFrame:
    """A row for each metric and block: its importance, or its entropy increase if the metric is an entropy."""
    rows = []
    for metric in metrics:
        for block in blocks:
            if (str(block), metric) in importances:
                values = tuple(importances[str(block), metric])
            else:
                before, after = (entropies[site, metric] for site in sites_of(block))
                values = tuple(late - early for early, late in zip(before, after, strict=True))
            rows.append((str(block), block.kind, block.index, metric, sum(values) / len(values), values))
    return pd.DataFrame(rows, columns=["block", "kind", "index", "metric", "value", "per_window"])


def records(table: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    """Rows as plain data, with per-window values; ``name`` is the column that names the site or block."""
    return [
        {name: row[0], "metric": row[1], "value": row[2], "per_window": list(row[3])}
        for row in zip(table[name], table["metric"], table["value"], table["per_window"], strict=True)
    ]
