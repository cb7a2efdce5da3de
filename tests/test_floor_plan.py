"""The floor plan of ARCHITECTURE.md: imports go down and never form a circle."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PATHS = {module_name(path): path for path in sorted((ROOT / "entviz").rglob("*.py"))}


def floors() -> dict[str, int]:
    """The floor of each module or package of entviz, counted from the ground."""
    [plan] = re.findall(
        "```floors\n(.*?)```", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.DOTALL
    )
    from_the_ground = enumerate(reversed(plan.splitlines()))
    return {name: floor for floor, line in from_the_ground for name in line.split()}


def imports(module: str) -> Iterator[str]:
    """What a module imports of entviz: anywhere in it, so also inside functions and for type checking alone."""
    for node in ast.walk(ast.parse(PATHS[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] == "entviz")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "entviz":
            for name in node.names:
                below = f"{node.module}.{name.name}"
                yield below if below in PATHS else str(node.module)


def room(module: str) -> str:
    """The module or package directly in entviz that a module is or belongs to; ``entviz`` itself is one."""
    return "entviz" if module == "entviz" else module.split(".")[1]


def test_everything_has_a_floor():
    assert set(floors()) == set(map(room, PATHS))


@pytest.mark.parametrize("module", PATHS)
def test_imports_go_down(module):
    plan = floors()
    up = {
        target
        for target in imports(module)
        if room(target) != room(module) and plan[room(target)] >= plan[room(module)]
    }
    assert not up


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: [target for target in imports(module) if target != module] for module in PATHS}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
