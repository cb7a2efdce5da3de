"""Charts of a comparison of criteria, and of two prune sets.

::

    quality_chart(comparison, "perplexity", "parameters_kept")   # a line per criterion, Pareto front marked
    overlap_board(PruneSet.parse("attn.5"), PruneSet.parse("attn.5,mlp.7"), layers=30)
    angular_map(distances)                                       # angular distance by block size and start

A criterion has the same colour, symbol and dash in every chart. Symbol and dash distinguish criteria without colour.
"""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.blocks import KINDS, PruneSet, all_blocks
from entviz.comparison.grid.contenders import variants
from entviz.comparison.grid.result import pareto_front
from entviz.criteria import CRITERIA
from entviz.criteria.spec import parts
from entviz.estimators import base, entropies, is_entropy
from entviz.evaluation.perplexity import in_words
from entviz.figures import theme, tokens
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.pair.pair import Contrast
    from entviz.evaluation.loss import Evaluation

# Colour, symbol and dash of criteria. Other criteria take the remaining ones in turn, in the order of the registry.
STYLES: Final[dict[str, tuple[str, str, str]]] = {
    "cosine": (theme.PURPLE, "triangle-up", "dash"),
    "block-influence": (theme.PURPLE, "triangle-down", "dot"),
    "angular-distance": (theme.SKY, "triangle-right", "dash"),
    "leave-one-out": (theme.SKY, "x", "dot"),
    "sleb": (theme.WINE, "cross", "dash"),
    "finercut": (theme.WINE, "hexagon", "dot"),
    "ising": (theme.GREEN, "star-diamond", "dash"),
    "search": (theme.VERMILION, "star", "solid"),
    "last": (theme.GREY, "triangle-left", "dash"),
    "random": (theme.GREY, "circle-open", "dot"),
}
_MORE: Final = (
    (theme.BLUE, "hourglass"),
    (theme.ORANGE, "bowtie"),
    (theme.VERMILION, "hexagram"),
    (theme.PURPLE, "star-square"),
)
_ESTIMATOR_SYMBOLS: Final = ("circle", "square", "diamond", "pentagon", "hexagon2", "octagon")  # in turn
_VARIANT_DASHES: Final = ("longdashdot", "dot", "dash", "8px 2px 2px 2px", "2px 4px 8px 4px", "12px 3px")
QUALITY_TITLES: Final = {
    "perplexity": "Perplexity",
    "kl": "KL from dense (nats)",
    "top1_agreement": "Top-1 agreement with dense (%)",
    "accuracy": "Task accuracy (%)",
    "accuracy_normalized": "Task accuracy, length-normalized (%)",
}
COST_TITLES: Final = {"parameters_kept": "Parameters kept (%)", "speedup": "Speed (times dense)"}
HEIGHT: Final = 330  # pixels, of the plot without its legend
LEGEND_LINE: Final = 19
WIDE: Final = 6.0  # perplexities that span more than this ratio are drawn on a logarithmic axis
BAND: Final = 10  # layers per row, so that a cell is large enough on a narrow screen
CELL: Final = 26  # pixels
_SIDES: Final = {
    "a": ("only A", theme.BLUE, "square"),
    "b": ("only B", theme.ORANGE, "diamond"),
    "both": ("both", theme.GREEN, "star-square"),
}


