"""The report of a view as a file, made when its button is pressed.

::

    draw_button(lambda: report.of_analysis(analysis, about), "entviz-analysis.html", key="explore.report")
"""

import time
from collections.abc import Callable
from typing import Final

import streamlit as st

from entviz.models.here import is_here
from entviz.runtime import runtime
from entviz.runtime.queue import Job
from entviz.store import Run
from entviz.studies import reporting, study_of

SPELLING_SECONDS: Final = (
    20.0  # a model that takes longer to load leaves the report without its coloured text
)
_MISSING: Final = (
    "<!DOCTYPE html><title>entviz</title><p>This run cannot be read: it was deleted meanwhile, is "
    "damaged, or is of another version. Compute it again.</p>"
)


def draw_button(make: Callable[[], str], name: str, *, key: str) -> None:
    """A button that makes the report and downloads it; the script does not wait for it."""
    st.download_button(
        "Report",
        make,
        file_name=name,
        mime="text/html",
        icon=":material/summarize:",
        on_click="ignore",
        key=key,
        help="One HTML file with the charts, the numbers and the text. It opens in any browser, without a network.",
    )


def of_run(run: Run, text: str | None, session: str) -> str:
    """The report of a stored run; of an evaluation with its tokens, where the model is here and writes them in time.

    It is made outside the script, which is why the session has to be given.
    """
    result, study = runtime().store.get(run.key), study_of(run.kind)
    if result is None and study is not None:
        return _MISSING
    rows = study.token_rows(result) if study is not None else None
    pieces = None
    if rows is not None and is_here(run.model):
        pieces = _waited(runtime().spell(run.model, rows, session), session)
    return reporting.of_run(run, result, text, pieces)


def _waited(job: Job[list[list[str]]], session: str) -> list[list[str]] | None:
    """The job's result, if it comes in time."""
    end = time.monotonic() + SPELLING_SECONDS
    while not job.snapshot().finished and time.monotonic() < end:
        job.touch(session)
        job.wait(0.3)
    return job.snapshot().result
