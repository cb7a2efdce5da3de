"""The common style of all figures: colours with a fixed meaning, axes, hover labels, the PNG button.

::

    figure = theme.style(go.Figure(...), x_title="Layer", y_title="Entropy (nats)")
    st.plotly_chart(figure, theme="streamlit", config=theme.export_config("entropy-knn"))

Colours are the colour-blind-safe set of Okabe and Ito (2008, https://jfly.uni-koeln.de/color/), without its black
and yellow, which cannot be seen on a dark or a light page, and with a lighter blue (theirs is #0072B2), which can be
seen on a dark one too. A metric or a kind of block has the same colour on every page. Backgrounds are not set:
Streamlit then uses the page's own colour, light or dark. The exported PNG has the same background, so that its text
stays readable on any page.
"""

import re
from typing import Any, Final

import plotly.graph_objects as go

from entviz.estimators import METRICS, base

BLUE: Final = "#2B83C4"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
VERMILION: Final = "#D55E00"
GREY: Final = "#8A8F98"
OLIVE: Final = "#999933"  # this and the next: Paul Tol's "muted" set; Okabe and Ito's six are all used
WINE: Final = "#AA4499"

METRIC_COLOURS: Final[dict[str, str]] = {
    "bucket": BLUE,
    "knn": ORANGE,
    "renyi": GREEN,
    "cosine": PURPLE,
    "matrix": OLIVE,
}
_OTHER_METRICS: Final = (WINE, SKY, VERMILION)  # used in turn
KIND_COLOURS: Final[dict[str, str]] = {"embed": GREY, "layer": GREY, "attn": SKY, "mlp": VERMILION}

DENSE_COLOUR: Final = GREY  # the dense model, wherever it is shown with a pruned one
PRUNED_COLOUR: Final = VERMILION
REPAIRED_COLOUR: Final = GREEN
GRID_COLOUR: Final = "rgba(128,132,140,0.18)"
LINE_COLOUR: Final = "rgba(128,132,140,0.75)"  # readable on white and on near-black
STAGE_COLOURS: Final[tuple[str, str]] = ("rgba(86,180,233,0.10)", "rgba(230,159,0,0.10)")

_NOT_IN_A_NAME: Final = re.compile(r"[^\w.]+")  # in file names, because a metric's options have parentheses

MARGIN: Final[dict[str, int]] = {"l": 74, "r": 12, "t": 36, "b": 52}  # fixed, so that stacked charts line up
FONT_SIZE: Final = 13
HEIGHT: Final = 360


def metric_colour(metric: str) -> str:
    """The metric's colour as a CSS string, the same in all charts and for all options."""
    name = base(metric)
    if name in METRIC_COLOURS:
        return METRIC_COLOURS[name]
    others = [other for other in METRICS if other not in METRIC_COLOURS]
    return _OTHER_METRICS[others.index(name) % len(_OTHER_METRICS)] if name in others else GREY


def kind_colour(kind: str) -> str:
    """The colour of a kind of block as a CSS string, the same in all charts."""
    return KIND_COLOURS.get(kind, GREY)


def with_opacity(colour: str, opacity: float) -> str:
    """A ``#RRGGBB`` colour as a CSS ``rgba(...)`` string with opacity from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def style(
    figure: go.Figure,
    *,
    x_title: str,
    y_title: str,
    height: int = HEIGHT,
    legend: bool = True,
    hovermode: str = "closest",
) -> go.Figure:
    """Apply the common layout to a figure, in place, and return it. Axis titles name the unit: ``"Entropy (nats)"``.

    The legend is above the plot on the left, where it does not overlap the mode bar on the right.
    """
    figure.update_layout(
        height=height,
        margin=MARGIN,
        font={"size": FONT_SIZE},
        hovermode=hovermode,
        hoverlabel={"align": "left", "namelength": -1},
        showlegend=legend,
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        modebar={"orientation": "h"},
        bargap=0.25,
        dragmode="zoom",
    )
    axis = {"gridcolor": GRID_COLOUR, "zerolinecolor": LINE_COLOUR, "automargin": False, "title_standoff": 18}
    figure.update_xaxes(**axis, title_text=x_title, zeroline=False)
    figure.update_yaxes(**axis, title_text=y_title)
    return figure


def export_config(file_name: str) -> dict[str, Any]:
    """Options for ``st.plotly_chart(config=...)``: a PNG of twice the screen's resolution under ``file_name``."""
    return {
        "displaylogo": False,
        "responsive": True,
        "scrollZoom": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {
            "format": "png",
            "scale": 2,
            "filename": _NOT_IN_A_NAME.sub("-", file_name).strip("-"),
        },
    }
