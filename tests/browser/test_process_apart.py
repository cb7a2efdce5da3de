"""The process that computes ends, again and again, while somebody waits: the page says so, and goes on."""

import contextlib
import time
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE
from tests.browser.test_dashboard import DENSE, click_cell, measured

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive]
SENTENCE = "The process that computes was ended by the system (signal 9)"


def processes_apart(server: str) -> list[psutil.Process]:
    """The processes that compute for the server, of which there is one at most."""
    port = str(urlsplit(server).port)
    (mine,) = (each for each in psutil.Process().children() if port in each.cmdline())
    found = []
    for each in mine.children():
        with contextlib.suppress(psutil.Error):
            if "entviz.runtime.apart.child" in " ".join(each.cmdline()):
                found.append(each)
    return found


def test_the_page_says_what_happened_and_goes_on(visit, server):
    page = visit("prune")
    measured(page, DENSE)
    (first,) = processes_apart(server)
    click_cell(page, "attn.5")
    said, killed = page.get_by_text(SENTENCE).first, set()
    end = time.monotonic() + PATIENCE / 1000
    while not said.is_visible():
        assert time.monotonic() < end, "nothing was said"
        for each in processes_apart(server):
            if each.pid not in killed:
                killed.add(each.pid)
                each.kill()
        page.wait_for_timeout(50)
    assert first.pid in killed
    assert len(killed) >= 2, "it was tried again"
    click_cell(page, "attn.6")
    measured(page, "Without attn.5 and attn.6")
    expect(page.get_by_text(SENTENCE)).to_have_count(0)
    (last,) = processes_apart(server)
    assert last.pid not in killed
