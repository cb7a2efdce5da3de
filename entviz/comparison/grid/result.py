"""What a comparison found: a row for each contender and budget, what is best, and what is on the Pareto front.

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

# How good a pruned model is, and whether more of it is better.
QUALITIES = {
    "perplexity": False,
    "kl": False,
    "top1_agreement": True,
    "accuracy": True,
    "accuracy_normalized": True,
}
# What is saved, and whether more of it is better.
COSTS = {"parameters_kept": False, "speedup": True}
PER_WINDOW = ("window_nll", "window_kl", "window_agreement", "nll_cosines")  # columns of tuples


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`entviz.comparison.grid.grid.compare` found, so far.

    Attributes:
        model: its name.
        layers: number of layers.
        calibration_windows: how many windows the criteria chose by.
        windows, window_length: what was measured.
        overlap: whether the criteria chose by the very text that was measured, which flatters those that try.
        budgets: as they were asked for, in order.
        task: name of the multiple-choice task, or empty.
        items: how many items of it.
        dtype: the number type that the model ran in.
        dense: one row: the dense model's columns of ``rows`` from ``drop`` on.
        rows: a row for each prune set measured. Columns: name, title, criterion, estimator, seed, level, budget, drop,
            blocks, perplexity, nll (nats a token), kl (nats), top1_agreement, accuracy, accuracy_normalized (shares;
            not a number without a task), parameters, parameters_kept (a share), speedup (times as fast as dense),
            tokens_per_second, window_nll, window_kl, window_agreement (tuples of one number a window), nll_cosines
            (a tuple of K numbers for each window in turn, see
            :class:`entviz.comparison.grid.cell.GridCell`; K may be 0).
        notes: sentences about what was left out.
        rows_total: how many rows there will be.
        seconds: how long it took; what had been kept from before took none.
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
        """Whether every row is there."""
        return len(self.rows) >= self.rows_total

    @property
    def accuracy_margin(self) -> float:
        """Half of the widest 95% interval that an accuracy on so many items can have: that of one near a half."""
        return 1.96 * 0.5 / math.sqrt(self.items) if self.items else math.nan

    def table(self) -> pd.DataFrame:
        """``rows`` with one row for random, and the spread over its seeds in nll_low, nll_high and seeds.

        Random's numbers are means over its seeds (of the losses, for the perplexity); its prune set is the one whose
        loss is nearest to their mean.
        """
        if self.rows.empty:
            return self.rows.assign(nll_low=[], nll_high=[], seeds=[])
        groups = self.rows.groupby(["name", "level", "budget"], sort=False)
        return pd.DataFrame([_together(group) for _, group in groups]).reset_index(drop=True)

    def to_json(self) -> dict[str, Any]:
        """Plain data: what was measured on, dense, rows, notes and the verdict.

        A perplexity is None where the loss is from 700 nats on.
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


def row_of(name: str, criterion: str, estimator: str, seed: int, level: str, budget: str) -> dict[str, Any]:
    """The columns of :attr:`Comparison.rows` that say who chose."""
    return {
        "name": name,
        "title": title(name),
        "criterion": criterion,
        "estimator": estimator,
        "seed": seed,
        "level": level,
        "budget": budget,
    }


def _without_bounds(table: pd.DataFrame) -> pd.DataFrame:
    """Without the perplexities that are only a bound."""
    if "perplexity" not in table:
        return table
    return table.assign(perplexity=table["perplexity"].where(table["perplexity"] < MOST))
