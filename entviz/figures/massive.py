"""Curves with and without tokens that have massive activations, and what changes in words.

    both_curves(analysis, without, "bucket")           # the curve without them, and the one of all tokens behind it
    headline(analysis, without, ("bucket", "knn"))     # where entropy turns, and which turning points they make

``analysis`` is of all tokens, ``without`` the same without massive ones. The rule is in ``entviz.analysis.massive``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from entviz.comparison.massive.changes import Change, changes
from entviz.figures import depth, reading, theme
from entviz.stages import Stages, stages
from entviz.words.levels import level_nouns
from entviz.words.massive import how_large, named
from entviz.words.metrics import metric_title
from entviz.words.phrases import listed, number

if TYPE_CHECKING:
    from entviz.analysis import Analysis


def are_in(analysis: "Analysis") -> bool:
    """Whether massive tokens are known to be among those that were measured, or that were left out."""
    return analysis.massive is not None and len(analysis.massive) > 0


def both_curves(
    analysis: "Analysis", without: "Analysis", metric: str, *, level: str | None = None
) -> go.Figure:
    """Entropy (nats) at the sites without massive tokens, as ``depth.entropy_curve``, over that of all tokens."""
    figure = depth.entropy_curve(without, metric, level=level)
    figure.update_traces(name="without massive tokens", selector={"name": "mean over windows"})
    sites = analysis.sites[analysis.sites["metric"] == metric]
    sites = (sites[sites["kind"] != "attn"] if level == "layer" else sites).sort_values("depth")
    figure.add_scatter(
        x=sites["depth"] - 1,
        y=sites["value"],
        mode="lines",
        name="all tokens",
        line={"color": theme.DENSE_COLOUR, "width": 2, "dash": "dash"},
        customdata=[
            f"<b>{site}</b><br>{number(value)} nats with all tokens"
            for site, value in zip(sites["site"], sites["value"], strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    found = stages(analysis, metric)
    if found.two:
        lowest = sites[sites["site"] == f"layer.{found.turning_point}"].iloc[0]
        figure.add_scatter(
            x=[found.turning_point],
            y=[lowest["value"]],
            mode="markers",
            name="turning point, all tokens",
            showlegend=False,
            marker={
                "symbol": "diamond-open",
                "size": 12,
                "color": theme.DENSE_COLOUR,
                "line": {"width": 2},
            },
            hoverinfo="skip",
        )
    values = np.concatenate([sites["value"].to_numpy(), np.ravel(figure.layout.yaxis.range)])
    margin = 0.06 * float(np.ptp(values))
    low, high = figure.layout.yaxis.range
    figure.update_yaxes(
        range=[min(low, float(values.min()) - margin), max(high, float(values.max()) + margin)]
    )
    return figure


def curve(shown: "Analysis", other: "Analysis | None", metric: str, *, level: str | None = None) -> go.Figure:
    """The chart of an analysis, of all tokens or without massive ones; ``other`` is the same the other way."""
    if not shown.without_massive:
        return depth.entropy_curve(shown, metric, level=level, turns=turns(shown, other, metric))
    if other is None or metric not in other.entropies:
        return depth.entropy_curve(shown, metric, level=level)
    return both_curves(other, shown, metric, level=level)


def said(
    shown: "Analysis", other: "Analysis | None", metric: str, kinds: Sequence[str], *, measuring: bool = False
) -> str:
    """What that chart says, in a sentence or two. ``measuring`` says that ``other`` is still to come."""
    if not shown.without_massive:
        return sentence(shown, other, metric, kinds, measuring=measuring)
    if other is None:
        return reading.sentence(shown, metric, kinds)
    return sentence_without(other, shown, metric, kinds)


def headline(
    analysis: "Analysis", without: "Analysis | None", metrics: Sequence[str], *, measuring: bool = False
) -> str:
    """One sentence or two over all chosen entropies, which claims no turning point that massive tokens make.

    ``measuring`` says that ``without`` is still to come; where it is None and does not come, that is said too.
    """
    entropies = [metric for metric in metrics if metric in analysis.entropies]
    if not are_in(analysis) or not entropies:
        return reading.headline(analysis, metrics)
    if without is None:
        turning = [metric for metric in entropies if stages(analysis, metric).two]
        if not turning:
            return reading.headline(analysis, metrics)
        said = [
            f"{metric_title(metric, 'entropy')} is lowest after layer {stages(analysis, metric).turning_point}"
            for metric in turning
        ]
        state = "is being measured" if measuring else "was not measured"
        return f"{listed(said)}, with all tokens; whether it turns there without {_who(analysis)} {state}."
    found = changes(analysis, without, entropies)
    firm = [
        one
        for one in entropies
        if one not in found or not (found[one].made_by_them or found[one].hidden_by_them)
    ]
    said = [reading.headline(analysis, firm)] if firm else []
    for metric, change in found.items():
        if change.stages is None or change.stages_without is None:
            continue
        if change.made_by_them:
            said.append(_made(analysis, metric, change.stages, change.stages_without))
        elif change.hidden_by_them:
            said.append(_hidden(analysis, metric, change.stages_without))
    return " ".join(said)


def turns(analysis: "Analysis", without: "Analysis | None", metric: str) -> bool:
    """Whether the curve of all tokens may be said to turn: massive tokens are known not to make it, or not there."""
    if not are_in(analysis):
        return True
    found = changes(analysis, without, [metric]).get(metric) if without is not None else None
    return found is not None and not found.made_by_them


def sentence(
    analysis: "Analysis",
    without: "Analysis | None",
    metric: str,
    kinds: Sequence[str],
    *,
    measuring: bool = False,
) -> str:
    """What the chart of all tokens says by one metric: as ``reading.sentence``, unless massive tokens make that."""
    said = reading.sentence(analysis, metric, kinds)
    if metric not in analysis.entropies or not are_in(analysis) or not stages(analysis, metric).two:
        return said
    lowest = f"Entropy is lowest after layer {stages(analysis, metric).turning_point}"
    if without is None:
        state = "is being measured" if measuring else "was not measured"
        return f"{lowest}. Whether that is a turning point without {_who(analysis)} {state}."
    change = changes(analysis, without, [metric]).get(metric)
    if change is None or change.stages_without is None or not change.made_by_them:
        return said
    return f"{lowest}, but only with {_who(analysis)}. {_then(analysis, change.stages_without)}"


def sentence_without(analysis: "Analysis", without: "Analysis", metric: str, kinds: Sequence[str]) -> str:
    """What the chart without massive tokens says by one metric, and what that changes."""
    said = reading.sentence(without, metric, kinds)
    change = changes(analysis, without, [metric]).get(metric)
    if change is None:
        return said
    more = [said]
    if change.stages is not None and change.stages_without is not None:
        before = _where(change.stages)
        more.append(
            f"With all tokens {before}."
            if _where(change.stages_without) != before
            else "With all tokens it is the same."
        )
    if len(change.chosen):
        more.append(_choice(change))
    return " ".join(more)


def table(analysis: "Analysis", without: "Analysis", metrics: Sequence[str]) -> pd.DataFrame:
    """What changes, a row a metric: turning points, and the blocks that the criterion by it drops first."""
    rows = []
    for metric, change in changes(analysis, without, metrics).items():
        rows.append(
            {
                "measure": metric_title(metric),
                "turning point, all tokens": _turn(change.stages),
                "turning point, without": _turn(change.stages_without),
                "dropped first, all tokens": str(change.chosen),
                "dropped first, without": str(change.chosen_without),
                "in common": f"{change.in_common} of {len(change.chosen)}" if len(change.chosen) else "",
            }
        )
    return pd.DataFrame(rows)


def _is_one(analysis: "Analysis") -> bool:
    """Whether it is one token a window, its first."""
    found = analysis.massive
    return found is not None and len(found) == analysis.windows > 1 and bool((found["position"] == 0).all())


def _who(analysis: "Analysis") -> str:
    """The tokens with how large they are, in the middle of a sentence."""
    if analysis.massive is None:
        return "massive tokens"
    who = "one token, the first of each window"
    who = who if _is_one(analysis) else named(analysis.massive, analysis.windows)
    return f"{who} ({how_large(analysis.massive)})"


def _made(analysis: "Analysis", metric: str, was: Stages, now: Stages) -> str:
    title = metric_title(metric, "entropy", sentence=True)
    verb = "depends on" if now.two else "is made by"
    return f"The turning point of {title} at layer {was.turning_point} {verb} {_who(analysis)}. {_then(analysis, now)}"


def _hidden(analysis: "Analysis", metric: str, now: Stages) -> str:
    return f"{metric_title(metric, 'entropy')} turns at layer {now.turning_point} without {_who(analysis)}."


def _then(analysis: "Analysis", now: Stages) -> str:
    start = "Without it" if _is_one(analysis) else "Without them"
    if not now.two:
        return f"{start} no two stages are left."
    return f"{start} the curve turns at layer {now.turning_point}."


def _where(found: Stages) -> str:
    return f"it turns at layer {found.turning_point}" if found.two else "there are no two stages"


def _turn(found: Stages | None) -> str:
    return "" if found is None else f"layer {found.turning_point}" if found.two else "none"


def _choice(change: Change) -> str:
    count = len(change.chosen)
    noun = level_nouns(change.level, count)
    if change.in_common == count:
        return f"{change.criterion} drops the same {count} {noun} first."
    return (
        f"{change.criterion} drops {change.chosen_without} first, and with all tokens {change.chosen}: "
        f"{change.in_common} of {count} {noun} in common."
    )
