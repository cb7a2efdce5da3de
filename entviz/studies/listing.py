"""Runs as a table for the screen and for a file.

table = listing(store.runs(kind="evaluation"))
Path("runs.csv").write_text(as_csv(table), encoding="utf-8")
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from entviz.studies.registry import study_of, title_of
from entviz.studies.summaries import without_cut

if TYPE_CHECKING:
    from entviz.store.runs import Run

# Numbers that have a column of their own.
NUMBERS = ("perplexity", "dense_perplexity", "kl", "top1_agreement", "accuracy")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def listing(runs: Iterable[Run]) -> pd.DataFrame:
    """One row for each run. Columns: when (UTC), kind, model, text, windows, tokens (in a window), dropped, found, and
    one column for each number of an evaluation or a task: perplexity, dense_perplexity, kl, top1_agreement, accuracy.
    """
    rows = []
    for run in runs:
        numbers = {name: _number(run.summary.get(name)) for name in NUMBERS}
        rows.append(
            {
                "when": pd.Timestamp(run.created, unit="s", tz="UTC").floor("s"),
                "kind": title_of(run.kind),
                "model": run.model,
                "text": text_of(run),
                "windows": run.options.get("windows"),
                "tokens": run.options.get("window_length"),
                "dropped": dropped(run),
                "found": found(run),
                **numbers,
            }
        )
    columns = ["when", "kind", "model", "text", "windows", "tokens", "dropped", "found", *NUMBERS]
    return pd.DataFrame(rows, columns=columns).astype({"windows": "Int64", "tokens": "Int64"})


def dropped(run: Run) -> str:
    """The prune set that a run measured or chose; empty for the dense model, or if the run has none."""
    study = study_of(run.kind)
    return "" if study is None else study.dropped(run)


def text_of(run: Run) -> str:
    """The text that a run measured: its first words, and whether it was read without its beginning token."""
    return without_cut(run.description) + ("" if run.options.get("begin", True) else ", without bos")


def found(run: Run) -> str:
    """A run's main numbers in one line."""
    study = study_of(run.kind)
    return "" if study is None else study.found(run)


def as_csv(table: pd.DataFrame) -> str:
    """CSV in which a spreadsheet finds no formula, whatever the name of a model or a text.

    A text that begins with one of = + - @, a tab or a carriage return gets an apostrophe before it (OWASP, "CSV
    Injection").
    """
    safe = table.copy()
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name]) and not pd.api.types.is_datetime64_any_dtype(
            safe[name]
        ):
            safe[name] = [f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in safe[name]]
    return safe.to_csv(index=False)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
