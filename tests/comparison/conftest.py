"""A tiny model, the windows that its criteria choose blocks by and are measured on, and a comparison of them."""

import pytest

from entviz.comparison.grid.grid import compare
from entviz.models.loaded import LoadedModel
from tests.comparison.windows import random_windows
from tests.tiny import build

LAYERS = 6
QUICK = ["entrodrop:knn", "entrodrop:bucket", "cosine", "last", "random"]


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS), None, "tiny")


@pytest.fixture(scope="module")
def calibration():
    return random_windows(3, seed=1)


@pytest.fixture(scope="module")
def measured():
    return random_windows(8, seed=2)


@pytest.fixture(scope="module")
def comparison(tiny, calibration, measured):
    return compare(tiny, calibration, measured, QUICK, ["2", "1"], levels=["attn", "mlp"], seeds=2)
