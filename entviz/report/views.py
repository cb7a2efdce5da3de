"""The report of each kind of result: its figures, its numbers, what it was measured on and how to get it again.

of_evaluation(evaluation, pieces, About("smollm2-135m", text, "the news passage"))
of_run(run, store.get(run.key), store.text(run.key))        # whatever kind of run it is
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from entviz.blocks import KINDS
from entviz.corpus import passages
from entviz.figures import costs, depth, reading, tables, theme, tokens
from entviz.report.command import TEXT_FILE, About, command
from entviz.report.document import Section, document
from entviz.store.listing import number_rows

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.comparison.result import Comparison
    from entviz.evaluation.loss import Evaluation
    from entviz.store import Run

SHOWN_CHARACTERS = 20_000  # of the text; the file that the report offers has all of it
MARKED_TOKENS = 4096


def of_analysis(
    analysis: Analysis, about: About, metrics: Sequence[str] | None = None, kinds: Sequence[str] | None = None
) -> str:
    """Entropy and importance across depth. ``metrics`` and ``kinds`` of block: those measured, if left out."""
    measured = list(dict.fromkeys(analysis.blocks["metric"]))
    metrics = measured if metrics is None else [name for name in metrics if name in measured]
    found = set(analysis.blocks["kind"])
    kinds = [kind for kind in (KINDS if kinds is None else kinds) if kind in found]
    sections = []
    for metric in metrics:
        said = reading.sentence(analysis, metric, kinds)
        if metric == reading.IMPORTANCE:
            sections.append(Section("Importance", said, depth.importance_bars(analysis, kinds)))
            continue
        title = f"{theme.metric_title(metric)} entropy"
        level = "layer" if kinds == ["layer"] else None
        sections.append(Section(title, said, depth.entropy_curve(analysis, metric, level=level)))
        bars = depth.entropy_increase_bars(analysis, metric, kinds)
        sections.append(Section(f"{title} increase of each block", figure=bars))
    sections.append(Section("Blocks", table=tables.block_table(analysis, metrics, kinds)))
    entropies = [metric for metric in metrics if metric != reading.IMPORTANCE]
    if entropies:
        sections.append(Section("Sites", table=tables.site_table(analysis, entropies)))
    again = command(
        about,
        "analyze",
        {
            "--metric": ",".join(metrics),
            "--level": ",".join(kinds),
            "--windows": analysis.windows,
            "--window-length": analysis.window_length,
        },
    )
    subtitle = _measured_on(about, analysis.windows, analysis.window_length)
    return document("Entropy across depth", subtitle, [*sections, *_ending(about, again)])


def of_evaluation(evaluation: Evaluation, pieces: Sequence[Sequence[str]] | None, about: About) -> str:
    """What a prune set costs.

    ``pieces`` is what each token of the evaluation's windows says, one list a window; without it the report has no
    coloured text and no loss at each position.
    """
    length = int(evaluation.token_ids.shape[1])
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
        },
    )
    subtitle = _measured_on(about, evaluation.windows, length)
    return document("What a prune set costs", subtitle, [*sections, *_ending(about, again)])


def of_comparison(comparison: Comparison, about: About) -> str:
    """Criteria at budgets: quality against what is left, and all numbers."""
    from entviz.comparison.verdict import verdict
    from entviz.figures.comparison import COST_TITLES, QUALITY_TITLES, quality_chart

    sections = [Section("What it says", "\n\n".join([*verdict(comparison), *comparison.notes]))]
    table = comparison.table()
    for quality, title in QUALITY_TITLES.items():
        if len(table) and table[quality].notna().any():
            chart = quality_chart(comparison, quality, "parameters_kept")
            sections.append(Section(f"{title}: what is kept", COST_TITLES["parameters_kept"], chart))
    if len(table):
        speed = quality_chart(comparison, "perplexity", "speedup")
        sections.append(Section("Perplexity: speed", COST_TITLES["speedup"], speed))
        plain = [name for name in table if not name.startswith("window_")]
        sections.append(Section("Numbers", table=table[plain]))
    subtitle = _measured_on(about, comparison.windows, comparison.window_length)
    return document("Criteria compared", subtitle, [*sections, *_ending(about, "")])


def of_run(
    run: Run, result: Any, text: str | None = None, pieces: Sequence[Sequence[str]] | None = None
) -> str:
    """The report of a stored run, whatever its kind. ``text`` is what it measured, ``pieces`` as above."""
    about = About(run.model, text or "", title_of(text, run.description), run.program, run.created)
    if run.kind == "analysis":
        return of_analysis(result, about)
    if run.kind == "evaluation":
        return of_evaluation(result, pieces, about)
    if run.kind == "comparison":
        return of_comparison(result, about)
    asked, found = number_rows(run.options), number_rows(run.summary)
    sections = [Section("Asked for", table=pd.DataFrame(asked, columns=["option", "value"]))]
    sections.append(Section("Found", table=pd.DataFrame(found, columns=["measure", "value"])))
    if run.kind == "generation":
        sections.insert(0, Section("Prompt and continuation", code=result.text))
    for name, value in vars(result).items():
        if isinstance(value, pd.DataFrame):
            sections.append(Section(name.replace("_", " ").capitalize(), table=value))
    subtitle = f"{about.model_title} on {about.text_title}."
    return document(run.kind.capitalize(), subtitle, [*sections, *_ending(about, _again(run, about))])


def title_of(text: str | None, description: str) -> str:
    """A text's name for a sentence: "the news passage" for a built-in one, else its first words."""
    for passage in passages().values():
        if passage.text == text:
            return f"the {passage.name} passage"
    return f"“{description}”"


def _again(run: Run, about: About) -> str:
    options = run.options
    if run.kind == "generation":
        asked = {"--prompt": about.text, "--drop": options.get("drop")}
        asked["--max-new-tokens"] = options.get("max_new_tokens")
        return command(about, "generate", asked, text=False)
    if run.kind == "score":
        asked = {
            "--task": options.get("task"),
            "--drop": options.get("drop"),
            "--limit": options.get("limit"),
        }
        return command(about, "evaluate", asked | {"--dtype": options.get("dtype")}, text=False)
    return ""


def _measured_on(about: About, windows: int, length: int) -> str:
    count = "1 window" if windows == 1 else f"{windows} windows"
    return f"{about.model_title} on {about.text_title}, {count} of {length} tokens."


def _ending(about: About, again: str) -> list[Section]:
    """What was measured, by what, and how to get the same numbers again."""
    when = datetime.fromtimestamp(about.created, UTC) if about.created else None
    said = f"Computed by {about.computed_by}" + (f" on {when:%Y-%m-%d at %H:%M} UTC." if when else ".")
    sections = [Section("How it was computed", said)]
    if again:
        needs = f" It reads {TEXT_FILE}, which is below." if TEXT_FILE in again else ""
        sections.append(
            Section("Compute it again", f"In a shell where entviz is installed.{needs}", code=again)
        )
    if about.text and (TEXT_FILE in again or not again):
        shown = about.text[:SHOWN_CHARACTERS]
        more = "" if shown == about.text else f" Shown are its first {SHOWN_CHARACTERS:,} characters."
        words = f"{len(about.text):,} characters; windows are cut from its start.{more}"
        sections.append(Section("The text", words, code=shown, folded=True, download=(TEXT_FILE, about.text)))
    return sections
