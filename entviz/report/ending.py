"""The part common to all reports: what was measured on which model and text, and how to get the same numbers again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from entviz.report.command import TEXT_FILE, About
from entviz.report.document import Section
from entviz.text.passages import passages
from entviz.words.phrases import of_windows

SHOWN_CHARACTERS = 20_000  # characters of the text; the file that the report offers has all of it


def title_of(text: str | None, description: str) -> str:
    """A text's name for a sentence: "the news passage" for a built-in one, else its first words."""
    for passage in passages().values():
        if passage.text == text:
            return f"the {passage.name} passage"
    return f"“{description}”"


def measured_on(about: About, windows: int, length: int, notes: Sequence[str]) -> str:
    """The model, the text and the amount of text as a sentence, with notes on how the text was read."""
    return " ".join([f"{about.model_title} on {about.text_title}, {of_windows(windows, length)}.", *notes])


def ending(about: About, again: str, note: str = "", *, from_start: bool = True) -> list[Section]:
    """The sections on the program that computed a result, how to compute it again, and the text.

    Args:
        about: the model and text of the report.
        again: the command line that gives the same numbers; empty if none does.
        note: a sentence about that command.
        from_start: whether the windows are the text's first ones.
    """
    when = datetime.fromtimestamp(about.created, UTC) if about.created else None
    said = f"Computed by {about.computed_by}" + (f" on {when:%Y-%m-%d at %H:%M} UTC." if when else ".")
    if about.weights:
        said += f" The weights were loaded in {about.weights}."
    if about.device:
        said += f" It ran on {about.device}."
    sections = [Section("How it was computed", said)]
    if again:
        words = ["In a shell where entviz is installed."]
        words += [f"It reads {TEXT_FILE}, which is below."] if TEXT_FILE in again else []
        words += [note] if note else []
        sections.append(Section("Compute it again", " ".join(words), code=again))
    if about.text and (TEXT_FILE in again or not again):
        shown = about.text[:SHOWN_CHARACTERS]
        more = "" if shown == about.text else f" Shown are its first {SHOWN_CHARACTERS:,} characters."
        place = "; windows are cut from its start" if from_start else ""
        words_of_it = f"{len(about.text):,} characters{place}.{more}"
        sections.append(
            Section("The text", words_of_it, code=shown, folded=True, download=(TEXT_FILE, about.text))
        )
    return sections
