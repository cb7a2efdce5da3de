"""The report of a stored result of a kind that this version does not know, for example from a newer version."""

from __future__ import annotations

from entviz.report.command import About
from entviz.report.document import Section, document
from entviz.report.ending import ending


def unknown_kind(kind: str, about: About) -> str:
    """Everything known about the result, and a sentence that this version cannot show it."""
    said = (
        f"This version of entviz knows no result of the kind “{kind}”, so it cannot show this one. Open it with the "
        "version that computed it, named below, or a later one."
    )
    subtitle = f"{about.model_title} on {about.text_title}."
    return document(
        f"A result of the kind {kind}", subtitle, [Section("What it says", said), *ending(about, "")]
    )
