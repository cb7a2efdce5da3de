"""The dashboard's frame: the menu of pages, and the sidebar with the model and the text that every page shares.

Run it with ``streamlit run app.py``.
"""

from typing import Final

import streamlit as st
from streamlit.errors import FragmentHandledException

from entviz import logs
from entviz.failure import in_a_sentence
from entviz.models import CATALOG
from pages.parts.shared import address, atomic_state, pickers, selection
from pages.parts.shared.markdown import escape
from pages.parts.shared.page_list import PAGES, PageEntry

# An entropy curve with its turning point; blue enough for a white and a near-black page.
CURVE: Final = """
<path d="M4 9 C10 13 11 31 17 31 C23 31 25 16 38 10" fill="none" stroke="#2F87C6" stroke-width="4"
stroke-linecap="round"/><circle cx="17" cy="31" r="5" fill="#E69F00"/>"""
# Drawn here: for a Material icon Streamlit makes every browser ask a font host outside.
ICON: Final = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="1 1 40 40">{CURVE}</svg>'
LOGO: Final = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 40" width="150" height="40">{CURVE}
<text x="48" y="29" font-family="Source Sans Pro, Helvetica, Arial, sans-serif" font-size="27" font-weight="700"
fill="#2F87C6">entviz</text></svg>"""

logs.start(tracebacks=True)
st.set_page_config(
    page_title="entviz",
    page_icon=ICON,
    layout="wide",
    initial_sidebar_state="auto",
)


def page_of(entry: PageEntry, *, path: str | None = None, shown: bool = True) -> st.Page:
    """A page at ``/name`` or another ``path``. One that is not ``shown`` is not in the menu, and opens all the same."""
    return st.Page(
        entry.script,
        title=entry.title,
        icon=entry.icon,
        url_path=entry.name if path is None else path,
        default=path == "",
        visibility="visible" if shown else "hidden",
    )


# The first page is there twice: Streamlit serves its default page at "/" only, and "/explore" is what people type.
FIRST, *OTHERS = PAGES.values()
by_name = (st.context.url or "").rstrip("/").endswith(f"/{FIRST.name}")
page = st.navigation(
    [
        page_of(FIRST, path="", shown=not by_name),
        page_of(FIRST, shown=by_name),
        *map(page_of, OTHERS),
    ],
    expanded=True,
)
st.logo(LOGO, size="large")
atomic_state.finish()
messages = address.read(page.url_path)
pickers.draw()
with st.sidebar:
    address.draw_link()
address.write()

if messages:
    st.warning("\n".join(f"- {escape(message)}" for message in messages), icon=":material/link_off:")
if asked := selection.get("asked_model"):
    # Neither a link nor a stored run makes this machine fetch a model or open a folder by itself.
    with st.container(border=True):
        name = escape(CATALOG[asked].title if asked in CATALOG else asked)
        st.markdown(
            f"The model **{name}** is asked for. Load it? Unless it is a path on this machine, it is downloaded from "
            "the Hugging Face hub."
        )
        with st.container(horizontal=True):
            st.button(
                "Load it", key="link.load", type="primary", on_click=selection.accept_model, args=(asked,)
            )
            st.button("Not now", key="link.keep", on_click=selection.put, kwargs={"asked_model": ""})
try:
    page.run()
except FragmentHandledException:  # a part that runs by itself failed, and Streamlit has said so
    raise
except Exception as error:  # noqa: BLE001 - the outer net: a sentence here, the traceback in the log
    st.error(escape(str(in_a_sentence(f"page {page.title}", error))), icon=":material/error:")
address.write()
