"""The bench in a real browser: one depth axis to the pixel, every way to tick, many layers, and a phone."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.conftest import PATIENCE
from tests.browser.test_dashboard import DENSE, measured
from tests.tiny import build

pytestmark = pytest.mark.browser
LAYERS = 30


@pytest.fixture(scope="module")
def tall_model(tmp_path_factory, smollm2) -> Path:
    """A directory with a model of 80 layers and random weights."""
    folder = tmp_path_factory.mktemp("tall")
    vocabulary = max(smollm2.tokenizer.get_vocab().values()) + 1
    build("llama", layers=80, vocab_size=vocabulary).save_pretrained(folder)
    smollm2.tokenizer.save_pretrained(folder)
    return folder


def opened(visit, **link) -> Page:
    page = visit("prune", **link)
    expect(page.locator(".cell").first).to_be_visible(timeout=PATIENCE)
    page.locator(".line.dense").wait_for(state="attached")
    return page


def cell(page: Page, block: str):
    return page.locator(f".cell[data-block='{block}']")


def bar(page: Page, block: str):
    return page.locator(f".bar[data-block='{block}']")


def point(page: Page, site: str, line: str = "dense"):
    return page.locator(f".line.{line} .point[data-site='{site}']")


def middle(locator) -> tuple[float, float]:
    while (box := locator.bounding_box()) is None:  # just drawn again
        pass
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drops(page: Page) -> list[str]:
    """The attentions and MLPs whose cells are drawn as dropped."""
    found = page.locator(".cell.dropped").evaluate_all("cells => cells.map(cell => cell.dataset.block)")
    return sorted(block for block in found if not block.startswith("layer"))


def waits_for(page: Page, *blocks: str) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while drops(page) != sorted(blocks):
        assert time.monotonic() < end, f"{blocks} are to be dropped; there are {drops(page)}"
        page.wait_for_timeout(20)


@pytest.mark.parametrize(
    "size",
    [
        (1280, 800),
        *(pytest.param(size, marks=pytest.mark.exhaustive) for size in ((1920, 1080), (1003, 700))),
    ],
)
def test_a_layers_cells_bars_and_points_share_a_column_to_the_pixel(visit, size):
    page = opened(visit, size=size)
    ends = []
    for layer in (0, 7, LAYERS - 1):
        boxes = [
            *(cell(page, f"{kind}.{layer}").bounding_box() for kind in ("layer", "attn", "mlp")),
            *(bar(page, f"{kind}.{layer}").bounding_box() for kind in ("attn", "mlp")),
        ]
        for box in boxes:
            assert box["x"] == pytest.approx(boxes[0]["x"], abs=0.1)
            assert box["width"] == pytest.approx(boxes[0]["width"], abs=0.1)
        left, width = boxes[0]["x"], boxes[0]["width"]
        for site, share in ((f"attn.{layer}", 0.25), (f"layer.{layer}", 0.75)):
            assert middle(point(page, site))[0] == pytest.approx(left + share * width, abs=1)
        ends.append(left + width)
    scroll = page.locator(".scroll").bounding_box()
    assert ends[-1] == pytest.approx(
        scroll["x"] + scroll["width"], abs=2
    )  # the bench is as wide as it can be


def test_a_click_on_a_cell_a_bar_or_a_point_ticks_its_block_and_the_curve_follows(visit):
    page = opened(visit)
    measured(page, DENSE)
    cell(page, "layer.7").click()
    waits_for(page, "attn.7", "mlp.7")
    page.mouse.click(*middle(bar(page, "mlp.12")))
    waits_for(page, "attn.7", "mlp.7", "mlp.12")
    page.mouse.click(*middle(point(page, "attn.20")))
    waits_for(page, "attn.20", "attn.7", "mlp.7", "mlp.12")
    page.mouse.click(*middle(point(page, "layer.25")))
    waits_for(page, "attn.20", "attn.7", "mlp.7", "mlp.12", "mlp.25")
    measured(page, "Without layer.7, mlp.12, attn.20 and mlp.25")
    # At a dropped block the pruned curve is flat.
    page.locator(".line.pruned:not(.stale)").wait_for(state="attached")
    for before, after in (
        ("layer.6", "attn.7"),
        ("attn.7", "layer.7"),
        ("attn.12", "layer.12"),
        ("layer.19", "attn.20"),
    ):
        heights = [middle(point(page, site, "pruned"))[1] for site in (before, after)]
        assert heights[0] == pytest.approx(heights[1], abs=0.01)
    heights = [middle(point(page, site, "pruned"))[1] for site in ("layer.2", "attn.3")]
    assert heights[0] != pytest.approx(heights[1], abs=0.01)
    page.mouse.click(*middle(point(page, "attn.20")))
    waits_for(page, "attn.7", "mlp.7", "mlp.12", "mlp.25")


def test_a_drag_ticks_a_run_of_its_rows_kind_and_escape_ticks_none(visit):
    page = opened(visit, drop="attn.12")
    measured(page, "Without attn.12")
    page.mouse.move(*middle(bar(page, "attn.10")))
    page.mouse.down()
    page.mouse.move(*middle(cell(page, "mlp.13")), steps=6)
    expect(page.locator(".said")).to_contain_text("attn.10 to attn.13")
    expect(page.locator(".said")).to_contain_text("Drops 3 of 4 blocks")
    page.mouse.up()
    waits_for(page, "attn.10", "attn.11", "attn.12", "attn.13")
    # One change, so one step back.
    page.get_by_role("button", name="Undo").click()
    waits_for(page, "attn.12")
    measured(page, "Without attn.12")
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_timeout(300)
    # From right to left on the curve; begun on a dropped block a drag keeps.
    page.mouse.move(*middle(point(page, "attn.12")))
    page.mouse.down()
    page.mouse.move(*middle(point(page, "attn.9")), steps=6)
    page.mouse.up()
    waits_for(page)
    page.mouse.move(*middle(cell(page, "mlp.20")))
    page.mouse.down()
    page.mouse.move(*middle(cell(page, "mlp.24")), steps=6)
    expect(page.locator(".column.run")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".column.run")).to_have_count(0)
    page.mouse.up()
    page.wait_for_timeout(500)
    waits_for(page)
    # And the next click is a click.
    cell(page, "mlp.24").click()
    waits_for(page, "mlp.24")


def test_arrow_keys_move_and_space_ticks(visit):
    page = opened(visit)
    measured(page, DENSE)
    cell(page, "layer.0").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    focused = "document.activeElement.shadowRoot?.activeElement?.dataset.block ?? document.activeElement.dataset.block"
    assert page.evaluate(focused) == "attn.3"
    page.keyboard.press("Space")
    waits_for(page, "attn.3")
    measured(page, "Without attn.3")
    assert page.evaluate(focused) == "attn.3"  # the page was drawn again
    page.keyboard.press("End")
    assert page.evaluate(focused) == f"attn.{LAYERS - 1}"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == f"attn.{LAYERS - 1}"


def test_pointing_marks_the_block_everywhere_and_says_its_numbers_without_moving_anything(visit):
    page = opened(visit)
    measured(page, DENSE)
    page.mouse.move(5, 5)
    before = cell(page, "attn.9").bounding_box()
    for place in (cell(page, "attn.9"), bar(page, "attn.9"), point(page, "attn.9")):
        page.mouse.move(5, 5)
        page.mouse.move(*middle(place))
        said = page.locator(".said")
        for words in (
            "attn.9 · kept",
            "entropy increase Bucket",
            "KNN",
            "Rényi",
            "cosine importance",
            "rank ",
        ):
            expect(said).to_contain_text(words)
        assert middle(page.locator(".marks .ring").first) == pytest.approx(
            middle(point(page, "attn.9")), abs=0.5
        )
        assert page.locator(".marks .frame").bounding_box()["x"] == pytest.approx(before["x"], abs=1.5)
        expect(cell(page, "attn.9")).to_have_class(re.compile("marked"))
        assert cell(page, "attn.9").bounding_box() == before
        # All of it can be read.
        assert said.evaluate("box => box.scrollHeight <= box.clientHeight + 1")


def test_the_bars_show_what_is_chosen_in_this_tab(visit):
    page = opened(visit)
    measured(page, DENSE)
    expect(page.locator(".measures .on")).to_have_text("Entropy increase")
    page.locator(".measures").get_by_text("Cosine importance").click()
    expect(page.locator(".measures .axis")).to_have_text("1 − cosine similarity")
    heights = bar(page, "mlp.0").bounding_box()["height"]
    page.reload()
    expect(page.locator(".measures .on")).to_have_text("Cosine importance", timeout=PATIENCE)
    assert bar(page, "mlp.0").bounding_box()["height"] == pytest.approx(heights, abs=1)


def test_what_a_tick_changes_is_in_view_at_1280_by_800(visit):
    page = opened(visit)
    measured(page, DENSE)
    cell(page, "attn.7").click()
    measured(page, "Without attn.7")
    page.locator(".line.pruned:not(.stale)").wait_for(state="attached")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
    seen = [page.get_by_text("Criterion", exact=True).first, page.get_by_text("Options").first]
    # For a moment the browser has the earlier cards too, which are not displayed.
    seen += [card for card in page.get_by_test_id("stMetric").all() if card.is_visible()]
    seen += [page.locator(".line.pruned"), bar(page, "mlp.29"), cell(page, "mlp.29")]
    assert len(seen) == 12
    for one in seen:
        box = one.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800
    # The pickers stand in one row.
    assert seen[1].bounding_box()["y"] - seen[0].bounding_box()["y"] < 60


def test_nothing_jumps_while_the_numbers_come_in(visit):
    page = opened(visit)
    measured(page, DENSE)
    page.locator(".scroll").evaluate(
        """scroll => {
            const heights = window.entvizHeights = new Set()
            const look = () => {
                heights.add(Math.round(scroll.getBoundingClientRect().top))
                requestAnimationFrame(look)
            }
            look()
        }"""
    )
    for block, title in (("attn.7", "Without attn.7"), ("mlp.22", "Without attn.7 and mlp.22")):
        cell(page, block).click()
        measured(page, title)
        page.locator(".line.pruned:not(.stale)").wait_for(state="attached")
        page.wait_for_timeout(500)
    heights = page.evaluate("[...window.entvizHeights]")
    assert max(heights) - min(heights) <= 2, heights


def test_the_numbers_of_one_prune_set_are_seen_at_a_time(visit):
    """The browser has those of two for a while: what they were measured on must not stand beside the others."""
    page = opened(visit)
    measured(page, DENSE)
    page.evaluate(
        """() => {
            const said = window.entvizSaid = new Set()
            const seen = name => ["there", "coming"].filter(place => [
                ...document.querySelectorAll(`.st-key-prune-${place} .st-key-prune-${name}`)
            ].some(one => one.checkVisibility()))
            const look = () => {
                said.add(`${seen("shown")} | ${seen("measured_on")}`)
                requestAnimationFrame(look)
            }
            look()
        }"""
    )
    for block, title in (("attn.7", "Without attn.7"), ("mlp.22", "Without attn.7 and mlp.22")):
        cell(page, block).click()
        measured(page, title)
        page.wait_for_timeout(500)
    said = page.evaluate("[...window.entvizSaid]")
    assert set(said) <= {"there | there", "coming | coming", "coming | ", "there | "}, said


def test_a_tick_draws_only_its_part_of_the_page_and_the_rest_follows(visit):
    """What the server says begins with a run; one of the whole page names no fragment."""
    page = opened(visit)
    measured(page, DENSE)
    runs = []

    def take(data):
        message = ForwardMsg.FromString(data)
        if message.WhichOneof("type") == "new_session":
            runs.append(bool(message.metadata.run.fragment_ids))

    page.on("websocket", lambda socket: socket.on("framereceived", take))
    page.reload()
    expect(page.locator(".cell").first).to_be_visible(timeout=PATIENCE)
    measured(page, DENSE)
    page.wait_for_function("!document.querySelector('[data-testid=stProgress]')", timeout=PATIENCE)
    page.get_by_text("Measure damage").click()  # which would draw the page again as it comes in
    page.wait_for_timeout(1500)
    before = len(runs)
    cell(page, "attn.7").click()
    waits_for(page, "attn.7")
    measured(page, "Without attn.7")
    assert runs[before], "the first run after the click is of the whole page"
    expect(page.get_by_test_id("stCode").filter(has_text="attn.7").first).to_be_attached(timeout=PATIENCE)
    assert not all(runs[before:])


def test_sixty_clicks_in_quick_succession_lose_none(visit):
    page = opened(visit)
    measured(page, DENSE)
    for count in range(60):
        cell(page, f"{('attn', 'mlp')[count % 2]}.{count % 28 + 1}").click()
    # What was clicked an odd number of times is dropped.
    clicked = [f"{('attn', 'mlp')[count % 2]}.{count % 28 + 1}" for count in range(60)]
    waits_for(page, *{block for block in clicked if clicked.count(block) % 2})
    page.wait_for_function(
        f"new URLSearchParams(location.search).get('drop')?.split(',').length === "
        f"{len({block for block in clicked if clicked.count(block) % 2})}",
        timeout=PATIENCE,
    )


def test_many_layers_scroll_sideways_and_the_titles_stay(visit, tall_model):
    page = visit("prune", model=str(tall_model))
    page.get_by_role("button", name="Load it").click()
    expect(cell(page, "attn.79")).to_be_attached(timeout=PATIENCE)
    scroll = page.locator(".scroll")
    assert scroll.evaluate("box => box.scrollWidth > box.clientWidth + 100")
    width = cell(page, "attn.40").bounding_box()["width"]
    assert 12 <= width <= 14
    page.locator(".measures").scroll_into_view_if_needed()
    titles = page.locator(".titles").bounding_box()
    scroll.evaluate("box => { box.scrollLeft = box.scrollWidth }")
    assert page.locator(".titles").bounding_box() == titles
    assert page.locator(".measures").bounding_box()["x"] == pytest.approx(titles["x"], abs=1)
    last = cell(page, "attn.79").bounding_box()
    assert last["x"] + last["width"] == pytest.approx(
        scroll.bounding_box()["x"] + scroll.bounding_box()["width"], abs=2
    )
    page.mouse.click(*middle(bar(page, "attn.79")))
    waits_for(page, "attn.79")
    # Keys bring what they move to into view, out from under the titles.
    cell(page, "attn.79").focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(100)
    box = cell(page, "attn.0").bounding_box()
    assert box["x"] >= titles["x"] + titles["width"] - 1


def test_on_a_phone_the_bench_scrolls_and_the_page_does_not(visit):
    page = opened(visit, size=(390, 844))
    measured(page, DENSE)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth <= element.clientWidth + 1")
    scroll = page.locator(".scroll")
    assert scroll.evaluate("box => box.scrollWidth > box.clientWidth")
    for strip in (".curve-legend", ".measures", ".said"):
        assert page.locator(strip).evaluate("box => box.scrollWidth <= box.clientWidth + 1"), strip
    cell(page, "attn.2").click()
    waits_for(page, "attn.2")
    measured(page, "Without attn.2")
