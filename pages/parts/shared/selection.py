"""What the sidebar picked: the model, the text, and how the text is cut into windows.

::

    selection = current()                   # plain data, good as a key
    job = runtime().ask(Analyze(selection.sample()), session())

Choices live in ``st.session_state`` under a key of their own, never under a widget's: a widget's value dies when its
page is left, and a shared link must be able to set a choice before any widget exists. They live there together, and
each change is one write: when the next click comes, Streamlit stops a run at any access to the session's state,
even in the middle of a callback, and a choice that is half made would show one thing and measure another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from entviz.estimators import METRICS, base, default_metrics, with_defaults
from entviz.models import CATALOG, DEFAULT_MODEL
from entviz.studies import TextSample
from entviz.text.files import plain_line_ends
from entviz.text.passages import passages
from pages.parts.shared import frame

TYPED: Final = "typed"
UPLOADED: Final = "uploaded"
DEFAULT_TEXT: Final = "news"
KINDS: Final = ("layer", "attn", "mlp")

WINDOWS_RANGE: Final = (1, 64)
LENGTH_RANGE: Final = (32, 1024)
TYPED_CHARACTERS: Final = 100_000
MODEL_CHARACTERS: Final = 300

DEFAULTS: Final[dict[str, Any]] = {
    "model": DEFAULT_MODEL,
    "wants_other": False,  # whether "Another model" is picked, be its name still to be written
    "other_model": "",  # what is written in the field beside it
    "asked_model": "",  # a model that a link asks for and nobody has agreed to load yet
    "text_name": DEFAULT_TEXT,
    "typed_text": "",
    "uploaded_text": "",
    "uploaded_name": "",
    "uploaded_note": "",  # what of the file was read otherwise than it stands there
    "upload_error": "",  # why the last file could not be taken
    "windows": 4,
    "length": 128,
    "begin": True,  # whether texts begin with what the model's tokenizer puts before them
    "metrics": None,  # the names of those that Explore shows; None for those that say so of themselves
    "options": (),  # the specs of metrics whose options are not the usual ones, wherever pages measure with them
    "without_massive": False,  # whether entropy and importance are measured without massive tokens
    "level": KINDS,
    "drop": "",
    "repair": "",  # the name of the method that repairs what is dropped; empty for none
    "repair_own": False,  # whether it is fitted on a text of one's own, and not on built-in passages
    "repair_text": "",  # that text
    "repair_self": True,  # whether it is fitted on text that the model writes itself, too
}
_VIEW: Final = "view"  # in the session's state
_UNTOUCHED: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Selection:
    """What is looked at: plain, hashable data. ``text_name`` is a passage's name, ``"typed"`` or ``"uploaded"``."""

    model: str
    text_name: str
    text: str
    windows: int
    window_length: int
    begin: bool = True

    @property
    def text_title(self) -> str:
        """The text's name for a sentence on the screen, such as "the news passage"."""
        if self.text_name == TYPED:
            return "your text"
        if self.text_name == UPLOADED:
            return "your file"
        return f"the {passages()[self.text_name].name} passage"

    def sample(self) -> TextSample:
        """The same, as studies take it."""
        return TextSample(self.model, self.text, self.windows, self.window_length, self.begin)


def view() -> Mapping[str, Any]:
    """The choices that were made in this session: another object after each change."""
    made: Mapping[str, Any] = st.session_state.get(_VIEW, _UNTOUCHED)
    return made


def get(name: str) -> Any:
    """One choice of this session (see ``DEFAULTS`` for the names), or its default."""
    value = view().get(name, DEFAULTS[name])
    if name == "metrics" and value is None:
        return tuple(metric for metric, kind in METRICS.items() if kind.shown)
    return value


def spec(metric: str) -> str:
    """A metric's name with the options that are chosen in this session."""
    return next((each for each in get("options") if base(each) == metric), metric)


def with_options(specs: Iterable[str]) -> tuple[str, ...]:
    """The choice ``options`` where these canonical specs hold; those of other metrics stay as they are chosen now."""
    by_name = {base(each): each for each in (*get("options"), *specs)}
    return tuple(sorted(spec for name, spec in by_name.items() if spec != name))


def measured(*metrics: str) -> tuple[str, ...]:
    """The specs that a page measures which shows these metrics, given by name.

    All that are measured by default are among them: they share the forward pass, so showing more of them later costs
    nothing.
    """
    return with_defaults(spec(name) for name in dict.fromkeys((*default_metrics(), *metrics)))


def put(**choices: Any) -> None:
    """Set choices of this session, all or none. Call it from a widget's ``on_change``, so that the whole run sees them.

    What belongs together goes into one call.
    """
    if unknown := choices.keys() - DEFAULTS.keys():
        raise KeyError(*unknown)
    st.session_state[_VIEW] = {**view(), **choices}


def current() -> Selection:
    """What the sidebar shows now."""
    frame.require()
    name = get("text_name")
    if name == TYPED:
        text = plain_line_ends(get("typed_text"))
    elif name == UPLOADED:
        text = get("uploaded_text")
    else:
        text = passages()[name].text
    return Selection(get("model"), name, text, get("windows"), get("length"), get("begin"))


def missing(selection: Selection) -> str | None:
    """What a person has still to do before anything can be measured, as a sentence; None when nothing."""
    if selection.text_name == TYPED and not selection.text.strip():
        return "There is no text yet: type or paste some into the field in the sidebar."
    if selection.text_name == TYPED and len(selection.text) > TYPED_CHARACTERS:
        return f"The text is longer than {TYPED_CHARACTERS:,} characters: paste less of it, or upload it as a file."
    if selection.text_name == UPLOADED and not selection.text.strip():
        return "There is no text yet: upload a .txt file in the sidebar."
    return None


def of_model(name: str) -> dict[str, Any]:
    """The choices of a model, as if picked from the catalog or, where it is not in there, its name typed."""
    if name in CATALOG:
        return {"model": name, "wants_other": False, "asked_model": ""}
    return {"model": name, "wants_other": True, "other_model": name, "asked_model": ""}


def accept_model(name: str) -> None:
    """Take a model, as :func:`of_model` says."""
    put(**of_model(name))
