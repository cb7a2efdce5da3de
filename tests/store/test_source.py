"""The hash of the source that computes changes if a number may change, and stays the same if only words change."""

import shutil
from pathlib import Path

import pytest

import entviz
from entviz.store import source

COMPUTES = "\n\ndef another() -> int:\n    return 1\n"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the sources that a test may change."""
    shutil.copytree(
        Path(entviz.__file__).parent, tmp_path / "entviz", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(source, "ROOT", tmp_path)
    forget()
    yield tmp_path / "entviz"
    forget()


def forget():
    for each in (source._digest, source._imports, source._code, source._is_words_alone):
        each.cache_clear()


def digest_after(change, copy):
    change(copy)
    forget()
    return source.digest(["entviz.analysis"])


def appended(file, text):
    def change(copy):
        with (copy / file).open("a", encoding="utf-8") as written:
            written.write(text)

    return change


def replaced(file, old, new):
    def change(copy):
        text = (copy / file).read_text(encoding="utf-8")
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    "file",
    [
        "analysis/measuring.py",
        "estimators/knn.py",
        "kernels/distances.py",
        "decoder/anatomy.py",
        "models/loaded.py",
        "text/windows.py",
    ],
)
def test_it_is_another_once_what_an_analysis_imports_is(copy, file):
    before = source.digest(["entviz.analysis"])
    assert digest_after(appended(file, COMPUTES), copy) != before


@pytest.mark.parametrize(
    "change",
    [
        *(appended(file, COMPUTES) for file in ("lessons/exercises.py", "figures/depth.py", "cli/rank.py")),
        *(
            appended(file, COMPUTES)
            for file in ("words/phrases.py", "report/views.py", "studies/analysis.py")
        ),
        *(appended(file, COMPUTES) for file in ("criteria/search.py", "evaluation/scoring.py")),
        appended("estimators/knn.py", "\n# a remark\n"),
        replaced("estimators/knn.py", "Nearest-neighbour entropy", "Entropy by nearest neighbours"),
        replaced("analysis/measuring.py", "No metric given: choose from", "Give a metric:"),
    ],
)
def test_it_is_the_same_after_a_change_of_words_or_of_what_an_analysis_does_not_import(copy, change):
    before = source.digest(["entviz.analysis"])
    assert digest_after(change, copy) == before


def test_imports_inside_functions_and_of_packages_that_import_when_asked_count():
    found = source.imported(["entviz.models"])
    assert {"entviz.models.loading", "entviz.models.gguf.reading", "entviz.decoder.anatomy"} <= found
    assert not {one for one in found if one.startswith(("entviz.figures", "entviz.words"))}
