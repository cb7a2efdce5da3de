"""Curves and bars across depth, made only from the two tables of an :class:`entviz.analysis.Analysis`.

::

    entropy_curve(analysis, "bucket")                               # entropy at every site, stages shaded
    pruned_curve(analysis, pruned, "bucket")                        # the same, with the curve of a pruned model over it
    entropy_change(analysis, pruned, "bucket")                      # the difference of the two curves
    entropy_increase_bars(analysis, "bucket", ("attn", "mlp"))      # what each block adds, in nats
    importance_bars(analysis, "cosine", ("attn", "mlp"))            # 1 − cosine similarity

The horizontal axis is always the layer index: the site ``layer.i`` and every block of layer i are at i, the site
``attn.i`` is half a step before, and the embedding is at −1. Charts above one another on a page therefore line up.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from entviz.figures import theme
from entviz.figures.scale import cut_limits
from entviz.stages import stages
from entviz.words.levels import kind_title
from entviz.words.metrics import axis_title, complement_title
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis

BAND_NAME: Final = "lowest to highest window"
STAGE_NAMES: Final = ("stage 1: compresses", "stage 2: enriches")
CURVE_HEIGHT: Final = 380
CHANGE_HEIGHT: Final = 200
ROW_HEIGHT: Final = 150  # of the bars of one kind of block
HEADROOM: Final = 0.42  # share of the axis beyond the cut, where the values of the cut bars are written


def entropy_curve(
    analysis: "Analysis", metric: str, *, level: str | None = None, turns: bool = True
) -> go.Figure:
    """Entropy (nats) at the sites of the residual stream, with the stages and the turning point.

    ``level="layer"`` draws only the embedding and the layers; any other level draws every site. The band goes from the
    lowest to the highest window. A curve without an interior minimum has no stages. With
    ``turns=False`` the curve gets none either, and its lowest layer is marked as no more than that.
    """
    sites = _sites(analysis, metric, level)
    colour = theme.metric_colour(metric)
    figure = go.Figure()
    if analysis.windows > 1:
        _add_band(figure, sites, colour)
    attention = sites["kind"] == "attn"
    figure.add_scatter(
        x=sites["depth"] - 1,
        y=sites["value"],
        mode="lines+markers",
        name="mean over windows",
        line={"color": colour, "width": 2},
        marker={
            "size": np.where(attention, 4, 7),
            "symbol": np.where(attention, "circle-open", "circle"),
            "color": colour,
        },
        customdata=_hover(sites, "nats"),
        hovertemplate="%{customdata}<extra></extra>",
    )
    windows = np.array(sites["per_window"].tolist())  # (sites, windows)
    span = float(np.ptp(windows)) or 1.0
    bottom, top = float(windows.min()) - 0.14 * span, float(windows.max()) + 0.06 * span
    _add_stages(figure, analysis, metric, top, turns)
    theme.style(figure, x_title="Layer", y_title="Entropy (nats)", height=CURVE_HEIGHT)
    # The mode bar, which appears on hover, is placed above the names of the stages.
    named = turns and stages(analysis, metric).two
    figure.update_layout(legend={"y": -0.22, "yanchor": "top"}, margin={"t": 60 if named else 28})
    figure.update_yaxes(range=[bottom, top])
    _layer_axis(figure, analysis.layers, embedding=True)
    return figure


def pruned_curve(
    dense: "Analysis", pruned: "Analysis", metric: str, *, level: str | None = None
) -> go.Figure:
    """The entropy (nats) of the pruned model's stream, drawn over that of the dense model, with both turning points.

    The pruned curve is flat across a dropped block, and the site after the block is marked.
    """
    figure = entropy_curve(dense, metric, level=level)
    grey = theme.DENSE_COLOUR
    figure.update_traces(fillcolor=theme.with_opacity(grey, 0.22), selector={"name": BAND_NAME})
    figure.update_traces(marker={"color": grey}, selector={"name": "turning point"})
    figure.update_traces(
        name="dense", line={"color": grey}, marker={"color": grey}, selector={"name": "mean over windows"}
    )
    sites = _sites(pruned, metric, level)
    figure.add_scatter(
        x=sites["depth"] - 1,
        y=sites["value"],
        mode="lines+markers",
        name="pruned",
        line={"color": theme.PRUNED_COLOUR, "width": 2.5},
        marker={"size": 4, "color": theme.PRUNED_COLOUR},
        customdata=_hover(sites, "nats without the dropped blocks"),
        hovertemplate="%{customdata}<extra></extra>",
    )
    gone = sites[sites["site"].isin(_sites_after(pruned))]
    figure.add_scatter(
        x=gone["depth"] - 1,
        y=gone["value"],
        mode="markers",
        name="dropped block",
        marker={"symbol": "x", "size": 9, "color": theme.PRUNED_COLOUR},
        hoverinfo="skip",
    )
    found = stages(pruned, metric)
    if found.two:
        row = sites[sites["site"] == f"layer.{found.turning_point}"].iloc[0]
        figure.add_scatter(
            x=[found.turning_point],
            y=[row["value"]],
            mode="markers",
            name="turning point, pruned",
            showlegend=False,
            marker={
                "symbol": "diamond-open",
                "size": 14,
                "color": theme.PRUNED_COLOUR,
                "line": {"width": 2.5},
            },
            hoverinfo="skip",
        )
    values = np.concatenate([np.ravel(sites["per_window"].tolist()), np.ravel(figure.layout.yaxis.range)])
    figure.update_yaxes(range=[float(values.min()), float(values.max())])
    return figure


def entropy_change(
    dense: "Analysis", pruned: "Analysis", metric: str, *, level: str | None = None
) -> go.Figure:
    """The entropy of the pruned model's stream minus that of the dense model's (nats), at each site."""
    before, after = (_sites(one, metric, level) for one in (dense, pruned))
    apart = [
        tuple(late - early for early, late in zip(*windows, strict=True))
        for windows in zip(before["per_window"], after["per_window"], strict=True)
    ]
    change = after.assign(value=after["value"].to_numpy() - before["value"].to_numpy(), per_window=apart)
    figure = go.Figure()
    figure.add_bar(
        x=change["depth"] - 1,
        y=change["value"],
        name="change",
        marker={"color": theme.PRUNED_COLOUR, "line": {"width": 0}},
        customdata=_hover(change, "nats", sign=True),
        hovertemplate="%{customdata}<extra></extra>",
    )
    theme.style(figure, x_title="Layer", y_title="Change (nats)", height=CHANGE_HEIGHT, legend=False)
    _layer_axis(figure, dense.layers, embedding=True)
    return figure


def entropy_increase_bars(
    analysis: "Analysis", metric: str, kinds: Sequence[str], *, cut: bool = True
) -> go.Figure:
    """Entropy increase (nats) of every block of these kinds: one row of bars for each kind, all on the same scale.

    With ``cut``, the axis is cut if a few very long bars would flatten all others; the values of these bars are written
    beside them.
    """
    rows = analysis.blocks[analysis.blocks["metric"] == metric]
    return bars(
        rows, kinds, analysis.layers, y_title="Entropy increase (nats)", unit="nats", sign=True, cut=cut
    )


def importance_bars(
    analysis: "Analysis", metric: str, kinds: Sequence[str], *, complement: bool = False, cut: bool = True
) -> go.Figure:
    """Importance of every block of these kinds (no unit), or with ``complement`` 1 minus the importance.

    For ``cosine``, the importance is 1 − the cosine similarity of a block's input and output, and the complement is the
    similarity itself.
    """
    rows = analysis.blocks[analysis.blocks["metric"] == metric]
    title, title_of_complement = axis_title(metric), complement_title(metric)
    if complement:
        flipped = [tuple(1 - value for value in windows) for windows in rows["per_window"]]
        rows = rows.assign(value=1 - rows["value"], per_window=flipped)
        return bars(
            rows,
            kinds,
            analysis.layers,
            y_title=title_of_complement,
            unit=title_of_complement.rpartition(" ")[2].lower(),
            sign=False,
            cut=False,
        )
    return bars(rows, kinds, analysis.layers, y_title=title, unit="importance", sign=False, cut=cut)


def _sites(analysis: "Analysis", metric: str, level: str | None) -> pd.DataFrame:
    """The rows of one metric in order of depth; for the level layer, only the embedding and the layers."""
    sites = analysis.sites[analysis.sites["metric"] == metric]
    if level == "layer":
        sites = sites[sites["kind"] != "attn"]
    return sites.sort_values("depth")


def _sites_after(pruned: "Analysis") -> set[str]:
    """The sites after the blocks that were dropped."""
    return {f"attn.{i}" for i in pruned.drop.attention} | {f"layer.{i}" for i in pruned.drop.mlp}


def _add_band(figure: go.Figure, sites: pd.DataFrame, colour: str) -> None:
    windows = np.array(sites["per_window"].tolist())  # (sites, windows)
    depth = sites["depth"].to_numpy() - 1
    figure.add_scatter(
        x=np.concatenate([depth, depth[::-1]]),
        y=np.concatenate([windows.max(axis=1), windows.min(axis=1)[::-1]]),
        fill="toself",
        fillcolor=theme.with_opacity(colour, 0.22),
        line={"width": 0},
        mode="lines",
        name=BAND_NAME,
        hoverinfo="skip",
    )


def _add_stages(figure: go.Figure, analysis: "Analysis", metric: str, top: float, turns: bool) -> None:
    found = stages(analysis, metric)
    if not found.two:
        return
    turn, last = found.turning_point, analysis.layers - 1
    spans = ((-1.5, turn, "left", -1.5), (turn, last + 0.5, "right", last + 0.5))
    named = zip(spans, STAGE_NAMES, theme.STAGE_COLOURS, strict=True)
    for (start, end, anchor, at), name, colour in named if turns else ():
        figure.add_shape(
            type="rect",
            x0=start,
            x1=end,
            y0=0,
            y1=1,
            yref="paper",
            fillcolor=colour,
            line_width=0,
            layer="below",
        )
        figure.add_annotation(
            text=name,
            x=at,
            y=1,
            yref="paper",
            xanchor=anchor,
            yanchor="bottom",
            showarrow=False,
            font={"size": 12},
        )
    row = analysis.sites[
        (analysis.sites["metric"] == metric) & (analysis.sites["site"] == f"layer.{turn}")
    ].iloc[0]
    figure.add_shape(
        type="line",
        x0=turn,
        x1=turn,
        y0=row["value"],
        y1=top,
        line={"color": theme.LINE_COLOUR, "width": 1.5, "dash": "dash"},
        layer="below",
        name="turning point",
    )
    figure.add_scatter(
        x=[turn],
        y=[row["value"]],
        mode="markers",
        name="turning point" if turns else "lowest layer",
        showlegend=False,
        marker={
            "symbol": "diamond-open",
            "size": 14,
            "color": theme.metric_colour(metric),
            "line": {"width": 2.5},
        },
        hoverinfo="skip",
    )
    # The label is below the minimum, where the curve never is, and stays inside the plot near either end.
    anchor = "left" if turn < 0.2 * last else "right" if turn > 0.8 * last else "center"
    figure.add_annotation(
        xanchor=anchor,
        text=f"turning point: layer {turn}" if turns else f"lowest after layer {turn}",
        x=turn,
        y=row["value"],
        yanchor="top",
        yshift=-10,
        showarrow=False,
        font={"size": 12},
    )


def bars(
    rows: pd.DataFrame,
    kinds: Sequence[str],
    layers: int,
    *,
    y_title: str,
    unit: str,
    sign: bool,
    cut: bool = True,
) -> go.Figure:
    """One value of every block of these kinds: a row of bars a kind, all on one scale.

    ``rows`` has the columns block, kind, index, value and per_window (the values of single windows; empty where they
    are not known), and may have said (what the pointer is told besides).
    """
    rows = rows[rows["kind"].isin(list(kinds))]
    low, high = cut_limits(rows["value"].to_numpy()) if cut else (-np.inf, np.inf)
    figure = make_subplots(rows=len(kinds), cols=1, shared_xaxes=True, vertical_spacing=0.24 / len(kinds))
    for row, kind in enumerate(kinds, start=1):
        part = rows[rows["kind"] == kind].sort_values("index")
        figure.add_bar(
            x=part["index"],
            y=part["value"],
            name=kind_title(kind),
            marker={"color": theme.kind_colour(kind), "line": {"width": 0}},
            customdata=_hover(part.rename(columns={"block": "site"}), unit, sign=sign),
            hovertemplate="%{customdata}<extra></extra>",
            row=row,
            col=1,
        )
        _name_cut_bars(figure, part, low, high, row, sign=sign)
        figure.add_annotation(
            text=f"<b>{kind_title(kind)}</b>",
            x=0,
            y=1,
            xref="x domain",
            yref="y domain",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12},
            row=row,
            col=1,
        )
    theme.style(figure, x_title="", y_title="", height=84 + ROW_HEIGHT * len(kinds), legend=False)
    figure.update_xaxes(title_text="Layer", row=len(kinds), col=1)
    figure.update_yaxes(title_text=y_title, row=(len(kinds) + 1) // 2, col=1)
    if len(rows):
        figure.update_yaxes(range=_range(rows["value"].to_numpy(), low, high))
    for row in range(2, len(kinds) + 1):  # plotly does not accept an axis that matches itself
        figure.update_yaxes(matches="y", row=row, col=1)
    _layer_axis(figure, layers, embedding=False)
    return figure


def _range(values: np.ndarray, low: float, high: float) -> list[float]:
    inside = values[(values >= low) & (values <= high)]
    bottom, top = min(0.0, float(inside.min())), max(0.0, float(inside.max()))
    span = (top - bottom) or 1.0
    under = HEADROOM if (values < low).any() else 0.06
    over = HEADROOM if (values > high).any() else 0.16
    bottom = bottom - under * span if bottom < 0 or (values < low).any() else 0.0
    return [bottom, top + over * span]


def _name_cut_bars(
    figure: go.Figure, part: pd.DataFrame, low: float, high: float, row: int, *, sign: bool
) -> None:
    """Write the value of each bar that extends beyond the cut axis beside it, since its length no longer shows it."""
    long = part[(part["value"] < low) | (part["value"] > high)]
    taken, last = set(long["index"]), int(part["index"].max()) if len(part) else 0
    for one in long.itertuples():
        above = one.value > 0
        # Beyond the cut there is room beside the bar, unless its neighbour is a cut bar too.
        right = one.index < last and one.index + 1 not in taken
        figure.add_annotation(
            text=number(float(one.value), sign=sign),
            x=one.index + (1 if right else -1),
            y=1 if above else 0,
            yref="y domain",
            yanchor="top" if above else "bottom",
            textangle=-90,
            showarrow=False,
            font={"size": 11},
            row=row,
            col=1,
        )


def _hover(rows: pd.DataFrame, unit: str, *, sign: bool = False) -> list[str]:
    found = []
    for one in rows.itertuples():
        text = f"<b>{one.site}</b><br>{number(float(one.value), sign=sign)} {unit}"
        if len(one.per_window) > 1:
            text += f"<br>windows: {number(min(one.per_window), sign=sign)} to {number(max(one.per_window), sign=sign)}"
        if said := getattr(one, "said", ""):
            text += f"<br>{said}"
        found.append(text)
    return found


def _layer_axis(figure: go.Figure, layers: int, *, embedding: bool) -> None:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if layers / step <= 12)
    ticks = list(range(0, layers, step))
    labels = [str(tick) for tick in ticks]
    if embedding:
        # If every layer has a tick, the word would touch the first number.
        ticks, labels = [-1, *ticks], ["embed" if step > 1 else "e", *labels]
        if step > 1:
            labels[1] = ""
    figure.update_xaxes(tickvals=ticks, ticktext=labels, range=[-1.5, layers - 0.5], showgrid=False)
