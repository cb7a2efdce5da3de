"""Take the pictures of the documents again: ``.venv/bin/python -m docs.screenshots``.

A real server and a real Chromium, at 1280×800. Each picture is of the default model on the passage that stands first.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser

from tests.browser import chromium

FOLDER: Final = Path(__file__).parent
# The page, the choices of its link, and what is there once it is drawn.
PICTURES: Final = {
    "explore": ("", ".js-plotly-plot .main-svg"),
    "prune": ("?drop=attn.5,attn.11,layer.25", "[data-testid=stMetricValue]"),
}
SECONDS: Final = 180


def take(browser: Browser, address: str, name: str) -> None:
    """Write the picture of one page."""
    link, sign = PICTURES[name]
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/{name}{link}")
    page.wait_for_selector(sign, timeout=SECONDS * 1000)
    page.get_by_role("button", name="Cancel").first.wait_for(state="detached", timeout=SECONDS * 1000)
    page.wait_for_timeout(2000)  # plotly's transitions
    page.screenshot(path=FOLDER / f"{name}.png")
    page.close()


def main() -> None:
    """Start a server with an empty store, take all pictures, and end it."""
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
            with chromium.opened() as browser:
                for name in PICTURES:
                    take(browser, f"http://localhost:{port}", name)
        finally:
            server.terminate()
            server.wait(60)


if __name__ == "__main__":
    main()
