"""Find a Chromium for the browser tests, and install one if there is none.

``python tests/browser/chromium.py`` prints its path; with ``--install`` it first installs one if need be. Either
fails with a sentence that says what to do, so that browser tests are never skipped unnoticed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WHAT_TO_DO = (
    "The browser tests need a Chromium, and none could be installed. Install one (Debian: apt-get install chromium; "
    "elsewhere: .venv/bin/playwright install --with-deps chromium), or name one: CHROMIUM=/path/to/chromium make test"
)


def find() -> str | None:
    """Return the path of a Chromium that starts: the one ``CHROMIUM`` names, a system one, or Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named if _starts(named) else None
    for candidate in (*map(shutil.which, NAMES), _of_playwright()):
        if candidate and _starts(candidate):
            return candidate
    return None


def install() -> None:
    """Install a Chromium: with apt-get when root on a system that has it, else with Playwright."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        _run("apt-get", "update")
        _run("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
    if find() is None:
        _run(sys.executable, "-m", "playwright", "install", "chromium")


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser, closed at the end. Where there is none, raises a ``RuntimeError`` that says what to do."""
    from playwright.sync_api import sync_playwright

    path = find()  # asks Playwright itself, so before it is started here
    if path is None:
        raise RuntimeError(WHAT_TO_DO)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


def _starts(path: str) -> bool:
    # A path is not enough: Ubuntu's chromium-browser only says to install a snap, and libraries may be missing.
    try:
        subprocess.run([path, "--version"], capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _of_playwright() -> str | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _run(*command: str) -> None:
    # The outcome that counts is whether a Chromium is there afterwards. Its path alone goes to standard output.
    subprocess.run(command, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    chromium = find()
    if chromium is None and os.environ.get("CHROMIUM"):
        sys.exit(
            f"CHROMIUM names {os.environ['CHROMIUM']}, which does not start. Name another, or leave it out."
        )
    if chromium is None and "--install" in sys.argv[1:]:
        install()
        chromium = find()
    if chromium is None:
        sys.exit(WHAT_TO_DO)
    print(chromium)
