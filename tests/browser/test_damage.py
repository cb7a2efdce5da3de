"""The damages, in a real browser: next blocks by a click, and a token's blocks by a click on the token."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive]  # each test waits for 60 damages


def test_a_click_on_a_next_block_drops_it(visit):
    page = visit("prune", drop="attn.9")
    buttons = page.locator("[class*='st-key-prune-next-damage'] button")
    # The damages give way to all else, so on a busy machine they come late.
    expect(buttons.first).to_be_visible(timeout=3 * PATIENCE)
    expect(page.get_by_text("Measuring what dropping each further block")).to_have_count(
        0, timeout=3 * PATIENCE
    )
    expect(page.get_by_text(re.compile(r"rank correlation .* over 26 kept attentions"))).to_be_visible()
    name = buttons.first.inner_text()
    buttons.first.click()
    drop = sorted(["attn.9", name], key=lambda block: int(block.partition(".")[2]))
    page.wait_for_url(f"**/prune?*drop={'%2C'.join(drop)}*")


def test_a_token_says_its_blocks_and_a_block_its_tokens(visit):
    page = visit("prune", drop="attn.5,mlp.20")
    expect(page.get_by_text("Click a token to see which dropped block costs it most.")).to_be_visible(
        timeout=PATIENCE
    )
    tokens = page.locator(".tokens [data-at]")
    expect(tokens).to_have_count(2 * 63)
    tokens.nth(20).click()
    said = page.get_by_text(re.compile(r"\(window 1, token 22\): its loss is "))
    expect(said).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".tokens .chosen")).to_have_attribute("data-at", "1.22")
    page.locator(".tokens").press("ArrowRight")
    expect(page.get_by_text(re.compile(r"\(window 1, token 23\): its loss is "))).to_be_visible(
        timeout=PATIENCE
    )
    page.get_by_role("combobox", name=re.compile("What the text is coloured by")).click()
    page.get_by_role("option", name="mlp.20").click()
    expect(page.get_by_text(re.compile("^Dropping mlp.20 costs "))).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".tokens [title*='mlp.20 put back']")).to_have_count(2 * 63)


def test_a_block_marks_its_tokens_and_a_token_its_block(visit):
    page = visit("prune", size=(1280, 1600), drop="attn.5,mlp.20")
    expect(page.get_by_text("Click a token to see which dropped block costs it most.")).to_be_visible(
        timeout=PATIENCE
    )
    expect(page.get_by_text("Measuring what each dropped block costs each token")).to_have_count(
        0, timeout=PATIENCE
    )
    dearest = page.locator(".tokens .dearest")
    page.locator(".cell[data-block='mlp.20']").hover()
    expect(dearest).to_have_count(12)
    expect(page.locator(".said")).to_contain_text(re.compile("mlp.20 costs most: “.+” [+][0-9.]+, “.+ nats"))
    page.locator(".cell[data-block='mlp.21']").hover()
    expect(dearest).to_have_count(0)
    page.locator(".cell[data-block='mlp.20']").hover()
    first = dearest.first.get_attribute("data-at")
    page.locator(f".tokens [data-at='{first}']").hover()
    expect(page.locator(".cell.marked")).to_have_count(1)
    expect(page.locator(".said b")).to_contain_text(re.compile(r"^(attn\.5|mlp\.20) · dropped"))
    page.locator(".cell[data-block='mlp.20']").click()  # kept: what was measured is of another prune set
    expect(dearest).to_have_count(0)