def quality_chart(comparison: "Comparison", quality: str, cost: str) -> go.Figure:
    """Quality against the share of parameters kept, or against measured speed; a line for each criterion and level.

    ``quality`` is one of ``QUALITY_TITLES``, ``cost`` one of ``COST_TITLES``. If quality is perplexity, random has a
    band from its best to its worst seed. A ring marks points on the Pareto front: no other point is better in both.
    """
    table = comparison.table()
    table = table.assign(front=pareto_front(table, quality, cost) if len(table) else [])
    several = table["level"].nunique() > 1
    figure = go.Figure()
    for (name, level), group in table.groupby(["name", "level"], sort=False):
        group = group.sort_values(cost)
        if name == "random" and quality == "perplexity" and int(group["seeds"].max()) > 1:
            _add_band(figure, group, cost)
        colour, symbol, dash = style_of(str(name))
        title = str(group["title"].iloc[0])
        figure.add_scatter(
            x=_shown(group[cost], cost),
            y=_shown(group[quality], quality),
            mode="lines+markers",
            name=f"{title}, {level}" if several else title,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 9, "color": colour},
            error_x=_spread(group, colour) if cost == "speedup" else None,
            customdata=np.array([_said(row) for _, row in group.iterrows()]),
            hovertemplate="%{customdata}<extra></extra>",
        )
    _add_front(figure, table, quality, cost)
    _add_dense(figure, comparison, quality, cost)
    # A narrow screen has one legend entry a line, and what does not fit into the margin is cut off.
    below = 70 + LEGEND_LINE * len(figure.data)
    theme.style(figure, x_title=COST_TITLES[cost], y_title=QUALITY_TITLES[quality], height=HEIGHT + below)
    figure.update_layout(
        legend={"y": 0, "yref": "container", "yanchor": "bottom"}, margin={"t": 36, "b": below}
    )
    if quality in ("perplexity", "kl"):
        known = table[quality].to_numpy(float)
        known = known[known > 0]
        if len(known) and known.max() > WIDE * known.min():
            figure.update_yaxes(type="log", title_text=f"{QUALITY_TITLES[quality]}, log scale")
    return figure


def style_of(name: str) -> tuple[str, str, str]:
    """Colour, symbol and dash of a contender.

    A contender with an estimator has the colour that the estimator has in all charts. If its options are not the
    defaults, the line is dashed. A variant has an open symbol.
    """
    criterion, estimator, words = parts(name)
    known = STYLES.get(criterion)
    if estimator:
        turn = entropies().index(base(estimator)) if is_entropy(estimator) else 0
        symbol = _ESTIMATOR_SYMBOLS[turn % len(_ESTIMATOR_SYMBOLS)]
        dash = "solid" if base(estimator) == estimator else "longdash"
        known = (theme.metric_colour(estimator), symbol, dash)
    elif known is None:
        others = [other for other in CRITERIA if other not in STYLES]
        turn = others.index(criterion) if criterion in others else 0
        known = (*_MORE[turn % len(_MORE)], "dashdot")
    if not words:
        return known
    # A single variant has its own dash; several variants share the last dash.
    turn = list(variants()).index(words[0]) if len(words) == 1 and words[0] in variants() else -1
    return known[0], f"{known[1].removesuffix('-open')}-open", _VARIANT_DASHES[turn % len(_VARIANT_DASHES)]


