"""A running server, started as `make run` starts it, and its pages in a real Chromium."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
PATIENCE = 120_000  # milliseconds; machines that run tests are busy
SMALL = {"windows": "2", "length": "64"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with an empty store."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    environment = os.environ | {
        "ENTVIZ_DATABASE": f"sqlite:///{folder}/runs.sqlite",
        "ENTVIZ_EXPORTS": f"{folder}/exports",
        "ENTVIZ_PROCESS_APART": "1",
        "OMP_NUM_THREADS": "2",
    }
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [*command, "--server.port", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    try:
        for _ in range(480):
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1).read()
                break
            time.sleep(0.25)
        else:
            pytest.fail(f"The server does not answer: {(folder / 'log').read_text()}")
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)
        log.close()


@pytest.fixture
def faults() -> list[str]:
    """What went wrong in the browser; it has to be empty when a test is done."""
    return []


@pytest.fixture
def visit(server: str, browser: Browser, faults: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens a page of the dashboard: ``visit("prune", drop="attn.5")``; small windows unless the link says otherwise.

    When the test is done nothing may have gone wrong in the browser, and it may have asked nobody but the server.
    """
    contexts: list[Any] = []

    def check(address: str) -> None:
        if (
            urlsplit(address).scheme not in ("data", "blob")
            and urlsplit(address).netloc != urlsplit(server).netloc
        ):
            faults.append(f"asked for {address}")

    def visit_at(
        name: str = "", *, size: tuple[int, int] = (1280, 800), dark: bool = False, **link: str
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page: Page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: faults.append(str(error)))
        context.on("request", lambda request: check(request.url))
        page.on("websocket", lambda socket: check(socket.url))
        page.goto(f"{server}/{name}?{urlencode(SMALL | link, safe=',')}")
        return page

    yield visit_at
    for context in contexts:
        for page in context.pages:
            for address in linked(page):
                check(address)
        context.close()
    assert not faults


def linked(page: Page) -> list[str]:
    """What a page's head links to. The browser fetches that too, but tells nobody of requests for icons."""
    found: list[str] = page.evaluate("[...document.querySelectorAll('link')].map(link => link.href)")
    return found


def number_in(text: str) -> float:
    """The first number in a text as the screen writes it."""
    found = re.search(r"−?[\d,]+(\.\d+)?", text)
    assert found, text
    return float(found[0].replace("−", "-").replace(",", ""))
