"""Runs as a table for the screen and for a file.

table = listing(store.runs(kind="evaluation"))
Path("runs.csv").write_text(as_csv(table), encoding="utf-8")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from entviz.evaluation.perplexity import in_words

if TYPE_CHECKING:
    from entviz.store.runs import Run

# What a list of runs shows of each kind; parts of other results, such as a comparison's cells, are left out.
KIND_TITLES = {
    "analysis": "Analysis",
    "evaluation": "Evaluation",
    "comparison": "Comparison",
    "generation": "Generation",
    "ranking": "Ranking",
    "score": "Task accuracy",
    "contrast": "Two prune sets",
    "trust": "Criteria against damage",
    "interactions": "Pairs of blocks",
    "angles": "Angular distance",
}
_TITLES = {  # of the main numbers that a line has room for
    "perplexity": "perplexity",
    "dense_perplexity": "dense",
    "kl": "KL",
    "top1_agreement": "top-1",
    "accuracy": "accuracy",
    "accuracy_normalized": "length-normalized",
    "nll_a": "loss of A",
    "nll_b": "loss of B",
    "first": "first",
    "pairs": "pairs",
}
_PERPLEXITIES = ("perplexity", "dense_perplexity")
_SHARES = ("top1_agreement", "accuracy", "accuracy_normalized")
# Numbers that have a column of their own.
NUMBERS = ("perplexity", "dense_perplexity", "kl", "top1_agreement", "accuracy")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def listing(runs: Iterable[Run]) -> pd.DataFrame:
    """A row a run. Columns: when (UTC), kind, model, text, windows, tokens (in a window), dropped, found, and the
    numbers of an evaluation or a task by themselves: perplexity, dense_perplexity, kl, top1_agreement, accuracy.
    """
    rows = []
    for run in runs:
        numbers = {name: _number(run.summary.get(name)) for name in NUMBERS}
        rows.append(
            {
                "when": pd.Timestamp(run.created, unit="s", tz="UTC").floor("s"),
                "kind": KIND_TITLES.get(run.kind, run.kind),
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
    """The prune set that a run was about or found, empty for the dense model and where there is none."""
    options, summary = run.options, run.summary
    if "a" in options and "b" in options:
        return f"{options['a'] or 'dense'} | {options['b'] or 'dense'}"
    if "drop" in options:
        return str(options["drop"])
    return ",".join(map(str, summary["drop"])) if isinstance(summary.get("drop"), list) else ""


def text_of(run: Run) -> str:
    """What a run measured: a text's first words, and whether they were read without what the tokenizer puts first."""
    return without_cut(run.description) + ("" if run.options.get("begin", True) else ", without bos")


def without_cut(description: str) -> str:
    """A text's first words, without how it was cut, which has columns of its own."""
    return description.rpartition(" (")[0] if description.endswith(" tokens)") else description


def found(run: Run) -> str:
    """A run's main numbers in a line."""
    summary = run.summary
    if run.kind == "comparison":
        return f"{summary.get('rows', 0)} of {summary.get('rows_total', 0)} prune sets measured"
    if isinstance(turning := summary.get("turning_point"), Mapping) and turning:
        return "entropy lowest after layer: " + ", ".join(
            f"{name} {layer}" for name, layer in turning.items()
        )
    parts = []
    for name, value in number_rows(summary):
        if name in ("verdict", "text"):
            parts.append(value)
        elif name in _TITLES:
            parts.append(f"{_TITLES[name]} {value}")
    return ", ".join(parts)


def number_rows(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options or main numbers as pairs of words, what lies inside others by both names."""
    rows: list[tuple[str, str]] = []
    for name, value in data.items():
        if isinstance(value, Mapping):
            rows += [(f"{name} {inner}", words) for inner, words in number_rows(value)]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rows.append((name, ", ".join(map(str, value))))
        elif name in _PERPLEXITIES and isinstance(value, float):
            rows.append((name, in_words(value, ".4g")))
        elif name in _SHARES and isinstance(value, float):
            rows.append((name, f"{value:.1%}"))
        else:
            rows.append((name, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows


def as_csv(table: pd.DataFrame) -> str:
    """CSV in which no cell is a formula to a spreadsheet, whatever a model or a text is called.

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
