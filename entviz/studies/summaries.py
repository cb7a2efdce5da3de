"""Options and main numbers of stored runs, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from entviz.evaluation.perplexity import in_words

_PERPLEXITIES = ("perplexity", "dense_perplexity")
_SHARES = ("top1_agreement", "accuracy", "accuracy_normalized")


def number_rows(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options or main numbers as pairs of a name and a text. A nested value is named by both of its names."""
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


def without_cut(description: str) -> str:
    """A text's first words, without the number and length of windows, which have their own columns."""
    return description.rpartition(" (")[0] if description.endswith(" tokens)") else description
