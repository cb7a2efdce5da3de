"""Tables to download."""

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    import pandas as pd


def draw_csv(label: str, table: "pd.DataFrame", name: str, *, key: str) -> None:
    """A button that downloads the table as the file ``name``; the script does not run for it."""
    st.download_button(
        label,
        table.to_csv(index=False),
        file_name=name,
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=key,
    )
