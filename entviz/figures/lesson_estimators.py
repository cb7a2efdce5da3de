"""A picture of how each estimator works, drawn from :mod:`entviz.lessons.demonstrations`.

::

    histogram(demonstrations.histogram(values, buckets=20))         # buckets between moving edges
    neighbours(demonstrations.neighbours(points, k=5), chosen=7)    # radii
    kernel(demonstrations.similarities(points, alpha=4))            # similarities of all pairs
    turn(demonstrations.turn(direction=60, length=0.8))             # the angle between before and after
"""

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import plotly.graph_objects as go

from entviz.figures import theme

if TYPE_CHECKING:
    from entviz.lessons.demonstrations import Histogram, Neighbours, Similarities, Turn

HEIGHT: Final = 380
# Half of the histogram's axis, unless a value lies outside: fixed, so that edges are seen to move on it.
LINE_REACH: Final = 6.5
PLANE_REACH: Final = 5.5  # half the width of the points' axes
TURN_REACH: Final = 2.15  # half the height of the axes on which vectors of length 1 and at most 2 are added
CORNERS: Final = 64  # of the polygon drawn for a circle
GROUP_COLOURS: Final = (theme.BLUE, theme.ORANGE, theme.GREEN, theme.PURPLE)
GROUP_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up")
POINTS_HEIGHT: Final = 330


