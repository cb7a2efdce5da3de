"""Every block as a cell, coloured by a criterion's score: what the picture in which blocks are ticked shows.

::

    cells = table([ranking], analysis, "knn", PruneSet.parse("attn.5"))    # a row for each block
    picture(cells, ranked=("attn",))                                       # plain data: a colour for each cell
    colour_bar(picture(cells), "Entropy increase (nats)")                  # HTML
    board(picture(cells), ("attn",))                                       # HTML, for a file: nothing can be ticked

The cells are drawn as buttons by the page: a chart that is made again at each tick loses clicks. Depth runs in
bands of equal length, so that a cell is large enough for a finger on a narrow screen.
"""

from collections.abc import Sequence
from html import escape
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from plotly.colors import sample_colorscale

from entviz.blocks import KINDS, PruneSet, all_blocks
from entviz.figures import theme
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.ranking import Ranking

BAND: Final = 10  # layers side by side at most
SCALE: Final = "Cividis"  # reads the same with and without colour vision (Nunez et al. 2018)
OUTER: Final = 0.05  # share of the scores at each end that the colours do not tell apart
CELL: Final = 24  # pixels, of a cell in a file


def table(
    rankings: Sequence["Ranking"],
    analysis: "Analysis | None",
    metric: str,
    drop: PruneSet,
    unit: str = "",
) -> pd.DataFrame:
    """A row for each block of the model, by depth.

    Columns: block, kind, index, score and rank (from the ranking that has them; 1 goes first), of (how many are
    ranked with it), protected, increase (``metric``'s entropy increase, nats; not a number without an analysis),
    dropped, unit. Without an analysis there must be a ranking, which has a row for each layer.
    """
    layers = (
        analysis.layers if analysis is not None else 1 + max(int(r.scores["index"].max()) for r in rankings)
    )
    rows = pd.DataFrame(
        [(str(block), block.kind, block.index, block in drop) for block in all_blocks(layers)],
        columns=["block", "kind", "index", "dropped"],
    )
    score: dict[str, float] = {}
    rank: dict[str, int] = {}
    of: dict[str, int] = {}
    protected: dict[str, bool] = {}
    for ranking in rankings:
        scores = ranking.scores
        score |= dict(zip(scores["block"], scores["score"], strict=True))
        protected |= dict(zip(scores["block"], scores["protected"], strict=True))
        rank |= {str(block): place for place, block in enumerate(ranking.order, start=1)}
        of |= {str(block): len(ranking.order) for block in ranking.order}
    increase: dict[str, float] = {}
    if analysis is not None:
        measured = analysis.blocks[analysis.blocks["metric"] == metric]
        increase = dict(zip(measured["block"], measured["value"], strict=True))
    rows["score"] = [float(score.get(block, np.nan)) for block in rows["block"]]
    rows["rank"] = [rank.get(block, 0) for block in rows["block"]]
    rows["of"] = [of.get(block, 0) for block in rows["block"]]
    rows["protected"] = [bool(protected.get(block, False)) for block in rows["block"]]
    rows["increase"] = [float(increase.get(block, np.nan)) for block in rows["block"]]
    rows["unit"] = unit
    return rows


def picture(cells: pd.DataFrame, *, ranked: Sequence[str] = KINDS) -> dict[str, Any]:
    """What is drawn of :func:`table`, as plain data.

    The colours tell apart the blocks of the ``ranked`` kinds, which are those to choose among. On their scale others
    may all be at one end, so each of the other kinds has a scale of its own.

    Returns:
        layers; across (layers in a band); kinds; low and high (the scores at the ends of the colours of the ranked
        kinds, None where there is no score); apart (whether other kinds have colours too); dropped (the attentions and
        MLPs that are dropped, by name); and cells, each with block, colour (a CSS colour, None without a score), score
        (as text), shielded (whether the criterion protects it) and said (lines of text).
    """
    layers = int(cells["index"].max()) + 1
    free = cells[~cells["protected"]]
    low, high = limits(free.loc[free["kind"].isin(list(ranked)), "score"])
    finite = bool(np.isfinite([low, high]).all())
    ends = {kind: limits(free.loc[free["kind"] == kind, "score"]) for kind in KINDS if kind not in ranked}
    coloured = pd.Series(index=cells.index, dtype=object)
    for kind, rows in cells.groupby("kind"):
        coloured[rows.index] = colours(rows["score"].to_numpy(), *ends.get(str(kind), (low, high)))
    return {
        "layers": layers,
        "across": ceil(layers / ceil(layers / BAND)),
        "kinds": list(KINDS),
        "low": low if finite else None,
        "high": high if finite else None,
        "apart": bool(np.isfinite(list(ends.values())).any()),
        "dropped": list(cells.loc[cells["dropped"] & (cells["kind"] != "layer"), "block"]),
        "cells": [
            {
                "block": cell.block,
                "colour": colour,
                "score": "" if np.isnan(cell.score) else number(cell.score, sign=cell.unit == "nats"),
                "shielded": cell.protected,
                "said": _said(cell),
            }
            for cell, colour in zip(cells.itertuples(), coloured, strict=True)
        ],
    }


