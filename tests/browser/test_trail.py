"""Your way there, in a real browser: a click on a point goes back to its prune set."""

import contextlib
import re
import time

import pytest
from playwright.sync_api import Error, expect

from tests.browser.conftest import PATIENCE

pytestmark = pytest.mark.browser
POINT = ".st-key-prune-way .stPlotlyChart .scatterlayer .trace:last-child .points path.point"


def paste(page, drop):
    page.get_by_role("textbox", name="Paste a prune set").fill(drop)
    page.get_by_role("button", name="Use it").click()


def click_until(page, point, drop):
    """Click a point until its prune set is in the address: numbers that come in draw the chart again at any moment."""
    end = time.monotonic() + PATIENCE / 1000
    while re.search(r"drop=([^&]*)", page.url)[1] != drop:
        assert time.monotonic() < end, page.url
        with contextlib.suppress(Error):
            point.click(force=True, timeout=5000)
        page.wait_for_timeout(1500)


def test_a_click_on_a_point_goes_back_to_its_prune_set_and_works_again_afterwards(visit):
    page = visit("prune", drop="attn.5")
    points = page.locator(POINT)
    expect(page.get_by_role("heading", name="Your way there")).to_be_visible(timeout=PATIENCE)
    for count, drop in ((2, "attn.5,attn.20"), (3, "attn.20,mlp.20")):
        paste(page, drop)
        expect(points).to_have_count(count, timeout=PATIENCE)
    for number, drop in ((0, "attn.5"), (1, "attn.5%2Cattn.20"), (0, "attn.5")):
        click_until(page, points.nth(number), drop)
    expect(points).to_have_count(3, timeout=PATIENCE)
