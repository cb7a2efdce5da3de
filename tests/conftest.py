"""What tests share: the default model, and tiny models of every kind of architecture."""

import atexit
import os
import shutil
import tempfile

# Tests run several processes on few cores; more threads in each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable
from typing import Any

import pytest

from entviz.models import LoadedModel, load
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
