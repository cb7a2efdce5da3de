"""The bench on which blocks are ticked: curve, bars and cells over one depth axis, as plain data.

::

    cells = grid.table([ranking], dense, "knn", PruneSet.parse("attn.5"), "nats")
    drawn = picture(dense, "knn", cells, ranked=("attn",), pruned=pruned, score_title="Entropy increase (nats)")

The page draws it. The depth axis is cut into columns of one width, the embedding's and one a layer, which the curve,
the bars and the cells share. A site has a *place* on that axis, in columns from its left end: ``attn.i`` at a quarter
of its layer's column and ``layer.i`` at three quarters, so that both lie over the cells and bars of their layer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from entviz.blocks import PruneSet, site_names
from entviz.figures import bench_bars, grid, theme
from entviz.figures.depth import BAND_NAME, STAGE_NAMES
from entviz.figures.scale import cut_ends, marks
from entviz.stages import stages
from entviz.words.metrics import metric_title
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis

CURVE_MARKS: Final = 4
MARGIN: Final = 0.07  # of the curve's axis, above and below
HEADROOM: Final = 0.15  # of it past a cut, where the values of far points are written


def picture(
    dense: "Analysis",
    metric: str,
    cells: pd.DataFrame,
    *,
    ranked: Sequence[str],
    pruned: "Analysis | None" = None,
    repaired: "Analysis | None" = None,
    score_title: str = "",
    damage: pd.DataFrame | None = None,
    turns: bool = True,
) -> dict[str, Any]:
    """All that is drawn on the bench.

    Args:
        dense: the analysis of the dense model.
        metric: the spec of the entropy whose curve is drawn; without one if the analysis does not hold it.
        cells: what :func:`entviz.figures.grid.table` made of the same model.
        ranked: the kinds of blocks to choose among.
        pruned: the newest analysis of the model without blocks, which need not be those that are dropped now.
        repaired: that of the repaired model.
        score_title: what the criterion's scores are, with their unit.
        damage: measured damage, a row for each block that is measured so far. Columns: block (a name such as
            ``attn.7``), value (how much worse the model gets without it too) and unit (one for all, such as "nats a
            token"). None where nothing is measured.
        turns: as :func:`curve` takes it.

    Returns:
        layers; kinds (of the rows of cells); dropped (attentions and MLPs by name); curve (see :func:`curve`, or None);
        bars (see :func:`entviz.figures.bench_bars.measures`); legend (what the cells' colours mean, None without
        scores); and cells, each with block, colour, score (as text), shielded, said (lines of text: by every measure),
        and pruned (what the curves of the pruned and the repaired model are after it, which holds for the blocks that
        these are without).
    """
    drawn = grid.picture(
        cells.assign(increase=np.nan), ranked=ranked
    )  # every measure's increase is said below
    has_curve = metric in dense.entropies
    known, mended = (
        one if has_curve and one is not None and metric in one.entropies else None
        for one in (pruned, repaired)
    )
    bars = bench_bars.measures(
        dense, metric, cells, ranked=ranked, pruned=known, score_title=score_title, damage=damage
    )
    numbers = bench_bars.lines(dense, damage)
    after = _entropies_after(dense, known, mended, metric) if has_curve else {}
    for cell in drawn["cells"]:
        block = cell["block"]
        dense_after, pruned_after = after.get(block, ("", ""))
        cell["said"] = [*numbers.get(block, []), *cell["said"], *([dense_after] if dense_after else [])]
        cell["pruned"] = pruned_after
    return {
        "layers": drawn["layers"],
        "kinds": drawn["kinds"],
        "dropped": drawn["dropped"],
        "curve": curve(dense, known, metric, repaired=mended, turns=turns) if has_curve else None,
        "bars": bars,
        "legend": grid.legend(drawn["low"], drawn["high"], score_title, grid.note(drawn)),
        "cells": drawn["cells"],
    }


def curve(
    dense: "Analysis",
    pruned: "Analysis | None",
    metric: str,
    *,
    repaired: "Analysis | None" = None,
    turns: bool = True,
) -> dict[str, Any]:
    """The entropy at every site, of the dense model and over it those of the pruned and of the repaired one.

    ``turns`` says whether the lowest layer may be called a turning point, and the two sides of it stages; not where a
    few massive tokens alone make it (:func:`entviz.figures.massive.turns`).

    Returns:
        title (of the axis, with its unit); cut, an axis without a few far points that would flatten the rest, or None
        where there are none; full, the axis with all (of each low, high and marks, which have at and text); stages
        (each with from and to as places, colour and text; none where the curve has no two); and lines. Of a line:
        name, colour, words (what it is and where it turns), points (each with site, place, value, text, low and high,
        which are the lowest and the highest window), turn (the point of the turning point or lowest layer, or None),
        band (the words for low to high, empty without several windows), and dropped (attentions and MLPs by name).
    """
    lines = [_line("dense", dense, metric, theme.DENSE_COLOUR, band=True, turns=turns)]
    if pruned is not None:
        lines.append(_line("pruned", pruned, metric, theme.PRUNED_COLOUR, band=False, turns=turns))
    if repaired is not None:
        lines.append(_line("repaired", repaired, metric, theme.REPAIRED_COLOUR, band=False, turns=turns))
    points = [point for line in lines for point in line["points"]]
    values = np.array([point["value"] for point in points])
    least, most = cut_ends(values)
    cut = (least, most) != (values.min(), values.max())
    shaded = _stages(dense, metric) if turns else []
    top = HEADROOM if shaded else MARGIN  # the stages' names stand there
    full = _axis(min(point["low"] for point in points), max(point["high"] for point in points), MARGIN, top)
    under, over = HEADROOM if least > values.min() else MARGIN, HEADROOM if most < values.max() else top
    return {
        "title": f"{metric_title(metric, 'entropy')} (nats)",
        "cut": _axis(least, most, under, over) if cut else None,
        "full": full,
        "stages": shaded,
        "lines": lines,
    }


def place_of(site: str) -> float:
    """Where a site is on the depth axis, in columns from its left end."""
    kind, _, layer = site.partition(".")
    if kind == "embed":
        return 0.75
    return 1.0 + int(layer) + (0.25 if kind == "attn" else 0.75)


def halves(drop: PruneSet) -> list[str]:
    """The attentions and MLPs of a prune set by name, those of layers too."""
    return [f"attn.{i}" for i in sorted(drop.attention)] + [f"mlp.{i}" for i in sorted(drop.mlp)]


def _axis(low: float, high: float, under: float, over: float) -> dict[str, Any]:
    span = (high - low) or 1.0
    low, high = low - under * span, high + over * span
    return {
        "low": low,
        "high": high,
        "marks": [{"at": mark.at, "text": mark.text} for mark in marks(low, high, CURVE_MARKS)],
    }


def _line(
    name: str, analysis: "Analysis", metric: str, colour: str, *, band: bool, turns: bool
) -> dict[str, Any]:
    rows = analysis.sites[analysis.sites["metric"] == metric].set_index("site")
    band = band and analysis.windows > 1
    points = [
        {
            "site": site,
            "place": place_of(site),
            "value": float(rows.at[site, "value"]),
            "text": number(float(rows.at[site, "value"])),
            "low": float(min(rows.at[site, "per_window"]) if band else rows.at[site, "value"]),
            "high": float(max(rows.at[site, "per_window"]) if band else rows.at[site, "value"]),
        }
        for site in site_names(analysis.layers)
    ]
    found = stages(analysis, metric)
    turn = f"layer.{found.turning_point}"
    called = "turning point at" if turns else "lowest after"
    said = f"{called} layer {found.turning_point}" if found.two else "no two stages"
    return {
        "name": name,
        "colour": colour,
        "words": f"{name}: {said}",
        "points": points,
        "turn": next((point for point in points if point["site"] == turn), None) if found.two else None,
        "band": BAND_NAME if band else "",
        "dropped": halves(analysis.drop),
    }


def _stages(dense: "Analysis", metric: str) -> list[dict[str, Any]]:
    found = stages(dense, metric)
    if not found.two:
        return []
    turn, end = place_of(f"layer.{found.turning_point}"), float(dense.layers + 1)
    return [
        {"from": start, "to": stop, "colour": colour, "text": text}
        for start, stop, colour, text in zip(
            (0.0, turn), (turn, end), theme.STAGE_COLOURS, STAGE_NAMES, strict=True
        )
    ]


def _entropies_after(
    dense: "Analysis", pruned: "Analysis | None", repaired: "Analysis | None", metric: str
) -> dict[str, tuple[str, str]]:
    """block -> what the curve is after it: dense; pruned and repaired, empty where there is neither."""

    def values(one: "Analysis") -> dict[str, float]:
        rows = one.sites[one.sites["metric"] == metric]
        return dict(zip(rows["site"], rows["value"], strict=True))

    before = values(dense)
    others = [
        (name, values(one)) for name, one in (("pruned", pruned), ("repaired", repaired)) if one is not None
    ]
    title = metric_title(metric, "entropy", sentence=True)
    said: dict[str, tuple[str, str]] = {}
    for layer in range(dense.layers):
        for block, kind in (("attn", "attn"), ("mlp", "layer"), ("layer", "layer")):
            site = f"{kind}.{layer}"
            then = ", ".join(f"{number(float(found[site]))} {name}" for name, found in others)
            said[f"{block}.{layer}"] = (f"{title} after it {number(float(before[site]))} nats", then)
    return said
