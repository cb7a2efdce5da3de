"""The view as a link: model, text, windows, estimators, level and prune set in the address bar, both ways.

The frame calls :func:`read` before any widget and :func:`write` after; a page that changes a choice outside a
widget's callback calls :func:`write` itself. What comes in is someone else's writing: each value is checked and
bounded, and one that will not do becomes a sentence and the default, never an exception.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from entviz.blocks import PruneSet
from entviz.errors import EntvizError, OptionError
from entviz.estimators import METRICS, base, canonical, split
from entviz.models import CATALOG
from entviz.models.here import is_downloaded
from entviz.repair.registry import METHODS
from entviz.text.passages import passages
from pages.parts.shared import linked_text, selection

SPECS_CHARACTERS: Final = 400  # of estimators, with options
_NO: Final = "no"
_MODEL: Final = re.compile(r"[\w./~:\\ -]+")
_EMPTY: Final[dict[str, dict[str, Any]]] = {  # what a parameter that is not there stands for
    "begin": {"begin": True},
    "metrics": {"metrics": ()},
    "options": {"options": ()},
    "massive": {"without_massive": False},
    "level": {"level": ()},
    "drop": {"drop": ""},
    "repair": {"repair": ""},
    "calibration": {"repair_own": False, "repair_text": ""},
    "written": {"repair_self": True},
}
_PAGE: Final = "address.page"  # in the session's state, as are the next two: the page that was read on last
_WRITTEN: Final = "address.written"  # what write() last put into the address bar
_MESSAGES: Final = "address.messages"  # what could not be taken over, and the choices as they were then


def read(page: str) -> list[str]:
    """Take over what the address bar asks for; returns sentences about what could not be taken over.

    It asks for something where the person came by it: in a session's first run, on another ``page`` than before, and
    after Back or Forward. In any other run it only says what the browser had heard of when the person clicked, which
    may be older than the choices. The sentences stay until something is chosen.
    """
    back = _went_back()
    if back or st.session_state.get(_PAGE) != page:
        _take_over(back)
        # Last, so that where this run is stopped the next one takes it over.
        st.session_state[_PAGE] = page
    view, messages = st.session_state.get(_MESSAGES, (None, []))
    return messages if view is selection.view() else []


def _take_over(back: bool) -> None:
    written: dict[str, str] = st.session_state.get(_WRITTEN, {})
    asked = {name: value for name, value in st.query_params.items() if name in _READERS}
    choices: dict[str, Any] = {}
    messages: list[str] = []
    if back and asked:  # an address of ours, and what is empty is not in it
        for name, empty in _EMPTY.items():
            choices |= empty if name not in asked else {}
    for name, value in asked.items():
        if value != written.get(name):
            try:
                choices |= _READERS[name](value)
            except ValueError as error:
                messages.append(str(error))
    if choices:
        selection.put(**choices)
    if choices or messages:
        st.session_state[_MESSAGES] = (selection.view(), messages)


def _went_back() -> bool:
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def write() -> None:
    """Make the address bar say what is shown; parameters that are not ours are left as they are."""
    ours = parameters()
    now = st.query_params.to_dict()
    wanted = {name: value for name, value in now.items() if name not in _READERS} | ours
    if wanted != now:
        st.query_params.from_dict(wanted)
    st.session_state[_WRITTEN] = ours


def parameters(**changes: Any) -> dict[str, str]:
    """The view as query parameters, with changes to it.

    ``st.page_link("pages/prune.py", query_params=parameters(drop="attn.5"))`` leads to the same view, pruned.
    """
    view = {name: changes.get(name, selection.get(name)) for name in selection.DEFAULTS}
    found = {
        "model": view["asked_model"] or view["model"],
        "text": _pack_text(view),
        "windows": str(view["windows"]),
        "length": str(view["length"]),
        "begin": "" if view["begin"] else _NO,
        "metrics": ",".join(view["metrics"]),
        "options": ",".join(view["options"]),
        "massive": _NO if view["without_massive"] else "",
        "level": ",".join(view["level"]),
        "drop": str(view["drop"]),
        **_repair(view),
    }
    return {name: value for name, value in found.items() if value}


def draw_link() -> None:
    """A button that opens the link to this view, with a button to copy it."""
    with st.popover("Link to this view", icon=":material/link:", width="stretch"):
        # The address bar's own query may be one run old, so only its first part is used.
        page = (st.context.url or "").partition("?")[0].rstrip("/")
        st.code(f"{page}/?{urlencode(parameters(), safe=',/~')}", language=None, wrap_lines=True)
        st.caption("The same model, text, estimators, prune set and repair, for anyone who opens it.")
        if linked_text.TOO_LONG in (parameters().get("text"), parameters().get("calibration")):
            st.warning(
                f"A link carries a text of your own up to {linked_text.CHARACTERS:,} characters. This one is longer: "
                "people who open the link will be asked for it.",
                icon=":material/link_off:",
            )


def _repair(view: dict[str, Any]) -> dict[str, str]:
    if not view["repair"]:
        return {}
    return {
        "repair": str(view["repair"]),
        "calibration": linked_text.packed(view["repair_text"]) if view["repair_own"] else "",
        "written": "" if view["repair_self"] else _NO,
    }


def _pack_text(view: dict[str, Any]) -> str:
    name = view["text_name"]
    if name not in (selection.TYPED, selection.UPLOADED):
        return str(name)
    return linked_text.packed(view["typed_text"] if name == selection.TYPED else view["uploaded_text"])


def _take_text(value: str) -> dict[str, Any]:
    if value in passages():
        return {"text_name": value}
    if value == linked_text.TOO_LONG:
        raise ValueError(
            "The link was made with a text too long for it to carry. Choose it in the sidebar to see the same view."
        )
    if not linked_text.is_packed(value):
        raise ValueError(f"The link names a text that is not here. The texts are {', '.join(passages())}.")
    return {"text_name": selection.TYPED, "typed_text": linked_text.unpacked(value)}


def _take_calibration(value: str) -> dict[str, Any]:
    if not linked_text.is_packed(value):
        raise ValueError(
            "The link's repair was fitted on a text too long for the link to carry. Here it is fitted on other text: "
            "choose that text under Calibration to see the same numbers."
        )
    return {"repair_own": True, "repair_text": linked_text.unpacked(value)}


def _take_model(value: str) -> dict[str, Any]:
    if value not in CATALOG and (len(value) > selection.MODEL_CHARACTERS or not _MODEL.fullmatch(value)):
        raise ValueError("The model in the link is neither a known name, nor a hub id, nor a directory.")
    if value == selection.get("model"):
        return {"asked_model": ""}
    # A link must not make this machine fetch a model or open a folder by itself: the frame asks first.
    return selection.of_model(value) if is_downloaded(value) else {"asked_model": value}


def _take_number(name: str, title: str, bounds: tuple[int, int]) -> Callable[[str], dict[str, Any]]:
    def take(value: str) -> dict[str, Any]:
        low, high = bounds
        number = int(value) if re.fullmatch(r"[0-9]{1,6}", value) else -1
        if not low <= number <= high:
            raise ValueError(f"The {title} in the link must be a whole number from {low} to {high}.")
        return {name: number}

    return take


def _take_begin(value: str) -> dict[str, Any]:
    if value not in ("yes", _NO):
        raise ValueError("The link must say yes or no to the beginning-of-text token, and says neither.")
    return {"begin": value != _NO}


def _take_massive(value: str) -> dict[str, Any]:
    if value not in ("yes", _NO):
        raise ValueError("The link must say yes or no to measuring massive tokens, and says neither.")
    return {"without_massive": value == _NO}


def _take_level(value: str) -> dict[str, Any]:
    asked = set(value.split(",")) if len(value) <= 200 else {""}
    if not asked <= set(selection.KINDS):
        raise ValueError(f"The kinds of block in the link must be some of {', '.join(selection.KINDS)}.")
    return {"level": tuple(kind for kind in selection.KINDS if kind in asked)}


def _take_metrics(value: str) -> dict[str, Any]:
    """Names of metrics; one with options sets these, too."""
    asked = split(value) if len(value) <= SPECS_CHARACTERS else ()
    names = {base(spec) for spec in asked}
    if not names or not names <= METRICS.keys():
        raise ValueError(f"The estimators in the link must be some of {', '.join(METRICS)}.")
    found: dict[str, Any] = {"metrics": tuple(name for name in METRICS if name in names)}
    if given := [spec for spec in asked if spec not in METRICS]:
        kept = [spec for spec in selection.get("options") if base(spec) not in map(base, given)]
        found["options"] = tuple(sorted([*kept, *_options(given)]))
    return found


def _take_options(value: str) -> dict[str, Any]:
    return {"options": _options(split(value) if len(value) <= SPECS_CHARACTERS else (value,))}


def _options(specs: Sequence[str]) -> tuple[str, ...]:
    """Specs, canonical, of which those with usual options are left out."""
    try:
        found = [canonical(spec) for spec in specs]
    except OptionError as error:
        raise ValueError(f"The estimators' options in the link cannot be read. {error}") from None
    if len(set(map(base, found))) < len(found):
        raise ValueError("The link gives the options of an estimator twice. Keep one of them.")
    return tuple(sorted(spec for spec in found if spec not in METRICS))


def _take_drop(value: str) -> dict[str, Any]:
    try:
        if len(value) > 4000:
            raise ValueError
        return {"drop": str(PruneSet.parse(value))}
    except (EntvizError, ValueError):
        raise ValueError(
            "The prune set in the link cannot be read. It looks like attn.5,layer.7: kinds layer, attn or mlp."
        ) from None


def _take_repair(value: str) -> dict[str, Any]:
    if value not in METHODS:
        raise ValueError(f"The repair in the link is not known here. The repairs are {', '.join(METHODS)}.")
    return {"repair": value}


def _take_written(value: str) -> dict[str, Any]:
    if value not in ("yes", _NO):
        raise ValueError(
            "The link must say yes or no to text that the model writes itself, and says neither."
        )
    return {"repair_self": value == "yes"}


_READERS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "model": _take_model,
    "text": _take_text,
    "windows": _take_number("windows", "number of windows", selection.WINDOWS_RANGE),
    "length": _take_number("length", "window length", selection.LENGTH_RANGE),
    "begin": _take_begin,
    "metrics": _take_metrics,
    "options": _take_options,
    "massive": _take_massive,
    "level": _take_level,
    "drop": _take_drop,
    "repair": _take_repair,
    "calibration": _take_calibration,
    "written": _take_written,
}
