"""A sweep's file: what is read, and the sentence for everything that cannot be."""

import pytest

from entviz.errors import EntvizError, OptionError
from entviz.sweep.config import read_config
from entviz.text.passages import passages
from tests.sweep.conftest import CHOSEN_BY, MEASURED


def test_everything_is_read_and_paths_are_those_beside_the_file(configured, directory, monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    config = configured(
        tasks=["grammar"], task_limit=3, repairs=["none", "bias"], gpus=0.5, budgets=[1, "20%"]
    )
    assert config.models == (str(directory),)
    assert (config.texts[0].name, config.texts[0].text) == ("measured.txt", MEASURED)
    assert config.calibration.text == CHOSEN_BY
    assert (config.budgets, config.repairs, config.gpus) == (("1", "20%"), ("", "bias"), 0.5)
    assert (config.tasks[0].name, config.task_limit) == ("grammar", 3)
    assert config.name == "sweep"


def test_a_model_beside_the_file_is_found_from_anywhere(written, directory):
    path = written(models=["tiny"])
    (path.parent / "tiny").symlink_to(directory)
    assert read_config(path).models == (str(path.parent / "tiny"),)


def test_without_a_calibration_text_a_built_in_one_is_taken_that_is_not_measured(configured):
    names = list(passages())
    assert configured(texts=names[:2], calibration=None).calibration.name == names[2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"criterea": ["cosine"]}, "Did you mean criteria?"),
        ({"zzz": 1}, "Choose from name, models"),
        ({"models": None}, "has no models"),
        ({"budgets": []}, "budgets must list"),
        ({"budgets": [True]}, "budgets has 'True'"),
        ({"budgets": [4, "4"]}, "budgets names 4 twice"),
        ({"criteria": ["cosine", 3]}, "criteria has '3'"),
        ({"texts": ["nowhere"]}, "built-in text"),
        ({"texts": [{"file": "nowhere.txt"}]}, "There is no file"),
        ({"texts": [{"file": "measured.txt", "codec": "utf-8"}]}, "write {file: F}"),
        ({"texts": [{"file": "measured.txt"}, {"file": "other.txt", "name": "measured.txt"}]}, "Two texts"),
        ({"tasks": ["nothing"]}, "There is no task 'nothing'"),
        ({"windows": 0}, "windows is '0': write a whole number above 0"),
        ({"windows": 2.5}, "windows is '2.5'"),
        ({"seeds": "three"}, "seeds is 'three'"),
        ({"gpus": -1}, "gpus is '-1': write a number from 0 on"),
        ({"begin": "yes"}, "write true or false"),
        ({"dtype": "int8"}, "choose from auto, float32"),
        ({"device": 3}, "write a short text"),
        ({"repairs": ["bias"], "calibration": {"file": "measured.txt"}}, "also measured on"),
    ],
)
def test_what_cannot_be_used_is_named(configured, changes, words):
    with pytest.raises(EntvizError) as met:
        configured(**changes)
    assert words in str(met.value)
    assert str(met.value).endswith((".", "?"))
    assert len(str(met.value)) < 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("models: [a", "is not YAML at line 1"),
        ("- a\n- b\n", "must hold keys and values"),
        ("", "must hold keys and values"),
        ("models: !!python/object/apply:os.system [true]", "is not YAML"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_another_file_is_refused(tmp_path, content, words):
    path = tmp_path / "other.yaml"
    path.write_text(content)
    with pytest.raises(OptionError, match=words):
        read_config(path)


def test_no_file_is_a_sentence(tmp_path):
    with pytest.raises(OptionError, match="There is no file"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(OptionError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_the_example_can_be_used():
    from importlib.resources import files

    config = read_config(files("entviz") / "sweep" / "example.yaml")
    assert config.criteria == ("cosine", "entrodrop:knn")
