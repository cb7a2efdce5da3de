"""How long a click on the Prune page takes to be answered, in a real browser: its tick, numbers, and curve."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.server import server
from benchmarks.startup import PATIENCE
from benchmarks.timing import Figure, seconds
from entviz.blocks import Block, PruneSet
from entviz.decoder.states import StateCache
from entviz.evaluation.loss import evaluate
from entviz.models import LoadedModel
from entviz.text.passages import passages
from entviz.text.windows import windows_from_text
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

DENSE = "Nothing dropped: the dense model"
_FIRST = 0.45  # seconds
LAYERS = (2, 5, 8, 11, 14, 17, 20, 23, 26)

# Times are taken in the page, from the click to when the cell is drawn as dropped or kept, to when the title over the
# numbers says what was clicked (at first with a note that more is being measured, then without), and to when the pruned
# curve is that of this prune set; where nothing is dropped there is none to wait for.
_WATCH = """([title, block, curve]) => {
    const times = window.entvizTimes = {};
    addEventListener('click', () => { times.click ??= performance.now(); }, {capture: true, once: true});
    const all = [...document.querySelectorAll('*')];
    const root = all.map(one => one.shadowRoot).find(one => one?.querySelector('.bench')) ?? document;
    const before = root.querySelector(`.cell[data-block="${block}"]`).getAttribute('aria-pressed');
    const look = () => {
        if (!times.click) return requestAnimationFrame(look);
        const now = performance.now() - times.click;
        if (root.querySelector(`.cell[data-block="${block}"]`).getAttribute('aria-pressed') !== before)
            times.tick ??= now;
        if (!curve || root.querySelector('.line.pruned:not(.stale)')) times.curve ??= now;
        const cards = document.querySelector('[class*="st-key-prune"][class*="cards"]');
        let above = cards;
        while (above && !above.previousElementSibling) above = above.parentElement;
        const said = above ? above.previousElementSibling.innerText : '';
        if (said.startsWith(title)) times.first ??= now;
        if (said === title) times.last ??= now;
        if (!times.last || !times.curve || !times.tick) requestAnimationFrame(look);
        else times.done = true;
    };
    look();
}"""


def clicks(loaded: LoadedModel) -> list[Figure]:
    """The default view: a tick at several depths, each time from the dense model, and back."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server(f"sqlite:///{folder}/runs.sqlite") as (port, _),
        chromium.opened() as opened,
    ):
        page = opened.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"http://127.0.0.1:{port}/prune")
        page.get_by_text("Measured on").first.wait_for()
        click(page, "mlp.28", "Without mlp.28")  # what the first tick alone has to do
        click(page, "mlp.28", DENSE)
        there, back = [], []
        for layer in LAYERS:
            settle(page)
            there.append(click(page, f"attn.{layer}", f"Without attn.{layer}"))
            settle(page)
            back.append(click(page, f"attn.{layer}", DENSE))
    tick, first, last, curve = (
        median(one[name] for one in there) for name in ("tick", "first", "last", "curve")
    )
    seen = median(one["last"] for one in back)
    alone = median(_engine(loaded))
    bound, engine = f"the bound of {_FIRST} s", "the same evaluation without a page"
    return [
        Figure("a tick drawn after a click", tick, "the bound of 0.1 s", 0.1, tick / 0.1, 1),
        Figure("first number on the page after a click", first, bound, _FIRST, first / _FIRST, 1),
        Figure("pruned curve on the page after a click", curve, "the bound of 1.5 s", 1.5, curve / 1.5, 1),
        Figure("last number on the page after a click", last, engine, alone, last / alone, None),
        Figure("back to what was seen before, on the page", seen, bound, _FIRST, seen / _FIRST, None),
    ]


def _engine(loaded: LoadedModel) -> Iterator[float]:
    """Seconds for the same evaluations in this process."""
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=4, window_length=128)
    cache = StateCache()
    evaluate(loaded, text, PruneSet(), dtype="auto", cache=cache)
    for layer in LAYERS:
        drop = PruneSet([Block("attn", layer)])
        yield seconds(lambda drop=drop: evaluate(loaded, text, drop, dtype="auto", cache=cache))


def click(page: Page, block: str, title: str) -> dict[str, float]:
    """Seconds from a click on a block's cell to its tick, the first and the last number under a title, the curve."""
    page.locator(f'.cell[data-block="{block}"]').first.wait_for()
    page.evaluate(_WATCH, [title, block, title != DENSE])
    page.get_by_role("button", name=re.compile(rf"^{re.escape(block)}\b")).first.click()
    page.wait_for_function("window.entvizTimes.done")
    times = page.evaluate("window.entvizTimes")
    return {name: times[name] / 1000 for name in ("tick", "first", "last", "curve")}


def settle(page: Page) -> None:
    """Wait until the page has nothing left to do: continuations are written, the script rests."""
    page.wait_for_timeout(500)
    page.wait_for_function("!document.querySelector('[data-testid=stProgress]')")
    page.wait_for_timeout(300)