def histogram(shown: "Histogram") -> go.Figure:
    """Bars of the tokens in each bucket, every edge marked, and the values themselves below as ticks."""
    colour = theme.metric_colour("bucket")
    counts, edges = shown.counts, shown.edges
    total, highest = counts.sum(), counts.max()
    share = counts / total
    terms = [0.0 if p == 0 else -p * math.log(p) for p in share]
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges),
        name="tokens in a bucket",
        marker={"color": theme.with_opacity(colour, 0.55), "line": {"width": 1, "color": colour}},
        customdata=[
            f"<b>bucket {number + 1}</b>: {edges[number]:.2f} to {edges[number + 1]:.2f}<br>{counts[number]} of "
            f"{total} tokens, p = {share[number]:.3f}<br>−p log p = {terms[number]:.4f} nats"
            for number in range(len(counts))
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.add_scatter(
        x=np.repeat(edges, 3),
        y=np.tile([0, -0.07 * highest, None], len(edges)),
        mode="lines",
        name="bucket edges",
        line={"color": theme.LINE_COLOUR, "width": 1.2},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=shown.values,
        y=np.full(len(shown.values), -0.14 * highest),
        mode="markers",
        name="values",
        marker={"symbol": "line-ns-open", "size": 9, "color": theme.ORANGE, "opacity": 0.6},
        hovertemplate="a token's value: %{x:.2f}<extra></extra>",
    )
    theme.style(figure, x_title="Value in this dimension", y_title="Tokens", height=HEIGHT)
    reach = max(LINE_REACH, 1.05 * float(np.abs(shown.values).max()))
    figure.update_xaxes(range=[-reach, reach])
    figure.update_yaxes(range=[-0.2 * highest, 1.08 * highest])
    return figure


def neighbours(shown: "Neighbours", chosen: int) -> go.Figure:
    """The points, each with a circle to its k-th nearest other point; one point is highlighted."""
    colour = theme.metric_colour("knn")
    points, radii = shown.points, shown.radii
    figure = go.Figure()
    rings = [_circle(point, radius) for point, radius in zip(points, radii, strict=True)]
    figure.add_scatter(
        x=np.concatenate([np.append(x, np.nan) for x, _ in rings]),
        y=np.concatenate([np.append(y, np.nan) for _, y in rings]),
        mode="lines",
        name="radius of each token",
        line={"color": theme.LINE_COLOUR, "width": 0.7},
        opacity=0.45,
        hoverinfo="skip",
    )
    x, y = rings[chosen]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name=f"radius of token {chosen}",
        fill="toself",
        fillcolor=theme.with_opacity(colour, 0.16),
        line={"color": colour, "width": 2.5},
        hoverinfo="skip",
    )
    other = points[shown.kth[chosen]]
    figure.add_scatter(
        x=[points[chosen, 0], other[0]],
        y=[points[chosen, 1], other[1]],
        mode="lines",
        name=f"to its neighbour number {shown.k}",
        line={"color": theme.VERMILION, "width": 2},
        hoverinfo="skip",
    )
    size = np.full(len(points), 7)
    size[chosen] = 13
    figure.add_scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        name="tokens",
        marker={
            "size": size,
            "color": np.where(np.arange(len(points)) == chosen, colour, theme.BLUE),
            "line": {"width": 1, "color": "white"},
        },
        customdata=[
            f"<b>token {number}</b><br>its neighbour number {shown.k} is token {shown.kth[number]},<br>"
            f"{radii[number]:.3f} away"
            for number in range(len(points))
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    return _square(figure, PLANE_REACH, HEIGHT + 60)


def points(shown: "Similarities", group: np.ndarray) -> go.Figure:
    """The points that :func:`kernel` compares, by group (n,)."""
    figure = go.Figure()
    for number in range(int(group.max()) + 1):
        of_it = np.flatnonzero(group == number)
        figure.add_scatter(
            x=shown.points[of_it, 0],
            y=shown.points[of_it, 1],
            mode="markers",
            name=f"group {number + 1}",
            marker={
                "size": 8,
                "color": GROUP_COLOURS[number],
                "symbol": GROUP_SYMBOLS[number],
                "line": {"width": 1, "color": "white"},
            },
            customdata=[f"token {index}, group {number + 1}" for index in of_it],
            hovertemplate="%{customdata}<extra></extra>",
        )
    reach = max(PLANE_REACH, 1.08 * float(np.abs(shown.points).max()))
    return _square(figure, reach, POINTS_HEIGHT, legend=False)


def kernel(shown: "Similarities") -> go.Figure:
    """K^(alpha-1) of every pair of points, in order of group, from 0 (not similar) to 1 (identical)."""
    count = len(shown.points)
    figure = go.Figure()
    figure.add_heatmap(
        z=shown.powers,
        zmin=0,
        zmax=1,
        colorscale="Cividis",
        colorbar={
            "title": {"text": f"K<sup>{shown.alpha - 1:g}</sup>", "side": "top"},
            "orientation": "h",
            "thickness": 12,
            "y": 1.02,
            "yanchor": "bottom",
        },
        customdata=np.stack([shown.distances, shown.kernel], axis=2),
        hovertemplate="<b>tokens %{y} and %{x}</b><br>distance %{customdata[0]:.2f}, similarity K = "
        f"%{{customdata[1]:.3f}}<br>K<sup>{shown.alpha - 1:g}</sup> = %{{z:.4f}}<extra></extra>",
    )
    theme.style(figure, x_title="Token", y_title="Token", height=HEIGHT + 20, legend=False)
    figure.update_layout(margin={"l": 52, "t": 64})
    figure.update_xaxes(range=[-0.5, count - 0.5], constrain="domain", showgrid=False)
    figure.update_yaxes(
        range=[count - 0.5, -0.5], scaleanchor="x", constrain="domain", showgrid=False, zeroline=False
    )
    return figure


def turn(shown: "Turn") -> go.Figure:
    """The hidden state before, the vector that the block adds, the state after, and the angle between the states."""
    figure = go.Figure()
    origin = np.zeros(2)
    parts = (
        ("x: before", origin, shown.before, theme.BLUE),
        ("what the block adds", shown.before, shown.after, theme.VERMILION),
        ("y: after", origin, shown.after, theme.metric_colour("cosine")),
    )
    for name, start, end, colour in parts:
        figure.add_scatter(
            x=[start[0], end[0]],
            y=[start[1], end[1]],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 3.5, "dash": "dot" if name.startswith("what") else "solid"},
            marker={"symbol": "arrow", "size": [0, 15], "angleref": "previous", "color": colour},
            hovertemplate=f"{name}<br>length {np.hypot(*(end - start)):.2f}<extra></extra>",
        )
    if not math.isnan(shown.angle):
        sign = 1 if shown.after[1] >= 0 else -1
        steps = np.radians(np.linspace(0, sign * shown.angle, CORNERS))
        figure.add_scatter(
            x=0.4 * np.cos(steps),
            y=0.4 * np.sin(steps),
            mode="lines",
            name=f"angle {shown.angle:.0f}°",
            line={"color": theme.ORANGE, "width": 3},
            hovertemplate=f"angle {shown.angle:.1f}°<extra></extra>",
        )
    _square(figure, TURN_REACH, HEIGHT)
    figure.update_xaxes(range=[-1.2, 3.2], constrain="domain")
    return figure


def _circle(centre: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    steps = np.linspace(0, 2 * np.pi, CORNERS)
    return centre[0] + radius * np.cos(steps), centre[1] + radius * np.sin(steps)


def _square(figure: go.Figure, reach: float, height: int, *, legend: bool = True) -> go.Figure:
    """Two axes without unit on one scale, so that circles are round and angles are true."""
    theme.style(figure, x_title="Dimension 1", y_title="Dimension 2", height=height, legend=legend)
    figure.update_layout(margin={"l": 52})
    figure.update_xaxes(range=[-reach, reach], zeroline=True, constrain="domain")
    figure.update_yaxes(range=[-reach, reach], scaleanchor="x", scaleratio=1, constrain="domain")
    return figure
