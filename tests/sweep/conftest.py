"""A tiny model in a directory, a database for each test, and sweeps of them."""

from pathlib import Path

import pytest
import yaml

from entviz.studies.registry import open_store
from entviz.sweep.config import read_config
from tests.counting import counted
from tests.models.files import saved

MEASURED = "It was late, and the road went on between the fields without a light or a house. " * 6
OTHER = "She counted the boxes twice; then she wrote the number down, and closed the book. " * 6
CHOSEN_BY = "The ferry leaves at nine if the wind allows it, and nobody has asked about the wind. " * 6


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch) -> str:
    """An empty database for the test's sweeps."""
    address = f"sqlite:///{tmp_path / 'runs.sqlite'}"
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    return address


@pytest.fixture
def store(database):
    opened = open_store(database)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def directory(tmp_path_factory) -> Path:
    """A tiny Llama with a tokenizer of single letters."""
    path = tmp_path_factory.mktemp("model")
    saved(path, layers=4)
    return path


@pytest.fixture
def written(tmp_path, directory):
    """Writes a sweep's file, with texts beside it; returns its path. A key that is None is left out."""

    def write(**changes: object) -> Path:
        folder = tmp_path / "sweep"
        folder.mkdir(exist_ok=True)
        for name, text in (("measured", MEASURED), ("other", OTHER), ("chosen", CHOSEN_BY)):
            (folder / f"{name}.txt").write_text(text)
        values = {
            "models": [str(directory)],
            "texts": [{"file": "measured.txt"}, {"file": "other.txt"}],
            "calibration": {"file": "chosen.txt"},
            "criteria": ["cosine", "last"],
            "budgets": [1, 2],
            "levels": ["attn"],
            "windows": 3,
            "calibration_windows": 3,
            "window_length": 40,
        } | changes
        path = folder / "sweep.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))
        return path

    return write


@pytest.fixture
def configured(written):
    """Reads such a file."""
    return lambda **changes: read_config(written(**changes))


@pytest.fixture
def computed(monkeypatch):
    """Counts what is really computed: evaluations, fits and analyses. They run as always."""
    import entviz.analysis
    from entviz.evaluation import loss, repaired, tasks

    return counted(
        monkeypatch,
        (loss, "evaluate"),
        (repaired, "evaluate_repaired"),
        (tasks, "evaluate_task"),
        (entviz.analysis, "analyze"),
    )
