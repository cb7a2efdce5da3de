"""A real Chromium, found as the tests find it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATIENCE = 180.0  # seconds
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window, closed at the end. Where there is none, the program ends and says what to do."""
    from playwright.sync_api import sync_playwright

    path = chromium.find()
    if path is None:
        sys.exit(chromium.WHAT_TO_DO)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield opened
        opened.close()
