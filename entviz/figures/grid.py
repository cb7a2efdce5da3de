"""Every block as a cell, coloured by a criterion's score: the picture in which blocks are ticked.

::

    cells = table([ranking], analysis, "knn", PruneSet.parse("attn.5"))    # a row for each block
    board(cells, score_title="Entropy increase (nats)")

Cells are the points of scatter traces, as Streamlit hears of clicks on points but not on a heat map's cells. A point's
``customdata`` starts with the name of its block. Depth runs in bands of equal length, so that a cell is large enough
for a finger on a narrow screen.
"""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.blocks import KINDS, PruneSet, all_blocks
from entviz.figures import theme
from entviz.figures.reading import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.pruning.ranking import Ranking

BAND: Final = 10  # layers side by side at most
WIDTH: Final = 352  # pixels, what a narrow phone has
CELL: Final = 30  # pixels from one row to the next
SIZE: Final = 25  # of a cell's square
SCALE: Final = "Cividis"  # reads the same with and without colour vision (Nunez et al. 2018)
OUTER: Final = 0.05  # share of the scores at each end that the colours do not tell apart
_GAP: Final = 1.15  # rows between bands, for the numbers of the layers
_MARGIN: Final = {"l": 46, "r": 6, "t": 26, "b": 72}
_ROWS: Final = {kind: row for row, kind in enumerate(KINDS)}


