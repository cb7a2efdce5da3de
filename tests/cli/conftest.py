"""Runs commands in this process, on a tiny model that every test finds in a directory."""

import json
from pathlib import Path

import pytest

from entviz.cli import main
from entviz.runtime import Runtime
from entviz.studies.registry import open_store
from tests.models.files import saved

LAYERS = 4
TEXT = "It was late, and the road went on between the fields without a light or a house. " * 6
WINDOWS = ["--windows", "3", "--window-length", "40"]


@pytest.fixture(autouse=True)
def database(tmp_path_factory, monkeypatch) -> str:
    """An empty database for what the test's commands keep."""
    address = f"sqlite:///{tmp_path_factory.mktemp('kept') / 'runs.sqlite'}"
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    return address


@pytest.fixture
def store(database):
    """What the test's commands keep."""
    opened = open_store(database)
    yield opened
    opened.close()


@pytest.fixture
def dashboard(tmp_path):
    """Makes a dashboard's runtime on a database."""
    made = []

    def make(address):
        made.append(Runtime(store=open_store(address)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def apart(dashboard, tmp_path):
    """A dashboard that shares nothing with the commands."""
    return dashboard(f"sqlite:///{tmp_path}/apart.sqlite")


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """A tiny Llama with a tokenizer of single letters, as save_pretrained leaves it."""
    path = tmp_path_factory.mktemp("model")
    saved(path, layers=LAYERS)
    return path


@pytest.fixture
def entviz(directory, capsys):
    """Runs a command on the tiny model; returns (exit status, standard output, standard error)."""

    def run(command: str, *arguments: object, model: object = directory) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main([command, "--model", str(model), *map(str, arguments)])
        except SystemExit as error:  # argparse, about the arguments themselves
            status = int(error.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def answer(entviz):
    """Runs a command that must succeed, and returns its JSON."""

    def run(command: str, *arguments: object) -> dict:
        status, output, errors = entviz(command, *arguments, "--json")
        assert status == 0, errors
        return json.loads(output)

    return run


@pytest.fixture
def wrong(entviz, tmp_path):
    """Runs a command that must fail: returns the sentence it printed, having checked that it is one."""

    def run(command: str, *arguments: object, **options: object) -> str:
        status, output, errors = entviz(command, *arguments, **options)
        assert (status, output) == (2, "")
        assert "Traceback" not in errors
        sentence = errors.rpartition("entviz: ")[2]  # after the progress bar, if it took long
        assert sentence != errors
        assert sentence.count("\n") == 1
        assert sentence.endswith((".\n", "?\n"))
        assert len(sentence) < 500
        return sentence

    return run
