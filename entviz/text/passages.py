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
    """The six built-in texts by name: news, story, code, law, medicine, dialogue. All were written for entviz."""
    titles = {
        "news": "News report",
        "story": "Short story",
        "code": "Program",
        "law": "Lease agreement",
        "medicine": "Medical advice",
        "dialogue": "Dialogue",
    }
    folder = files("entviz") / "passages"
    return {
        name: Passage(name, title, (folder / f"{name}.txt").read_text(encoding="utf-8"))
        for name, title in titles.items()
    }
