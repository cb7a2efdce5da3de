"""What a newcomer does, in a real browser against a running server: look, tick, read and share, also on a phone."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from entviz.text.passages import passages
from tests.browser.conftest import PATIENCE, ROOT, SMALL, number_in

pytestmark = pytest.mark.browser
DENSE = "Nothing dropped: the dense model"
PAGES = ("explore", "prune", "compare", "sweep", "export", "runs", "learn")


def click_cell(page: Page, block: str) -> None:
    page.get_by_role("button", name=re.compile(rf"^{re.escape(block)}\b")).first.click()


def cards(page: Page):
    """The title over the numbers, which says what they are of, and the perplexity; None while there are none."""
    return page.evaluate(
        """() => {
            const cards = document.querySelector('[class*="st-key-prune"][class*="cards"]');
            const metrics = cards ? [...cards.querySelectorAll('[data-testid=stMetric]')] : [];
            const perplexity = metrics.find(metric => metric.innerText.startsWith('Perplexity'));
            if (!perplexity) return null;
            let above = cards;
            while (!above.previousElementSibling) above = above.parentElement;
            const value = perplexity.querySelector('[data-testid=stMetricValue]').innerText;
            return [above.previousElementSibling.innerText, value];
        }"""
    )


def measured(page: Page, title: str) -> float:
    """The perplexity of a prune set once all of it is measured: the title then says nothing more than the set."""
    end = time.monotonic() + PATIENCE / 1000
    while (found := cards(page)) is None or found[0] != title:
        assert time.monotonic() < end, f"{title!r} is not measured; there is {found}"
        page.wait_for_timeout(50)
    return number_in(found[1])


@pytest.fixture(scope="module")
def from_a_shell(tmp_path_factory: pytest.TempPathFactory):
    """What the command line measures on the same text: ``from_a_shell("attn.5")["perplexity"]``."""
    text = tmp_path_factory.mktemp("text") / "news.txt"
    text.write_text(passages()["news"].text, encoding="utf-8")

    def evaluate(drop: str):
        command = [
            sys.executable,
            "-m",
            "entviz",
            "evaluate",
            "--text-file",
            str(text),
            "--drop",
            drop,
            "--json",
        ]
        command += ["--windows", SMALL["windows"], "--window-length", SMALL["length"], "--dtype", "auto"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        return json.loads(done.stdout)

    return evaluate


def test_the_first_chart_is_there_without_a_click(visit):
    page = visit()
    expect(page.locator(".stPlotlyChart .scatterlayer .trace").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Entropy across depth")).to_be_visible()
    # One token makes the turn of this curve, so that the chart says where it is lowest, and the headline says why.
    assert "lowest after layer 11" in page.locator(".stPlotlyChart").first.inner_text()
    expect(page.get_by_text("is made by one token")).to_be_visible(timeout=PATIENCE)


def test_ticking_two_blocks_gives_the_number_of_the_command_line_and_a_link_that_reopens_it(
    visit, from_a_shell
):
    page = visit("prune")
    dense = measured(page, DENSE)
    assert dense == pytest.approx(from_a_shell("")["perplexity"], abs=0.006)
    click_cell(page, "attn.7")
    measured(page, "Without attn.7")
    click_cell(page, "mlp.12")
    both = measured(page, "Without attn.7 and mlp.12")
    expected = from_a_shell("attn.7,mlp.12")["perplexity"]
    assert both == pytest.approx(expected, abs=0.006)
    assert abs(expected - dense) > 0.1
    page.wait_for_url("**/prune?*drop=attn.7%2Cmlp.12*")

    reopened = visit("prune")
    reopened.goto(page.url)
    assert measured(reopened, "Without attn.7 and mlp.12") == both

    click_cell(page, "attn.7")  # unticked
    measured(page, "Without mlp.12")
    click_cell(page, "attn.7")  # the same cell again
    assert measured(page, "Without attn.7 and mlp.12") == both


@pytest.mark.exhaustive  # sixty clicks on the bench are, too
def test_ticks_in_quick_succession_end_at_the_last_ones_number(visit, from_a_shell):
    page = visit("prune")
    measured(page, DENSE)
    for block in ("attn.3", "attn.9", "mlp.20"):
        click_cell(page, block)
    found = measured(page, "Without attn.3, attn.9 and mlp.20")
    assert found == pytest.approx(from_a_shell("attn.3,attn.9,mlp.20")["perplexity"], abs=0.006)


def test_back_and_forward_lead_through_the_prune_sets(visit):
    page = visit("prune")
    measured(page, DENSE)
    for block, title in (("attn.7", "Without attn.7"), ("mlp.12", "Without attn.7 and mlp.12")):
        click_cell(page, block)
        measured(page, title)
        page.wait_for_url(f"**{block}*")
    page.go_back(wait_until="commit")
    measured(page, "Without attn.7")
    page.go_back(wait_until="commit")
    measured(page, DENSE)
    page.go_forward(wait_until="commit")
    measured(page, "Without attn.7")


@pytest.mark.parametrize(
    "dark", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["light", "dark"]
)
@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone(visit, name, dark, tmp_path):
    page = visit(name, size=(390, 844), dark=dark)
    expect(page.get_by_role("heading").first).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')", timeout=PATIENCE)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth <= element.clientWidth + 1")
    assert not page.get_by_test_id("stException").count()
    folder = Path(__file__).parent / "screenshots"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}-phone-{'dark' if dark else 'light'}.png")
