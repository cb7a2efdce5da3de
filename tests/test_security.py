"""The tests that SECURITY.md names exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda each: each.rpartition("/")[2])
def test_a_test_that_is_named_exists(file, name):
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    assert name in {each.name for each in body if isinstance(each, ast.FunctionDef)}


def test_every_threat_has_a_test():
    parts = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("\n## ")[2:]
    assert len(parts) == 8
    assert all("::test_" in part for part in parts)
