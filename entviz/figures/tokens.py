"""Where in a text a prune set hurts: its tokens coloured by their loss increase, and the loss at each position.

::

    rows = table(evaluation, pieces)       # a row for each token; pieces from entviz.text.spelling
    marked_text(rows)                      # HTML, everything in it escaped
    loss_chart(rows)                       # loss at each token position, dense and pruned

Loss is the negative log-likelihood of a token given the tokens before it in its window, in nats. A window's first token
has no loss.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.figures import theme
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation

WORSE: Final = theme.VERMILION  # a diverging pair that all kinds of colour vision tell apart
BETTER: Final = theme.BLUE
DEEPEST: Final = 0.7  # opacity of the strongest colour: the page's own text colour still reads on it
SMALLEST_SCALE: Final = 0.1  # nats; a smaller change must not look large
HEIGHT: Final = 300
NAMES: Final = ("dense", "pruned")  # the model that is compared with, and the one that is


def table(evaluation: "Evaluation", pieces: Sequence[Sequence[str]]) -> pd.DataFrame:
    """A row for each token of the evaluation's windows, in the order of the text.

    Columns: window and position (from 1), token_id, token (its text), nll, dense_nll, increase (nll − dense_nll),
    kl (all nats), agrees (whether both models think the same token likeliest here). The first token of each window
    has no numbers.
    """
    windows, length = evaluation.windows, evaluation.window_length

    def whole(values: np.ndarray) -> np.ndarray:
        first = np.full((windows, 1), np.nan)
        return np.concatenate([first, values.astype(float)], axis=1).ravel()

    nll, dense = whole(evaluation.token_nll), whole(evaluation.dense_token_nll)
    agrees = whole(evaluation.agrees)
    return pd.DataFrame(
        {
            "window": np.repeat(np.arange(1, windows + 1), length),
            "position": np.tile(np.arange(1, length + 1), windows),
            "token_id": evaluation.token_ids.ravel(),
            "token": [piece for window in pieces for piece in window],
            "nll": nll,
            "dense_nll": dense,
            "increase": nll - dense,
            "kl": whole(evaluation.token_kl),
            "agrees": pd.array([pd.NA if np.isnan(one) else bool(one) for one in agrees], dtype="boolean"),
        }
    )


def scale(rows: pd.DataFrame) -> float:
    """The loss increase (nats) that gets the strongest colour: only one token in twenty changed more."""
    sizes = rows["increase"].abs().dropna()
    return max(float(sizes.quantile(0.95)), SMALLEST_SCALE) if len(sizes) else SMALLEST_SCALE


def marked_text(rows: pd.DataFrame, strongest: float, names: tuple[str, str] = NAMES) -> str:
    """The text of :func:`table` as HTML: a paragraph for each window, each token on a colour for its change in loss.

    ``strongest`` is the increase, in nats, from which the colour has its full strength. The tokens' text is escaped. A
    token's title gives its loss. ``names`` are the names of the two models, the reference first.
    """
    paragraphs = []
    for number_, window in rows.groupby("window", sort=True):
        spans = "".join(_span(row, strongest, names) for row in window.itertuples())
        paragraphs.append(
            f'<p style="margin:0 0 0.9em;overflow-wrap:anywhere"><small style="opacity:0.65">window {number_}'
            f"</small><br>{spans}</p>"
        )
    return f'<div style="line-height:1.75;white-space:pre-wrap">{"".join(paragraphs)}</div>'


def legend(strongest: float) -> str:
    """The legend of the colours of :func:`marked_text`, as HTML."""
    parts = []
    for share, said in (
        (-1, f"−{number(strongest)} or less"),
        (0, "0"),
        (1, f"+{number(strongest)} or more"),
    ):
        ground = _ground(share * strongest, strongest)
        parts.append(f'<span style="padding:0.1em 0.5em;border-radius:3px;{ground}">{said}</span>')
    return (
        f'<div style="font-size:0.85em;display:flex;flex-wrap:wrap;gap:0.4em;align-items:center">'
        f"<span>Loss increase (nats): predicted better</span>{''.join(parts)}<span>worse</span></div>"
    )


def loss_chart(rows: pd.DataFrame, *, difference: bool = False, names: tuple[str, str] = NAMES) -> go.Figure:
    """Loss (nats) at each token position, dense and pruned, with the windows' boundaries; or pruned − dense.

    Where the two are the same throughout, as with nothing dropped, there is one line.
    """
    lines = [(names[0], "dense_nll", theme.DENSE_COLOUR), (names[1], "nll", theme.PRUNED_COLOUR)]
    if not rows["increase"].fillna(0).any():
        lines = lines[:1]
    figure = go.Figure()
    at = np.arange(1, len(rows) + 1)
    said = [_said(row, names) for row in rows.itertuples()]
    if difference:
        figure.add_bar(
            x=at,
            y=rows["increase"],
            name=f"{names[1]} − {names[0]}",
            marker={  # numbers, because plotly takes as long to check many colours as for everything else
                "color": (rows["increase"].to_numpy() > 0).astype(int),
                "colorscale": [[0, BETTER], [1, WORSE]],
                "cmin": 0,
                "cmax": 1,
                "line": {"width": 0},
            },
            customdata=said,
            hovertemplate="%{customdata}<extra></extra>",
        )
    else:
        for name, column, colour in lines:
            figure.add_scatter(
                x=at,
                y=rows[column],
                mode="lines",
                name=name,
                line={"color": colour, "width": 1.5, "dash": "dot" if name == names[0] else "solid"},
                customdata=said,
                hovertemplate="%{customdata}<extra></extra>",
            )
    title = "Loss increase (nats)" if difference else "Loss (nats)"
    theme.style(figure, x_title="Token position", y_title=title, height=HEIGHT, legend=not difference)
    figure.update_layout(
        bargap=0,
        shapes=[
            {
                "type": "line",
                "x0": float(start) - 0.5,
                "x1": float(start) - 0.5,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": {"color": theme.LINE_COLOUR, "width": 1, "dash": "dash"},
            }
            for start in at[(rows["position"] == 1) & (at > 1)]
        ],
    )
    figure.update_xaxes(range=[0.5, len(rows) + 0.5], showgrid=False)
    return figure


def _span(row: "pd.core.frame.Pandas", strongest: float, names: tuple[str, str]) -> str:
    text = escape(row.token)
    if np.isnan(row.increase):
        return f"<span>{text}</span>"
    title = escape(
        f"{row.token!r}: {names[1]} loss {number(row.nll)}, {names[0]} {number(row.dense_nll)} "
        f"({number(row.increase, sign=True)}) nats"
    )
    ground = _ground(row.increase, strongest)
    return f'<span title="{title}" data-at="{row.window}.{row.position}" style="{ground}">{text}</span>'


def _ground(increase: float, strongest: float) -> str:
    opacity = DEEPEST * min(abs(increase) / strongest, 1.0)
    return f"background:{theme.with_opacity(WORSE if increase > 0 else BETTER, round(opacity, 2))}"


def _said(row: "pd.core.frame.Pandas", names: tuple[str, str]) -> str:
    """The hover text. Plotly reads some HTML, so the token is escaped here too."""
    where = f"<b>{escape(repr(row.token))}</b><br>window {row.window}, token {row.position}"
    if np.isnan(row.increase):
        return where
    return (
        f"{where}<br>{escape(names[1])} {number(row.nll)} nats, {escape(names[0])} {number(row.dense_nll)} nats"
        f"<br>increase {number(row.increase, sign=True)} nats"
        + ("" if np.isnan(row.kl) else f", KL {number(row.kl)} nats")
    )
