"""Pairs of blocks beyond their sum, from a :class:`entviz.comparison.interactions.interactions.Interactions`.

::

    heat_map(interactions, "loss")
    headline(interactions, "loss")
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import plotly.graph_objects as go

from entviz.figures import theme
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions

# A diverging scale for all kinds of colour vision, transparent in the middle to show the light or dark page.
COLOURS: Final = (
    (0.0, theme.BLUE),
    (0.25, theme.with_opacity(theme.SKY, 0.75)),
    (0.5, "rgba(128,132,140,0.10)"),
    (0.75, theme.with_opacity(theme.ORANGE, 0.75)),
    (1.0, theme.VERMILION),
)
FULL_COLOUR_SHARE: Final = 0.98  # share of the cells; the few larger values would leave all others colourless
HEIGHT: Final = 560


def heat_map(interactions: "Interactions", damage: str) -> go.Figure:
    """Damage of each pair beyond the sum of its two blocks, nats a token. The diagonal and unknown pairs are blank.

    Colours reach their full strength at :func:`full_colour`.
    """
    limit = full_colour(interactions, damage)
    figure = go.Figure()
    figure.add_heatmap(
        x=interactions.blocks,
        y=interactions.blocks,
        z=interactions.beyond(damage),
        zmin=-limit,
        zmax=limit,
        colorscale=[list(stop) for stop in COLOURS],
        xgap=1,
        ygap=1,
        customdata=_hover(interactions, damage),
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=True,
        colorbar={
            "title": {"text": "nats a token", "side": "right"},
            "thickness": 14,
            "tickformat": "+.2~g",
            "outlinewidth": 0,
        },
    )
    theme.style(figure, x_title="", y_title="", height=HEIGHT, legend=False)
    step = max(1, round(len(interactions.blocks) / 12))
    names = interactions.blocks[::step]
    figure.update_xaxes(tickvals=names, tickangle=-60, showgrid=False, title_standoff=4)
    figure.update_yaxes(tickvals=names, autorange="reversed", showgrid=False)
    figure.update_layout(margin={**theme.MARGIN, "l": 64, "b": 66, "t": 30, "r": 4})
    return figure


def full_colour(interactions: "Interactions", damage: str) -> float:
    """The size of interaction (nats a token) from which colours have their full strength."""
    sizes = np.abs(_upper(interactions.beyond(damage)))
    found = float(np.quantile(sizes, FULL_COLOUR_SHARE)) if sizes.size else 0.0
    return found if found > 0 else 1e-6


def headline(interactions: "Interactions", damage: str) -> list[str]:
    """A summary of the pairs in up to three sentences."""
    beyond, reach = interactions.beyond(damage), interactions.reach(damage)
    values = _upper(beyond)
    if not values.size:
        return ["No pair is measured yet."]
    said = [_worst(interactions, damage)]
    reaches = _upper(reach)
    if np.isfinite(reaches).all():
        more = int((values > reaches).sum())
        less = int((values < -reaches).sum())
        said.append(
            f"Of {len(values):,} pairs, {more:,} clearly cost more than their sum and {less:,} clearly less (95% "
            f"intervals). By chance alone about {round(0.05 * len(values)):,} would. For the other "
            f"{len(values) - more - less:,} damage adds up as far as this text can tell."
        )
    near = np.array([beyond[i, i + 1] for i in range(len(beyond) - 1)])
    near = near[~np.isnan(near)]
    far = _upper(beyond, 2)
    if near.size and far.size:
        said.append(
            f"Neighbours interact by {number(float(np.abs(near).mean()))} nats in the mean, others by "
            f"{number(float(np.abs(far).mean()))}."
        )
    return said


def _worst(interactions: "Interactions", damage: str) -> str:
    beyond = np.where(np.isnan(interactions.beyond(damage)), -np.inf, interactions.beyond(damage))
    i, j = np.unravel_index(int(beyond.argmax()), beyond.shape)
    alone, together = interactions.alone(damage), interactions.together(damage)[i, j]
    first, second = sorted((int(i), int(j)))
    pair = f"{interactions.blocks[first]} and {interactions.blocks[second]}"
    total = float(alone[i] + alone[j])
    if beyond[i, j] <= 0:
        return f"No pair costs more than the sum of its two; nearest to it are {pair}."
    return (
        f"Worst to drop together are {pair}: {number(float(together))} nats a token, where their sum is "
        f"{number(total)}."
    )


def _upper(values: np.ndarray, above: int = 1) -> np.ndarray:
    """The known values that are at least ``above`` places above the diagonal."""
    found = values[np.triu_indices(len(values), above)]
    return found[~np.isnan(found)]


def _hover(interactions: "Interactions", damage: str) -> list[list[str]]:
    alone, together = interactions.alone(damage), interactions.together(damage)
    beyond, reach = interactions.beyond(damage), interactions.reach(damage)
    names = interactions.blocks

    def text(i: int, j: int) -> str:
        if i == j:
            return f"<b>{names[i]}</b> alone<br>{number(float(alone[i]), sign=True)} nats"
        if np.isnan(beyond[i, j]):
            return f"<b>{names[i]} and {names[j]}</b><br>not measured"
        spread = f" ± {number(float(reach[i, j]))} (95% interval)" if np.isfinite(reach[i, j]) else ""
        return (
            f"<b>{names[i]} and {names[j]}</b><br>together {number(float(together[i, j]), sign=True)} nats<br>"
            f"sum of the two {number(float(alone[i] + alone[j]), sign=True)} nats<br>"
            f"beyond the sum {number(float(beyond[i, j]), sign=True)} nats{spread}"
        )

    return [[text(i, j) for j in range(len(names))] for i in range(len(names))]