def table(
    rankings: Sequence["Ranking"], analysis: "Analysis", metric: str, drop: PruneSet, unit: str = ""
) -> pd.DataFrame:
    """A row for each block of the model, by depth.

    Columns: block, kind, index, score and rank (from the ranking that has them; 1 goes first), of (how many are
    ranked with it), protected, increase (``metric``'s entropy increase, nats), dropped, unit.
    """
    rows = pd.DataFrame(
        [(str(block), block.kind, block.index, block in drop) for block in all_blocks(analysis.layers)],
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
    measured = analysis.blocks[analysis.blocks["metric"] == metric]
    increase = dict(zip(measured["block"], measured["value"], strict=True))
    rows["score"] = [float(score.get(block, np.nan)) for block in rows["block"]]
    rows["rank"] = [rank.get(block, 0) for block in rows["block"]]
    rows["of"] = [of.get(block, 0) for block in rows["block"]]
    rows["protected"] = [bool(protected.get(block, False)) for block in rows["block"]]
    rows["increase"] = [float(increase.get(block, np.nan)) for block in rows["block"]]
    rows["unit"] = unit
    return rows


def board(cells: pd.DataFrame, *, score_title: str, ranked: Sequence[str] = KINDS) -> go.Figure:
    """The cells of :func:`table`, in bands of at most ten layers, one row a kind of block.

    Dropped blocks are faded and crossed out, protected ones carry a dot, and those without a score are hollow.
    ``score_title`` names the score and its unit, for the colour bar. The colours tell apart the blocks of the
    ``ranked`` kinds, which are those to choose among; others may all be at one end.
    """
    layers = int(cells["index"].max()) + 1
    bands = ceil(layers / BAND)
    across = ceil(layers / bands)
    cells = cells.assign(
        x=cells["index"] % across,
        y=[
            index // across * (len(KINDS) + _GAP) + _ROWS[kind]
            for index, kind in zip(cells["index"], cells["kind"], strict=True)
        ],
        said=[_said(cell) for cell in cells.itertuples()],
    )
    chosen = cells["kind"].isin(list(ranked)) & ~cells["protected"]
    low, high = _limits(cells.loc[chosen, "score"])
    scored, dropped = cells["score"].notna(), cells["dropped"]
    figure = go.Figure()
    colours = {"cmin": low, "cmax": high, "colorscale": SCALE}
    _add(figure, cells[scored & ~dropped], "kept", colours | {"opacity": 1.0}, colour=True)
    _add(figure, cells[scored & dropped], "dropped", colours | {"opacity": 0.35}, colour=True)
    _add(figure, cells[~scored], "without a score", {"symbol": "square-open", "color": theme.GREY})
    _add_signs(figure, cells[dropped], "dropped", "x-thin", 15, 3.5, theme.VERMILION)
    _add_signs(figure, cells[cells["protected"] & ~dropped], "protected", "circle", 7, 1.0, "#FFFFFF")
    theme.style(figure, x_title="", y_title="", legend=False)
    rows = bands * (len(KINDS) + _GAP) - _GAP
    figure.update_layout(
        height=round(rows * CELL) + _MARGIN["t"] + _MARGIN["b"],
        margin=_MARGIN,
        clickmode="event+select",
        hoverdistance=CELL // 2,
    )
    figure.update_xaxes(range=[-0.5, across - 0.5], visible=False, fixedrange=True)
    figure.update_yaxes(
        range=[rows - 0.5, -0.5],
        tickvals=[band * (len(KINDS) + _GAP) + row for band in range(bands) for row in _ROWS.values()],
        ticktext=list(_ROWS) * bands,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        title_text="",
        ticklabelstandoff=4,
    )
    numbers = np.arange(layers)
    figure.add_scatter(  # one trace, as plotly takes long over many annotations
        x=numbers % across,
        y=numbers // across * (len(KINDS) + _GAP) - 0.5,
        mode="text",
        name="layers",
        text=[str(layer) for layer in numbers],
        textposition="top center",
        textfont={"size": 11},
        cliponaxis=False,
        unselected={"textfont": {"color": theme.GREY}},
        hoverinfo="skip",
    )
    _add_colour_bar(figure, low, high, score_title)
    return figure


def _add(
    figure: go.Figure, cells: pd.DataFrame, name: str, marker: dict[str, object], *, colour: bool = False
) -> None:
    if cells.empty:
        return
    scores = {"color": cells["score"].to_numpy()} if colour else {}
    opacity = marker.get("opacity", 1.0)
    figure.add_scatter(
        x=cells["x"],
        y=cells["y"],
        mode="markers",
        name=name,
        marker={
            "symbol": "square",
            "size": SIZE,
            "line": {"width": 1, "color": theme.LINE_COLOUR},
            **marker,
            **scores,
        },
        # A click answers at once, before the page does; the cells that were not clicked stay as they are.
        selected={"marker": {"opacity": 0.35, "size": SIZE - 7}},
        unselected={"marker": {"opacity": opacity}},
        customdata=cells[["block", "said"]].to_numpy(),
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def _add_signs(
    figure: go.Figure, cells: pd.DataFrame, name: str, symbol: str, size: int, line: float, colour: str
) -> None:
    """Signs on top of cells. They say nothing to the pointer, so that a click meets the cell."""
    outline = colour if symbol == "x-thin" else "#1B2530"
    figure.add_scatter(
        x=cells["x"],
        y=cells["y"],
        mode="markers",
        name=name,
        marker={
            "symbol": symbol,
            "size": size,
            "color": colour,
            "opacity": 1.0,
            "line": {"width": line, "color": outline},
        },
        unselected={"marker": {"opacity": 1.0}},
        hoverinfo="skip",
    )


def _add_colour_bar(figure: go.Figure, low: float, high: float, title: str) -> None:
    """A bar of its own, so that it is there whatever cells there are."""
    if not np.isfinite([low, high]).all():
        return
    middle = (low + high) / 2
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker={
            "color": [low],
            "cmin": low,
            "cmax": high,
            "colorscale": SCALE,
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "title": {"text": title, "side": "top", "font": {"size": 12}},
                "thickness": 10,
                "len": 1.0,
                "x": 0.5,
                "xanchor": "center",
                "y": 0,
                "yref": "paper",
                "yanchor": "top",
                "ypad": 10,
                "outlinewidth": 0,
                "tickvals": [low, middle, high],
                "ticktext": [f"≤ {number(low)}", number(middle), f"≥ {number(high)}"],
                "ticklabeloverflow": "allow",
                "tickfont": {"size": 11},
            },
        },
    )


def _limits(scores: pd.Series) -> tuple[float, float]:
    """The scores where the colours end: without the outermost few, which would leave one colour to all others."""
    known = scores.dropna().to_numpy()
    if not len(known):
        return np.nan, np.nan
    low, high = (float(value) for value in np.quantile(known, [OUTER, 1 - OUTER]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _said(cell: "pd.core.frame.Pandas") -> str:
    """What the pointer is told about a cell."""
    lines = [f"<b>{cell.block}</b>" + (" · dropped" if cell.dropped else "")]
    if not np.isnan(cell.score):
        lines.append(f"score {number(cell.score, sign=cell.unit == 'nats')} {cell.unit}".rstrip())
    if cell.rank:
        lines.append(f"rank {cell.rank} of {cell.of} (1 goes first)")
    if cell.protected:
        lines.append("protected: the criterion leaves it alone")
    if not np.isnan(cell.increase):
        lines.append(f"entropy increase {number(cell.increase, sign=True)} nats")
    return "<br>".join(lines)
