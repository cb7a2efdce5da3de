"""The declared packages are the imported ones, and the wheel holds exactly what running needs."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import entviz

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What no line of ours imports: transformers refuses to place weights on a device without it.
BY_OTHERS = {"accelerate"}
OURS = {"entviz", "pages"}
# Packages that are installed under another name than they are imported by.
INSTALLED_AS = {"yaml": "pyyaml"}
# What lines of ours import only where someone has asked for it.
EXTRAS = {"ray"}


def imported() -> set[str]:
    """The packages that any line of entviz or the dashboard imports, by the names under which they are installed."""
    names = set()
    for path in [*(ROOT / "entviz").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.partition(".")[0])
    return {INSTALLED_AS.get(name, name.replace("_", "-")) for name in names - OURS - sys.stdlib_module_names}


def distribution(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def pinned(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a requirements file pins: what entviz names itself, then what that brings along."""
    blocks: list[dict[str, str]] = [{}]
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line:
            blocks.append({})
        elif not line.startswith("#"):
            package, version = line.split("==")
            blocks[-1][package.lower()] = version
    own, others = blocks
    return own, others


def test_what_is_imported_is_declared_and_nothing_else():
    always = {distribution(one) for one in PROJECT["dependencies"]}
    assert imported() - EXTRAS | BY_OTHERS == always
    assert {
        distribution(one) for extra in sorted(EXTRAS) for one in PROJECT["optional-dependencies"][extra]
    } == EXTRAS
    assert imported() >= EXTRAS
    assert not imported() & BY_OTHERS


@pytest.mark.parametrize(
    ("file", "declared"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-test.txt", PROJECT["optional-dependencies"]["test"]),
    ],
)
def test_what_is_pinned_is_what_is_declared(file, declared):
    own, others = pinned(file)
    assert list(own) == sorted(own, key=str.lower)
    assert set(own) == {distribution(one) for one in declared}
    assert not own.keys() & others.keys()
    for one in declared:
        least = re.search(r">=([\d.]+)", one)[1]
        assert [*map(int, own[distribution(one)].split("."))] >= [*map(int, least.split("."))], one


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT
    assert entviz.__version__ in (ROOT / "entviz" / "version.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from this checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip(
            "hatchling, which builds the wheel, is not installed: pip install -r requirements-test.txt"
        )
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_all_that_running_needs_and_no_more(wheel):
    there = set(wheel.namelist())
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("this is not a checkout of git")
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    expected = {name for name in files if name.startswith("entviz/")}
    expected |= {
        f"entviz_dashboard/{name}"
        for name in files
        if name.startswith("pages/") or name in ("app.py", ".streamlit/config.toml")
    }
    about = {name for name in there if ".dist-info/" in name}
    assert there - about == expected
    assert {"entviz/py.typed", "entviz/passages/news.txt", "entviz_dashboard/app.py"} <= there
    assert "entviz_dashboard/.streamlit/config.toml" in there
    assert {name.partition("/")[2] for name in about} == {
        "METADATA",
        "WHEEL",
        "RECORD",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_the_wheel_says_what_it_is(wheel):
    (metadata,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    said = wheel.read(metadata).decode()
    assert f"\nVersion: {entviz.__version__}\n" in said
    assert "\nLicense-Expression: Apache-2.0\n" in said
    (scripts,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    assert "entviz = entviz.cli:main" in wheel.read(scripts).decode()


def test_an_installed_wheel_finds_its_dashboard(wheel, tmp_path):
    wheel.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "from entviz.cli.dashboard import script; print(script())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "entviz_dashboard" / "app.py"
