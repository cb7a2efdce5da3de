"""How long the damages of all further blocks take in the default view: in the engine, and beside an idle page."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.clicks import DENSE, LAYERS, click, settle
from benchmarks.server import server
from benchmarks.startup import PATIENCE
from benchmarks.timing import Figure, paired
from entviz.blocks import PruneSet
from entviz.comparison.damages.block_damages import block_damages, further_blocks
from entviz.decoder.states import StateCache
from entviz.evaluation.loss import evaluate
from entviz.models import LoadedModel
from entviz.text.passages import passages
from entviz.text.windows import windows_from_text
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

_BOUND = 25.0  # seconds for all 60
_MEASURING = "Measuring what dropping each further block"


def damages(loaded: LoadedModel) -> list[Figure]:
    """All attentions and MLPs of the dense model, 4 x 128 tokens, in the number type of the page."""
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=4, window_length=128)
    blocks = further_blocks(PruneSet(), loaded.layers)
    sample = blocks[3::10]

    def one_by_one() -> None:
        dense = StateCache()  # as the page has it, so that each costs one pass and one projection
        evaluate(loaded, text, PruneSet(), dtype="auto", cache=dense)
        for block in sample:
            cache = StateCache()
            for key, value in list(dense._entries.items()):
                if isinstance(key, tuple) and key[0] == "dense":
                    cache.put(key, *value)
            evaluate(loaded, text, PruneSet([block]), dtype="auto", cache=cache)

    return [
        paired(
            f"damages of {len(blocks)} blocks, 4 x 128 tokens",
            lambda: block_damages(loaded, text, dtype="auto"),
            f"{len(blocks)} full evaluations (from a sample of {len(sample)})",
            one_by_one,
            scale=len(blocks) / (len(sample) + 1),
            bound=0.65,
            repeats=2,
        )
    ]


def damages_on_the_page(loaded: LoadedModel) -> list[Figure]:
    """From the first number to the last damage beside an idle page; and clicks while damages are measured."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server(f"sqlite:///{folder}/runs.sqlite") as (port, _),
        chromium.opened() as opened,
    ):
        page = opened.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"http://127.0.0.1:{port}/prune")
        page.get_by_text(_MEASURING).wait_for()
        began = time.perf_counter()
        page.get_by_text(_MEASURING).wait_for(state="detached", timeout=1000 * 5 * PATIENCE)
        idle = time.perf_counter() - began
        beside = partial(_firsts, page)
        with_damages = beside(LAYERS[::2])
        page.get_by_text("Measure damage").click()
        settle(page)
        without = beside(LAYERS[1::2])
    measured, alone = median(with_damages), median(without)
    return [
        Figure(
            "damages of 60 blocks beside an idle page", idle, "the bound of 25 s", _BOUND, idle / _BOUND, 1
        ),
        Figure(
            "first number after a click beside them", measured, "without them", alone, measured / alone, None
        ),
    ]


def _firsts(page: Page, layers: tuple[int, ...]) -> list[float]:
    """Seconds to the first number after a click, at several depths."""
    found = []
    for layer in layers:
        settle(page)
        found.append(click(page, f"attn.{layer}", f"Without attn.{layer}")["first"])
        settle(page)
        click(page, f"attn.{layer}", DENSE)
    return found
