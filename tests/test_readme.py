"""What the README tells people to type works as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from entviz.cli import COMMANDS as CLI
from entviz.cli import _parser
from entviz.criteria import CRITERIA

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/python -m entviz (.+)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[0])
def test_commands_are_understood(command):
    options = _parser().parse_args(shlex.split(command))
    assert (
        options.text_file is None or (ROOT / options.text_file).is_file() if "text_file" in options else True
    )


def test_every_command_is_shown():
    assert {command.split()[0] for command in COMMANDS} == {one.__name__.rpartition(".")[2] for one in CLI}


def test_criteria_named_are_those_there_are():
    (sentence,) = re.findall(r"`rank --criterion` knows (.+?), which tries", README, re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", sentence)) == set(CRITERIA)


def test_commands_named_as_keeping_what_they_find_are_those_that_do():
    (sentence,) = re.findall(r"^What (`.+?) find is kept", README, re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`([\w-]+)`", sentence))
    options = {
        shlex.split(command)[0]: vars(_parser().parse_args(shlex.split(command))) for command in COMMANDS
    }
    assert named == {name for name, given in options.items() if "keep" in given}
    assert named == {name for name, given in options.items() if "report" in given}


def test_the_python_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    perplexity, dense, kl = map(float, capsys.readouterr().out.split()[:3])
    assert perplexity > dense > 1
    assert kl > 0


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "SECURITY.md"])
def test_files_that_are_named_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    named = re.findall(r"`((?:entviz|pages|tests|benchmarks)/[\w./]*)`", text)
    missing = [path for path in [*linked, *named] if not (ROOT / path).exists()]
    assert not missing


def test_every_setting_is_described():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "entviz").rglob("*.py"))
    assert set(re.findall(r"ENTVIZ_[A-Z_]+", sources)) == set(re.findall(r"ENTVIZ_[A-Z_]+", README))