def board(drawn: dict[str, Any], kinds: Sequence[str] = KINDS) -> str:
    """The cells of these kinds of a :func:`picture` as HTML, each with its lines of text as a hint on hover."""
    cells = {cell["block"]: cell for cell in drawn["cells"]}
    across, layers, gone = drawn["across"], drawn["layers"], set(drawn["dropped"])
    bands = []
    for first in range(0, layers, across):
        here = range(first, min(first + across, layers))
        parts = ["<span></span>", *(f'<span style="opacity:0.75">{layer}</span>' for layer in here)]
        parts += ["<span></span>"] * (across - len(here))
        for kind in kinds:
            parts.append(f'<span style="opacity:0.75;text-align:left">{escape(kind)}</span>')
            parts += [_cell(cells[f"{kind}.{layer}"], gone) for layer in here]
            parts += ["<span></span>"] * (across - len(here))
        columns = f"42px repeat({across},{CELL}px)"
        bands.append(
            f'<div style="display:grid;grid-template-columns:{columns};gap:3px">{"".join(parts)}</div>'
        )
    return f'<div style="display:grid;gap:8px;font-size:12px;text-align:center">{"".join(bands)}</div>'


def legend(
    low: float | None, high: float | None, title: str, note: str = "dark goes first"
) -> dict[str, Any] | None:
    """What colours from ``low`` to ``high`` mean: title, stops (CSS colours), ends and note; None without ends."""
    if low is None or high is None:
        return None
    ends = [f"≤ {number(low)}", number((low + high) / 2), f"≥ {number(high)}"]
    return {"title": title, "stops": sample_colorscale(SCALE, 11), "ends": ends, "note": note}


def note(drawn: dict[str, Any]) -> str:
    """Which end of the colours of a :func:`picture` goes first, and what its scale is of."""
    return f"dark goes first{'; other kinds on scales of their own' if drawn['apart'] else ''}"


def colour_bar(drawn: dict[str, Any], title: str) -> str:
    """What the colours of a :func:`picture` mean, as HTML; empty if no cell has a score."""
    said = legend(drawn["low"], drawn["high"], title, note(drawn))
    if said is None:
        return ""
    labels = "".join(f"<span>{end}</span>" for end in said["ends"])
    stops = ",".join(said["stops"])
    return (
        f'<div style="font-size:0.8em"><div>{escape(title)}</div>'
        f'<div style="height:10px;border-radius:3px;background:linear-gradient(to right,{stops})"></div>'
        f'<div style="display:flex;justify-content:space-between">{labels}</div><div>{said["note"]}</div></div>'
    )


def _cell(cell: dict[str, Any], gone: set[str]) -> str:
    kind, _, layer = cell["block"].partition(".")
    dropped = {cell["block"]} <= gone or (kind == "layer" and {f"attn.{layer}", f"mlp.{layer}"} <= gone)
    colour = cell["colour"] or "transparent"
    if dropped:
        colour = f"color-mix(in srgb,{colour} 30%,transparent)"
    mark = "✕" if dropped else "●" if cell["shielded"] else ""
    line = "solid" if cell["colour"] else "dashed"
    ink = theme.VERMILION if dropped else "#ffffff;text-shadow:0 0 2px #000"
    said = escape(", ".join([cell["block"], "dropped" if dropped else "kept", *cell["said"]]))
    return (
        f'<span role="img" title="{said}" aria-label="{said}" style="height:{CELL}px;line-height:{CELL - 2}px;'
        f"border:1px {line} {theme.LINE_COLOUR};border-radius:3px;background:{colour};color:{ink};"
        f'font-weight:700">{mark}</span>'
    )


def colours(values: np.ndarray, low: float, high: float) -> list[str | None]:
    """A CSS colour for each value, shape (values,); values past ``low`` and ``high`` have those' colours, NaN none."""
    shares = np.clip((values - low) / (high - low), 0, 1)
    known = np.isfinite(shares)
    sampled = iter(sample_colorscale(SCALE, list(shares[known])) if known.any() else [])
    return [next(sampled) if has_colour else None for has_colour in known]


def limits(scores: pd.Series) -> tuple[float, float]:
    """The scores where the colours end: without the outermost few, which would leave one colour to all others."""
    known = scores[np.isfinite(scores)].to_numpy()
    if not len(known):
        return np.nan, np.nan
    low, high = (float(value) for value in np.quantile(known, [OUTER, 1 - OUTER]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _said(cell: "pd.core.frame.Pandas") -> list[str]:
    """What the pointer and a screen reader are told about a cell besides its name and whether it is dropped."""
    lines = []
    if not np.isnan(cell.score):
        lines.append(f"score {number(cell.score, sign=cell.unit == 'nats')} {cell.unit}".rstrip())
    if np.isinf(cell.score):
        lines.append("the model overflows without it")
    if cell.rank:
        lines.append(f"rank {cell.rank} of {cell.of} (1 goes first)")
    if cell.protected:
        lines.append("protected: the criterion leaves it alone")
    if not np.isnan(cell.increase):
        lines.append(f"entropy increase {number(cell.increase, sign=True)} nats")
    return lines
