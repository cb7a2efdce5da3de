"""What opens at which address, and that the pages send requests only to their own server."""

import http.client
import ipaddress
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, linked

pytestmark = pytest.mark.browser
PAGES = ("", "explore", "prune", "compare", "sweep", "export", "runs", "learn")
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
    with page.context.expect_event("request", lambda request: request.url.endswith("font.woff2")):
        page.evaluate("fetch('http://127.0.0.1:9/font.woff2').catch(() => 0)")
    assert set(faults) == {"asked for http://127.0.0.1:9/font.woff2"}
    # A link of a kind that the browser does not fetch: it reports an icon's request at times, and late.
    page.evaluate(
        """document.head.insertAdjacentHTML(
            "beforeend", '<link id="outside" rel="license" href="http://127.0.0.1:9/icon.svg">')"""
    )
    assert "http://127.0.0.1:9/icon.svg" in linked(page)
    # By its own name: Streamlit goes on adding to the head, and the last link may not be this one.
    page.evaluate("document.getElementById('outside').remove()")
    faults.clear()


def test_explore_opens_at_the_root_and_under_its_own_name(visit):
    for name in ("", "explore"):
        page = visit(name, drop="attn.5")
        expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_text("Page not found")).to_have_count(0)
        menu = page.get_by_test_id("stSidebarNavLink")
        expect(menu).to_have_count(len(PAGES) - 1)  # the first opens at the root too
        expect(menu.filter(has_text="Explore")).to_have_attribute("aria-current", "page")
        # On to other pages and back, with what was chosen.
        menu.filter(has_text="Runs").click()
        expect(page.get_by_role("heading", name="Runs")).to_be_visible(timeout=PATIENCE)
        page.get_by_test_id("stSidebarNavLink").filter(has_text="Prune").click()
        page.wait_for_url("**/prune?*drop=attn.5*", timeout=PATIENCE)
        page.get_by_test_id("stSidebarNavLink").filter(has_text="Explore").click()
        expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=PATIENCE)
        assert not page.get_by_test_id("stException").count()


def test_other_computers_are_not_let_in(server):
    """As the server starts by itself; STREAMLIT_SERVER_ADDRESS would change it."""
    port = urlsplit(server).port
    listening = {
        one.laddr.ip
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    }
    assert listening
    assert all(ipaddress.ip_address(address).is_loopback for address in listening)


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost:{port}", "localhost:{port}", 101),
        ("http://elsewhere.example", "localhost:{port}", 403),
        # As after that site has pointed its own name to this computer.
        ("http://elsewhere.example:{port}", "elsewhere.example:{port}", 403),
    ],
)
def test_a_site_that_is_open_in_the_same_browser_cannot_use_the_dashboard(server, origin, host, status):
    parts = urlsplit(server)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request(
        "GET",
        "/_stcore/stream",
        headers={
            "Host": host.format(port=parts.port),
            "Origin": origin.format(port=parts.port),
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        },
    )
    assert connection.getresponse().status == status
    connection.close()
