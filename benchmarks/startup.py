"""How long it takes from `streamlit run` to the first chart in a real browser."""

from __future__ import annotations

import contextlib
import tempfile
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.server import server
from benchmarks.timing import Figure
from entviz.models import LoadedModel
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATIENCE = 180.0  # seconds


def startup(loaded: LoadedModel) -> list[Figure]:
    """With the default view's results in the store; and with the converted model but an empty store.

    ``loaded`` has made sure that the model is converted, as `make setup` does.
    """
    del loaded
    with tempfile.TemporaryDirectory() as folder, chromium.opened() as opened:
        database = f"sqlite:///{folder}/runs.sqlite"
        cold = _first_chart(opened, database)
        warm = median(_first_chart(opened, database) for _ in range(3))
    return [
        Figure("start to first chart, results stored", warm, "the bound of 8 s", 8, warm / 8, 1),
        Figure("start to first chart, nothing stored", cold, "the bound of 25 s", 25, cold / 25, 1),
    ]


def _first_chart(opened: Browser, database: str) -> float:
    from playwright.sync_api import Error  # which only tests and this section need

    started = time.perf_counter()
    with server(database, wait=False) as (port, _):
        page = opened.new_page()
        while True:  # as a person who reloads until the server answers
            with contextlib.suppress(Error):
                page.goto(f"http://127.0.0.1:{port}")
                break
            if time.perf_counter() - started > PATIENCE:
                raise TimeoutError("the server does not answer")
            time.sleep(0.1)
        page.wait_for_selector(".stPlotlyChart .scatterlayer .trace", timeout=1000 * PATIENCE)
        spent = time.perf_counter() - started
        page.close()
    return spent
