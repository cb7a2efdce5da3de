"""What the sidebar picked: the model, the text, and how the text is cut into windows.

::

    selection = current()                   # plain data, good as a key
    job = workbench().analyze(selection.request(), metrics, session())

Choices live in ``st.session_state`` under a key of their own, never under a widget's: a widget's value dies when its
page is left, and a shared link must be able to set a choice before any widget exists. They live there together, and
each change is one write: when the next click comes, Streamlit stops a run at any access to the session's state, be it
in the middle of a callback, and a choice that is half made would show one thing and measure another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from entviz.corpus import Passage, decode_text, passages
from entviz.errors import TextError
from entviz.models import CATALOG, DEFAULT_MODEL
from entviz.workbench import Request
from pages.parts import frame
from pages.parts.markdown import escape

TYPED: Final = "typed"
UPLOADED: Final = "uploaded"
OTHER_MODEL: Final = "other"
DEFAULT_TEXT: Final = "news"
ENTROPY_METRICS: Final = ("bucket", "knn", "renyi")
METRICS: Final = (*ENTROPY_METRICS, "cosine")
KINDS: Final = ("layer", "attn", "mlp")

WINDOWS_RANGE: Final = (1, 64)
LENGTH_RANGE: Final = (32, 1024)
TYPED_CHARACTERS: Final = 100_000
UPLOAD_MEGABYTES: Final = 2
ENCODINGS: Final = ("utf-8", "cp1252", "utf-16", "latin-1")
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
    "upload_error": "",  # why the last file could not be taken
    "windows": 4,
    "length": 128,
    "metrics": ("bucket", "knn", "cosine"),
    "level": KINDS,
    "drop": "",
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

    @property
    def text_title(self) -> str:
        """The text's name for a sentence on the screen, such as "the news passage"."""
        if self.text_name == TYPED:
            return "your text"
        if self.text_name == UPLOADED:
            return "your file"
        return f"the {passages()[self.text_name].name} passage"

    def request(self) -> Request:
        """The same, as the workbench wants it."""
        return Request(self.model, self.text, self.windows, self.window_length)


def view() -> Mapping[str, Any]:
    """The choices that were made in this session: another object after each change."""
    made: Mapping[str, Any] = st.session_state.get(_VIEW, _UNTOUCHED)
    return made


def get(name: str) -> Any:
    """One choice of this session (see ``DEFAULTS`` for the names), or its default."""
    return view().get(name, DEFAULTS[name])


def put(**choices: Any) -> None:
    """Set choices of this session, all or none. Call it from a widget's ``on_change``, so that the whole run sees them.

    What belongs together goes into one call.
    """
    if unknown := choices.keys() - DEFAULTS.keys():
        raise KeyError(*unknown)
    st.session_state[_VIEW] = {**view(), **choices}


