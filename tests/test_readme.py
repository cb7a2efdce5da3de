"""Everything that the documents tell people to type works exactly as written."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from entviz.cli import COMMANDS as CLI
from entviz.cli import _parser, main
from entviz.criteria import CRITERIA
from entviz.sweep.cells import cells_of
from entviz.sweep.config import read_config

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
}
BLOCKS: Final = [
    (name, language, block)
    for name, text in DOCUMENTS.items()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
]
LINES: Final = [line for _, language, block in BLOCKS if language == "sh" for line in block.splitlines()]
PREFIX: Final = ".venv/bin/python -m entviz "
COMMANDS: Final = [line.removeprefix(PREFIX) for line in LINES if line.startswith(PREFIX)]
EXAMPLES: Final = [(name, block) for name, language, block in BLOCKS if language == "python"]
SHELL: Final = DOCUMENTS["docs/commands.md"]
SERVER: Final = "dashboard"  # does not end by itself; tests/cli/test_dashboard.py starts it


def test_every_block_is_of_a_kind_that_is_tried():
    kinds = {language for name, language, _ in BLOCKS if name != "ARCHITECTURE.md"}
    assert kinds == {"sh", "python", "bibtex", "yaml"}
    assert {name for name, _ in EXAMPLES} == {"docs/python.md"}
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith(PREFIX)])
def test_other_lines_name_what_there_is(line):
    """Targets of make, and files that tools are given."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets
        return
    assert words[0] == "pip" or words[0].startswith(".venv/bin/")
    files = [word for word in words[1:] if re.search(r"\.(txt|py)$", word)]
    assert all((ROOT / file).is_file() for file in files)
    if "-m entviz" in line:
        _parser().parse_args(words[words.index("entviz") + 1 :])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, tmp_path, monkeypatch, capsys):
    arguments = shlex.split(command)
    if arguments[0] == SERVER:
        _parser().parse_args(arguments)
        return
    (tmp_path / "entviz").symlink_to(ROOT / "entviz")  # as in a checkout, with nothing written into it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/runs.sqlite")
    assert main(arguments) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert said.out or arguments[0] == "runs"


def test_files_of_sweeps_are_read(tmp_path):
    blocks = [block for _, language, block in BLOCKS if language == "yaml"]
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        cells, notes = cells_of(read_config(path))
        assert cells
        assert notes == []
    assert blocks


def test_every_command_is_shown():
    shown = {command.split()[0] for command in COMMANDS}
    assert shown == {one.__name__.rpartition(".")[2] for one in CLI}


def test_criteria_named_are_those_there_are():
    (sentence,) = re.findall(r"`rank --criterion` knows (.+?), which tries", SHELL, re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", sentence)) == set(CRITERIA)


def test_commands_whose_results_are_said_to_be_kept_are_those_that_keep_them():
    (sentence,) = re.findall(r"^The results of (`.+?) are kept", SHELL, re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`([\w-]+)`", sentence))
    options = {
        shlex.split(command)[0]: vars(_parser().parse_args(shlex.split(command))) for command in COMMANDS
    }
    assert named == {name for name, given in options.items() if "keep" in given}
    assert named == {name for name, given in options.items() if "report" in given}


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_python_examples_run(name, example, capsys):
    exec(compile(example, name, "exec"), {})
    perplexity, dense, kl = map(float, capsys.readouterr().out.split()[:3])
    assert perplexity > dense > 1
    assert kl > 0


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document):
    text, folder = DOCUMENTS[document], (ROOT / document).parent
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    named = re.findall(r"`((?:entviz|pages|tests|benchmarks|docs)/[\w./]*)`", text)
    missing = [path for path in linked if not (folder / path).exists()]
    missing += [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_every_document_is_found_from_the_readme():
    linked = set(re.findall(r"\]\((?!http)([^)#]+\.md)\)", DOCUMENTS["README.md"]))
    assert linked | {"README.md"} >= DOCUMENTS.keys()


def test_every_setting_is_described():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "entviz").rglob("*.py"))
    described = set(re.findall(r"ENTVIZ_[A-Z_]+", DOCUMENTS["docs/settings.md"]))
    assert set(re.findall(r"ENTVIZ_[A-Z_]+", sources)) == described


def test_ruff_is_the_same_everywhere():
    (hook,) = re.findall(r"rev: v([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (pinned,) = re.findall(
        r"^ruff==([\d.]+)$", (ROOT / "requirements-test.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert hook == pinned


def test_the_version_is_the_same_in_the_citation_and_the_changelog():
    from entviz.version import __version__

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [__version__]
    assert re.findall(r"^## \[(.+?)\]", DOCUMENTS["CHANGELOG.md"], re.MULTILINE)[0] == __version__


def test_pictures_are_small_and_have_the_size_that_is_said():
    for path in (ROOT / "docs").glob("*.png"):
        data = path.read_bytes()
        assert len(data) < 200_000, path
        assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1280, 800), path
