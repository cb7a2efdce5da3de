"""Opening a stored run again: on which page, with which choices, and why that may not be the same."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import streamlit as st

from entviz.errors import OptionError
from entviz.estimators import canonical
from entviz.models.here import is_here
from entviz.repair import built_in
from entviz.repair.registry import METHODS
from entviz.store import Run
from entviz.studies import study_of
from entviz.studies.summaries import number_rows
from entviz.text.passages import passages
from pages.parts.prune.continuation import MOST_NEW_TOKENS, PROMPT_CHARACTERS
from pages.parts.prune.criteria import MOST_PROTECTED
from pages.parts.shared import atomic_state, selection

# Choices of pages that take no other values, by their keys.
_PROTECTED: Final = {"prune.first": (0, MOST_PROTECTED), "prune.last": (0, MOST_PROTECTED)}
_NUMBERS: Final = {"prune.new_tokens": (1, MOST_NEW_TOKENS), **_PROTECTED}
_TEXTS: Final = {"prune.prompt": PROMPT_CHARACTERS}
_GO: Final = "runs.go"  # in the session's state: the page to switch to


def draw_button(run: Run, text: str | None) -> None:
    """The button that opens a run."""
    study = study_of(run.kind)
    if study is None:
        return
    page = study.page.name
    st.button(
        f"Open on {page.capitalize()}",
        type="primary",
        icon=":material/open_in_new:",
        key="runs.open",
        on_click=_open,
        args=(run, text, page),
    )


def closed(run: Run, text: str | None) -> str:
    """Why no page can open a run, as a sentence; empty where one can."""
    study = study_of(run.kind)
    if study is None:
        return "No page can open a run of this kind."
    if text is not None or not study.needs_text:
        return ""
    why = "its text was too long to be kept"
    if "token_ids" in run.options.get("shell", {}):
        why = "it was measured on token ids, and pages read texts"
    return f"No page can open this run: {why}. Its report has the numbers."


def differs(run: Run, text: str | None) -> str:
    """What a page that opens a run does otherwise, as a sentence; empty where it shows the same."""
    shell, options = run.options.get("shell", {}), run.options
    if shell:
        asked = "; ".join(f"{name} {value}" for name, value in number_rows(shell))
        return (
            f"It was run from a shell with {asked}. A page cannot do that, so it measures again without it."
        )
    widgets = _widgets(run, text)
    possible = _possible(widgets)
    if "repair" in options and not built_in.is_usual(options):
        return (
            "Its repair was fitted on text that is not kept with it: opened, it is fitted on built-in passages and "
            "measured again."
        )
    if any(possible[key] != widgets[key] for key in _PROTECTED if key in widgets):
        return (
            f"A page protects up to {MOST_PROTECTED} layers at each end: opened, it is ranked again with the nearest "
            "values."
        )
    if possible != widgets:
        return (
            f"A page takes prompts of up to {PROMPT_CHARACTERS:,} characters and writes up to {MOST_NEW_TOKENS} "
            "tokens: opened, it is written again with the nearest values."
        )
    (fewest, most), (shortest, longest) = selection.WINDOWS_RANGE, selection.LENGTH_RANGE
    windows, length = options.get("windows", fewest), options.get("window_length", shortest)
    if fewest <= windows <= most and shortest <= length <= longest:
        study = study_of(run.kind)
        if study is None or study.found_by_page(run):
            return ""
        return (
            "A page measures the usual metrics, each with one set of options, on every kind of block: opened, it is "
            "measured again."
        )
    return (
        f"A page takes {fewest} to {most} windows of {shortest} to {longest} tokens: opened, it is measured again with "
        "the nearest values."
    )


def go() -> None:
    """Go to the page of the run that was just opened, if one was. A callback cannot switch pages itself."""
    if page := st.session_state.pop(_GO, None):
        st.switch_page(f"pages/{page}.py")


def _open(run: Run, text: str | None, page: str) -> None:
    atomic_state.choose(_choices(run, text), _possible(_widgets(run, text)) | {_GO: page})


def _choices(run: Run, text: str | None) -> dict[str, Any]:
    """What all pages share, as the run had it. What is ticked stays where the run was about no prune set."""
    options = run.options
    # Who opens a run may not know that its model is not here: the frame asks before anything is fetched.
    found = selection.of_model(run.model) if is_here(run.model) else {"asked_model": run.model}
    found["begin"] = options.get("begin", True)
    if "windows" in options and text:
        found |= _text(text, run.description) | {
            "windows": _within(options["windows"], selection.WINDOWS_RANGE),
            "length": _within(options["window_length"], selection.LENGTH_RANGE),
        }
    study = study_of(run.kind)
    if study is None:
        return found
    if (drop := study.prune_set(run)) is not None:
        found |= {"drop": drop} | _repair(options)
    shared = {name: value for name, value in study.opened(run, text).items() if name in selection.DEFAULTS}
    return found | shared | {"options": selection.with_options(_known(study.measured(run)))}


def _repair(options: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of the repair that a run of a prune set was measured with, or of none."""
    method = options.get("repair", "")
    if method not in METHODS:
        return {"repair": ""}
    return {"repair": method, "repair_own": False, "repair_self": options.get("self_written", True)}


def _known(specs: Iterable[str]) -> Iterator[str]:
    """Those of a run's metrics that there are here, canonical."""
    for spec in specs:
        with suppress(OptionError):
            yield canonical(spec)


def _widgets(run: Run, text: str | None) -> dict[str, Any]:
    """What the widgets of the run's page say, by their keys, as the run had it."""
    study = study_of(run.kind)
    if study is None:
        return {}
    tab = {f"{study.page.name}.tab": study.page.tab} if study.page.tab else {}
    own = {key: value for key, value in study.opened(run, text).items() if key not in selection.DEFAULTS}
    return tab | own


def _possible(widgets: dict[str, Any]) -> dict[str, Any]:
    """The nearest values that widgets take."""
    numbers = {key: _within(widgets[key], limits) for key, limits in _NUMBERS.items() if key in widgets}
    texts = {key: widgets[key][:most] for key, most in _TEXTS.items() if key in widgets}
    return widgets | numbers | texts


def _text(text: str, description: str) -> dict[str, Any]:
    for name, passage in passages().items():
        if passage.text == text:
            return {"text_name": name}
    if len(text) <= selection.TYPED_CHARACTERS:
        return {"text_name": selection.TYPED, "typed_text": text}
    return {
        "text_name": selection.UPLOADED,
        "uploaded_text": text,
        "uploaded_name": description,
        "uploaded_note": "",
    }


def _within(value: int, limits: tuple[int, int]) -> int:
    return min(max(int(value), limits[0]), limits[1])