def overlap_board(a: PruneSet, b: PruneSet, layers: int) -> go.Figure:
    """Every block of the model as a cell: in neither, only in A, only in B, or in both."""
    bands = ceil(layers / BAND)
    across = ceil(layers / bands)
    rows = pd.DataFrame(
        [
            (
                str(block),
                block.index % across,
                _row(block.kind, block.index // across),
                _where(block in a, block in b),
            )
            for block in all_blocks(layers)
        ],
        columns=["block", "x", "y", "where"],
    )
    figure = go.Figure()
    _add_cells(figure, rows[rows["where"] == "neither"], "kept by both", theme.LINE_COLOUR, "square-open")
    for where, (title, colour, symbol) in _SIDES.items():
        _add_cells(figure, rows[rows["where"] == where], title, colour, symbol)
    depth = _row(KINDS[-1], bands - 1)
    theme.style(figure, x_title="", y_title="", height=round((depth + 2) * CELL) + 70)
    figure.update_layout(margin={"l": 46, "r": 6, "t": 50, "b": 10}, legend={"y": 1.0})
    figure.update_xaxes(range=[-0.6, across - 0.4], visible=False, fixedrange=True)
    figure.update_yaxes(
        range=[depth + 0.7, -1.2],
        tickvals=[_row(kind, band) for band in range(bands) for kind in KINDS],
        ticktext=list(KINDS) * bands,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    for layer in range(layers):
        figure.add_annotation(
            text=str(layer),
            x=layer % across,
            y=_row(KINDS[0], layer // across) - 0.5,
            yanchor="bottom",
            showarrow=False,
            font={"size": 11},
        )
    return figure


def block_costs(contrast: "Contrast") -> go.Figure:
    """The cost of each dropped block within A and within B: the loss that putting only it back saves, nats a token.

    95% intervals are shown if they were measured.
    """
    figure = go.Figure()
    for column, side in (("cost_a", "a"), ("cost_b", "b")):
        rows = contrast.blocks[contrast.blocks[column].notna()]
        _, colour, _ = _SIDES[side]
        reach = rows.get(f"reach_{side}", pd.Series(np.nan, rows.index)).replace(np.inf, np.nan)
        figure.add_bar(
            x=rows["block"],
            y=rows[column],
            name=f"in {side.upper()}",
            marker={"color": colour, "pattern": {"shape": "" if side == "a" else "/"}},
            error_y={"type": "data", "array": reach, "color": theme.LINE_COLOUR, "thickness": 1.5},
            customdata=[
                f"<b>{block}</b> in {side.upper()}<br>{number(cost, sign=True)}"
                + ("" if np.isnan(half) else f" ± {number(half)}")
                + " nats a token"
                for block, cost, half in zip(rows["block"], rows[column], reach, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    theme.style(
        figure, x_title="Dropped block, by depth", y_title="Cost within its set (nats a token)", height=340
    )
    figure.update_layout(barmode="group", margin={"b": 90})
    figure.update_xaxes(categoryorder="array", categoryarray=list(contrast.blocks["block"]), showgrid=False)
    return figure


def token_table(a: "Evaluation", b: "Evaluation", pieces: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The table of :func:`entviz.figures.tokens.table` with A instead of dense: the increase is B's loss minus A's.

    Both evaluations are of the same windows. KL and agreement, which compare with dense, are left out.
    """
    rows = tokens.table(b, pieces)
    first = tokens.table(a, pieces)["nll"]
    rows = rows.assign(dense_nll=first, increase=rows["nll"] - first, kl=np.nan)
    return rows.drop(columns=["agrees"])


def angular_map(distances: pd.DataFrame) -> go.Figure:
    """Angular distance (0 to 1) across every run of layers, by first layer and size; the least per size is marked.

    ``distances`` has a row for each run: start, size, distance (Gromov et al. 2024, figure 4).
    """
    grid = distances.pivot(index="size", columns="start", values="distance")
    figure = go.Figure()
    figure.add_heatmap(
        x=grid.columns,
        y=grid.index,
        z=grid.to_numpy(),
        colorscale="Cividis",
        colorbar={"title": {"text": "Angular distance", "side": "right"}, "thickness": 12, "outlinewidth": 0},
        hovertemplate="layers %{x} to %{customdata}<br>%{y} layers<br>angular distance %{z:.4f}<extra></extra>",
        customdata=np.add.outer(grid.index.to_numpy(), grid.columns.to_numpy()) - 1,
        hoverongaps=False,
    )
    least = distances.loc[distances.groupby("size")["distance"].idxmin()]
    figure.add_scatter(
        x=least["start"],
        y=least["size"],
        mode="markers",
        name="least for its size",
        marker={"symbol": "circle-open", "size": 8, "color": theme.VERMILION, "line": {"width": 2}},
        hoverinfo="skip",
    )
    theme.style(figure, x_title="First layer of the run", y_title="Layers in the run", height=440)
    return figure


def _spread(group: pd.DataFrame, colour: str) -> dict[str, Any] | None:
    """The middle half of the rounds in which each speed was timed, as bars; None where it was not kept."""
    if "speedup_low" not in group:
        return None
    return {
        "array": (group["speedup_high"] - group["speedup"]).to_numpy(float),
        "arrayminus": (group["speedup"] - group["speedup_low"]).to_numpy(float),
        "color": colour,
        "thickness": 1,
        "width": 3,
    }


def _add_band(figure: go.Figure, group: pd.DataFrame, cost: str) -> None:
    x = _shown(group[cost], cost)
    low, high = np.exp(group["nll_low"].clip(upper=700)), np.exp(group["nll_high"].clip(upper=700))
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=theme.with_opacity(theme.GREY, 0.18),
        line={"width": 0},
        mode="lines",
        name=f"random, best to worst of {int(group['seeds'].max())}",
        hoverinfo="skip",
    )


def _add_front(figure: go.Figure, table: pd.DataFrame, quality: str, cost: str) -> None:
    front = table[table["front"]].sort_values(cost) if len(table) else table
    if front.empty:
        return
    figure.add_scatter(
        x=_shown(front[cost], cost),
        y=_shown(front[quality], quality),
        mode="markers",
        name="on the Pareto front",
        marker={"symbol": "circle-open", "size": 19, "color": theme.LINE_COLOUR, "line": {"width": 2}},
        hoverinfo="skip",
    )


def _add_dense(figure: go.Figure, comparison: "Comparison", quality: str, cost: str) -> None:
    dense = comparison.dense.iloc[0]
    if np.isnan(dense[quality]) or (quality == "kl"):
        return
    figure.add_scatter(
        x=_shown(dense[[cost]], cost),
        y=_shown(dense[[quality]], quality),
        mode="markers",
        name="dense",
        marker={"symbol": "line-ew-open", "size": 16, "color": theme.LINE_COLOUR, "line": {"width": 3}},
        hovertemplate=f"<b>dense</b><br>{QUALITY_TITLES[quality]} %{{y:.4g}}<extra></extra>",
    )


def _shown(values: pd.Series, name: str) -> np.ndarray:
    """Shares in per cent, other numbers unchanged."""
    percent = name in ("parameters_kept", "top1_agreement", "accuracy", "accuracy_normalized")
    return values.to_numpy(float) * (100 if percent else 1)


def _said(row: pd.Series) -> str:
    blocks = str(row["drop"]).split(",")
    lines = [", ".join(blocks[start : start + 6]) for start in range(0, min(len(blocks), 24), 6)]
    seeds = f" (mean of {row['seeds']} seeds; blocks of the typical one)" if row["seeds"] > 1 else ""
    task = "" if np.isnan(row["accuracy"]) else f", accuracy {row['accuracy']:.0%}"
    return (
        f"<b>{row['title']}</b>, budget {row['budget']}, {row['level']}{seeds}<br>"
        f"perplexity {in_words(row['perplexity'], '.4g')}, KL {row['kl']:.3g} nats, "
        f"top-1 {row['top1_agreement']:.1%}{task}<br>"
        f"{row['parameters_kept']:.1%} of parameters kept, {_speed(row)}<br>"
        f"without {'<br>'.join(lines)}{' …' if len(blocks) > 24 else ''}"
    )


def _speed(row: pd.Series) -> str:
    low, high = row.get("speedup_low", np.nan), row.get("speedup_high", np.nan)
    spread = "" if np.isnan(low) else f" ({low:.2f} to {high:.2f} in half of the rounds)"
    return f"{row['speedup']:.2f} × dense's speed{spread}"


def _add_cells(figure: go.Figure, rows: pd.DataFrame, title: str, colour: str, symbol: str) -> None:
    figure.add_scatter(
        x=rows["x"],
        y=rows["y"],
        mode="markers",
        name=title,
        marker={"symbol": symbol, "size": CELL - 8, "color": colour, "line": {"width": 1}},
        customdata=rows["block"],
        hovertemplate=f"<b>%{{customdata}}</b><br>{title}<extra></extra>",
    )


def _row(kind: str, band: int) -> float:
    return band * (len(KINDS) + 1.1) + KINDS.index(kind)


def _where(in_a: bool, in_b: bool) -> str:
    return "both" if in_a and in_b else "a" if in_a else "b" if in_b else "neither"
