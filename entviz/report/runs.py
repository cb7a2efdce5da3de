"""The report of a stored run, whatever its kind.

of_run(run, store.get(run.key), store.text(run.key))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from entviz.report.command import About, command
from entviz.report.comparing import of_angles, of_comparison, of_contrast
from entviz.report.document import Section, document
from entviz.report.ending import ending, title_of
from entviz.report.judging import of_interactions, of_trust
from entviz.report.ranking import of_ranking
from entviz.report.tasks import of_score
from entviz.report.views import of_analysis, of_evaluation
from entviz.store.listing import without_cut

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation
    from entviz.store import Run


def of_run(
    run: Run, result: Any, text: str | None = None, pieces: Sequence[Sequence[str]] | None = None
) -> str:
    """The report of a stored run.

    Args:
        run: what it is of.
        result: what came of it.
        text: what it measured, where it is known.
        pieces: what each token of an evaluation's windows says; see :func:`entviz.report.of_evaluation`.
    """
    options, about = run.options, _about(run, text)
    shell = options.get("shell", {})
    dtype = shell.get("dtype", "float32")
    if run.kind == "analysis":
        return of_analysis(result, about)
    if run.kind == "evaluation":
        return of_evaluation(result, pieces, about)
    if run.kind == "comparison":
        return of_comparison(result, about, options)
    if run.kind == "ranking":
        return of_ranking(result, about, options)
    if run.kind == "score":
        return of_score(result, about, options.get("limit"))
    if run.kind == "trust":
        return of_trust(result, about, dtype)
    if run.kind == "interactions":
        return of_interactions(result, about, shell.get("blocks"), dtype)
    if run.kind == "generation":
        cached = "cache" not in shell
        return of_generation(result, about, options.get("max_new_tokens"), cached=cached)
    of_two = of_contrast if run.kind == "contrast" else of_angles
    return of_two(result, about, options["windows"], options["window_length"])


def of_generation(
    generation: Generation, about: About, max_new_tokens: int | None = None, *, cached: bool = True
) -> str:
    """A greedy continuation; ``about.text`` is the prompt. ``cached`` says whether keys and values were kept."""
    from entviz.figures.generation import speeds

    sections = [
        Section("Dropped", code=str(generation.drop) or "nothing: this is the dense model"),
        Section("Prompt and continuation", speeds(generation), code=generation.text),
    ]
    asked = {
        "--prompt": about.text,
        "--drop": str(generation.drop),
        "--max-new-tokens": max_new_tokens,
        "--no-cache": not cached,
    }
    again = command(about, "generate", asked, text=False) if about.text else ""
    subtitle = " ".join([f"{about.model_title} after {about.text_title}.", *generation.notes])
    return document("Continuation", subtitle, [*sections, *ending(about, again, "Its speed may differ.")])


def _about(run: Run, text: str | None) -> About:
    shell, description = run.options.get("shell", {}), without_cut(run.description)
    if run.kind == "score":
        title = f"the task {description}"
    else:
        title = description if "token_ids" in shell else title_of(text, description)
    return About(
        run.model,
        text or "",
        title,
        run.program,
        run.created,
        weights=shell.get("weights", ""),
        device=shell.get("device", ""),
        begin=run.options.get("begin", True),
    )
