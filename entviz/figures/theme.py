"""What every figure has in common: colours with a fixed meaning, axes, hover labels, the PNG button.

::

    figure = theme.style(go.Figure(...), x_title="Layer", y_title="Entropy (nats)")
    st.plotly_chart(figure, theme="streamlit", config=theme.export_config("entropy-knn"))

Colours are the colour-blind-safe set of Okabe and Ito (2008, https://jfly.uni-koeln.de/color/), without its black
and yellow, which vanish on a dark or a light page. A metric or a kind of block has the same colour on every page.
Backgrounds are left unset: Streamlit then paints the page's own colour, light or dark, and the exported PNG has it
too, so that its text stays readable wherever it is pasted.
"""

from typing import Any, Final

import plotly.graph_objects as go

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
VERMILION: Final = "#D55E00"
GREY: Final = "#8A8F98"

METRIC_COLOURS: Final[dict[str, str]] = {
    "bucket": BLUE,
    "knn": ORANGE,
    "renyi": GREEN,
    "cosine": PURPLE,
    "matrix": "#999933",  # the last two from Paul Tol's "muted" set: Okabe and Ito's six are used up
    "lens": "#AA4499",
}
KIND_COLOURS: Final[dict[str, str]] = {"embed": GREY, "layer": GREY, "attn": SKY, "mlp": VERMILION}

METRIC_TITLES: Final[dict[str, str]] = {
    "bucket": "Bucket",
    "knn": "KNN",
    "renyi": "Rényi",
    "cosine": "Cosine",
    "matrix": "Matrix",
    "lens": "Logit lens",
}
KIND_TITLES: Final[dict[str, str]] = {
    "layer": "Layer",
    "attn": "Attention",
    "mlp": "MLP",
    "embed": "Embedding",
}

DENSE_COLOUR: Final = GREY  # the dense model, wherever it stands beside a pruned one
PRUNED_COLOUR: Final = VERMILION
GRID_COLOUR: Final = "rgba(128,132,140,0.18)"
LINE_COLOUR: Final = "rgba(128,132,140,0.75)"  # reads on white and on near-black
STAGE_COLOURS: Final[tuple[str, str]] = ("rgba(86,180,233,0.10)", "rgba(230,159,0,0.10)")

MARGIN: Final[dict[str, int]] = {"l": 74, "r": 12, "t": 36, "b": 52}  # fixed, so that stacked charts line up
FONT_SIZE: Final = 13
HEIGHT: Final = 360


def metric_title(metric: str) -> str:
    """The name of a metric for the screen; one without a name of its own is shown as it is written."""
    return METRIC_TITLES.get(metric, metric)


def metric_colour(metric: str) -> str:
    """The metric's colour as a CSS string, the same everywhere."""
    return METRIC_COLOURS.get(metric, GREY)


def kind_title(kind: str) -> str:
    """The name of a kind of block for the screen."""
    return KIND_TITLES.get(kind, kind)


def kind_colour(kind: str) -> str:
    """The colour of a kind of block as a CSS string, the same everywhere."""
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
    """Give a figure the house layout, in place, and return it. Axis titles name the unit: ``"Entropy (nats)"``.

    The legend lies above the plot, left aligned, where the mode bar (right) does not reach it.
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
        "toImageButtonOptions": {"format": "png", "scale": 2, "filename": file_name},
    }
