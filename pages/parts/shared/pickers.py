"""The pickers of the model and the text, which all pages share."""

from typing import Final

import streamlit as st

from entviz.errors import TextError
from entviz.models import CATALOG
from entviz.text.files import decode_text
from entviz.text.passages import Passage, passages
from pages.parts.shared import bound_widgets
from pages.parts.shared.markdown import escape
from pages.parts.shared.selection import (
    LENGTH_RANGE,
    MODEL_CHARACTERS,
    TYPED,
    UPLOADED,
    WINDOWS_RANGE,
    accept_model,
    get,
    put,
)

OTHER_MODEL: Final = "other"
UPLOAD_MEGABYTES: Final = 2
ENCODINGS: Final = ("utf-8", "cp1252", "utf-16", "latin-1")


def draw() -> None:
    """Draw them into the sidebar; called by the frame once a run, before the page."""
    with st.sidebar:
        _draw_model_picker()
        _draw_text_picker()
        with st.expander("Advanced", icon=":material/tune:"):
            st.number_input(
                "Windows",
                *WINDOWS_RANGE,
                **bound_widgets.choice("windows", "pick.windows", int),
                help="How many runs of tokens are measured, taken one after another from the start of the text. "
                "The band in a chart is the spread over them.",
            )
            st.number_input(
                "Window length (tokens)",
                *LENGTH_RANGE,
                step=32,
                **bound_widgets.choice("length", "pick.length", int),
                help="Each window goes through the model as one sequence. An entropy depends on it: compare only "
                "curves of the same window length.",
            )
            st.toggle(
                "Beginning-of-text token",
                **bound_widgets.choice("begin", "pick.begin"),
                help="Many models were trained with a token such as `<bos>` before every text, and are near random "
                "without it. Where the model's tokenizer adds one, each window, prompt and task item begins with it. "
                "Turn this off to compare with figures that were made without it.",
            )


def _draw_model_picker() -> None:
    models = [*CATALOG, OTHER_MODEL]
    st.selectbox(
        "Model",
        models,
        format_func=lambda name: "Another model" if name == OTHER_MODEL else CATALOG[name].title,
        **bound_widgets.widget("pick.model", _picked_model, _choose_model, bound_widgets.index_in(models)),
    )
    if _picked_model() == OTHER_MODEL:
        st.text_input(
            "Hub id or directory",
            max_chars=MODEL_CHARACTERS,
            placeholder="Qwen/Qwen3-0.6B",
            help="Any decoder-only language model that transformers can load from safetensors or GGUF files "
            "without running code of its own. Press Enter to load it.",
            **bound_widgets.widget("pick.other_model", lambda: get("other_model"), _choose_other_model),
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
    names = list(titles)
    st.selectbox(
        "Text",
        names,
        format_func=titles.__getitem__,
        **bound_widgets.choice("text_name", "pick.text", starts=bound_widgets.index_in(names)),
    )
    name = get("text_name")
    if name == TYPED:
        st.text_area(
            "Your text",
            height=180,
            placeholder="Paste a few paragraphs, then press Ctrl+Enter.",
            **bound_widgets.choice("typed_text", "pick.typed_text"),
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
        if note := get("uploaded_note"):
            st.caption(escape(note))


def _take_upload() -> None:
    file = st.session_state["pick.upload"]
    encoding = st.session_state.get("pick.encoding", ENCODINGS[0])
    if file is None:
        put(upload_error="")
        return
    try:
        notes: list[str] = []
        text = decode_text(file.getvalue(), encoding, name="The file", note=notes.append)
    except TextError as error:
        put(upload_error=str(error))
    else:
        put(uploaded_text=text, uploaded_name=file.name, uploaded_note=" ".join(notes), upload_error="")
