"""The costs of the choices of an exercise, side by side.

::

    costs(["attn.7", "attn.27"], [cost(evaluation) for evaluation in evaluations])
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import plotly.graph_objects as go

from entviz.figures import theme
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.lessons.exercises import ChoiceCost

ROW: Final = 46  # pixels a bar


def costs(names: Sequence[str], found: Sequence["ChoiceCost"]) -> go.Figure:
    """Bars of each choice's loss increase over dense, in nats a token, with 95% intervals."""
    figure = go.Figure()
    figure.add_bar(
        x=[one.added for one in found],
        y=[f"{name}<br>perplexity {number(one.perplexity)}" for name, one in zip(names, found, strict=True)],
        orientation="h",
        marker={"color": theme.PRUNED_COLOUR, "line": {"width": 0}},
        error_x={
            "type": "data",
            "array": [one.reach for one in found],
            "color": theme.LINE_COLOUR,
            "thickness": 2,
        },
        customdata=[
            f"<b>{name}</b><br>loss {number(one.added, sign=True)} ± {number(one.reach)} nats a token<br>"
            f"perplexity {number(one.perplexity)}, dense {number(one.dense_perplexity)}"
            for name, one in zip(names, found, strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    longest = max(*(one.added + one.reach for one in found), 0.0) or 1.0
    theme.style(
        figure,
        x_title="Loss added (nats a token)",
        y_title="",
        height=90 + ROW * len(names),
        legend=False,
    )
    lowest = min(*(one.added - one.reach for one in found), 0.0)
    figure.update_layout(margin={"l": 130, "t": 8})
    figure.update_xaxes(range=[1.1 * lowest, 1.08 * longest], zeroline=True)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure
