"""The prune sets that were tried as points of a chart, with the curves of criteria behind them, and two of them apart.

::

    chart = trail_chart(trail.table(basis), "perplexity", trail.steps, comparison=comparison)
    said(difference(first, second))          # sentences

A criterion has the colour and dash that it has in every chart of a comparison.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.evaluation.perplexity import MOST_NLL, in_words
from entviz.figures import theme
from entviz.figures.comparison import QUALITY_TITLES, WIDE, style_of
from entviz.words.phrases import counted, number, some

if TYPE_CHECKING:
    from entviz.blocks import PruneSet
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.trail import Difference
    from entviz.statistics import Interval

QUALITIES: Final = ("perplexity", "kl")
HEIGHT: Final = 300  # pixels, without its legend
POINTS: Final = (
    "prune sets tried"  # the trace whose points can be clicked; each one's customdata is its number
)
REPAIRED: Final = "repaired prune sets"  # the same of those that were measured with a repair
_LEAST_SPAN: Final = 1.0  # percent of the parameters that the axis shows at least
_LEGEND_LINE: Final = 19
_NAMED: Final = 12  # blocks of a prune set in a label
_FAINT: Final = 0.55  # opacity of what stands behind


def trail_chart(
    table: pd.DataFrame,
    quality: str,
    steps: Sequence[int],
    *,
    pinned: Mapping[str, int] | None = None,
    comparison: "Comparison | None" = None,
) -> go.Figure:
    """Perplexity or KL against the parameters kept, a point for each prune set that was tried.

    A prune set that was measured with a repair is a point of another shape and colour.

    Args:
        table: as :meth:`entviz.comparison.trail.Trail.table` gives it, at least one row.
        quality: one of ``QUALITIES``.
        steps: the numbers of the prune sets in the order in which they were visited; the last is where one is now.
        pinned: numbers of prune sets by the letter that marks them.
        comparison: whose criteria are drawn behind. It is of other tokens, so its perplexities are drawn as multiples
            of its dense model's, times the dense model's here.
    """
    figure = go.Figure()
    if comparison is not None and not comparison.rows.empty:
        _add_criteria(figure, comparison, quality, float(table["dense_perplexity"].iloc[0]))
    rows = table.set_index("number")
    _add_way(figure, rows, quality, [step for step in steps if step in rows.index])
    _add_best(figure, table[table["best"]].sort_values("parameters_kept"), quality)
    now = steps[-1] if steps else None
    mended = table["repair"] != ""
    for repaired in (False, True):
        if (mended == repaired).any():
            _add_points(figure, table[mended == repaired], quality, now, pinned or {}, repaired=repaired)
    below = 62 + _LEGEND_LINE * sum(trace.showlegend is not False for trace in figure.data)
    theme.style(figure, x_title="Parameters kept (%)", y_title=QUALITY_TITLES[quality], height=HEIGHT + below)
    figure.update_layout(
        legend={"y": 0, "yref": "container", "yanchor": "bottom"},
        margin={"t": 36, "b": below},
        clickmode="event+select",
    )
    shares = np.concatenate([np.asarray(trace.x, float) for trace in figure.data if trace.x is not None])
    low, high = np.nanmin(shares), np.nanmax(shares)
    if high - low < _LEAST_SPAN:  # a bias adds a few numbers, which are no distance to see
        figure.update_xaxes(range=[(low + high - _LEAST_SPAN) / 2, (low + high + _LEAST_SPAN) / 2])
    known = table[quality].to_numpy(float)
    known = known[known > 0]
    if len(known) and known.max() > WIDE * known.min() and quality == "perplexity":
        figure.update_yaxes(type="log", title_text=f"{QUALITY_TITLES[quality]}, log scale")
    return figure


def said(found: "Difference") -> list[str]:
    """How B differs from A, in sentences."""
    first, second = found.perplexity
    sentences = [
        f"Perplexity {in_words(first, '.4g')} in A, {in_words(second, '.4g')} in B: "
        f"{_times(second / first)}.",
        f"Loss, B minus A: {_interval(found.loss)} nats a token{_clear(found.loss)}.",
        f"KL from dense, B minus A: {_interval(found.kl)} nats{_clear(found.kl)}.",
    ]
    if found.parameters:
        more = "more" if found.parameters > 0 else "fewer"
        sentences.append(f"B keeps {abs(found.parameters) / 1e6:,.2f} million parameters {more} than A.")
    else:
        sentences.append("Both keep as many parameters.")
    only = [f"only {name} drops {_blocks(drop)}" for name, drop in _sides(found) if drop]
    said_only = "; ".join(only) or "both drop the same blocks"
    sentences.append(f"{said_only[0].upper()}{said_only[1:]}.")
    return sentences


def _sides(found: "Difference") -> tuple[tuple[str, "PruneSet"], ...]:
    return ("A", found.only_first), ("B", found.only_second)


def _blocks(drop: "PruneSet") -> str:
    return some([str(block) for block in drop], _NAMED)


def _times(ratio: float) -> str:
    return f"B's is {number(ratio)} times A's"


def _interval(found: "Interval") -> str:
    reach = number(found.reach) if np.isfinite(found.reach) else "?"
    return f"{number(found.mean, sign=True)} ± {reach}"


def _clear(found: "Interval") -> str:
    return "" if found.clear else ", so which is lower is not clear on this text"


def _add_criteria(figure: go.Figure, comparison: "Comparison", quality: str, dense_perplexity: float) -> None:
    table = comparison.table()
    several = table["level"].nunique() > 1
    theirs = float(comparison.dense["perplexity"].iloc[0])
    scale = dense_perplexity / theirs if quality == "perplexity" else 1.0
    for (name, level), group in table.groupby(["name", "level"], sort=False):
        group = group.sort_values("parameters_kept")
        x = 100 * group["parameters_kept"].to_numpy(float)
        title = str(group["title"].iloc[0]) + (f", {level}" if several else "")
        if name == "random" and quality == "perplexity" and int(group["seeds"].max()) > 1:
            low, high = (scale * np.exp(group[end].clip(upper=MOST_NLL)) for end in ("nll_low", "nll_high"))
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                fill="toself",
                fillcolor=theme.with_opacity(theme.GREY, 0.15),
                line={"width": 0},
                mode="lines",
                name=f"{title}, best to worst of {int(group['seeds'].max())}",
                hoverinfo="skip",
            )
        colour, _, dash = style_of(str(name))
        figure.add_scatter(
            x=x,
            y=scale * group[quality].to_numpy(float),
            mode="lines",
            name=title,
            opacity=_FAINT,
            line={"color": colour, "dash": dash, "width": 2},
            customdata=[f"{title}, budget {budget}" for budget in group["budget"]],
            hovertemplate="%{customdata}<br>%{x:.1f}% kept, %{y:.4g}<extra></extra>",
        )


def _add_way(figure: go.Figure, rows: pd.DataFrame, quality: str, steps: Sequence[int]) -> None:
    if len(steps) < 2:
        return
    way = rows.loc[list(steps)]
    figure.add_scatter(
        x=100 * way["parameters_kept"].to_numpy(float),
        y=way[quality].to_numpy(float),
        mode="lines",
        name="your way",
        line={"color": theme.LINE_COLOUR, "width": 1},
        hoverinfo="skip",
    )


def _add_best(figure: go.Figure, best: pd.DataFrame, quality: str) -> None:
    figure.add_scatter(
        x=100 * best["parameters_kept"].to_numpy(float),
        y=best[quality].to_numpy(float),
        mode="markers",
        name="best (Pareto front)",
        marker={"symbol": "diamond-open", "size": 19, "color": theme.GREEN, "line": {"width": 2}},
        hoverinfo="skip",
    )


def _add_points(
    figure: go.Figure,
    table: pd.DataFrame,
    quality: str,
    now: int | None,
    pinned: Mapping[str, int],
    *,
    repaired: bool = False,
) -> None:
    shape, colour = ("square", theme.GREEN) if repaired else ("circle", theme.BLUE)
    here = (table["number"] == now).to_numpy()
    letters = {number: letter for letter, number in pinned.items()}
    figure.add_scatter(
        x=100 * table["parameters_kept"].to_numpy(float),
        y=table[quality].to_numpy(float),
        mode="markers+text",
        name=REPAIRED if repaired else POINTS,
        text=[letters.get(number, "") for number in table["number"]],
        textposition="top right",
        textfont={"size": 14},
        marker={
            "symbol": np.where(here, shape, f"{shape}-dot").tolist(),
            "size": np.where(here, 14, 10).tolist(),
            "color": np.where(here, theme.VERMILION, colour).tolist(),
        },
        # Nothing is faded where a point is selected: a click only goes there.
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}, "textfont": {"color": None}},
        customdata=[[int(row.number), _label(row, here=row.number == now)] for row in table.itertuples()],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def _label(row: Any, *, here: bool) -> str:
    blocks = str(row.drop).split(",") if row.drop else []
    dropped = f"without {some(blocks, _NAMED)}" if blocks else "dense: nothing dropped"
    if row.repair:
        dropped += f", <b>repaired</b>: {row.repair}"
    lines = [
        f"<b>{row.number}</b>{' (you are here)' if here else ''}: {dropped}",
        f"perplexity {in_words(row.perplexity, '.4g')} (dense {in_words(row.dense_perplexity, '.4g')})",
        f"KL {number(row.kl)} ± {number((row.kl_high - row.kl_low) / 2)} nats, top-1 {row.top1_agreement:.1%}",
        f"{row.parameters_kept:.1%} of parameters kept, {counted(row.blocks, 'block')} dropped",
    ]
    return "<br>".join(lines + (["<b>one of the best here</b>"] if row.best else []))
