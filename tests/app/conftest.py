"""Drive the dashboard without a browser: with the real script, the real runtime and the real default model."""

import atexit
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest, app_test

from entviz.evaluation import speed
from entviz.models import loading
from entviz.models.hub import HubUnreachableError
from entviz.runtime import runtime

# Results are computed here, not found in the user's own store. Set before anything makes the process's runtime.
_FOLDER = tempfile.mkdtemp(prefix="entviz-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
os.environ["ENTVIZ_DATABASE"] = f"sqlite:///{_FOLDER}/runs.sqlite"
# In this process, since many of these tests change what a computation calls; tests/browser has a process apart.
os.environ["ENTVIZ_PROCESS_APART"] = "0"

APP = Path(__file__).parents[2] / "app.py"
SPEED_ROUNDS = 2
LOOK_SECONDS = 1.5  # below the worker's patience with those who do not look
SMALL = {"windows": "2", "length": "64"}  # little work, on the default text


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs follow one another as in a server, which remembers what the first run told of the pages.

    AppTest forgets it before every run, so that callbacks would be cut off where they call ``frame.require``.
    """
    forgetting = type("PagesManager", (PagesManager,), {})
    monkeypatch.setattr(app_test, "PagesManager", forgetting)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are timed as always, but in fewer rounds: else they take most of the time of these tests."""
    monkeypatch.setattr(import_module("entviz.runtime.runtime"), "SPEED_ROUNDS", SPEED_ROUNDS)
    monkeypatch.setattr(speed, "REPEATS", SPEED_ROUNDS)
    monkeypatch.setattr(speed, "MOST_REPEATS", SPEED_ROUNDS)


@pytest.fixture(autouse=True)
def no_failure(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that nobody foresaw may fail behind a sentence, unless the test made it fail and clears the log."""
    yield
    failures = [record.getMessage() for record in caplog.get_records("call") if record.exc_info]
    assert not failures


@pytest.fixture
def open_app() -> Callable[..., AppTest]:
    """Opens a page at a link, ``open_app("prune", drop="attn.5")``, with small windows unless the link says otherwise.

    The page is there after one run, with its work under way: see ``settle``. Prune does not measure further blocks in
    the background, which would take the time of the tests that follow, unless the test asks for it, and continuations
    are short.
    """

    def open_at(page: str = "explore", *, measures_damage: bool = False, **link: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60)
        app.session_state["prune.damage"] = measures_damage
        app.session_state["prune.new_tokens"] = 3
        app.switch_page(f"pages/{page}.py")
        for name, value in (SMALL | link).items():
            app.query_params[name] = value
        return app.run()

    return open_at


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was asked of the hub, which does not answer; nothing was downloaded before."""
    asked = []

    def fetched(hub_id, *_):
        asked.append(hub_id)
        raise HubUnreachableError("no network in this test")

    monkeypatch.setattr(loading, "fetched", fetched)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return asked


@pytest.fixture
def busy() -> Iterator[Callable[[], threading.Event]]:
    """``release = busy()`` holds the processor with someone else's work until ``release.set()``."""
    held = []

    def hold() -> threading.Event:
        release = threading.Event()
        job = runtime().worker.submit(
            f"hold {uuid4()}", lambda turn: release.wait(60), session="someone else"
        )
        held.append((release, job))
        return release

    yield hold
    for release, job in held:
        release.set()
        job.wait(60)


def settle(app: AppTest, seconds: float = 90.0) -> AppTest:
    """Run the app until no job is under way, as the polling fragment does in a browser.

    A run of the whole page takes the time of the work that is waited for, so there is none before that work is done, or
    might end because nobody looks.
    """
    look_until(app, lambda: not app.get("progress"), _is_idle, seconds)
    assert not app.exception
    return app


def look_until(
    app: AppTest, done: Callable[[], bool], news: Callable[[], bool], seconds: float = 120.0
) -> None:
    """Run the app until something is ``done``: when there is ``news`` of it, or else now and then."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "a job did not finish"
        look = time.monotonic() + LOOK_SECONDS
        while not news() and time.monotonic() < look:
            time.sleep(0.01)
        app.run()


def _is_idle() -> bool:
    """Whether there is no work but that in the background."""
    return all(entry.priority < 0 for entry in list(runtime().worker._unfinished.values()))


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The plotly figures on the page, as the browser gets them, with plain lists for numbers."""
    from streamlit.elements.plotly_chart import _expand_typed_arrays

    return [_expand_typed_arrays(json.loads(chart.proto.spec)) for chart in app.get("plotly_chart")]


def words(app: AppTest) -> str:
    """All text on the page outside figures, for looking for a sentence."""
    kinds = (app.error, app.warning, app.info, app.markdown, app.caption, app.header, app.subheader)
    return "\n".join(element.value for kind in kinds for element in kind)
