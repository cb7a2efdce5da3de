"""Criteria against measured damage, from a :class:`entviz.comparison.trust.trust.Trust`.

::

    correlation_chart(trust, "all", "loss")              # a rank correlation with its interval for each criterion
    scatter(trust, "knn", "all", "loss", as_ranks=True)  # a dot for each block
    block_table(trust)                                   # one row for each block, for a file
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.comparison.trust.verdict import between, signed
from entviz.estimators import is_entropy
from entviz.figures import theme
from entviz.words.levels import kind_title
from entviz.words.metrics import metric_title, unit_of
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.comparison.trust.trust import Trust

_TITLES: Final = {"angular": "Angular distance", "depth": "Depth alone"}  # for criteria that are not metrics
DAMAGE_TITLES: Final = {"loss": "Loss increase", "kl": "KL from dense"}
_UNITS: Final = {"angular": "half turns", "depth": "−position"}
SYMBOLS: Final = {"layer": "circle", "attn": "circle", "mlp": "diamond"}
ROW_HEIGHT: Final = 38
SCATTER_HEIGHT: Final = 300
NAMED: Final = 2  # blocks that a scatter names
_COLOURS: Final = {"angular": theme.SKY, "depth": theme.GREY}


def title(criterion: str) -> str:
    """A criterion's name for a chart."""
    if criterion in _TITLES:
        return _TITLES[criterion]
    return metric_title(criterion, "entropy" if is_entropy(criterion) else "importance")


def chosen(trust: "Trust", scope: str, damage: str) -> pd.DataFrame:
    """The rows of ``trust.correlations`` for one scope and damage, the highest correlation first."""
    rows = trust.correlations
    rows = rows[(rows["scope"] == scope) & (rows["damage"] == damage)]
    return rows.sort_values("spearman", ascending=False, kind="stable", na_position="last")


def correlation_chart(trust: "Trust", scope: str, damage: str) -> go.Figure:
    """Spearman rank correlation with damage of each criterion, best on top, with its 95% interval."""
    rows = chosen(trust, scope, damage).dropna(subset=["spearman"]).iloc[::-1]
    figure = go.Figure()
    figure.add_scatter(
        x=rows["spearman"],
        y=[title(name) for name in rows["criterion"]],
        mode="markers",
        marker={"size": 12, "color": [_colour(name) for name in rows["criterion"]]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": rows["high"] - rows["spearman"],
            "arrayminus": rows["spearman"] - rows["low"],
            "color": theme.LINE_COLOUR,
            "thickness": 2,
            "width": 6,
        },
        customdata=[
            f"<b>{title(row.criterion)}</b><br>Spearman {signed(row.spearman)} {between(row.low, row.high)}<br>"
            f"Kendall {signed(row.kendall)}<br>{row.blocks} blocks"
            for row in rows.itertuples()
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    theme.style(
        figure,
        x_title="Rank correlation with damage (Spearman)",
        y_title="",
        height=110 + ROW_HEIGHT * max(1, len(rows)),
        legend=False,
    )
    figure.add_vline(x=0, line={"color": theme.LINE_COLOUR, "width": 1.5, "dash": "dash"})
    lowest = min(-0.25, float(rows["low"].min()) - 0.05) if len(rows) else -1.0
    figure.update_xaxes(range=[lowest, 1.05], dtick=0.25)
    figure.update_layout(margin={**theme.MARGIN, "l": 140})
    return figure


def scatter(trust: "Trust", criterion: str, scope: str, damage: str, *, as_ranks: bool = True) -> go.Figure:
    """A dot for each block: the criterion's score and the measured damage.

    With ``as_ranks`` both are ranks from 1. If a criterion orders blocks in the same way as their damage, all dots are
    on the diagonal. The blocks whose ranks differ most are named.
    """
    rows = _dots(trust, criterion, scope, damage)
    x, y = ("score_rank", "damage_rank") if as_ranks else ("score", damage)
    named = rows["gap"].abs().nlargest(NAMED).index
    figure = go.Figure()
    if as_ranks:
        figure.add_scatter(
            x=[1, len(rows)],
            y=[1, len(rows)],
            mode="lines",
            line={"color": theme.LINE_COLOUR, "width": 1, "dash": "dash"},
            hoverinfo="skip",
        )
    for kind in dict.fromkeys(rows["kind"]):
        part = rows[rows["kind"] == kind]
        figure.add_scatter(
            x=part[x],
            y=part[y],
            mode="markers+text",
            name=kind_title(kind),
            text=[row.block if row.Index in named else "" for row in part.itertuples()],
            textposition=["middle left" if row.gap > 0 else "middle right" for row in part.itertuples()],
            textfont={"size": 11},
            marker={"size": 9, "color": _colour(criterion), "symbol": SYMBOLS[kind], "opacity": 0.85},
            customdata=[_hover(row, criterion, len(rows)) for row in part.itertuples()],
            hovertemplate="%{customdata}<extra></extra>",
        )
    unit = _unit(criterion)
    theme.style(
        figure,
        x_title="Rank by score" if as_ranks else f"Score ({unit})",
        y_title="Rank by damage" if as_ranks else f"{DAMAGE_TITLES[damage]} (nats)",
        height=SCATTER_HEIGHT,
        legend=False,
    )
    if as_ranks:
        edge = [1 - 0.06 * len(rows), len(rows) * 1.06]
        figure.update_xaxes(range=edge)
        figure.update_yaxes(range=edge)
    figure.update_layout(margin={**theme.MARGIN, "t": 12})
    return figure


def block_table(trust: "Trust") -> pd.DataFrame:
    """One row for each block: block, kind, index, inner, loss_increase and kl (nats), a column for each criterion's
    score, and the loss increase in each window.
    """
    damage = trust.damage
    table = damage[["block", "kind", "index", "inner"]].copy()
    table["loss_increase_nats"], table["kl_nats"] = damage["loss"], damage["kl"]
    wide = trust.scores.pivot(index="block", columns="criterion", values="score").loc[table["block"]]
    for criterion in trust.criteria:
        table[f"score_{criterion}"] = wide[criterion].to_numpy()
    by_window = np.array(damage["loss_per_window"].tolist())  # (blocks, windows)
    for window in range(by_window.shape[1]):
        table[f"loss_increase_window_{window + 1}"] = by_window[:, window]
    return table


def _dots(trust: "Trust", criterion: str, scope: str, damage: str) -> pd.DataFrame:
    scores = trust.scores[trust.scores["criterion"] == criterion][["block", "score"]]
    rows = trust.damage.merge(scores, on="block", validate="one_to_one")
    if scope == "inner":
        rows = rows[rows["inner"]].reset_index(drop=True)
    rows["score_rank"] = rows["score"].rank()
    rows["damage_rank"] = rows[damage].rank()
    rows["gap"] = rows["score_rank"] - rows["damage_rank"]
    return rows


def _hover(row: Any, criterion: str, count: int) -> str:
    return (
        f"<b>{row.block}</b><br>score {number(row.score)} {_unit(criterion)}, rank {row.score_rank:g} "
        f"of {count}<br>loss {number(row.loss, sign=True)} nats, KL {number(row.kl)} nats<br>"
        f"damage rank {row.damage_rank:g} of {count}"
    )


def _unit(criterion: str) -> str:
    return _UNITS.get(criterion) or unit_of(criterion)


def _colour(criterion: str) -> str:
    return _COLOURS.get(criterion) or theme.metric_colour(criterion)
