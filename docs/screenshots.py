"""Take the pictures of the documents again: ``.venv/bin/python -m docs.screenshots``.

A real server and a real Chromium, at 1280×800. Each picture is of the default model on the passage that stands first.

``--views FOLDER`` takes instead, into a folder that nobody keeps, what has to be looked at after a change of Explore or
Prune: three sizes of window, light and dark, with models of 12, 30 and 80 layers. Those of 12 and 80 are random.
``--only WORD`` takes those with the word in their name, such as ``prune-80`` or ``phone``.
"""

import argparse
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser

from tests.browser import chromium

FOLDER: Final = Path(__file__).parent
# The page, the choices of its link, and what is there once it is drawn.
PICTURES: Final = {
    "explore": ("", ".js-plotly-plot .main-svg"),
    "prune": ("?drop=attn.5,attn.11,layer.25", ".line.pruned:not(.stale)"),
}
SECONDS: Final = 180
SIZES: Final = {"laptop": (1280, 800), "desktop": (1920, 1080), "phone": (390, 844)}
WHOLE: Final = 3200  # pixels, about as high as the Prune page
LAYERS: Final = (12, 30, 80)
DROPS: Final = {12: "attn.5,layer.9", 30: "attn.5,attn.11,layer.25", 80: "attn.5,attn.11,layer.25,mlp.70"}


def take(
    browser: Browser,
    address: str,
    name: str,
    path: Path,
    *,
    link: str | None = None,
    size: tuple[int, int] = SIZES["laptop"],
    dark: bool = False,
    whole: bool = False,
) -> None:
    """Write the picture of one page; and another of all of it if it is to be ``whole``."""
    usual, sign = PICTURES[name]
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    page.goto(f"{address}/{name}{usual if link is None else link}")
    if link and "model=" in link:
        page.get_by_role("button", name="Load it").click()
    page.locator(sign).first.wait_for(state="attached", timeout=SECONDS * 1000)
    page.get_by_role("button", name="Cancel").first.wait_for(state="detached", timeout=SECONDS * 1000)
    page.get_by_test_id("stStatusWidget").wait_for(
        state="detached", timeout=SECONDS * 1000
    )  # the page is drawn
    page.wait_for_timeout(2000)  # plotly's transitions
    page.mouse.move(0, 0)  # a tooltip would hide what is there
    page.screenshot(path=path)
    if whole:
        page.set_viewport_size(
            {"width": size[0], "height": WHOLE}
        )  # the page scrolls inside, not the document
        page.wait_for_timeout(2000)
        page.screenshot(path=path.with_name(f"whole-{path.name}"))
    context.close()


def take_views(browser: Browser, address: str, folder: Path, only: str = "") -> None:
    """Write the pictures to look at: of what is seen first, and under ``whole-`` of all that stands below."""
    folder.mkdir(parents=True, exist_ok=True)
    for page, layers, name, shade in itertools.product(PICTURES, LAYERS, SIZES, ("light", "dark")):
        title = f"{page}-{layers}-{name}-{shade}"
        if only in title:
            model = f"&model={random_model(folder / 'models', layers)}" if layers != 30 else ""
            link = f"?drop={DROPS[layers]}{model}" if page == "prune" else f"?{model}"
            path = folder / f"{title}.png"
            take(browser, address, page, path, link=link, size=SIZES[name], dark=shade == "dark", whole=True)


def random_model(folder: Path, layers: int) -> Path:
    """A directory with a tiny Llama of random weights that reads text as the default model does."""
    import entviz
    from tests.tiny import build

    path = folder / f"random-{layers}"
    if not path.exists():
        tokenizer = entviz.load().tokenizer
        vocabulary = max(tokenizer.get_vocab().values()) + 1
        build("llama", layers=layers, vocab_size=vocabulary).save_pretrained(path)
        tokenizer.save_pretrained(path)
    return path.resolve()


@contextlib.contextmanager
def dashboard() -> Iterator[str]:
    """The address of a server with an empty store, which is ended at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "entviz", "dashboard", "--port", str(port), "--no-browser"]
        environment = os.environ | {"ENTVIZ_DATABASE": f"sqlite:///{folder}/runs.sqlite"}
        server = subprocess.Popen(command, cwd=FOLDER.parent, env=environment)
        try:
            end = time.monotonic() + SECONDS
            while server.poll() is None and time.monotonic() < end:
                with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                    break
                time.sleep(0.2)
            yield f"http://localhost:{port}"
        finally:
            server.terminate()
            server.wait(60)


def main() -> None:
    """Take the pictures of the documents, or those to look at."""
    parser = argparse.ArgumentParser(description="Take pictures of the dashboard.")
    parser.add_argument("--views", type=Path, metavar="FOLDER", help="pictures to look at")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="of those, the ones with this in their name"
    )
    asked = parser.parse_args()
    with dashboard() as address, chromium.opened() as browser:
        if asked.views:
            take_views(browser, address, asked.views, asked.only)
            return
        for name in PICTURES:
            take(browser, address, name, FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
