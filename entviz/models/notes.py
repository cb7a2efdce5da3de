"""What has to be known about how a text was read, in sentences that stand beside every number.

notes_on(loaded, windows)       # ("Each window begins with <bos>, ...",), or () where there is nothing to say
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from entviz.text.beginning import beginning_of, named

if TYPE_CHECKING:
    from entviz.models.loaded import LoadedModel
    from entviz.text.windows import Windows


def notes_on(loaded: LoadedModel, windows: Windows) -> tuple[str, ...]:
    """Sentences about windows that go through a model: what begins them, and whether they are too long for it."""
    return (*_about_beginning(loaded, windows), *about_length(loaded, windows.input_length, "Each window"))


def about_length(loaded: LoadedModel, tokens: int, what: str) -> tuple[str, ...]:
    """A sentence where ``tokens``, of what is called ``what``, are more than the model was trained to read at once."""
    most = loaded.trained_positions
    if most is None or tokens <= most:
        return ()
    return (
        f"{what} has {tokens:,} tokens, but the model was trained to read {most:,} at once: what it predicts beyond "
        "them says little about it.",
    )


def about_beginning(loaded: LoadedModel, begin: bool, what: str) -> tuple[str, ...]:
    """A sentence where ``what``, a prompt say, was read without the token that the tokenizer puts before a text."""
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
