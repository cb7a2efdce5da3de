"""The report of a result, whatever its kind.

of_run(run, store.get(run.key), store.text(run.key))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from entviz.studies.registry import study_of

if TYPE_CHECKING:
    from entviz.report import About
    from entviz.store import Run


def of_run(
    run: Run, result: Any, text: str | None = None, pieces: Sequence[Sequence[str]] | None = None
) -> str:
    """The report of a stored run, as HTML. If this version does not know the run's kind, the report says so.

    Args:
        run: the run.
        result: its stored result.
        text: the text that was measured, if it is known.
        pieces: the text of each token of the study's ``token_rows``.
    """
    from entviz.report import unknown_kind

    study, about = study_of(run.kind), about_run(run, text)
    return (
        unknown_kind(run.kind, about) if study is None else study.report(result, about, run.options, pieces)
    )


def about_run(run: Run, text: str | None) -> About:
    """The model, text and options that the report of a run names."""
    from entviz.report import About

    study, shell = study_of(run.kind), run.options.get("shell", {})
    return About(
        run.model,
        text or "",
        run.description if study is None else study.text_title(run, text),
        run.program,
        run.created,
        weights=shell.get("weights", ""),
        device=shell.get("device", ""),
        begin=run.options.get("begin", True),
    )
