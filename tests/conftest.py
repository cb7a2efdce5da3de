"""What tests share: the default model, tiny models of every kind of architecture, and a Chromium."""

import atexit
import os
import shutil
import tempfile

# Tests run several processes on few cores; more threads in each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from entviz.models import LoadedModel, load
from tests.browser import chromium
from tests.tiny import build

# What tests compute is kept here, and never among the results of whoever runs them.
_FOLDER = tempfile.mkdtemp(prefix="entviz-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
os.environ["ENTVIZ_DATABASE"] = f"sqlite:///{_FOLDER}/runs.sqlite"


@pytest.fixture(scope="session")
def smollm2() -> LoadedModel:
    """The default model, as everyone gets it."""
    return load("smollm2-135m")


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., Any]:
    """Builds tiny, randomly initialised transformers models: ``tiny_model("llama", layers=3)``."""
    return build


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium. One for all tests of a process, since Playwright can be started only once in a thread."""
    with chromium.opened() as opened:
        yield opened
