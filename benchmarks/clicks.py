"""How long a click on the Prune page takes to be answered, in a real browser: a first number, and the last."""

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

_DENSE = "Nothing dropped: the dense model"
_LAYERS = (2, 5, 8, 11, 14, 17, 20, 23, 26)

# Times are taken in the page, from the click to when the title over the numbers says what was clicked: at first with a
# note that more is being measured, then without.
_WATCH = """title => {
    const times = window.entvizTimes = {};
    addEventListener('click', () => { times.click ??= performance.now(); }, {capture: true, once: true});
    const look = () => {
        const cards = document.querySelector('[class*="st-key-prune"][class*="cards"]');
        let above = cards;
        while (above && !above.previousElementSibling) above = above.parentElement;
        const said = above ? above.previousElementSibling.innerText : '';
        if (times.click && said.startsWith(title)) times.first ??= performance.now() - times.click;
        if (times.click && said === title) times.last = performance.now() - times.click;
        else requestAnimationFrame(look);
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
        _click(page, "mlp.28", "Without mlp.28")  # what the first tick alone has to do
        _click(page, "mlp.28", _DENSE)
        there, back = [], []
        for layer in _LAYERS:
            _settle(page)
            there.append(_click(page, f"attn.{layer}", f"Without attn.{layer}"))
            _settle(page)
            back.append(_click(page, f"attn.{layer}", _DENSE))
    first, last = (median(column) for column in zip(*there, strict=True))
    seen = median(last for _, last in back)
    alone = median(_engine(loaded))
    bound, engine = "the bound of 0.5 s", "the same evaluation without a page"
    return [
        Figure("first number on the page after a click", first, bound, 0.5, first / 0.5, 1),
        Figure("last number on the page after a click", last, engine, alone, last / alone, None),
        Figure("back to what was seen before, on the page", seen, bound, 0.5, seen / 0.5, None),
    ]


def _engine(loaded: LoadedModel) -> Iterator[float]:
    """Seconds for the same evaluations in this process."""
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=4, window_length=128)
    cache = StateCache()
    evaluate(loaded, text, PruneSet(), dtype="auto", cache=cache)
    for layer in _LAYERS:
        drop = PruneSet([Block("attn", layer)])
        yield seconds(lambda drop=drop: evaluate(loaded, text, drop, dtype="auto", cache=cache))


def _click(page: Page, block: str, title: str) -> tuple[float, float]:
    """Seconds from a click on a block's cell to the first and to the last number under a title."""
    page.evaluate(_WATCH, title)
    page.get_by_role("button", name=re.compile(rf"^{re.escape(block)}\b")).first.click()
    page.wait_for_function("window.entvizTimes.last")
    times = page.evaluate("window.entvizTimes")
    return times["first"] / 1000, times["last"] / 1000


def _settle(page: Page) -> None:
    """Wait until the page has nothing left to do: continuations are written, the script rests."""
    page.wait_for_timeout(500)
    page.wait_for_function("!document.querySelector('[data-testid=stProgress]')")
    page.wait_for_timeout(300)
