"""Several runs in one picture: analyses as curves in one chart, evaluations side by side in a table.

::

    overlay.curves({"A": analysis, "B": another}, "knn")
    overlay.evaluations({"A": evaluation, "B": another})
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import plotly.graph_objects as go

from entviz.figures import theme
from entviz.words.metrics import axis_title
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.evaluation.loss import Evaluation

COLOURS: Final = (theme.BLUE, theme.ORANGE, theme.GREEN, theme.PURPLE, theme.SKY, theme.VERMILION)
DASHES: Final = (
    "solid",
    "dash",
    "dot",
    "dashdot",
    "longdash",
    "longdashdot",
)  # colour alone must not tell them apart
MOST: Final = len(COLOURS)


def shared_metrics(analyses: Mapping[str, "Analysis"]) -> list[str]:
    """The metrics that all analyses measured, in the order of the first."""
    found = [one.metrics for one in analyses.values()]
    return [metric for metric in found[0] if all(metric in others for others in found[1:])] if found else []


def curves(analyses: Mapping[str, "Analysis"], metric: str) -> go.Figure:
    """One line for each of at most six analyses: entropy (nats) at every site, or importance of every layer.

    The axis is the layer index, so curves of models of different depth end at different places.
    """
    figure = go.Figure()
    for (name, analysis), colour, dash in zip(analyses.items(), COLOURS, DASHES, strict=False):
        if metric not in analysis.entropies:
            rows = analysis.blocks[
                (analysis.blocks["metric"] == metric) & (analysis.blocks["kind"] == "layer")
            ]
            x, points = rows["index"], rows["block"]
        else:
            rows = analysis.sites[analysis.sites["metric"] == metric].sort_values("depth")
            x, points = rows["depth"] - 1, rows["site"]
        figure.add_scatter(
            x=x,
            y=rows["value"],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 5},
            customdata=[
                f"<b>{point}</b><br>{name}: {number(float(value))}"
                for point, value in zip(points, rows["value"], strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    theme.style(figure, x_title="Layer (−1: embedding)", y_title=axis_title(metric))
    figure.update_xaxes(showgrid=False)
    return figure


def evaluations(found: Mapping[str, "Evaluation"]) -> pd.DataFrame:
    """A row for each measure and a column for each evaluation, then the differences from the first: ``B − A``.

    Numbers are not scaled: perplexity, nats, shares, counts, bytes.
    """
    measures: dict[str, dict[str, Any]] = {name: _measures(one) for name, one in found.items()}
    table = pd.DataFrame(measures)
    first, *others = measures
    for name in others:
        table[f"{name} − {first}"] = table[name] - table[first]
    return table.rename_axis("measure").reset_index()


def _measures(one: "Evaluation") -> dict[str, float]:
    return {
        "perplexity": one.perplexity,
        "dense perplexity": one.dense_perplexity,
        "loss (nats a token)": one.nll,
        "loss more than dense (nats a token)": one.nll - one.dense_nll,
        "KL from dense (nats)": one.kl,
        "top-1 agreement (share)": one.top1_agreement,
        "parameters": float(one.parameters_pruned),
        "parameters removed": float(one.parameters_dense - one.parameters_pruned),
        "weight memory (bytes)": float(one.bytes_pruned),
        "tokens scored": float(one.tokens),
    }
