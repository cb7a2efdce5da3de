"""The bars of the bench: what each block is by one measure at a time, and the lines that name them all.

::

    measures(dense, "knn", cells, ranked=("attn",))     # entropy increase, importance, the criterion's score, ...
    lines(dense)["attn.7"]                              # ["entropy increase Bucket +1.20, KNN +5.84 nats", ...]
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from entviz.figures import grid, theme
from entviz.figures.scale import Mark, cut_limits, marks
from entviz.words.metrics import axis_title, metric_title, unit_of
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis

MARKS: Final = 2
HEADROOM: Final = 0.42  # of the axis past a cut, where only cut bars reach and their values are written
MARGIN: Final = 0.08


def measures(
    dense: "Analysis",
    metric: str,
    cells: pd.DataFrame,
    *,
    ranked: Sequence[str],
    pruned: "Analysis | None" = None,
    score_title: str = "",
    damage: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """What the bars can show, in order; the arguments are those of :func:`entviz.figures.bench.picture`.

    A criterion whose scores are one of the others is not there twice: ``scored`` says which one it is.

    Returns:
        name; title (short) and axis (with the unit); colour; scored (whether the criterion ranks by it); kinds (a row
        of bars each); values (block -> value and text; those without one are missing); axes, by kind: cut, the axis
        that leaves a few long bars their ends (low, high, marks, and long: the blocks that run past it), or None where
        none is long, and full, the axis without; and for measured damage also colours (block -> CSS colour) and legend
        (see :func:`entviz.figures.grid.legend`).
    """
    kinds = ("attn", "mlp", *(["layer"] if "layer" in ranked else []))
    # Those to choose among share a scale. On that of others, which may be far larger, they could not be told apart.
    scales = [[kind for kind in kinds if kind in ranked], *([kind] for kind in kinds if kind not in ranked)]
    scores = {block: value for block, value in _column(cells, "score").items() if not np.isnan(value)}
    found = []
    if metric in dense.entropies:
        found.append(
            _measure(
                "increase",
                "Entropy increase",
                f"{metric_title(metric)}: entropy increase (nats)",
                theme.metric_colour(metric),
                _of_metric(dense, metric),
                kinds,
                sign=True,
                scales=scales,
            )
        )
    for name in dense.metrics:
        if name not in dense.entropies:
            values = _of_metric(dense, name)
            title = f"{metric_title(name)} importance"
            found.append(
                _measure(
                    name,
                    title,
                    axis_title(name),
                    theme.metric_colour(name),
                    values,
                    kinds,
                    sign=False,
                    scales=scales,
                )
            )
    for one in found:
        one["scored"] = bool(scores) and all(
            block in one["values"] and np.isclose(one["values"][block]["value"], score)
            for block, score in scores.items()
        )
    if scores and not any(one["scored"] for one in found):
        sign = bool((cells["unit"] == "nats").any())
        one = _measure("score", "Score", score_title, theme.BLUE, scores, kinds, sign=sign, scales=scales)
        found.append(one | {"scored": True})
    if damage is not None and not damage.empty:
        found.append(_damage(damage, kinds))
    if pruned is not None:
        changes = _changes(dense, pruned, metric)
        axis = f"{metric_title(metric)}: pruned − dense after the block (nats)"
        found.append(
            _measure("change", "Change", axis, theme.PRUNED_COLOUR, changes, ("attn", "mlp"), sign=True)
        )
    return found


def lines(dense: "Analysis", damage: pd.DataFrame | None = None) -> dict[str, list[str]]:
    """block -> what it is by every measure: its entropy increases, its importances, and its damage if measured."""
    entropies = {name: _of_metric(dense, name) for name in dense.entropies}
    others = {name: _of_metric(dense, name) for name in dense.metrics if name not in entropies}
    said: dict[str, list[str]] = {}
    for block in dict.fromkeys(dense.blocks["block"]):
        increases = [
            f"{metric_title(name)} {number(values[block], sign=True)}"
            for name, values in entropies.items()
            if block in values
        ]
        said[block] = [f"entropy increase {', '.join(increases)} nats"] if increases else []
        said[block] += [
            f"{metric_title(name, sentence=True)} importance {number(values[block])} ({unit_of(name)})"
            for name, values in others.items()
            if block in values
        ]
    if damage is not None:
        for row in damage.itertuples():
            said.setdefault(row.block, []).append(
                f"measured damage {number(float(row.value), sign=True)} {row.unit}".rstrip()
            )
    return said


def _damage(damage: pd.DataFrame, kinds: Sequence[str]) -> dict[str, Any]:
    unit = str(damage["unit"].iloc[0])
    axis = f"Measured damage ({unit})" if unit else "Measured damage"
    low, high = grid.limits(damage["value"])
    colours = grid.colours(damage["value"].to_numpy(dtype=float), low, high)
    finite = bool(np.isfinite([low, high]).all())
    one = _measure("damage", "Measured damage", axis, theme.SKY, _column(damage, "value"), kinds, sign=True)
    return one | {
        "colours": dict(zip(damage["block"], colours, strict=True)),
        "legend": grid.legend(low if finite else None, high if finite else None, axis, "dark costs least"),
    }


def _measure(
    name: str,
    title: str,
    axis: str,
    colour: str,
    values: Mapping[str, float],
    kinds: Sequence[str],
    *,
    sign: bool,
    scales: Sequence[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """``scales`` are the kinds whose rows share a scale; None where all do."""
    shown = np.array([value for block, value in values.items() if _kind(block) in kinds])
    finite = shown[np.isfinite(shown)]
    # Plain data has no infinities: a model that overflows without a block is past the end of every axis.
    top = float(np.abs(finite).max()) if len(finite) else 1.0
    plain = {
        block: float(np.nan_to_num(value, posinf=10 * top, neginf=-10 * top))
        for block, value in values.items()
    }
    axes: dict[str, Any] = {}
    for group in [kinds] if scales is None else scales:
        axes |= dict.fromkeys(group, _axes({b: value for b, value in values.items() if _kind(b) in group}))
    return {
        "name": name,
        "title": title,
        "axis": axis,
        "colour": colour,
        "scored": False,
        "kinds": list(kinds),
        "values": {
            block: {"value": plain[block], "text": number(value, sign=sign)}
            for block, value in values.items()
        },
        "axes": axes,
    }


def _kind(block: str) -> str:
    return block.partition(".")[0]


def _axes(values: Mapping[str, float]) -> dict[str, Any]:
    """The axis of some rows, cut where a few bars are long, and in full."""
    finite = np.array([value for value in values.values() if np.isfinite(value)])
    low, high = cut_limits(finite) if len(finite) else (-np.inf, np.inf)
    long = [block for block, value in values.items() if not low <= value <= high or np.isinf(value)]
    return {
        "cut": _axis(finite, low, high) | {"long": long} if long else None,
        "full": _axis(finite, -np.inf, np.inf)
        | {"long": [b for b, value in values.items() if np.isinf(value)]},
    }


def _axis(values: np.ndarray, low: float, high: float) -> dict[str, Any]:
    """An axis for the values within ``low`` to ``high``, with room past it where some are without."""
    inside = values[(values >= low) & (values <= high)]
    bottom, top = (
        (min(0.0, float(inside.min())), max(0.0, float(inside.max()))) if len(inside) else (0.0, 1.0)
    )
    span = (top - bottom) or 1.0
    under = HEADROOM if (values < low).any() else MARGIN if bottom < 0 else 0.0
    over = HEADROOM if (values > high).any() else MARGIN
    return {
        "low": bottom - under * span,
        "high": top + over * span,
        "marks": [{"at": mark.at, "text": mark.text} for mark in _marks(bottom, top)],
    }


def _marks(bottom: float, top: float) -> list[Mark]:
    """Few, for a row is low; but one alone would give no scale."""
    few = marks(bottom, top, MARKS)
    return few if len(few) > 1 else marks(bottom, top, 2 * MARKS)


def _of_metric(analysis: "Analysis", metric: str) -> dict[str, float]:
    return _column(analysis.blocks[analysis.blocks["metric"] == metric], "value")


def _column(rows: pd.DataFrame, column: str) -> dict[str, float]:
    return {str(block): float(value) for block, value in zip(rows["block"], rows[column], strict=True)}


def _changes(dense: "Analysis", pruned: "Analysis", metric: str) -> dict[str, float]:
    """block -> entropy of the pruned stream after it, minus that of the dense one (nats)."""
    before, after = (
        dict(zip(rows["site"], rows["value"], strict=True))
        for one in (dense, pruned)
        for rows in [one.sites[one.sites["metric"] == metric]]
    )
    return {
        f"{kind}.{layer}": float(after[f"{site}.{layer}"] - before[f"{site}.{layer}"])
        for layer in range(dense.layers)
        for kind, site in (("attn", "attn"), ("mlp", "layer"))
    }
