"""An export that was written: where it lies, how it was checked, the lines that load it, and downloads."""

from functools import partial
from typing import Final

import streamlit as st

from entviz.errors import EntvizError
from entviz.evaluation.perplexity import in_words
from entviz.export import Exported
from entviz.export.folder import MOST_ZIPPED, archive
from entviz.words.phrases import counted, some
from pages.parts.shared.markdown import escape

SMALL: Final = (".md", ".yaml", ".txt")
MOST_SMALL: Final = 200_000  # bytes of a text file to show or download by itself


def draw(found: Exported, *, earlier: bool) -> None:
    """Everything about an export; ``earlier`` says that it is not the one asked for last."""
    title = "The earlier export" if earlier else "Written"
    st.success(
        f"**{title}:** {escape(str(found.directory))}, {_size(found.bytes)}",
        icon=":material/check_circle:",
    )
    st.markdown("\n".join(f"- {line}" for line in _facts(found)))
    st.code(found.loading, language=found.language)
    for note in found.notes:
        st.caption(f":material/info: {escape(note)}")
    _draw_downloads(found)
    with st.expander("The files", icon=":material/folder:"):
        st.dataframe(
            {"file": list(found.files), "bytes": list(found.files.values())},
            hide_index=True,
            column_config={"bytes": st.column_config.NumberColumn(format="localized")},
        )


def _facts(found: Exported) -> list[str]:
    facts = []
    if found.check is not None:
        facts.append(found.check.sentence)
    if found.removed:
        verb = "is" if len(found.removed) == 1 else "are"
        facts.append(f"{counted(len(found.removed), 'layer')} {verb} really gone from the files.")
    if found.zeroed:
        facts.append(f"Set to zero, for the same numbers but no speed: {escape(some(found.zeroed, 3))}")
    if found.recipe.measured is not None:
        cost = found.recipe.measured
        dense, pruned = in_words(cost.dense_perplexity, ".2f"), in_words(cost.perplexity, ".2f")
        facts.append(f"Perplexity {dense} dense, {pruned} pruned, in {cost.dtype}, on {escape(cost.text)}.")
    return facts


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


def _draw_downloads(found: Exported) -> None:
    with st.container(horizontal=True, gap="small"):
        for name, size in found.files.items():
            if name.endswith(SMALL) and size <= MOST_SMALL and (found.directory / name).is_file():
                st.download_button(
                    name,
                    (found.directory / name).read_bytes(),
                    file_name=name,
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"export.download.{name}",
                )
        if found.bytes <= MOST_ZIPPED:
            st.download_button(
                f"All of it (zip, {_size(found.bytes)})",
                partial(_archive, found),
                file_name=f"{found.directory.name}.zip",
                mime="application/zip",
                icon=":material/folder_zip:",
                on_click="ignore",
                key="export.download.zip",
            )
        else:
            st.caption(
                f"Too large for a download (up to {MOST_ZIPPED / 1e6:.0f} MB): copy the folder from the server."
            )


def _archive(found: Exported) -> bytes:
    try:
        return archive(found)
    except EntvizError as error:
        return str(error).encode()  # gone since: the download says so, as nothing on the page can any more
