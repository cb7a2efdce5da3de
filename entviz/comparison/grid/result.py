"""The result of a comparison: a row for each contender and budget, the best rows, and the Pareto front.

comparison.rows                          # every prune set that was measured
comparison.table()                       # the same with random's seeds in one row
pareto_front(table, "perplexity", "parameters_kept")
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from entviz.comparison.grid.contenders import title
from entviz.comparison.grid.verdict import verdict
from entviz.evaluation.perplexity import MOST, perplexity
from entviz.records import records

# Measures of quality of a pruned model, and whether a higher value is better.
QUALITIES = {
    "perplexity": False,
    "kl": False,
    "top1_agreement": True,
    "accuracy": True,
    "accuracy_normalized": True,
}
# Measures of savings, and whether a higher value is better.
COSTS = {"parameters_kept": False, "speedup": True}
PER_WINDOW = ("window_nll", "window_kl", "window_agreement", "nll_cosines")  # columns of tuples


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of :func:`entviz.comparison.grid.grid.compare`, so far.

    Attributes:
        model: the name of the model.
        layers: number of layers.
        calibration_windows: the number of windows that the criteria chose by.
        windows, window_length: the number of measured windows, and their length in tokens.
        overlap: whether the criteria chose by the measured text itself, which favours criteria that try prune sets.
        budgets: the budgets as given, in order.
        task: name of the multiple-choice task, or empty.
        items: the number of its items that were scored.
        dtype: the number type that the model ran in.
        dense: one row: the dense model's columns of ``rows`` from ``drop`` on.
        rows: a row for each prune set measured. Columns: name, title, criterion, estimator, seed, level, budget,
            repair (its name, or empty; results of versions that did not repair lack it), drop,
            blocks, perplexity, nll (nats a token), kl (nats), top1_agreement, accuracy, accuracy_normalized (shares;
            NaN without a task), parameters, parameters_kept (a share), speedup (times as fast as dense),
            speedup_low and speedup_high (quartiles over the rounds that were timed; results of versions that did not
            keep them lack them), tokens_per_second, window_nll, window_kl, window_agreement (tuples of one number a
            window), nll_cosines
            (a tuple of K numbers for each window in turn, see
            :class:`entviz.comparison.grid.cell.GridCell`; K may be 0).
        notes: sentences about everything that was left out.
        rows_total: the number of rows once the comparison is finished.
        seconds: how long it took, without the parts that were stored before.
    """

    model: str
    layers: int
    calibration_windows: int
    windows: int
    window_length: int
    overlap: bool
    budgets: tuple[str, ...]
    task: str
    items: int
    dtype: str
    dense: pd.DataFrame
    rows: pd.DataFrame
    notes: tuple[str, ...]
    rows_total: int
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether all rows are measured."""
        return len(self.rows) >= self.rows_total

    @property
    def accuracy_margin(self) -> float:
        """Half the widest 95% interval that an accuracy on ``items`` items can have, which is that at one half."""
        return 1.96 * 0.5 / math.sqrt(self.items) if self.items else math.nan

    def table(self) -> pd.DataFrame:
        """``rows`` with a single row for random, and the spread over its seeds in nll_low, nll_high and seeds.

        Random's numbers are means over its seeds; its perplexity is that of the mean loss. Its prune set is the one
        whose loss is nearest to the mean loss.
        """
        if self.rows.empty:
            return self.rows.assign(nll_low=[], nll_high=[], seeds=[])
        groups = self.rows.groupby(["name", "level", "budget"], sort=False)
        return pd.DataFrame([_together(group) for _, group in groups]).reset_index(drop=True)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the model and text, dense, rows, notes and the verdict.

        A perplexity is None if the loss is 700 nats or more.
        """
        return {
            "model": self.model,
            "calibration_windows": self.calibration_windows,
            "windows": self.windows,
            "window_length": self.window_length,
            "overlap": self.overlap,
            "task": self.task or None,
            "items": self.items,
            "dtype": self.dtype,
            "dense": records(_without_bounds(self.dense))[0],
            "rows": records(_without_bounds(self.rows)),
            "notes": list(self.notes),
            "verdict": verdict(self),
        }


def pareto_front(table: pd.DataFrame, quality: str, cost: str) -> np.ndarray:
    """Which rows no other row beats: (rows,) of bool.

    A row is on the front unless another is at least as good in both ``quality`` (one of :data:`QUALITIES`) and
    ``cost`` (one of :data:`COSTS`) and better in one of them. Rows that lack a number are not on it.
    """
    goods = np.column_stack(
        [
            table[name].to_numpy(float) * (1 if higher else -1)
            for name, higher in ((quality, QUALITIES[quality]), (cost, COSTS[cost]))
        ]
    )
    known = ~np.isnan(goods).any(axis=1)
    at_least = (goods[None] >= goods[:, None]).all(axis=2)
    better = (goods[None] > goods[:, None]).any(axis=2)
    return known & ~(at_least & better & known[None]).any(axis=1)


def _together(group: pd.DataFrame) -> dict[str, Any]:
    typical = group.iloc[int((group["nll"] - group["nll"].mean()).abs().to_numpy().argmin())].to_dict()
    found = typical | {
        "nll_low": float(group["nll"].min()),
        "nll_high": float(group["nll"].max()),
        "seeds": len(group),
    }
    if len(group) > 1:
        for column in (
            *(name for name in ("speedup_low", "speedup_high") if name in group),
            "nll",
            "kl",
            "top1_agreement",
            "accuracy",
            "accuracy_normalized",
            "parameters_kept",
            "speedup",
            "tokens_per_second",
        ):
            found[column] = float(group[column].mean())
        found["perplexity"] = perplexity(found["nll"])
        for column in (name for name in PER_WINDOW if name in group):
            found[column] = tuple(np.mean(group[column].tolist(), axis=0).tolist())
    return found


def empty_rows() -> pd.DataFrame:
    """The table of a comparison in which nothing has been measured yet."""
    return pd.DataFrame({name: [] for name in ("name", "title", "level", "budget", "nll", "drop")})


def row_of(
    name: str, criterion: str, estimator: str, seed: int, level: str, budget: str, repair: str = ""
) -> dict[str, Any]:
    """The columns of :attr:`Comparison.rows` that describe the contender."""
    return {
        "name": name,
        "title": title(name),
        "criterion": criterion,
        "estimator": estimator,
        "seed": seed,
        "level": level,
        "budget": budget,
        "repair": repair,
    }


def _without_bounds(table: pd.DataFrame) -> pd.DataFrame:
    """A row without a perplexity that is only a bound."""
    if "perplexity" not in table:
        return table
    return table.assign(perplexity=table["perplexity"].where(table["perplexity"] < MOST))
