"""The command in a report, run in the folder with the saved text, gives the numbers that the report shows."""

import json
import math
import shlex

import pytest

from entviz import report
from entviz.cli import main
from entviz.report import About
from entviz.store import Run
from entviz.studies import reporting, stored_studies
from entviz.studies.registry import open_store
from tests.models.files import saved
from tests.report.conftest import commands, saved_text

TEXT = (
    'Late, it\'s $late, and \\the road went <on> & on between "the" fields without a light or a house. ' * 6
)
CUT = ("--windows", "3", "--window-length", "40")
PROMPT = '-- He said "$HOME"\nand it\'s <upon> a'
TIMED = {"speedup", "speedup_low", "speedup_high", "tokens_per_second", "reading_speed", "writing_speed"}
COMPARE = ("compare", "--text", TEXT, "--window-length", "40", "--criteria", "entrodrop:bucket,random,sleb")

ASKED = {
    "analyze": ("analyze", "--text", TEXT, *CUT),
    "without massive tokens": ("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--without-massive"),
    "other weights": ("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--dtype", "bfloat16"),
    "evaluate": ("evaluate", "--text", TEXT, *CUT, "--drop", "attn.1,layer.2"),
    "evaluate in bfloat16": ("evaluate", "--text", TEXT, *CUT, "--dtype", "bfloat16"),
    "a task": ("evaluate", "--task", "grammar", "--limit", "6", "--drop", "attn.1"),
    "entrodrop": (
        *("rank", "--text", TEXT, *CUT, "--estimator", "bucket", "--protect", "1,0"),
        *("--stage", "2", "--budget", "1"),
    ),
    "measured again": (
        *("rank", "--text", TEXT, *CUT, "--criterion", "entrodrop:bucket:iterative", "--protect", "0,0"),
        *("--level", "mlp", "--budget", "2"),
    ),
    "repaired and measured again": (
        *("rank", "--text", TEXT, *CUT, "--criterion", "cosine:iterative:repair=bias", "--level", "mlp"),
        *("--budget", "2"),
    ),
    "a share": ("rank", "--text", TEXT, *CUT, "--criterion", "cosine", "--level", "mlp", "--budget", "10%"),
    "greedy": ("rank", "--text", TEXT, *CUT, "--criterion", "finercut", "--budget", "2"),
    "random": ("rank", "--text", TEXT, *CUT, "--criterion", "random", "--seed", "4"),
    "rank in bfloat16": ("rank", "--text", TEXT, *CUT, "--criterion", "cosine", "--dtype", "bfloat16"),
    "compare": (*COMPARE, "--budgets", "1,2", "--seeds", "2", "--level", "attn,mlp"),
    "compare variants": (
        *("compare", "--text", TEXT, "--window-length", "40", "--budgets", "1", "--level", "mlp"),
        *("--criteria", "cosine:iterative,entrodrop:bucket:iterative:unprotected,random:seed=3"),
        *("--repairs", "bias"),
    ),
    "compare by few": (
        *COMPARE,
        "--budgets",
        "5%",
        "--calibration-windows",
        "2",
        "--task",
        "grammar",
        "--limit",
        "4",
    ),
    "compare on one window": (*COMPARE, "--budgets", "1", "--windows", "1"),
    "compare in bfloat16": (*COMPARE, "--budgets", "1", "--dtype", "bfloat16", "--windows", "5"),
    "trust": ("trust", "--text", TEXT, *CUT, "--level", "layer"),
    "some estimators": (
        *("trust", "--text", TEXT, *CUT, "--level", "attn+mlp"),
        *("--estimators", "renyi,bucket", "--dtype", "bfloat16"),
    ),
    "damages": ("damages", "--text", TEXT, *CUT, "--drop", "attn.1", "--level", "mlp,layer"),
    "damages by token": ("damages", "--text", TEXT, *CUT, "--by-token", "--drop", "attn.1,mlp.2"),
    "damages in bfloat16": ("damages", "--text", TEXT, *CUT, "--dtype", "bfloat16"),
    "interactions": ("interactions", "--text", TEXT, *CUT, "--level", "attn+mlp"),
    "some pairs": (
        *("interactions", "--text", TEXT, *CUT, "--level", "mlp"),
        *("--blocks", "mlp.1,mlp.3,mlp.2", "--dtype", "bfloat16"),
    ),
    "generate": ("generate", f"--prompt={PROMPT}", "--drop", "attn.1", "--max-new-tokens", "5"),
    "generate without a cache": ("generate", "--prompt", "Late", "--no-cache", "--dtype", "bfloat16"),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("a model")
    saved(path)
    return str(path)


@pytest.fixture
def store(tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path}/runs.sqlite"
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    opened = open_store(address)
    yield opened
    opened.close()


@pytest.fixture
def printed(capsys):
    """Runs a command line, and returns its JSON."""

    def run(words):
        capsys.readouterr()
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def assert_same(one, other):
    """Equal but for rounding and what is timed."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one.keys() - TIMED:
            assert_same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for here, there in zip(one, other, strict=True):
            assert_same(here, there)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6)
    else:
        assert one == other


@pytest.mark.parametrize("name", ASKED)
def test_the_command_gives_the_same_numbers(directory, store, printed, tmp_path, monkeypatch, name):
    command = (*ASKED[name], "--model", directory)
    first = printed([*command, "--report", str(tmp_path / "at once.html")])
    without = "--without-massive" in command  # beside it the same with all tokens is kept
    runs = store.runs(kind=list(stored_studies()))
    (run,) = [one for one in runs if one.options.get("without_massive", False) == without]
    at_once = (tmp_path / "at once.html").read_text(encoding="utf-8")
    later = reporting.of_run(run, store.get(run.key), store.text(run.key))
    monkeypatch.chdir(tmp_path)
    for html in (at_once, later):
        (line,) = commands(html)
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "entviz"]
        assert ("--no-cache" in words) == ("--no-cache" in command)
        if "--text-file" in words:
            (tmp_path / "text.txt").write_bytes(saved_text(html))
        assert_same(printed([*words[3:], "--no-keep"]), first)


def again(store, *command, about=None):
    """The command in the report of what a command kept."""
    assert main([*map(str, command)]) == 0
    run = store.runs()[0]
    text = store.text(run.key)
    return commands(reporting.of_run(about(run) if about else run, store.get(run.key), text))


def test_none_where_the_texts_are_not_all_kept(directory, store, tmp_path):
    (tmp_path / "other.txt").write_text(TEXT[::-1])
    command = (*COMPARE, "--model", directory, "--budgets", "1")
    assert again(store, *command, "--calibration-text-file", tmp_path / "other.txt") == []
    run = store.runs(kind="comparison")[0]
    html = reporting.of_run(run, store.get(run.key), store.text(run.key))
    assert "of other texts" in html
    assert "cut from its start" not in html
    (tmp_path / "ids.json").write_text("[[5, 6, 7], [8, 9, 10]]")
    assert again(store, "evaluate", "--model", directory, "--token-ids", tmp_path / "ids.json") == []


def test_none_where_the_command_would_cut_the_text_otherwise(directory, store):
    """The dashboard measures on no more windows than 24, however many the criteria choose by."""
    from entviz.comparison.grid.result import Comparison

    assert again(store, *COMPARE, "--model", directory, "--budgets", "1")
    run = store.runs(kind="comparison")[0]
    found: Comparison = store.get(run.key)
    fewer = vars(found) | {"calibration_windows": found.windows + 1}
    assert commands(reporting.of_run(run, Comparison(**fewer), TEXT)) == []
    stopped = vars(found) | {"rows_total": found.rows_total + 1}
    assert commands(reporting.of_run(run, Comparison(**stopped), TEXT)) == []


def test_none_for_a_task_of_one_s_own_even_if_it_is_called_like_one_of_ours(directory, store, tmp_path):
    item = '{"context": "Grass is", "choices": ["green", "red"], "answer": 0}\n'
    for name in ("colours", "grammar"):
        (tmp_path / f"{name}.jsonl").write_text(item * 3)
        task = ("--task", tmp_path / f"{name}.jsonl", "--model", directory)
        assert again(store, "evaluate", *task) == []
        assert again(store, *COMPARE, "--budgets", "1", *task) == []


@pytest.mark.parametrize("kind", ["contrast", "angles"])
def test_none_where_there_is_no_such_command(kind):
    import pandas as pd

    import entviz
    from entviz.comparison.pair.pair import Angles, Contrast

    none = entviz.PruneSet()
    blocks = pd.DataFrame({name: [] for name in ("block", "kind", "index", "where", "cost_a", "cost_b")})
    runs = pd.DataFrame({"start": [0], "size": [1], "distance": [0.2]})
    result = Contrast(none, none, 1.0, 1.0, blocks) if kind == "contrast" else Angles(runs)
    run = Run(kind, "m", description="words", options={"windows": 1, "window_length": 40})
    html = reporting.of_run(run, result, TEXT)
    assert commands(html) == []
    assert saved_text(html).decode() == TEXT, "the text is there all the same"


def test_a_search_says_that_it_may_find_another(directory, store, tmp_path):
    found = tmp_path / "r.html"
    options = ("--criterion", "search", "--budget", "1", "--seconds", "1", "--report", str(found))
    assert main(["rank", "--model", directory, "--text", TEXT, *CUT, *options]) == 0
    html = found.read_text(encoding="utf-8")
    assert "depends on how fast the machine is" in html
    (line,) = commands(html)
    assert "--seconds 1.0" in line
    assert "--estimator" not in line, "no search depends on one"


def test_a_command_survives_a_shell():
    about = About("some model; rm -rf $HOME", "", "")
    line = report.command.command(
        about, "generate", {"--prompt": "it's `x` $(y)\n", "--drop": ""}, text=False
    )
    assert shlex.split(line) == [
        *("python", "-m", "entviz", "generate", "--model", "some model; rm -rf $HOME"),
        *("--prompt", "it's `x` $(y)\n"),
    ]
