"""What opens at which address, and whom the pages ask: nobody but the server that they came from."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, linked

pytestmark = pytest.mark.browser
PAGES = ("", "explore", "prune", "compare", "export", "runs", "learn")
HEADING = "Entropy across depth"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_anyone_but_this_server(visit, name):
    """``visit`` sees every request and address; this test is that all pages are seen, with all that they draw."""
    page = visit(name, drop="attn.5")
    expect(page.get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
    # The menu's icons are in a font, which the server has.
    page.wait_for_function("document.fonts.check('16px \"Material Symbols Rounded\"')", timeout=PATIENCE)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')", timeout=PATIENCE)
    icon = page.locator("link[rel*=icon]")
    expect(icon).to_have_count(1)
    assert icon.get_attribute("href").startswith("data:image/svg+xml;base64,")


def test_a_request_that_leaves_the_server_is_noticed(visit, faults):
    page = visit("learn")
    expect(page.get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
    assert faults == []
    page.evaluate("fetch('http://127.0.0.1:9/font.woff2').catch(() => 0)")
    assert set(faults) == {"asked for http://127.0.0.1:9/font.woff2"}
    faults.clear()
    page.evaluate(
        "document.head.insertAdjacentHTML('beforeend', '<link rel=icon href=\"http://127.0.0.1:9/icon.svg\">')"
    )
    assert "http://127.0.0.1:9/icon.svg" in linked(page)
    page.evaluate("document.querySelector('link:last-child').remove()")
    faults.clear()


def test_explore_opens_at_the_root_and_under_its_own_name(visit):
    for name in ("", "explore"):
        page = visit(name, drop="attn.5")
        expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_text("Page not found")).to_have_count(0)
        menu = page.get_by_test_id("stSidebarNavLink")
        expect(menu).to_have_count(6)
        expect(menu.filter(has_text="Explore")).to_have_attribute("aria-current", "page")
        # On to another page and back, with what was chosen.
        menu.filter(has_text="Runs").click()
        expect(page.get_by_role("heading", name="Runs")).to_be_visible(timeout=PATIENCE)
        page.go_back(wait_until="commit")
        expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=PATIENCE)
        page.get_by_test_id("stSidebarNavLink").filter(has_text="Prune").click()
        page.wait_for_url("**/prune?*drop=attn.5*", timeout=PATIENCE)
        page.get_by_test_id("stSidebarNavLink").filter(has_text="Explore").click()
        expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=PATIENCE)
        assert not page.get_by_test_id("stException").count()
