"""Notes on how a text was read, as sentences beside every number.

notes_on(loaded, windows)       # ("Each window begins with <bos>, ...",), or () if there is nothing to say
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from entviz.text.beginning import beginning_of, named

if TYPE_CHECKING:
    from entviz.models.loaded import LoadedModel
    from entviz.text.windows import Windows


def notes_on(loaded: LoadedModel, windows: Windows) -> tuple[str, ...]:
    """Sentences about a model's windows: their beginning tokens, and whether they are too long for the model."""
    return (*_about_beginning(loaded, windows), *about_length(loaded, windows.input_length, "Each window"))


def about_length(loaded: LoadedModel, tokens: int, what: str) -> tuple[str, ...]:
    """A sentence if ``what`` has more ``tokens`` than the model was trained to read at once."""
    most = loaded.trained_positions
    if most is None or tokens <= most:
        return ()
    return (
        f"{what} has {tokens:,} tokens, but the model was trained to read {most:,} at once: what it predicts beyond "
        "them says little about it.",
    )


def about_beginning(loaded: LoadedModel, begin: bool, what: str) -> tuple[str, ...]:
    """A sentence if ``what``, for example a prompt, was read without the tokenizer's beginning token."""
    usual = beginning_of(loaded.tokenizer)
    return () if begin or not usual else (_without(named(usual, loaded.tokenizer), what),)


def noted(notes: Sequence[str]) -> dict[str, list[str]]:
    """Notes as a part of a result's plain data: nothing if there are none."""
    return {"notes": list(notes)} if notes else {}


def _about_beginning(loaded: LoadedModel, windows: Windows) -> tuple[str, ...]:
    tokenizer = loaded.optional_tokenizer
    if tokenizer is None:
        return ()
    if windows.beginning:
        name = named(windows.beginning, tokenizer)
        return (
            f"Each window begins with {name}, as the model's tokenizer has it. It is measured as one more token of the "
            "window, and is not scored.",
        )
    usual = beginning_of(tokenizer)
    if all(tuple(row) == usual for row in windows.token_ids[:, : len(usual)].tolist()):
        return ()
    return (_without(named(usual, tokenizer), "The windows"),)


def _without(name: str, what: str) -> str:
    return f"{what} are read without {name}, which the model's tokenizer puts before every text."
