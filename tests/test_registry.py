from dataclasses import dataclass

import pytest

from entviz.criteria import CRITERIA
from entviz.errors import ExportError, OptionError
from entviz.estimators import METRICS
from entviz.export import FORMATS
from entviz.registry import Registry


@dataclass(frozen=True)
class Tool:
    name: str


SAW, FILE, PLANE = map(Tool, ("saw", "file", "plane"))


def test_items_are_found_by_name_in_the_order_registered():
    tools = Registry("a tool", (SAW, FILE))
    assert list(tools) == ["saw", "file"]
    assert list(tools.values()) == [SAW, FILE]
    assert tools["file"] is FILE
    assert tools.get("plane") is None
    assert "plane" not in tools
    assert len(tools) == 2


def test_an_unknown_name_is_told_which_there_are():
    with pytest.raises(ExportError, match=r"^'plane' is not a tool: choose from saw, file\.$"):
        Registry("a tool", (SAW, FILE), ExportError)["plane"]
    with pytest.raises(OptionError) as told:
        Registry("a tool", (SAW,))["x" * 4000]
    assert len(str(told.value)) < 120


def test_an_item_is_there_as_long_as_the_context_lasts():
    tools = Registry("a tool", (SAW, FILE))
    names = iter(tools)
    with tools.added(PLANE) as added:
        assert added is PLANE
        assert list(tools) == ["saw", "file", "plane"]
        assert list(names) == ["saw", "file"]  # who goes through it meanwhile goes on
    assert list(tools) == ["saw", "file"]


def test_an_item_goes_when_the_context_fails():
    tools = Registry("a tool", (SAW,))

    def fail():
        with tools.added(PLANE):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tools) == ["saw"]


def test_no_two_have_the_same_name():
    tools = Registry("a tool", (SAW,))
    with pytest.raises(ValueError, match="saw is registered already"), tools.added(Tool("saw")):
        pass
    assert tools["saw"] is SAW


@pytest.mark.parametrize("registry", [METRICS, CRITERIA, FORMATS])
def test_each_registry_says_its_own_sentence(registry):
    with pytest.raises(registry._error, match=f"'none' is not an? .*: choose from {', '.join(registry)}"):
        registry["none"]
