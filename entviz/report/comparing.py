"""The reports of a comparison of criteria, of two prune sets, and of angular distances.

of_comparison(comparison, About("smollm2-135m", text, "the news passage"), run.options)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from entviz.comparison.grid.contenders import timed
from entviz.report.command import About, command
from entviz.report.document import Section, document
from entviz.report.ending import ending, measured_on
from entviz.report.tasks import is_known
from entviz.words.phrases import of_windows

if TYPE_CHECKING:
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.pair.pair import Angles, Contrast


def of_comparison(comparison: Comparison, about: About, asked: Mapping[str, Any] | None = None) -> str:
    """Criteria at budgets: quality against the share of the model that is kept, and all numbers.

    ``asked`` are the options of :class:`entviz.studies.comparison.Compare`; without them the report names no command.
    ``about`` describes the text that the criteria chose by.
    """
    from entviz.comparison.grid.result import PER_WINDOW
    from entviz.comparison.grid.verdict import verdict
    from entviz.figures.comparison import COST_TITLES, QUALITY_TITLES, quality_chart

    asked = asked or {}
    said = verdict(comparison) if comparison.finished else [_stopped(comparison)]
    sections = [Section("What it says", "\n\n".join([*said, *comparison.notes]))]
    table = comparison.table()
    for quality, title in QUALITY_TITLES.items():
        if len(table) and table[quality].notna().any():
            chart = quality_chart(comparison, quality, "parameters_kept")
            sections.append(Section(f"{title}: what is kept", COST_TITLES["parameters_kept"], chart))
    if len(table):
        speed = quality_chart(comparison, "perplexity", "speedup")
        sections.append(Section("Perplexity: speed", COST_TITLES["speedup"], speed))
        plain = [name for name in table if name not in PER_WINDOW]
        sections.append(Section("Numbers", table=table[plain]))
    sections.append(
        Section("The dense model", table=comparison.dense.drop(columns=list(PER_WINDOW), errors="ignore"))
    )
    which = "of other texts" if asked.get("measure_on") else "after them" if asked else ""
    which = "that were not all unseen" if comparison.overlap else which
    subtitle = (
        f"{about.model_title}. Chosen by {of_windows(comparison.calibration_windows, comparison.window_length)} of "
        f"{about.text_title}; measured on {of_windows(comparison.windows, comparison.window_length)} {which}".rstrip()
        + f", in {comparison.dtype}."
    )
    note = "Speed is timed again." + (
        " So are the search and budgets of latency, which may choose otherwise." if _timed(asked) else ""
    )
    # If a command measures on another text, it takes the windows to choose by from all over this one.
    end = ending(about, _again(comparison, about, asked), note, from_start=not asked.get("measure_on"))
    return document("Criteria compared", subtitle, [*sections, *end])


def of_contrast(contrast: Contrast, about: About, windows: int, window_length: int) -> str:
    """The cost of each block within one prune set and within another. No command gives the same numbers."""
    from entviz.figures.comparison import block_costs

    said = (
        f"A's loss is {contrast.nll_a:.4f} nats a token, B's is {contrast.nll_b:.4f}. What a block costs within a set "
        "is the set's loss minus the loss with that block alone put back. Costs do not add up to the set's, as blocks "
        "interact."
    )
    sections = [
        Section("A", code=str(contrast.a) or "nothing: this is the dense model"),
        Section("B", code=str(contrast.b) or "nothing: this is the dense model"),
        Section("What each block costs in its set", said, block_costs(contrast)),
        Section("Blocks", table=contrast.blocks),
    ]
    subtitle = measured_on(about, windows, window_length, contrast.notes)
    return document("Two prune sets", subtitle, [*sections, *ending(about, "")])


def of_angles(angles: Angles, about: About, windows: int, window_length: int) -> str:
    """Angular distance across every run of layers. No command gives the same numbers."""
    from entviz.figures.comparison import angular_map

    said = (
        "Angular distance, from 0 to 1, between what enters the first layer of a run and what leaves its last: the "
        "less, the less the run does. Circles mark the run with the least for its size. Gromov et al., 2024."
    )
    sections = [
        Section("Runs of layers", said, angular_map(angles.distances)),
        Section("Numbers", table=angles.distances),
    ]
    subtitle = measured_on(about, windows, window_length, angles.notes)
    return document("Angular distance", subtitle, [*sections, *ending(about, "")])


def _stopped(comparison: Comparison) -> str:
    return (
        f"It was stopped when {len(comparison.rows)} of {comparison.rows_total} prune sets were measured, so there is "
        "no verdict."
    )


def _timed(asked: Mapping[str, Any]) -> bool:
    return timed(asked.get("criteria", ())) or any("latency" in one for one in asked.get("budgets", ()))


def _again(comparison: Comparison, about: About, asked: Mapping[str, Any]) -> str:
    """The command that gives the same numbers; empty if there is none."""
    chosen_by, measured = comparison.calibration_windows, comparison.windows
    same = comparison.overlap and (chosen_by, measured) == (1, 1)  # a single window serves for both
    if (
        not asked
        or not comparison.finished
        or asked["measure_on"]  # those texts are not kept
        or not asked["levels"]
        or not (same or chosen_by <= measured)  # the command splits a text with fewer windows in half
        or not (comparison.task == "" or is_known(comparison.task, asked["task_fingerprint"]))
    ):
        return ""
    return command(
        about,
        "compare",
        {
            "--windows": 1 if same else chosen_by + measured,
            "--window-length": comparison.window_length,
            "--calibration-windows": chosen_by,
            "--criteria": ",".join(asked["criteria"]),
            "--budgets": ",".join(asked["budgets"]),
            "--level": ",".join(asked["levels"]),
            "--seeds": asked["seeds"],
            "--seconds": asked["seconds"] if timed(asked["criteria"]) else None,
            "--task": comparison.task,
            "--limit": asked["limit"],
            "--dtype": comparison.dtype,
        },
    )
