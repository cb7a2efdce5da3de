"""Keys: as many as there are different results."""

import shutil
from pathlib import Path

import pytest

import entviz
from entviz.store import keys, program, request_key, result_key


def test_keys_depend_on_everything_that_a_result_does():
    same = {"model": "f", "tokens": "t", "options": {"drop": "attn.1", "dtype": "float32"}}
    first = result_key("evaluation", **same)
    assert result_key("evaluation", **same) == first
    assert result_key("evaluation", **same | {"options": {"dtype": "float32", "drop": "attn.1"}}) == first
    others = [
        result_key("analysis", **same),
        result_key("evaluation", **same | {"model": "g"}),
        result_key("evaluation", **same | {"tokens": "u"}),
        result_key("evaluation", **same | {"options": {"drop": "attn.2", "dtype": "float32"}}),
        request_key("evaluation", model="f", text="t", options=same["options"]),
    ]
    assert len({first, *others}) == 6


def test_keys_depend_on_the_program(monkeypatch):
    first = result_key("evaluation", model="f", tokens="t", options={})
    monkeypatch.setattr("entviz.store.keys.program", lambda: "entviz 9")
    assert result_key("evaluation", model="f", tokens="t", options={}) != first


@pytest.mark.parametrize(
    ("file", "computes"), [("criteria/search.py", True), ("kernels/rows.py", True), ("cli/rank.py", False)]
)
def test_the_program_is_another_once_a_source_that_computes_is(tmp_path, monkeypatch, file, computes):
    """So that no search by what was minimized before is taken for one by what is minimized now."""
    copy = tmp_path / "entviz"
    shutil.copytree(Path(entviz.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(keys, "__file__", str(copy / "store" / "keys.py"))
    before = program.__wrapped__()
    with (copy / file).open("a", encoding="utf-8") as source:
        source.write("# another\n")
    assert (program.__wrapped__() != before) == computes
