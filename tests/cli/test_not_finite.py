"""A model whose numbers are not finite: one sentence from every command, and nothing kept."""

import pytest
import torch

from tests.cli.conftest import LAYERS, TEXT
from tests.models.files import tokenizer
from tests.tiny import build

CUT = ("--windows", "2", "--window-length", "40")
MEASURED = ("--text", TEXT, *CUT)
COMMANDS = {
    "analyze": ("analyze", *MEASURED),
    "analyze as JSON": ("analyze", *MEASURED, "--json"),
    "evaluate": ("evaluate", *MEASURED),
    "evaluate as JSON": ("evaluate", *MEASURED, "--json", "--drop", "attn.1"),
    "a task": ("evaluate", "--task", "grammar", "--limit", "3"),
    "rank": ("rank", *MEASURED, "--criterion", "cosine", "--budget", "1"),
    "rank by trying": ("rank", *MEASURED, "--criterion", "leave-one-out", "--budget", "1"),
    "compare": ("compare", *MEASURED, "--criteria", "cosine,random", "--budgets", "1"),
    "trust": ("trust", *MEASURED),
    "damages": ("damages", *MEASURED),
    "damages by token": ("damages", *MEASURED, "--by-token", "--drop", "attn.1"),
    "interactions": ("interactions", *MEASURED),
    "generate": ("generate", "--prompt", "Once upon", "--max-new-tokens", "3"),
    "generate as JSON": ("generate", "--prompt", "Once upon", "--json", "--no-cache"),
}


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    path = tmp_path_factory.mktemp("poisoned")
    model = build("llama", layers=LAYERS)
    with torch.no_grad():
        model.model.layers[2].mlp.down_proj.weight[0, 0] = torch.nan
    model.save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sentence_and_nothing_kept(wrong, store, poisoned, command):
    said = wrong(*COMMANDS[command], model=poisoned)
    assert "1 value of model.layers.2.mlp.down_proj.weight is NaN or infinite" in said
    assert store.runs(kind=None) == []


def test_an_export_leaves_nothing_behind(wrong, poisoned, tmp_path):
    said = wrong("export", "--drop", "layer.3", "--out", tmp_path / "out", model=poisoned)
    assert "weights that are not finite" in said
    assert not (tmp_path / "out").exists()
