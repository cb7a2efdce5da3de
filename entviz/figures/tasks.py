"""Accuracy on a multiple-choice task, from a :class:`entviz.evaluation.tasks.TaskResult`.

::

    accuracy_chart(result)              # both accuracies with their intervals, beside random guessing
    headline(result)
    item_table(result)                  # a row for each item, for a file
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.figures import theme

if TYPE_CHECKING:
    from entviz.evaluation.tasks import TaskResult

HEIGHT: Final = 210
NORMAL_95: Final = 1.96  # standard errors on either side of a 95% interval


def accuracy_chart(result: "TaskResult") -> go.Figure:
    """Accuracy and length-normalized accuracy in per cent, with 95% intervals over items if there are several."""
    rows = [
        ("Length-normalized", result.accuracy_normalized, result.standard_error_normalized),
        ("Accuracy", result.accuracy, result.standard_error),
    ]
    shares = np.array([100 * share for _, share, _ in rows])
    reach = np.array([0.0 if error != error else 100 * NORMAL_95 * error for _, _, error in rows])
    figure = go.Figure()
    figure.add_scatter(
        x=shares,
        y=[name for name, _, _ in rows],
        mode="markers",
        marker={"size": 12, "color": theme.BLUE},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": np.minimum(reach, 100 - shares),  # a share is between 0 and 1
            "arrayminus": np.minimum(reach, shares),
            "color": theme.LINE_COLOUR,
            "thickness": 2,
            "width": 6,
        },
        hovertemplate="%{y}: %{x:.1f}%<extra></extra>",
    )
    theme.style(figure, x_title=f"Right of {result.items} items (%)", y_title="", height=HEIGHT, legend=False)
    line = {"color": theme.LINE_COLOUR, "width": 1.5, "dash": "dash"}
    guess = f"blind guessing {result.chance:.0%}"
    figure.add_vline(x=100 * result.chance, line=line, annotation={"text": guess, "font": {"size": 12}})
    figure.update_xaxes(range=[-2, 102], dtick=25)
    figure.update_yaxes(range=[-0.6, 1.9])  # the words beside the line are above the upper bar
    figure.update_layout(margin={**theme.MARGIN, "l": 140})
    return figure


def headline(result: "TaskResult") -> str:
    """The number of right answers, and whether it is more than guessing would give."""
    right = int(result.right.sum())
    said = f"{right} of {result.items} items are right, {result.accuracy:.1%}; blind guessing gives "
    said += f"{result.chance:.1%}."
    error = result.standard_error
    if error == error and abs(result.accuracy - result.chance) < NORMAL_95 * error:
        said += " So few items cannot tell the two apart."
    return said


def item_table(result: "TaskResult") -> pd.DataFrame:
    """Columns item, answer, chosen, right, chosen_normalized, right_normalized, and log_likelihood_0 ... in nats.

    Items and choices are counted from 0, as in the task file.
    """
    table = result.per_item().drop(columns=["log_likelihood"])
    for choice in range(result.log_likelihood.shape[1]):
        table[f"log_likelihood_{choice}"] = result.log_likelihood[:, choice]
    return table
