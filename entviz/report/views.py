"""The reports of an analysis and an evaluation: figures, numbers, their model and text, and how to get them again.

of_evaluation(evaluation, pieces, About("smollm2-135m", text, "the news passage"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from entviz.blocks import KINDS
from entviz.figures import costs, depth, massive, tables, tokens
from entviz.report.command import About, command, repairing
from entviz.report.document import Section, document
from entviz.report.ending import ending, measured_on
from entviz.words.massive import RULE as MASSIVE_RULE
from entviz.words.metrics import metric_title

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.repaired import RepairedEvaluation

MARKED_TOKENS = 4096


def of_analysis(
    analysis: Analysis,
    about: About,
    metrics: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    other: Analysis | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Entropy and importance across depth.

    Args:
        metrics, kinds: of block; those measured, if left out.
        other: the same without massive tokens, or with all where ``analysis`` is without.
        options: the stored options, which say how a repair was fitted.
    """
    measured = analysis.metrics
    metrics = measured if metrics is None else [name for name in metrics if name in measured]
    found = set(analysis.blocks["kind"])
    kinds = [kind for kind in (KINDS if kinds is None else kinds) if kind in found]
    sections = [Section("Dropped", code=str(analysis.drop))] if analysis.drop else []
    for metric in metrics:
        said = massive.said(analysis, other, metric, kinds)
        if metric not in analysis.entropies:
            sections.append(Section("Importance", said, depth.importance_bars(analysis, metric, kinds)))
            continue
        title = metric_title(metric, "entropy")
        level = "layer" if kinds == ["layer"] else None
        sections.append(Section(title, said, massive.curve(analysis, other, metric, level=level)))
        bars = depth.entropy_increase_bars(analysis, metric, kinds)
        increase = metric_title(metric, "entropy increase of each block")
        sections.append(Section(increase, figure=bars))
    sections.append(Section("Blocks", table=tables.block_table(analysis, metrics, kinds)))
    entropies = [metric for metric in metrics if metric in analysis.entropies]
    if entropies:
        sections.append(Section("Sites", table=tables.site_table(analysis, entropies)))
    if analysis.massive is not None and len(analysis.massive):
        heading = "Tokens left out" if analysis.without_massive else "Tokens with massive activations"
        sections.append(Section(heading, MASSIVE_RULE, table=analysis.massive))
    again = command(
        about,
        "analyze",
        {
            "--metric": ",".join(metrics),
            "--level": ",".join(kinds),
            "--windows": analysis.windows,
            "--window-length": analysis.window_length,
            "--drop": str(analysis.drop),
            "--without-massive": analysis.without_massive,
            **repairing(options),
        },
    )
    subtitle = measured_on(about, analysis.windows, analysis.window_length, analysis.notes)
    return document("Entropy across depth", subtitle, [*sections, *ending(about, again)])


def of_repaired_evaluation(
    found: RepairedEvaluation,
    pieces: Sequence[Sequence[str]] | None,
    about: About,
    options: Mapping[str, Any],
) -> str:
    """The cost of a prune set with a repair and without it, and how the repair was fitted."""
    beside = pd.DataFrame(
        {
            "model": ["dense", "pruned", "pruned and repaired"],
            "perplexity": [found.dense_perplexity, found.plain_perplexity, found.perplexity],
            "loss (nats a token)": [found.dense_nll, found.plain_nll, found.nll],
            "KL from dense (nats)": [0.0, found.plain_kl, found.kl],
        }
    )
    share = (
        ""
        if found.recovered is None
        else f" It recovers {found.recovered:.1%} of the loss increase on this text."
    )
    said = (
        f"The repair {found.repair} was fitted on {found.calibration_tokens:,} tokens: "
        f"{found.fitted_on}.{share} All other numbers of this report are with the repair."
    )
    sections = [
        Section("With the repair and without", said, table=beside),
        Section(
            "How each place was fitted",
            "The share of the squared error that is left is measured on calibration windows that were held out.",
            table=found.fits,
        ),
    ]
    return of_evaluation(
        found,
        pieces,
        about,
        before=sections,
        more=repairing(options),
    )


def of_evaluation(
    evaluation: Evaluation,
    pieces: Sequence[Sequence[str]] | None,
    about: About,
    *,
    before: Sequence[Section] = (),
    more: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The cost of a prune set.

    ``pieces`` holds the text of each token of the evaluation's windows, one list for each window. Without it the report
    has no coloured text and no loss at each position. ``before`` comes before all but the prune set, and ``more`` are
    further options of the command.
    """
    length = evaluation.window_length
    cards = pd.DataFrame(
        [(card.title, card.value, card.dense, card.change) for card in costs.cards(evaluation)],
        columns=["measure", "pruned", "dense", "difference"],
    )
    windows = pd.DataFrame(
        {
            "window": range(1, evaluation.windows + 1),
            "loss pruned (nats)": evaluation.token_nll.mean(axis=1),
            "loss dense (nats)": evaluation.dense_token_nll.mean(axis=1),
            "KL (nats)": evaluation.token_kl.mean(axis=1),
        }
    )
    said = f"{evaluation.tokens:,} tokens were scored, in {evaluation.dtype}."
    sections = [Section("Dropped", code=str(evaluation.drop) or "nothing: this is the dense model")]
    sections += before
    sections.append(Section("What it costs", said, table=cards))
    if pieces is not None:
        rows = tokens.table(evaluation, pieces)
        part = rows[rows["window"] <= max(1, MARKED_TOKENS // length)]
        strongest = tokens.scale(rows)
        marked = tokens.legend(strongest) + tokens.marked_text(part, strongest)
        sections.append(Section("Where it hurts", "The text, by how its tokens' loss changed.", html=marked))
        sections.append(Section("Loss at each token position", figure=tokens.loss_chart(part)))
        sections.append(Section("Tokens", table=rows))
    sections.append(Section("Windows", table=windows))
    again = command(
        about,
        "evaluate",
        {
            "--drop": str(evaluation.drop),
            "--windows": evaluation.windows,
            "--window-length": length,
            "--dtype": evaluation.dtype,
            **more,
        },
    )
    subtitle = measured_on(about, evaluation.windows, length, evaluation.notes)
    return document("What a prune set costs", subtitle, [*sections, *ending(about, again)])
