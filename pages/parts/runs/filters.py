"""Which runs are listed: the filters, and the list as it was when they were set.

The list is read when the page is opened, when a filter changes and on Refresh, and not in every run of the script:
someone else's new run would otherwise move the rows under a person's ticks.
"""

import hashlib
from typing import Any, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.errors import BlockError
from entviz.runtime import runtime
from entviz.store import Run
from entviz.studies.registry import part_kinds, stored_studies, title_of
from pages.parts.shared.markdown import escape

LISTED: Final = 300
DENSE: Final = "dense"
_LISTING: Final = "runs.listing"  # in the session's state: what was asked for, and the runs
_FILTERS: Final[dict[str, Any]] = {"runs.kind": [], "runs.model": None, "runs.contains": "", "runs.drop": ""}


def draw() -> list[Run]:
    """The filters; returns the runs that pass them, the newest first."""
    if "runs.contains" not in st.session_state:  # the page has just been opened: its widgets are new
        refresh()
    store = runtime().store
    first, second = st.columns(2, gap="medium")
    kinds = first.multiselect(
        "Kind",
        list(stored_studies()),
        format_func=title_of,
        key="runs.kind",
        placeholder="All kinds",
    )
    model = second.selectbox("Model", store.models(), index=None, key="runs.model", placeholder="All models")
    contains = first.text_input(
        "Text contains", key="runs.contains", max_chars=200, placeholder="Words of the text or the model"
    )
    written = second.text_input(
        "Dropped",
        key="runs.drop",
        max_chars=2000,
        placeholder="attn.5",
        help=f"Runs in which at least these blocks were dropped, or “{DENSE}” for those of the dense model.",
    )
    try:
        drop = _read(written)
    except BlockError as error:
        st.error(escape(str(error)), icon=":material/error:")
        drop = None
    asked = (tuple(kinds), model, contains.strip(), drop)
    kept: tuple[Any, list[Run]] | None = st.session_state.get(_LISTING)
    if kept is None or kept[0] != asked:
        found = store.runs(
            kind=kinds or None,
            without=part_kinds(),
            model=model,
            contains=contains.strip(),
            drop=drop,
            limit=LISTED,
        )
        kept = st.session_state[_LISTING] = (asked, found)
    return kept[1]


def refresh() -> None:
    """Read the list again in this run."""
    st.session_state.pop(_LISTING, None)


def delete(keys: tuple[str, ...]) -> None:
    """Delete runs for everyone."""
    runtime().forget(*keys)
    refresh()


def narrowed() -> bool:
    """Whether any filter is set."""
    return any(st.session_state.get(name, empty) not in (empty, ()) for name, empty in _FILTERS.items())


def table_key(found: list[Run]) -> str:
    """A widget's key for this very list of runs."""
    digest = hashlib.sha256("\0".join(run.key for run in found).encode())
    return f"runs.table.{digest.hexdigest()[:16]}"


def bound_in_words() -> str:
    """When runs begin to be removed."""
    return f"they take {runtime().store.disk_bytes / 1e6:,.0f} MB"


def _read(written: str) -> PruneSet | None:
    if not written.strip():
        return None
    return PruneSet() if written.strip().lower() == DENSE else PruneSet.parse(written)
