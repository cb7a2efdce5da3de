"""One transformer layer as a drawing: the residual stream, the two blocks that add to it, the sites between them.

::

    layer(frozenset({"attn"}))      # with the attention dropped
"""

from collections.abc import Collection
from typing import Final

import plotly.graph_objects as go

from entviz.figures import theme
from entviz.words.levels import kind_title

HEIGHT: Final = 250
_STREAM: Final = 0.0
_BOX: Final = (1.0, 1.9)  # bottom and top of the blocks
_SITES: Final = (
    (0.55, "layer.i−1", "what enters layer i: for layer 0 the site <b>embed</b>"),
    (5.0, "attn.i", "after the attention was added"),
    (9.45, "layer.i", "after the MLP was added: what leaves layer i"),
)
# For each block: kind, left and right edge, where it reads the stream, where its output is added.
_BLOCKS: Final = (("attn", 1.3, 3.7, 1.7, 4.2), ("mlp", 5.8, 8.2, 6.2, 8.7))
_WHAT: Final = {"attn": "moves information between tokens", "mlp": "works on each token by itself"}


def layer(dropped: Collection[str] = ()) -> go.Figure:
    """The drawing. ``dropped`` holds the kinds of block, attn and mlp, that are drawn as gone."""
    figure = go.Figure()
    figure.add_scatter(
        x=[-0.1, 10.2],
        y=[_STREAM, _STREAM],
        mode="lines",
        line={"color": theme.BLUE, "width": 5},
        hoverinfo="skip",
    )
    _arrow(figure, (9.9, _STREAM), (10.45, _STREAM), theme.BLUE, 3)
    for kind, left, right, reads, adds in _BLOCKS:
        _draw_block(figure, kind, left, right, reads, adds, gone=kind in dropped)
    figure.add_scatter(
        x=[x for x, _, _ in _SITES],
        y=[_STREAM] * len(_SITES),
        mode="markers",
        marker={"size": 15, "color": theme.ORANGE, "line": {"width": 2, "color": "white"}},
        customdata=[f"<b>{name}</b><br>{what}" for _, name, what in _SITES],
        hovertemplate="%{customdata}<extra>site</extra>",
    )
    for x, name, _ in _SITES:
        _write(figure, x, -0.38, f"<b>{name}</b>")
    _write(figure, 5.0, -0.85, "the residual stream: one hidden state a token")
    theme.style(figure, x_title="", y_title="", height=HEIGHT, legend=False)
    figure.update_layout(margin={"l": 4, "r": 4, "t": 6, "b": 4}, dragmode=False)
    figure.update_xaxes(visible=False, range=[-0.3, 10.6], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-1.1, 2.1], fixedrange=True)
    return figure


def _draw_block(
    figure: go.Figure, kind: str, left: float, right: float, reads: float, adds: float, *, gone: bool
) -> None:
    bottom, top = _BOX
    colour = theme.kind_colour(kind)
    figure.add_shape(
        type="rect",
        x0=left,
        x1=right,
        y0=bottom,
        y1=top,
        line={
            "color": theme.LINE_COLOUR if gone else colour,
            "width": 2,
            "dash": "dot" if gone else "solid",
        },
        fillcolor="rgba(0,0,0,0)" if gone else theme.with_opacity(colour, 0.25),
    )
    middle, name = (left + right) / 2, kind_title(kind)
    label = f"<s>{name}</s><br>dropped" if gone else f"<b>{name}</b><br>{kind}.i"
    _write(figure, middle, (bottom + top) / 2, label)
    figure.add_scatter(  # invisible: a target for the pointer
        x=[middle],
        y=[(bottom + top) / 2],
        mode="markers",
        marker={"size": 44, "opacity": 0},
        customdata=[f"<b>{kind}.i</b><br>{'dropped: adds nothing' if gone else _WHAT[kind]}"],
        hovertemplate="%{customdata}<extra>block</extra>",
    )
    if gone:
        return
    _arrow(figure, (reads, _STREAM + 0.06), (reads, bottom), colour, 2)
    middle = (bottom + top) / 2
    figure.add_scatter(
        x=[right, adds],
        y=[middle, middle],
        mode="lines",
        line={"color": colour, "width": 2},
        hoverinfo="skip",
    )
    _arrow(figure, (adds, middle), (adds, _STREAM + 0.17), colour, 2)
    figure.add_scatter(
        x=[adds],
        y=[_STREAM],
        mode="markers",
        marker={"size": 20, "color": theme.BLUE, "line": {"width": 2, "color": "white"}},
        customdata=["the block's output is added to the stream"],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.add_annotation(
        x=adds, y=_STREAM, text="<b>+</b>", showarrow=False, font={"size": 17, "color": "white"}
    )


def _arrow(
    figure: go.Figure, start: tuple[float, float], end: tuple[float, float], colour: str, width: float
) -> None:
    figure.add_annotation(
        x=end[0],
        y=end[1],
        ax=start[0],
        ay=start[1],
        xref="x",
        yref="y",
        axref="x",
        ayref="y",
        text="",
        arrowhead=2,
        arrowsize=1,
        arrowwidth=width,
        arrowcolor=colour,
    )


def _write(figure: go.Figure, x: float, y: float, text: str) -> None:
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": 13})
