"""A hash of the source that computes a result. It is part of the result's key; a version number changes too seldom.

    digest(["entviz.analysis"])     # of this module and all modules of entviz that it imports, directly or indirectly

The hash leaves out everything that computes nothing: comments, docstrings, the sentences of errors, and packages that
contain ``MAKES_NO_NUMBERS = True``. A correction changes the hash of the corrected module and of the modules that
import it; a change of a lesson, a chart or a sentence changes no hash.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "entviz"


def digest(modules: Iterable[str]) -> str:
    """A hash of the source of ``modules`` and of every module of entviz that they import; 12 hexadecimal digits."""
    return _digest(tuple(sorted(set(modules))), ROOT)


def imported(modules: Iterable[str]) -> set[str]:
    """``modules`` and every module of entviz that they import, anywhere in their source, directly or indirectly."""
    return _imported(frozenset(modules), ROOT)


@cache
def _digest(modules: tuple[str, ...], root: Path) -> str:
    total = hashlib.sha256()
    for module in sorted(_imported(frozenset(modules), root)):
        for path in _paths(module, root):
            total.update(f"{module}\0{_code(path)}\0".encode())
    return total.hexdigest()[:12]


def _imported(modules: frozenset[str], root: Path) -> set[str]:
    found: set[str] = set()
    open_ones = set(modules)
    while open_ones:
        module = open_ones.pop()
        if _is_words_alone(module, root):
            continue
        found.add(module)
        open_ones |= {one for path in _paths(module, root) for one in _imports(path, root)} - found
    return found


@cache
def _is_words_alone(module: str, root: Path) -> bool:
    names = module.split(".")
    packages = [root.joinpath(*names[:depth], "__init__.py") for depth in range(2, len(names) + 1)]
    return any(
        path.is_file() and "\nMAKES_NO_NUMBERS = True" in path.read_text(encoding="utf-8")
        for path in packages
    )


def _paths(module: str, root: Path) -> list[Path]:
    """The files of a module. A package that imports lazily lists its imports in a stub."""
    place = root.joinpath(*module.split("."))
    return [
        path
        for path in (place.with_suffix(".py"), place / "__init__.py", place / "__init__.pyi")
        if path.is_file()
    ]


@cache
def _imports(path: Path, root: Path) -> frozenset[str]:
    package = ".".join(path.relative_to(root).parent.parts)
    return frozenset(imports_in(ast.parse(path.read_bytes()), package, root))


def imports_in(tree: ast.AST, package: str = "", root: Path = ROOT) -> Iterator[str]:
    """The modules of entviz that a source imports; ``package`` is the package that relative imports start from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            below = [f"{base}.{name.name}" for name in node.names]
            names = [name if _paths(name, root) else base for name in below]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == PACKAGE)


@cache
def _code(path: Path) -> str:
    """The lines of a file that can change a number."""
    source = path.read_text(encoding="utf-8")
    silent: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise):
            silent.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                silent.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return "\n".join(line for number, line in lines if number not in silent and _says(line))


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
