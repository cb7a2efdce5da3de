"""The built-in texts, one for each register.

passages()["story"].text
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Passage:
    """A built-in text: its name, a title, and the text."""

    name: str
    title: str
    text: str


@cache
def passages() -> dict[str, Passage]:
    """The built-in texts by name: news, story, code, law, medicine, dialogue, program. All were written for entviz.

    There are two programs, so that a repair can be fitted on one and measured on the other.
    """
    titles = {
        "news": "News report",
        "story": "Short story",
        "code": "Program",
        "law": "Lease agreement",
        "medicine": "Medical advice",
        "dialogue": "Dialogue",
        "program": "Another program",
    }
    folder = files("entviz") / "passages"
    return {
        name: Passage(name, title, (folder / f"{name}.txt").read_text(encoding="utf-8"))
        for name, title in titles.items()
    }
