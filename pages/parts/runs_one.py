"""One run: what it was, opening it again on its page, and its report."""

from typing import Any, Final

import streamlit as st

from entviz.corpus import passages
from entviz.report import file_name
from entviz.store import Run
from entviz.store.listing import KIND_TITLES, dropped, found, number_rows
from entviz.workbench import workbench
from pages.parts import runs_report, selection, working
from pages.parts.markdown import escape

# The page on which each kind is looked at.
PAGES: Final = {
    "analysis": "explore",
    "evaluation": "prune",
    "generation": "prune",
    "ranking": "prune",
    "comparison": "compare",
    "contrast": "compare",
    "score": "prune",
    "trust": "compare",
    "interactions": "compare",
    "angles": "compare",
}
# The tab of the Compare page on which a kind is looked at, and the choice of a level there.
_TABS: Final = {
    "trust": ("Which to trust", "trust.level"),
    "interactions": ("Interactions", "interactions.level"),
}
_GO: Final = "runs.go"  # in the session's state: the page to switch to


def draw(run: Run) -> None:
    text, session = workbench().store.text(run.key), working.session()
    st.subheader(KIND_TITLES.get(run.kind, run.kind), anchor=False)
    drop = dropped(run)
    about = f"{escape(run.model)} on {escape(run.description)}"
    st.markdown(f"{about}. Dropped: {escape(drop)}." if drop else f"{about}.")
    if said := found(run):
        st.markdown(escape(said))
    st.caption(f"Computed by {escape(run.program)}; {run.bytes / 1000:,.0f} kB.")
    page, closed = PAGES.get(run.kind), _closed(run, text)
    if note := closed or _anew(run):
        st.caption(escape(note))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if page is not None and not closed:
            st.button(
                f"Open on {page.capitalize()}",
                type="primary",
                icon=":material/open_in_new:",
                key="runs.open",
                on_click=_open,
                args=(run, text, page),
            )
        runs_report.draw_button(
            lambda: runs_report.of_run(run, text, session), file_name(run.kind, run.model), key="runs.report"
        )


def _closed(run: Run, text: str | None) -> str:
    """Why no page can open a run, as a sentence; empty where one can."""
    if text is not None or run.kind == "score":
        return ""
    why = "its text was too long to be kept"
    if "token_ids" in run.options.get("shell", {}):
        why = "it was measured on token ids, and pages read texts"
    return f"No page can open this run: {why}. Its report has the numbers."


def _anew(run: Run) -> str:
    """What a page that opens a run does otherwise, as a sentence; empty where it shows the very same."""
    shell, options = run.options.get("shell", {}), run.options
    if shell:
        asked = "; ".join(f"{name} {value}" for name, value in number_rows(shell))
        return f"It was asked for in a shell with {asked}. A page measures without that, and so anew."
    (fewest, most), (shortest, longest) = selection.WINDOWS_RANGE, selection.LENGTH_RANGE
    windows, length = options.get("windows", fewest), options.get("window_length", shortest)
    if fewest <= windows <= most and shortest <= length <= longest:
        return ""
    return (
        f"A page takes {fewest} to {most} windows of {shortest} to {longest} tokens: opened, it is measured anew with "
        "what comes nearest."
    )


def go() -> None:
    """Go to the page of the run that was just opened, if one was. A callback cannot switch pages itself."""
    if page := st.session_state.pop(_GO, None):
        st.switch_page(f"pages/{page}.py")


def _open(run: Run, text: str | None, page: str) -> None:
    _take_over(run, text)
    st.session_state[_GO] = page


def _take_over(run: Run, text: str | None) -> None:
    """Choose what the run had: model, text, windows and prune set."""
    options = run.options
    selection.accept_model(run.model)
    if run.kind == "generation" and text:
        st.session_state["prune.prompt"] = text
    elif "windows" in options and text:
        selection.put(
            **_text(text, run.description),
            windows=_within(options["windows"], selection.WINDOWS_RANGE),
            length=_within(options["window_length"], selection.LENGTH_RANGE),
        )
    if run.kind == "evaluation":
        st.session_state["prune.float32"] = options.get("dtype") == "float32"
    if run.kind in _TABS:
        tab, level = _TABS[run.kind]
        st.session_state.update({"compare.tab": tab, level: options["level"]})
    if run.kind != "analysis":
        selection.put(drop=str(options.get("a", dropped(run))))


def _text(text: str, description: str) -> dict[str, Any]:
    for name, passage in passages().items():
        if passage.text == text:
            return {"text_name": name}
    if len(text) <= selection.TYPED_CHARACTERS:
        return {"text_name": selection.TYPED, "typed_text": text}
    return {"text_name": selection.UPLOADED, "uploaded_text": text, "uploaded_name": description}


def _within(value: int, limits: tuple[int, int]) -> int:
    return min(max(int(value), limits[0]), limits[1])
