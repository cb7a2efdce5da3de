"""What numbers were measured on, in words: the model, the text and how much of it. All of it is Markdown."""

from collections.abc import Sequence

import streamlit as st

from entviz.models import CATALOG
from entviz.words.phrases import of_windows
from pages.parts.shared.markdown import escape


def model(name: str) -> str:
    """A model's title, or the name that a person gave where it is not in the catalog."""
    return escape(CATALOG[name].title if name in CATALOG else name)


def on(name: str, text: str, count: int, length: int) -> str:
    """The model ``name`` on ``text``, a title such as "the news passage": ``count`` windows of ``length`` tokens."""
    return f"{model(name)} on {text}, {of_windows(count, length)}"


def draw_notes(notes: Sequence[str]) -> None:
    """What has to be known about how the text was read, beside the numbers; nothing where that is nothing."""
    if notes:
        st.caption(escape(" ".join(notes)))


def sentence(what: str, fresh: bool) -> str:
    """What the numbers in view belong to, be they the ones asked for or, meanwhile, earlier ones."""
    return f"Measured on {what}." if fresh else f"This is the earlier result: {what}."
