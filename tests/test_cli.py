"""The command line: the JSON that others read, tables that people read, and one sentence for each bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM

from entviz.blocks import PruneSet, all_blocks, site_names
from entviz.cli import main
from entviz.models import load
from tests.altered import losses, without
from tests.models.files import saved
from tests.parity import FIGURES

LAYERS = 4
TEXT = "It was late, and the road went on between the fields without a light or a house. " * 6
WINDOWS = ["--windows", "3", "--window-length", "40"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """A tiny Llama with a tokenizer of single letters, as save_pretrained leaves it."""
    path = tmp_path_factory.mktemp("model")
    saved(path, layers=LAYERS)
    return path


@pytest.fixture
def entviz(directory, capsys):
    """Runs a command on the tiny model; returns (exit status, standard output, standard error)."""

    def run(command: str, *arguments: object, model: object = directory) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main([command, "--model", str(model), *map(str, arguments)])
        except SystemExit as error:  # argparse, about the arguments themselves
            status = int(error.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def answer(entviz):
    """Runs a command that must succeed, and returns its JSON."""

    def run(command: str, *arguments: object) -> dict:
        status, output, errors = entviz(command, *arguments, "--json")
        assert status == 0, errors
        return json.loads(output)

    return run


class TestAnalyze:
    def test_json(self, answer, directory):
        found = answer("analyze", "--text", TEXT, *WINDOWS)
        assert list(found) == ["model", "windows", "window_length", "sites", "blocks"]
        assert (found["model"], found["windows"], found["window_length"]) == (str(directory), 3, 40)
        for part, name, names, metrics in (
            ("sites", "site", site_names(LAYERS), ("bucket", "knn", "renyi")),
            ("blocks", "block", [*map(str, all_blocks(LAYERS))], ("bucket", "knn", "renyi", "cosine")),
        ):
            rows = found[part]
            assert [(row["metric"], row[name]) for row in rows] == [(m, n) for m in metrics for n in names]
            for row in rows:
                assert set(row) == {name, "metric", "value", "per_window"}
                assert len(row["per_window"]) == 3
                assert row["value"] == pytest.approx(sum(row["per_window"]) / 3)

    def test_a_block_s_value_is_its_entropy_increase(self, answer):
        found = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket")
        entropy = {row["site"]: row["per_window"] for row in found["sites"]}
        increase = {row["block"]: row["per_window"] for row in found["blocks"]}
        for block, before, after in (
            ("attn.0", "embed", "attn.0"),
            ("mlp.0", "attn.0", "layer.0"),
            ("layer.2", "layer.1", "layer.2"),
        ):
            wanted = [late - early for early, late in zip(entropy[before], entropy[after], strict=True)]
            assert increase[block] == pytest.approx(wanted)

    def test_metrics_and_levels_are_those_asked_for(self, answer):
        found = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "cosine,bucket", "--level", "layer")
        assert {row["block"] for row in found["blocks"]} == {f"layer.{i}" for i in range(LAYERS)}
        assert {row["metric"] for row in found["blocks"]} == {"cosine", "bucket"}
        assert {row["metric"] for row in found["sites"]} == {"bucket"}
        everywhere = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "cosine,bucket")
        values = {(row["block"], row["metric"]): row["value"] for row in everywhere["blocks"]}
        for row in found["blocks"]:  # running layers whole or in halves is the same
            assert row["value"] == pytest.approx(values[row["block"], row["metric"]], rel=1e-4, abs=1e-4)

    def test_table(self, entviz):
        status, output, _ = entviz("analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket,cosine")
        assert status == 0
        assert "3 windows of 40 tokens" in output
        assert "Entropy at each site (nats)" in output
        assert "Turning point by bucket: layer" in output
        assert all(name in output for name in [*site_names(LAYERS), *map(str, all_blocks(LAYERS))])


class TestRank:
    def test_json(self, answer):
        measured = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "knn")
        scores = {row["block"]: row["value"] for row in measured["blocks"] if row["block"].startswith("attn")}
        found = answer(
            "rank",
            "--text",
            TEXT,
            *WINDOWS,
            *("--criterion", "entrodrop", "--estimator", "knn", "--level", "attn", "--budget", 1),
        )
        assert list(found) == ["criterion", "order", "drop", "scores"]
        assert found["criterion"] == "entrodrop"
        assert found["scores"] == pytest.approx(scores)
        assert found["order"] == ["attn.2"]  # the first two layers and the last are protected
        assert found["drop"] == ["attn.2"]

    def test_protection_can_be_changed(self, answer):
        options = ("rank", "--text", TEXT, *WINDOWS, "--estimator", "bucket", "--level", "mlp")
        found = answer(*options, "--protect", "0,0", "--budget", 2)
        assert found["order"] == sorted(found["scores"], key=found["scores"].get)
        assert found["drop"] == found["order"][:2]

    def test_cosine_drops_the_least_important_first(self, answer):
        found = answer("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--budget", 3)
        assert found["order"] == sorted(found["scores"], key=found["scores"].get)
        assert found["drop"] == found["order"][:3]

    @pytest.mark.parametrize(
        "criterion",
        [
            *("entrodrop", "cosine", "block-influence", "angular-distance", "leave-one-out"),
            *("sleb", "finercut", "last", "random", "search"),
        ],
    )
    def test_every_criterion_by_its_name(self, answer, criterion):
        found = answer(
            *("rank", "--text", TEXT, "--windows", 1, "--window-length", 40),
            *("--criterion", criterion, "--budget", 1, "--seconds", 2),
        )
        assert found["criterion"] == criterion
        assert len(found["drop"]) == 1
        assert found["drop"][0] in found["scores"]

    def test_table(self, entviz):
        status, output, _ = entviz("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--budget", 2)
        assert status == 0
        assert output.count("  drop\n") == 2
        dropped = output.rpartition("--drop ")[2].strip()
        assert len(PruneSet.parse(dropped)) == 2


class TestEvaluate:
    def test_json(self, answer, directory):
        found = answer("evaluate", "--text", TEXT, *WINDOWS, "--drop", "attn.1,layer.2")
        assert set(found) >= {"drop", "nll", "perplexity", "per_window_nll", "dense", "kl"}
        assert set(found) >= {"top1_agreement", "parameters"}
        loaded = load(str(directory))
        ids = torch.tensor([loaded.tokenizer(TEXT, add_special_tokens=False).input_ids[:120]]).view(3, 40)
        drop = PruneSet.parse("attn.1,layer.2")
        pruned = without(loaded.model, drop)
        wanted, dense = losses(pruned, ids), losses(loaded.model, ids)
        assert found["drop"] == ["attn.1", "layer.2"]
        assert found["per_window_nll"] == pytest.approx(wanted.tolist(), rel=1e-5)
        assert found["nll"] == pytest.approx(wanted.mean().item(), rel=1e-5)
        assert found["perplexity"] == pytest.approx(wanted.mean().exp().item(), rel=1e-4)
        assert found["dense"] == pytest.approx(
            {"nll": dense.mean().item(), "perplexity": dense.mean().exp().item()}, rel=1e-4
        )
        log_p = loaded.model(ids).logits[:, :-1].double().log_softmax(-1)
        log_q = pruned(ids).logits[:, :-1].double().log_softmax(-1)
        assert found["kl"] == pytest.approx((log_p.exp() * (log_p - log_q)).sum(-1).mean().item(), rel=1e-4)
        agree = (log_p.argmax(-1) == log_q.argmax(-1)).double().mean().item()
        assert found["top1_agreement"] == pytest.approx(agree)
        layer = loaded.model.model.layers[1]
        in_layer = sum(weight.numel() for weight in layer.parameters())
        in_attention = sum(w.numel() for w in (*layer.self_attn.parameters(), layer.input_layernorm.weight))
        assert found["parameters"]["dense"] == sum(w.numel() for w in loaded.model.parameters())
        assert found["parameters"]["pruned"] == found["parameters"]["dense"] - in_layer - in_attention

    def test_nothing_dropped(self, answer):
        found = answer("evaluate", "--text", TEXT, *WINDOWS)
        assert found["drop"] == []
        assert found["nll"] == found["dense"]["nll"]
        assert (found["kl"], found["top1_agreement"]) == (0, 1)
        assert found["parameters"]["dense"] == found["parameters"]["pruned"]

    def test_token_ids_are_windows_already(self, answer, tmp_path):
        rows = [[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]]
        (tmp_path / "ids.json").write_text(json.dumps(rows))
        found = answer("evaluate", "--token-ids", tmp_path / "ids.json")
        assert len(found["per_window_nll"]) == 2

    def test_a_text_file(self, answer, tmp_path):
        file = tmp_path / "text.txt"
        file.write_text(TEXT, encoding="utf-8-sig")
        one = answer("evaluate", "--text-file", file, *WINDOWS)
        assert one == answer("evaluate", "--text", TEXT, *WINDOWS)
        file.write_text(TEXT, encoding="utf-16")
        assert one == answer("evaluate", "--text-file", file, "--encoding", "utf-16", *WINDOWS)

    def test_table(self, entviz):
        status, output, _ = entviz("evaluate", "--text", TEXT, *WINDOWS, "--drop", "attn.1")
        assert status == 0
        for line in ("perplexity", "loss per token (nats)", "KL from dense (nats)", "top-1 agreement"):
            assert line in output
        assert "Dropped: attn.1" in output

    def test_a_built_in_task(self, answer):
        found = answer("evaluate", "--task", "grammar", "--limit", 6, "--drop", "attn.1")
        assert set(found) >= {"task", "items", "accuracy", "accuracy_normalized"}
        assert (found["task"], found["items"]) == ("grammar", 6)
        assert all(0 <= found[name] <= 1 for name in ("accuracy", "accuracy_normalized"))

    def test_a_task_of_one_s_own(self, answer, entviz, tmp_path):
        file = tmp_path / "colours.jsonl"
        file.write_text('{"context": "Grass is", "choices": ["green", "red"], "answer": 0}\n' * 3)
        assert answer("evaluate", "--task", file)["items"] == 3
        status, output, _ = entviz("evaluate", "--task", file)
        assert status == 0
        assert "colours, 3 items" in output
        assert "accuracy, length-normalized" in output


class TestGenerate:
    def test_json(self, answer, directory):
        loaded = load(str(directory))
        prompt = loaded.tokenizer("Once upon").input_ids
        found = answer("generate", "--prompt", "Once upon", "--drop", "layer.0", "--max-new-tokens", 7)
        assert found["token_ids"][: len(prompt)] == prompt
        assert len(prompt) < len(found["token_ids"]) <= len(prompt) + 7
        assert found["text"] == loaded.tokenizer.decode(found["token_ids"], skip_special_tokens=True)
        again = answer(
            *("generate", "--prompt", "Once upon", "--drop", "layer.0", "--max-new-tokens", 7, "--no-cache")
        )
        assert again["token_ids"] == found["token_ids"]

    def test_text_alone_goes_to_standard_output(self, entviz):
        status, output, errors = entviz("generate", "--prompt", "Once upon")
        assert status == 0
        assert output.startswith("Once upon")
        assert "a second, without nothing" in errors


# --- what users get wrong --------------------------------------------------------------------------------------------


@pytest.fixture
def wrong(entviz, tmp_path):
    """Runs a command that must fail: returns the sentence it printed, having checked that it is one."""

    def run(command: str, *arguments: object, **options: object) -> str:
        status, output, errors = entviz(command, *arguments, **options)
        assert (status, output) == (2, "")
        assert "Traceback" not in errors
        sentence = errors.rpartition("entviz: ")[2]  # after the progress bar, if it took long
        assert sentence != errors
        assert sentence.count("\n") == 1
        assert sentence.endswith((".\n", "?\n"))
        assert len(sentence) < 500
        return sentence

    return run


class TestBadInput:
    def test_no_such_model(self, wrong, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert "no-such/model" in wrong("evaluate", "--text", TEXT, model="no-such/model")
        assert "nowhere" in wrong("evaluate", "--text", TEXT, model="./nowhere")

    def test_a_directory_without_weights(self, wrong, tmp_path, directory):
        (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
        assert "no weights" in wrong("analyze", "--text", TEXT, model=tmp_path)

    def test_a_model_that_is_not_causal(self, wrong, tmp_path):
        config = AutoConfig.for_model(
            "bert", vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2
        )
        AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
        assert "not a causal language model" in wrong("analyze", "--text", TEXT, model=tmp_path)

    def test_pickled_weights(self, wrong, tmp_path, directory):
        (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
        (tmp_path / "pytorch_model.bin").write_bytes(b"")
        assert "pickle" in wrong("rank", "--text", TEXT, model=tmp_path)

    @pytest.mark.parametrize("text", ["", "  \n\t "])
    def test_empty_text(self, wrong, text):
        assert "The text is empty" in wrong("evaluate", "--text", text)

    def test_an_empty_file(self, wrong, tmp_path):
        (tmp_path / "empty.txt").touch()
        assert "The text is empty" in wrong("evaluate", "--text-file", tmp_path / "empty.txt")

    def test_an_empty_prompt(self, wrong):
        assert "The prompt is empty" in wrong("generate", "--prompt", "")

    def test_fewer_tokens_than_a_window(self, wrong):
        assert "fewer than one window of 256" in wrong("analyze", "--text", "Too short.")
        sentence = wrong("analyze", "--text", TEXT, "--windows", 99, "--window-length", 40)
        assert "not for 99" in sentence

    def test_k_is_more_than_the_tokens(self, wrong):
        sentence = wrong("analyze", "--text", TEXT, "--window-length", 25, "--metric", "knn")
        assert "needs at least 26 tokens" in sentence
        wrong("rank", "--text", TEXT, "--window-length", 25, "--estimator", "knn")

    def test_an_unknown_metric(self, wrong):
        assert "'entropy' is not a metric: choose from bucket" in wrong(
            "analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket,entropy"
        )
        assert "No metric given" in wrong("analyze", "--text", TEXT, *WINDOWS, "--metric", ",")
        wrong("rank", "--text", TEXT, *WINDOWS, "--estimator", "entropy")

    def test_an_unknown_level(self, wrong):
        for command in ("analyze", "rank"):
            sentence = wrong(command, "--text", TEXT, *WINDOWS, "--level", "head")
            assert "'head' is not a level" in sentence

    def test_an_unknown_criterion(self, wrong):
        sentence = wrong("rank", "--text", TEXT, *WINDOWS, "--criterion", "magic")
        assert "'magic' is not a criterion: choose from entrodrop" in sentence

    @pytest.mark.parametrize(
        ("drop", "says"),
        [
            ("head.3", "'head.3' is not a block"),
            ("attn.x", "'attn.x' is not a block"),
            ("attn.-1", "'attn.-1' is not a block"),
            ("attn.4", "attn.4 does not exist: the model's layers are 0 to 3"),
            ("layer.0,layer.1,layer.2,layer.3", "drops all 4 layers"),
            ("layer.0,layer.1,layer.2,attn.3,mlp.3", "drops all 4 layers"),
        ],
    )
    def test_a_block_that_does_not_exist_and_dropping_everything(self, wrong, drop, says):
        assert says in wrong("evaluate", "--text", TEXT, *WINDOWS, "--drop", drop)
        assert says in wrong("generate", "--prompt", "Once", "--drop", drop)
        assert says in wrong("evaluate", "--task", "grammar", "--limit", 2, "--drop", drop)

    def test_a_budget_that_drops_everything(self, wrong):
        options = ("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--level", "layer", "--budget")
        assert "drops all 4 layers" in wrong(*options, 4)
        assert "4 blocks" in wrong(*options, 5)

    @pytest.mark.parametrize("budget", ["many", "-1", "120%", "1.5"])
    def test_a_budget_that_is_none(self, wrong, budget):
        assert "is not a budget" in wrong("rank", "--text", TEXT, *WINDOWS, f"--budget={budget}")

    def test_protecting_everything(self, wrong):
        for criterion in ("entrodrop", "search", "sleb", "last"):
            sentence = wrong(
                *("rank", "--text", TEXT, *WINDOWS, "--criterion", criterion),
                *("--level", "layer", "--protect", "4,0", "--budget", 1),
            )
            assert "0 blocks" in sentence

    def test_a_file_that_is_not_utf_8(self, wrong, tmp_path):
        (tmp_path / "old.txt").write_bytes(("Grüße aus Köln. " * 40).encode("cp1252"))
        sentence = wrong("evaluate", "--text-file", tmp_path / "old.txt", *WINDOWS)
        assert "--encoding cp1252" in sentence
        assert "no text encoding 'klingon'" in wrong(
            "evaluate", "--text-file", tmp_path / "old.txt", "--encoding", "klingon"
        )

    def test_a_file_that_is_not_there(self, wrong, tmp_path):
        assert "There is no file" in wrong("evaluate", "--text-file", tmp_path / "none.txt")
        assert "is a directory" in wrong("evaluate", "--text-file", tmp_path)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (
                "[[1, 2, 101]]",
                "Token id 101 in window 0 is outside the vocabulary: the model knows ids 0 to 100",
            ),
            ("[[1, 2], [3, -1]]", "Token id -1 in window 1"),
            ("[[1, 2], [3]]", "Window 1 has 1 token ids and window 0 has 2"),
            ("[[1, 2.5]]", "2.5, which is not a token id"),
            ("[[1, true]]", "which is not a token id"),
            ("[[1]]", "at least 2 token ids"),
            ("[]", "a list of lists"),
            ("{}", "a list of lists"),
            ("[[1, 2]", "is not JSON"),
        ],
    )
    def test_token_ids_that_cannot_be(self, wrong, tmp_path, content, says):
        (tmp_path / "ids.json").write_text(content)
        assert says in wrong("evaluate", "--token-ids", tmp_path / "ids.json")

    def test_options_that_do_not_go_together(self, wrong, tmp_path):
        (tmp_path / "ids.json").write_text("[[1, 2]]")
        assert "already cut" in wrong("evaluate", "--token-ids", tmp_path / "ids.json", "--windows", 2)
        assert "Use --limit" in wrong("evaluate", "--task", "grammar", "--windows", 2)
        assert "--task" in wrong("evaluate", "--text", TEXT, "--limit", 2)

    def test_numbers_out_of_range(self, wrong):
        assert "at least 2 tokens" in wrong("analyze", "--text", TEXT, "--window-length", 1)
        assert "windows, not 0" in wrong("analyze", "--text", TEXT, "--windows", 0)
        assert "new tokens, not 0" in wrong("generate", "--prompt", "a", "--max-new-tokens", 0)
        assert "at least 1 item" in wrong("evaluate", "--task", "grammar", "--limit", 0)
        assert "cannot be negative" in wrong("rank", "--text", TEXT, *WINDOWS, "--protect=-1,0")

    def test_a_weight_type_and_a_device_that_are_none(self, wrong):
        assert "float32" in wrong("evaluate", "--text", TEXT, *WINDOWS, "--dtype", "int8")
        wrong("evaluate", "--text", TEXT, *WINDOWS, "--device", "toaster")

    def test_a_task_that_is_none(self, wrong, tmp_path):
        assert "no task 'trivia'" in wrong("evaluate", "--task", "trivia")
        file = tmp_path / "broken.jsonl"
        file.write_text('{"context": "a", "choices": ["b", "c"], "answer": 0}\n{"context": "a"}\n')
        assert "broken.jsonl, line 2: 'choices' is missing" in wrong("evaluate", "--task", file)

    def test_no_text_at_all(self, entviz):
        status, _, errors = entviz("evaluate")
        assert status == 2
        assert "--text --text-file --token-ids --task is required" in errors


# --- as a person runs it ---------------------------------------------------------------------------------------------


def test_the_default_model_from_a_shell(tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps(FIGURES["windows"][:1]))
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "entviz",
            "evaluate",
            "--token-ids",
            "ids.json",
            "--drop",
            "layer.10",
            "--json",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(finished.stdout)
    wanted = FIGURES["mean_nll_per_window_by_dropped_blocks"]
    assert found["nll"] == pytest.approx(wanted["layer.10"][0], abs=1e-3)
    assert found["dense"]["nll"] == pytest.approx(wanted[""][0], abs=1e-3)


def test_help_is_quick_and_loads_no_torch():
    code = "import sys, entviz.cli\nassert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_a_reader_that_has_seen_enough_is_no_error(directory):
    command = (
        f"{sys.executable} -m entviz analyze --model {directory} --text '{TEXT}' --window-length 40 | head -1"
    )
    finished = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert "windows of 40 tokens" in finished.stdout
    assert "Error" not in finished.stderr
