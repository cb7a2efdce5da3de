"""The dashboard's frame: the page list, and the sidebar with the model and the text that every page shares.

Run it with ``streamlit run app.py``.
"""

from pathlib import Path
from typing import Final

import streamlit as st

from pages.parts import address, selection

st.set_page_config(
    page_title="entviz",
    page_icon=":material/stacked_line_chart:",
    layout="wide",
    initial_sidebar_state="auto",
)

PAGES: Final = (
    ("explore", "Explore", ":material/show_chart:"),
    ("prune", "Prune", ":material/content_cut:"),
    ("compare", "Compare", ":material/balance:"),
    ("export", "Export", ":material/download:"),
    ("runs", "Runs", ":material/history:"),
    ("learn", "Learn", ":material/school:"),
)
FOLDER: Final = Path(__file__).parent / "pages"

page = st.navigation(
    [
        st.Page(FOLDER / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "explore")
        for name, title, icon in PAGES
        if (FOLDER / f"{name}.py").exists()
    ],
    expanded=True,
)
messages = address.read()
selection.draw_pickers()
address.write()
for message in messages:
    st.warning(message, icon=":material/link_off:")
page.run()
address.write()