def bound(name: str, key: str, convert: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """Arguments that tie a widget to a choice: ``st.number_input("Windows", **bound("windows", "pick.windows"))``.

    The widget shows the choice, and a change of the widget sets it. ``convert`` turns the widget's value into the
    choice's (and is not applied the other way).
    """

    def shown() -> Any:
        value = get(name)
        return list(value) if isinstance(value, tuple) else value

    return _tied(key, shown, lambda: put(**{name: convert(st.session_state[key])}))


def _tied(key: str, shown: Callable[[], Any], take: Callable[[], None]) -> dict[str, Any]:
    """Arguments for a widget that shows what ``shown`` returns, and whose change ``take`` makes a choice."""
    before, now = f"{key}.shown", shown()
    if st.session_state.get(key, now) != now and st.session_state.get(before) == now:
        # Only the person has changed something: the callback was stopped when the next click came.
        take()
        now = shown()
    # Writing an unchanged value would throw away what a person is typing while a job's end redraws the page.
    if st.session_state.get(key) != now:
        st.session_state[key] = now
    st.session_state[before] = now
    return {"key": key, "on_change": take}


def current() -> Selection:
    """What the sidebar shows now."""
    frame.require()
    name = get("text_name")
    if name == TYPED:
        text = get("typed_text")
    elif name == UPLOADED:
        text = get("uploaded_text")
    else:
        text = passages()[name].text
    return Selection(get("model"), name, text, get("windows"), get("length"))


def missing(selection: Selection) -> str | None:
    """What a person has still to do before anything can be measured, as a sentence; None when nothing."""
    if selection.text_name == TYPED and not selection.text.strip():
        return "There is no text yet: type or paste some into the field in the sidebar."
    if selection.text_name == TYPED and len(selection.text) > TYPED_CHARACTERS:
        return f"The text is longer than {TYPED_CHARACTERS:,} characters: paste less of it, or upload it as a file."
    if selection.text_name == UPLOADED and not selection.text.strip():
        return "There is no text yet: upload a .txt file in the sidebar."
    return None


def accept_model(name: str) -> None:
    """Take a model, as if it had been picked from the catalog or, where it is not in there, its name typed."""
    if name in CATALOG:
        put(model=name, wants_other=False, asked_model="")
    else:
        put(model=name, wants_other=True, other_model=name, asked_model="")


def draw_pickers() -> None:
    """The pickers, into the sidebar; called by the frame once a run, before the page."""
    with st.sidebar:
        _draw_model_picker()
        _draw_text_picker()
        with st.expander("Advanced", icon=":material/tune:"):
            st.number_input(
                "Windows",
                *WINDOWS_RANGE,
                **bound("windows", "pick.windows", int),
                help="How many runs of tokens are measured, taken one after another from the start of the text. "
                "The band in a chart is the spread over them.",
            )
            st.number_input(
                "Window length (tokens)",
                *LENGTH_RANGE,
                step=32,
                **bound("length", "pick.length", int),
                help="Each window goes through the model as one sequence. An entropy depends on it: compare only "
                "curves of the same window length.",
            )


def _draw_model_picker() -> None:
    st.selectbox(
        "Model",
        [*CATALOG, OTHER_MODEL],
        format_func=lambda name: "Another model" if name == OTHER_MODEL else CATALOG[name].title,
        **_tied("pick.model", _picked_model, _choose_model),
    )
    if _picked_model() == OTHER_MODEL:
        st.text_input(
            "Hub id or directory",
            max_chars=MODEL_CHARACTERS,
            placeholder="Qwen/Qwen3-0.6B",
            help="Any decoder-only language model that transformers can load from safetensors or GGUF files "
            "without running code of its own. Press Enter to load it.",
            **_tied("pick.other_model", lambda: get("other_model"), _choose_other_model),
        )


def _picked_model() -> str:
    return str(get("model")) if get("model") in CATALOG and not get("wants_other") else OTHER_MODEL


def _choose_model() -> None:
    name = st.session_state["pick.model"]
    if name != OTHER_MODEL:
        accept_model(name)
    elif get("other_model"):
        accept_model(get("other_model"))
    else:
        put(wants_other=True)


def _choose_other_model() -> None:
    name = st.session_state["pick.other_model"].strip()
    if name:
        put(model=name, wants_other=True, other_model=name, asked_model="")
    else:
        put(other_model="")


def _draw_text_picker() -> None:
    known: dict[str, Passage] = passages()
    titles = {name: passage.title for name, passage in known.items()}
    titles |= {TYPED: "Type or paste a text", UPLOADED: "Upload a text file"}
    st.selectbox("Text", list(titles), format_func=titles.__getitem__, **bound("text_name", "pick.text"))
    name = get("text_name")
    if name == TYPED:
        st.text_area(
            "Your text",
            height=180,
            placeholder="Paste a few paragraphs, then press Ctrl+Enter.",
            **bound("typed_text", "pick.typed_text"),
        )
    elif name == UPLOADED:
        _draw_upload()
    else:
        with st.expander("Read the text", icon=":material/article:"), st.container(height=220, border=False):
            st.text(known[name].text)


def _draw_upload() -> None:
    st.file_uploader(
        "Text file",
        type=["txt", "md"],
        max_upload_size=UPLOAD_MEGABYTES,
        key="pick.upload",
        on_change=_take_upload,
        help=f"Plain text, up to {UPLOAD_MEGABYTES} MB. It stays on this machine.",
    )
    if message := get("upload_error"):
        st.error(escape(message), icon=":material/error:")
        st.selectbox("Encoding", ENCODINGS, key="pick.encoding", on_change=_take_upload)
    if get("uploaded_name"):
        st.caption(f"In use: {escape(get('uploaded_name'))}, {len(get('uploaded_text')):,} characters.")


def _take_upload() -> None:
    file = st.session_state["pick.upload"]
    encoding = st.session_state.get("pick.encoding", ENCODINGS[0])
    if file is None:
        put(upload_error="")
        return
    try:
        text = decode_text(file.getvalue(), encoding, name="The file")
    except TextError as error:
        put(upload_error=str(error))
    else:
        put(uploaded_text=text, uploaded_name=file.name, upload_error="")
